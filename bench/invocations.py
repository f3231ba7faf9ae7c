"""What an invocation pays for its telemetry: in latency, on the bill, in CPU time, at cold start.

Handlers that wait for 1, 10 and 100 ms, and a collector that is near, 20 ms away or hangs; and one
long run of mode `next` with nothing and with everything wrong. Every environment is a sandbox's,
all of a table take turns. See bench/BASELINES.md.

    python -m bench.invocations [--count 5000] [--quick] [--json FILE] [--results DIR]
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack

from bench import lives, peers
from bench.lives import Life, Paid, Telemetry, ours
from bench.measure import orders, percentile
from bench.progress import Progress
from bench.results import Cell, Report, arguments
from collectors.apart import DEAD, FAR, HANGING, NEAR, collector

COUNTS = {1: 150, 10: 100, 100: 30}
"""Handler's ms → invocations of each."""
QUICK_COUNTS = {1: 10}
WARM_UP = 5
COLD = 10
HANGING_COUNTS = (2, 1)
"""Of OpenTelemetry's, which waits for 10 s each time; the second in a hurry."""
MODES = ("next", "end", "auto")
DUE = "spanpipe, next, a flush due each time"
CALLER_MS, BILLED_P99_MS, TIMES_LESS = 0.3, 1.0, 20
LONG_RATE = 100


class Measured:
    """What was seen of one environment."""

    def __init__(self, life: Life) -> None:
        self.life = life
        self.caller_s: list[float] = []
        self.billed_s: list[float] = []
        self.function_cpu_s = self.extension_cpu_s = 0.0

    def invoke(self, handler_ms: int) -> None:
        paid: Paid = self.life.invoke(handler_ms)
        self.caller_s.append(paid.caller_s)
        self.billed_s.append(paid.billed_s)

    def begin(self) -> None:
        """Forget what was before."""
        self.caller_s.clear()
        self.billed_s.clear()
        self.function_cpu_s = self.life.function_cpu_s
        self.extension_cpu_s = self.life.extension_cpu_s

    def end(self) -> None:
        """CPU time from `begin` on."""
        self.function_cpu_s = self.life.function_cpu_s - self.function_cpu_s
        self.extension_cpu_s = self.life.extension_cpu_s - self.extension_cpu_s


def open_lives(
    report: Report, stack: ExitStack, telemetries: Sequence[Telemetry], endpoint: str
) -> dict[str, Measured]:
    """An environment for each; what cannot be had is said once."""
    found: dict[str, Measured] = {}
    for telemetry in telemetries:
        try:
            life = Life(telemetry, endpoint)
        except peers.NotObtainableError as error:
            if telemetry.name not in {one["name"] for one in report.value["lost"]}:
                report.lost(telemetry.name, str(error))
            continue
        found[telemetry.name] = Measured(stack.enter_context(life))
    return found


def take_turns(
    measured: Mapping[str, Measured],
    handler_ms: int,
    count: int,
    label: str,
    seldom: Mapping[str, int] | None = None,
) -> float:
    """Invoke each `count` times, those in `seldom` less often; seconds that this took."""
    seldom = seldom or {}
    for name, one in measured.items():
        for _ in range(0 if name in seldom else WARM_UP):
            one.invoke(handler_ms)
        if name in seldom:
            one.life.environment.init()
        one.life.settle()
        one.begin()
    progress = Progress(label, count)
    began_s = time.monotonic()
    for index, names in enumerate(orders(measured, count)):
        for name in names:
            if index < seldom.get(name, count):
                measured[name].invoke(handler_ms)
        progress.step()
    for one in measured.values():
        one.end()
    return time.monotonic() - began_s


def rows_of(measured: Mapping[str, Measured], base: str) -> list[tuple[str, list[Cell]]]:
    """Each one's figures, added to those of `base`, in ms."""
    floor = measured[base]
    rows: list[tuple[str, list[Cell]]] = []
    for name, one in measured.items():
        count = len(one.caller_s)

        def added(values: list[float], base_values: list[float], part: float) -> float:
            return (percentile(values, part) - percentile(base_values, part)) * 1e3

        mean = sum(one.billed_s) / count - sum(floor.billed_s) / len(floor.billed_s)
        cpu = (one.function_cpu_s + one.extension_cpu_s) / count
        cpu -= (floor.function_cpu_s + floor.extension_cpu_s) / len(floor.caller_s)
        rows.append(
            (
                name,
                [
                    one.life.telemetry.point,
                    count,
                    added(one.caller_s, floor.caller_s, 0.5),
                    added(one.caller_s, floor.caller_s, 0.99),
                    added(one.billed_s, floor.billed_s, 0.5),
                    added(one.billed_s, floor.billed_s, 0.99),
                    mean * 1e3,
                    cpu * 1e3,
                ],
            )
        )
    return rows


COLUMNS = (
    "durability point",
    "n",
    "caller +p50 ms",
    "caller +p99 ms",
    "billed +p50 ms",
    "billed +p99 ms",
    "billed +mean ms",
    "CPU + ms",
)


