"""What it costs to print spans as OTLP JSON lines and to read them: directly, and by protobuf.

`python -m bench.otlp_lines`: milliseconds for 1,000 spans of plain invocations, for one span with
a body of 6 MiB that has to be cut, and for JSON of 512 spans as an SDK sends it.
"""

from __future__ import annotations

import json
import timeit
from collections.abc import Callable

from google.protobuf.json_format import MessageToDict, ParseDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.sdk.trace import ReadableSpan

from exporter.encoder import encoded
from exporter.otlp_json import to_json
from exporter.otlp_lines import lines_of
from exporter.record import Environment, Fate, Invocation, Payload
from exporter.spans import SpanBuilder
from extension.json_requests import protobuf_of

SPANS = 1_000
BATCH_SPANS = 512
"""What an SDK's batch processor exports at once."""
ROUNDS = 7
BODY_BYTES = 6 * 1024 * 1024


def invocation(ordinal: int, body: bytes) -> Invocation:
    return Invocation(
        ordinal=ordinal,
        request_id=f"8c1f9b6a-0000-4000-8000-{ordinal:012d}",
        invoked_function_arn="arn:aws:lambda:eu-west-1:123456789012:function:shop:live",
        environment=Environment("shop", "7", region="eu-west-1", memory_mb=128, log_stream="s"),
        trace_id=ordinal.to_bytes(16, "big"),
        span_id=ordinal.to_bytes(8, "big"),
        start_unix_ns=1_764_000_000_000_000_000,
        end_unix_ns=1_764_000_000_100_000_000,
        fate=Fate.RETURNED,
        deadline_unix_ms=1_764_000_003_000,
        cold_start=False,
        result=Payload(body, len(body), False, "json"),
    )


def best_ms(run: Callable[[], object]) -> float:
    return min(timeit.repeat(run, number=1, repeat=ROUNDS)) * 1000


def lines_ms(spans: list[ReadableSpan]) -> float:
    return best_ms(lambda: list(lines_of(spans)))


def batch() -> ExportTraceServiceRequest:
    """Of spans with nine attributes each."""
    request = ExportTraceServiceRequest()
    scope = request.resource_spans.add().scope_spans.add()
    attributes = [
        KeyValue(key=f"http.request.key{n}", value=AnyValue(string_value="value of some length"))
        for n in range(8)
    ]
    attributes.append(KeyValue(key="http.response.status_code", value=AnyValue(int_value=200)))
    for number in range(1, BATCH_SPANS + 1):
        scope.spans.add(
            trace_id=b"t" * 16,
            span_id=number.to_bytes(8, "big"),
            parent_span_id=b"p" * 8,
            name="GET /orders",
            kind=3,
            start_time_unix_nano=1_764_000_000_000_000_000,
            end_time_unix_nano=1_764_000_000_100_000_000,
            attributes=attributes,
        )
    return request


def through_protobuf(text: bytes) -> bytes:
    """What the library's own reader makes of its own JSON."""
    data: bytes = ParseDict(json.loads(text), ExportTraceServiceRequest()).SerializeToString()
    return data


def main() -> None:
    spans = SpanBuilder().spans([invocation(n, b'{"a":1}') for n in range(1, SPANS + 1)])
    print(f"{SPANS} spans, through protobuf: {best_ms(lambda: to_json(encoded(spans))):.0f} ms")
    print(f"{SPANS} spans, lines_of:         {lines_ms(spans):.1f} ms")
    for name, byte in (("text", b"a"), ("control characters", b"\1")):
        large = SpanBuilder().spans([invocation(1, byte * BODY_BYTES)])
        print(f"1 span of 6 MiB, {name}: {lines_ms(large):.0f} ms")
    request = batch()
    own, theirs = to_json(request).encode(), json.dumps(MessageToDict(request)).encode()
    assert protobuf_of(own) == through_protobuf(theirs)
    library_ms = best_ms(lambda: through_protobuf(theirs))
    print(f"JSON of {BATCH_SPANS} spans, by protobuf: {library_ms:.0f} ms")
    print(f"JSON of {BATCH_SPANS} spans, protobuf_of: {best_ms(lambda: protobuf_of(own)):.1f} ms")


if __name__ == "__main__":
    main()
