"""What it costs to print spans as OTLP JSON lines and to read them: directly, and by protobuf.


1,000 spans of plain invocations, one span with a body of 6 MiB that has to be cut, and JSON of 512
spans as an SDK sends it.

python -m bench.otlp_lines [--runs 30] [--quick] [--json FILE] [--results DIR]
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable

from google.protobuf.json_format import MessageToDict, ParseDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from bench.measure import interleaved
from bench.results import Report, arguments
from exporter.encoder import encoded
from exporter.otlp_json import to_json
from exporter.otlp_lines import lines_of
from exporter.record import Environment, Fate, Invocation, Payload
from exporter.spans import SpanBuilder
from extension.json_requests import protobuf_of

SPANS = 1_000
PROTOBUF = f"{SPANS:,} spans, through protobuf"
LINES = f"{SPANS:,} spans, directly"
BATCH_SPANS = 512
"""What an SDK's batch processor exports at once."""
READ_BY_PROTOBUF = f"JSON of {BATCH_SPANS} spans, by protobuf"
READ = f"JSON of {BATCH_SPANS} spans, by tables"
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


def timed(run: Callable[[], object]) -> Callable[[], float]:
    """Seconds that `run` takes."""

    def once() -> float:
        began = time.perf_counter()
        run()
        return time.perf_counter() - began

    return once


def contestants() -> dict[str, Callable[[], float]]:
    """By what is printed, and how."""
    spans = SpanBuilder().spans([invocation(n, b'{"a":1}') for n in range(1, SPANS + 1)])
    found = {
        PROTOBUF: timed(lambda: to_json(encoded(spans))),
        LINES: timed(lambda: list(lines_of(spans))),
    }
    for name, byte in (("text", b"a"), ("control characters", b"\1")):
        large = SpanBuilder().spans([invocation(1, byte * BODY_BYTES)])
        found[f"1 span of 6 MiB, {name}"] = timed(lambda large=large: list(lines_of(large)))
    return found


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


def readers() -> dict[str, Callable[[], float]]:
    """Each makes the same bytes, of the JSON that it takes."""
    request = batch()
    own, theirs = to_json(request).encode(), json.dumps(MessageToDict(request)).encode()
    assert protobuf_of(own) == through_protobuf(theirs)
    return {
        READ_BY_PROTOBUF: timed(lambda: through_protobuf(theirs)),
        READ: timed(lambda: protobuf_of(own)),
    }


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--runs", type=int)
    options = parser.parse_args()
    report = Report(
        "otlp_lines",
        options,
        ("exporter", "extension/otlp_from_json.py", "extension/json_requests.py"),
        "Printing spans as lines of OTLP JSON, as `fallback: stdout` does, and reading an SDK's "
        "JSON, beside protobuf's own way.",
    )
    runs = options.runs or (3 if options.quick else 30)
    report.timings("spans as lines", interleaved(contestants(), runs), "ms", PROTOBUF)
    report.timings("JSON to protobuf", interleaved(readers(), runs), "ms", READ_BY_PROTOBUF)
    report.finish()


if __name__ == "__main__":
    main()
