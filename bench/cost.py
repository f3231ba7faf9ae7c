"""What telemetry costs a million invocations at 128 MB: billed time, money and memory.

Measured like `bench.invocations`: a handler of 10 ms, a collector that is near or 20 ms away, and
one that is gone. Money is billed time times Lambda's price. A function of 128 MB has a fourteenth
of a processor, this machine's are whole: so the CPU time is told at that share too, as the most
that the bill can grow by where none of it is spent while the function waits.

    python -m bench.cost [--count 300] [--quick] [--json FILE] [--results DIR]
"""

from __future__ import annotations

from contextlib import ExitStack

from bench import lives
from bench.invocations import DUE, Measured, open_lives, take_turns
from bench.lives import ours
from bench.processes import memory_mb
from bench.results import Cell, Report, arguments
from collectors.apart import DEAD, FAR, NEAR, collector

MODES = ("next", "end", "auto")
HANDLER_MS = 10
MILLION = 1_000_000
MEMORY_GB = 128 / 1024
PRICE_USD_PER_GB_S = 0.0000166667
"""AWS Lambda pricing, x86, us-east-1, first tier; as of 2026. Arm is a fifth less."""
SHARE = 128 / 1769
"""Of a processor: developer guide, "Configure Lambda function memory": 1,769 MB have one."""


def mean_s(values: list[float]) -> float:
    return sum(values) / len(values)


def row(one: Measured, floor: Measured) -> tuple[str, list[Cell]]:
    """Billed seconds and money for a million invocations, and memory."""
    added_s = mean_s(one.billed_s) - mean_s(floor.billed_s)
    count = len(one.billed_s)
    cpu_s = (one.function_cpu_s + one.extension_cpu_s) / count
    cpu_s -= (floor.function_cpu_s + floor.extension_cpu_s) / len(floor.billed_s)
    price = PRICE_USD_PER_GB_S * MEMORY_GB * MILLION
    environment = one.life.environment
    extension = sum(memory_mb(pid, "VmHWM") for pid in environment.extension_pids)
    function = memory_mb(environment.runtime_pid) if environment.runtime_pid else 0.0
    return one.life.telemetry.name, [
        added_s * 1e3,
        added_s * 1e3 * MILLION,
        added_s * price,
        cpu_s * 1e3,
        cpu_s / SHARE * price,
        function,
        extension,
    ]


COLUMNS = (
    "billed + ms, mean",
    "billed + ms a million",
    "US$ a million",
    "CPU + ms",
    "US$ a million, all CPU billed",
    "function RSS MB",
    "extension peak MB",
)


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--count", type=int)
    options = parser.parse_args()
    count = options.count or (10 if options.quick else 300)
    report = Report(
        "cost",
        options,
        ("fifo", "extension", "exporter"),
        "What a million invocations pay for their telemetry at 128 MB (an eighth of a GB), over "
        f"the same function without any; US$ {PRICE_USD_PER_GB_S:.10f} a GB-second (x86).",
    )
    report.note("Requests and cold starts are not in it: bench.invocations has the latter.")
    report.note(
        "This machine's processors are whole, a function of 128 MB has a fourteenth of one. "
        "The last money column bills all CPU time at that share: the truth lies between the two."
    )
    for kind in (NEAR,) if options.quick else (NEAR, FAR, DEAD):
        telemetries = [lives.NOTHING, *map(ours, MODES), ours("next", DUE, max_age_ms=0)]
        if kind != DEAD:
            telemetries.append(lives.OPENTELEMETRY)
        with ExitStack() as stack:
            endpoint = stack.enter_context(collector(kind))
            measured = open_lives(report, stack, telemetries, endpoint)
            take_turns(measured, HANDLER_MS, count, f"cost, collector {kind}")
            floor = measured[lives.NOTHING.name]
            rows = [row(one, floor) for one in measured.values()]
            title = f"a million invocations at 128 MB, collector {kind}, {count} measured"
            report.table(title, COLUMNS, rows)
    report.finish()


if __name__ == "__main__":
    main()
