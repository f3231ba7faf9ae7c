"""What it costs to print spans as OTLP JSON lines: directly, and through protobuf.

1,000 spans of plain invocations, and one span with a body of 6 MiB that has to be cut.

python -m bench.otlp_lines [--runs 30] [--quick] [--json FILE] [--results DIR]
"""

from __future__ import annotations

import time
from collections.abc import Callable

from bench.measure import interleaved
from bench.results import Report, arguments
from exporter.encoder import encoded
from exporter.otlp_json import to_json
from exporter.otlp_lines import lines_of
from exporter.record import Environment, Fate, Invocation, Payload
from exporter.spans import SpanBuilder

SPANS = 1_000
PROTOBUF = f"{SPANS:,} spans, through protobuf"
LINES = f"{SPANS:,} spans, directly"
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


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--runs", type=int)
    options = parser.parse_args()
    report = Report(
        "otlp_lines",
        options,
        ("exporter",),
        "Printing spans as lines of OTLP JSON, as `fallback: stdout` does, and by way of protobuf.",
    )
    runs = options.runs or (3 if options.quick else 30)
    report.timings("spans as lines", interleaved(contestants(), runs), "ms", PROTOBUF)
    report.finish()


if __name__ == "__main__":
    main()
