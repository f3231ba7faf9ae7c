"""What it costs to print spans as OTLP JSON lines: directly, and through protobuf.

`python -m bench.otlp_lines`: milliseconds for 1,000 spans of plain invocations, and for one
span with a body of 6 MiB that has to be cut.
"""

from __future__ import annotations

import timeit
from collections.abc import Callable

from opentelemetry.sdk.trace import ReadableSpan

from exporter.encoder import encoded
from exporter.otlp_json import to_json
from exporter.otlp_lines import lines_of
from exporter.record import Environment, Fate, Invocation, Payload
from exporter.spans import SpanBuilder

SPANS = 1_000
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


def main() -> None:
    spans = SpanBuilder().spans([invocation(n, b'{"a":1}') for n in range(1, SPANS + 1)])
    print(f"{SPANS} spans, through protobuf: {best_ms(lambda: to_json(encoded(spans))):.0f} ms")
    print(f"{SPANS} spans, lines_of:         {lines_ms(spans):.1f} ms")
    for name, byte in (("text", b"a"), ("control characters", b"\1")):
        large = SpanBuilder().spans([invocation(1, byte * BODY_BYTES)])
        print(f"1 span of 6 MiB, {name}: {lines_ms(large):.0f} ms")


if __name__ == "__main__":
    main()