def grid(report: Report, counts: Mapping[int, int], *, quick: bool) -> None:
    """Every handler with every collector."""
    everything = [
        lives.NOTHING,
        lives.EMPTY,
        *map(ours, MODES),
        ours("next", DUE, max_age_ms=0),
        lives.OPENTELEMETRY,
        lives.NEW_RELIC,
        lives.DATADOG,
    ]
    for kind in (NEAR, FAR, HANGING):
        # Who sends nothing to it is measured once.
        telemetries = [
            one for one in everything if kind == NEAR or one.exports or one is lives.NOTHING
        ]
        seldom = {lives.OPENTELEMETRY.name: HANGING_COUNTS[quick]} if kind == HANGING else {}
        for handler_ms, count in counts.items():
            if kind == HANGING and handler_ms != 1:
                continue
            with ExitStack() as stack:
                endpoint = stack.enter_context(collector(kind))
                measured = open_lives(report, stack, telemetries, endpoint)
                label = f"handler of {handler_ms} ms, collector {kind}"
                take_turns(measured, handler_ms, count, label, seldom)
                report.table(label, COLUMNS, rows_of(measured, lives.NOTHING.name))
                if kind == FAR and handler_ms == 1 and lives.OPENTELEMETRY.name in measured:
                    against_the_exporter(report, measured)


def against_the_exporter(report: Report, measured: Mapping[str, Measured]) -> None:
    """What both add for the caller and on the bill, with a collector 20 ms away."""
    floor = measured[lives.NOTHING.name]
    for what in ("caller", "billed"):

        def added(name: str, what: str = what) -> float:
            values, base = getattr(measured[name], f"{what}_s"), getattr(floor, f"{what}_s")
            return percentile(values, 0.5) - percentile(base, 0.5)

        times = added(lives.OPENTELEMETRY.name) / max(added("spanpipe, next"), 1e-6)
        text = f"OpenTelemetry's exporter over mode next, collector {FAR}, {what} p50"
        report.target(text, times, TIMES_LESS, at_least=True)


def long_run(report: Report, count: int) -> None:
    """Mode `next` back to back, with its defaults: due flushes are among them."""
    kinds = (NEAR, DEAD, HANGING)
    with ExitStack() as stack:
        measured = open_lives(report, stack, [lives.NOTHING, lives.EMPTY], "")
        for kind in kinds:
            endpoint = stack.enter_context(collector(kind))
            telemetry = ours("next", f"spanpipe, next, collector {kind}")
            measured |= open_lives(report, stack, [telemetry], endpoint)
        lasted_s = take_turns(measured, 0, count, "mode next, a long run")
        rate = count / lasted_s
        report.table(
            f"mode next, {count:,} invocations each, {rate:.0f} a second each, handler of 0 ms",
            COLUMNS,
            rows_of(measured, lives.NOTHING.name),
        )
        report.target("invocations a second of the long run", rate, LONG_RATE, "/s", at_least=True)
        floor, empty = measured[lives.NOTHING.name], measured[lives.EMPTY.name]
        for kind in kinds:
            one = measured[f"spanpipe, next, collector {kind}"]
            caller = percentile(one.caller_s, 0.5) - percentile(floor.caller_s, 0.5)
            report.target(f"caller p50, {kind} collector", caller * 1e3, CALLER_MS, "ms")
            billed = percentile(one.billed_s, 0.99) - percentile(floor.billed_s, 0.99)
            text = f"billed p99, {kind} collector"
            report.target(text, billed * 1e3, BILLED_P99_MS, "ms")
            over_empty = percentile(one.billed_s, 0.99) - percentile(empty.billed_s, 0.99)
            report.note(f"{text}, over an extension that only asks: {over_empty * 1e3:.2f} ms.")


def cold_starts(report: Report, rounds: int) -> None:
    """From nothing to a runtime and extensions that wait for the first event."""
    seconds: dict[str, list[float]] = {}
    first: dict[str, list[float]] = {}
    telemetries = [
        lives.NOTHING,
        lives.EMPTY,
        ours("auto"),
        lives.OPENTELEMETRY,
        lives.NEW_RELIC,
        lives.DATADOG,
    ]
    progress = Progress("cold starts", (rounds + 1) * len(telemetries))
    with collector(NEAR) as endpoint:
        for index in range(rounds + 1):
            for telemetry in telemetries:
                try:
                    life = Life(telemetry, endpoint)
                except peers.NotObtainableError:
                    continue
                with life:
                    began_s = time.perf_counter()
                    assert life.environment.init(), telemetry.name
                    took_s = time.perf_counter() - began_s
                    billed_s = life.invoke(0).billed_s
                    # The first round makes byte code.
                    if index:
                        seconds.setdefault(telemetry.name, []).append(took_s)
                        first.setdefault(telemetry.name, []).append(billed_s)
                progress.step()
    for title, of in (
        ("cold start: init of runtime, extension and imports", seconds),
        ("the first invocation after it, billed", first),
    ):
        floor = percentile(of[lives.NOTHING.name], 0.5)
        added = {name: (percentile(values, 0.5) - floor) * 1e3 for name, values in of.items()}
        report.timings(title, of, "ms", more={"+p50 ms": added})


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--count", type=int, help="invocations of the long run")
    options = parser.parse_args()
    report = Report(
        "invocations",
        options,
        ("fifo", "extension", "exporter"),
        "What telemetry adds to an invocation in the sandbox, over the same function without any. "
        "Billed: until the runtime and every extension have asked for the next event.",
    )
    report.note(
        "Added means: this percentile less the same percentile of the function without telemetry."
    )
    report.note(
        "CPU + ms: of the function's and the extension's processes, an invocation, over none."
    )
    grid(report, QUICK_COUNTS if options.quick else COUNTS, quick=options.quick)
    long_run(report, options.count or (100 if options.quick else 5000))
    cold_starts(report, 1 if options.quick else COLD)
    report.finish()


if __name__ == "__main__":
    main()
