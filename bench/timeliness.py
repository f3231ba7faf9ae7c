"""How long after its end a span is at the collector: in each mode, for steady and other traffic.

Every environment is frozen while it waits, as in Lambda. A span's end is what the span says, its
arrival when the receiver has read it; what was left for SHUTDOWN is counted and has no age, since
Lambda alone knows when that comes. All patterns and modes run at the same time: nearly all of it is
waiting.

    python -m bench.timeliness [--quick] [--json FILE] [--results DIR]
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from bench.lives import Life, ours
from bench.measure import percentile
from bench.results import Cell, Report, arguments
from sandbox.receiver import Receiver

MODES = ("next", "end", "auto")
KIND_SERVER = 2
HANDLER_MS = 10
ARRIVED_S = 5.0


@dataclass(frozen=True, slots=True)
class Traffic:
    """`bursts` times `size` invocations, `within_s` apart, and `between_s` from burst to burst."""

    name: str
    bursts: int
    size: int
    within_s: float
    between_s: float

    def pauses(self) -> Iterator[float]:
        """Before each invocation but the first."""
        for burst in range(self.bursts):
            for index in range(self.size):
                if burst or index:
                    yield self.within_s if index else self.between_s


STEADY = Traffic("steady: 5 a second", 1, 150, 0.2, 0.0)
BURSTY = Traffic("bursty: 20 at once, every 10 s", 4, 20, 0.0, 10.0)
RARE = Traffic("rare: one every 12 s", 4, 1, 0.0, 12.0)
QUICK = (
    Traffic("steady: 5 a second", 1, 30, 0.2, 0.0),
    Traffic("bursty: 20 at once, every 3 s", 2, 20, 0.0, 3.0),
    Traffic("rare: one every 6 s", 2, 1, 0.0, 6.0),
)


class Arrivals:
    """Seconds from a span's end to here, and how many came before SHUTDOWN."""

    def __init__(self) -> None:
        self.ages_s: list[float] = []
        self.arrived = threading.Condition()

    def __call__(self, request: ExportTraceServiceRequest) -> None:
        now_unix_ns = time.time_ns()
        with self.arrived:
            self.ages_s += [
                (now_unix_ns - span.end_time_unix_nano) / 1e9
                for of_resource in request.resource_spans
                for of_scope in of_resource.scope_spans
                for span in of_scope.spans
                if span.kind == KIND_SERVER
            ]
            self.arrived.notify_all()


def one(mode: str, traffic: Traffic) -> tuple[list[float], int]:
    """Ages of spans that came while the environment lived, and how many were left for SHUTDOWN."""
    arrivals = Arrivals()
    with Receiver(arrivals, keeps=False) as receiver:
        with Life(ours(mode), receiver.http_endpoint, freeze=True) as life:
            life.invoke(HANDLER_MS)
            for pause_s in traffic.pauses():
                time.sleep(pause_s)
                life.invoke(HANDLER_MS)
            ages_s = list(arrivals.ages_s)
        total = traffic.bursts * traffic.size
        with arrivals.arrived:
            arrivals.arrived.wait_for(lambda: len(arrivals.ages_s) >= total, ARRIVED_S)
        assert len(arrivals.ages_s) == total, (mode, traffic.name, len(arrivals.ages_s))
        return ages_s, total - len(ages_s)


def main() -> None:
    parser = arguments(__doc__)
    options = parser.parse_args()
    report = Report(
        "timeliness",
        options,
        ("extension", "exporter"),
        "From a span's end to the collector. An environment is frozen between invocations, so in "
        "mode `next` a span waits for a later one, or for SHUTDOWN.",
    )
    patterns = QUICK if options.quick else (STEADY, BURSTY, RARE)
    cells = [(mode, traffic) for traffic in patterns for mode in MODES]
    with ThreadPoolExecutor(len(cells)) as pool:
        found = dict(zip(cells, pool.map(lambda cell: one(*cell), cells), strict=True))
    columns = ["spans", "p50 ms", "p99 ms", "max ms", "left for SHUTDOWN"]
    for traffic in patterns:
        rows: list[tuple[str, list[Cell]]] = []
        for mode in MODES:
            ages_s, left = found[mode, traffic]
            figures = [percentile(ages_s, part) * 1e3 for part in (0.5, 0.99, 1.0) if ages_s]
            rows.append((mode, [len(ages_s), *(figures or [None] * 3), left]))
        report.table(traffic.name, columns, rows)
    report.finish()


if __name__ == "__main__":
    main()
