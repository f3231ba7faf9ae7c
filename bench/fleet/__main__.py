"""What a fleet does to one receiver: arrival rates, bursts, jitter and flush modes.

python -m bench.fleet [--environments 2000] [--seconds 60] [--seed 1] [--cpus 1]
    [--collector PROGRAM | --request-us 70 --span-us 3.3] [--write] [--json FILE] [--results DIR]

The receiver's costs are measured on an OpenTelemetry Collector (`python -m deploy.gateway FILE`
builds one), or given. `--write` puts tables and plot into docs/, `--results` keeps the tables as
the other benchmarks' are, and needs measured costs.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.fleet import page, scenarios
from bench.fleet.capacity import CapacityError, measure
from bench.fleet.plot import PlotError, draw
from bench.fleet.receiver import Costs
from bench.fleet.run import Plan, Run, simulate
from bench.fleet.scenarios import Scale
from bench.measure import machine
from bench.results import Report

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = DOCS / "fleet.md"
PLOT = DOCS / "fleet-arrivals.svg"
MEASURED = ("extension/backlog.py", "extension/breaker.py", "extension/schedule.py", "bench/fleet")
"""Whose decisions the simulation asks, and itself."""
REQUESTS = 2_000
"""Of each kind and round, for a measurement: some ten seconds."""


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status: 0, or 1 where something could not be measured, drawn or written."""
    options = _options(arguments)
    try:
        costs = _costs(options)
        scale = Scale(options.environments, options.seconds, options.seed, costs, options.cpus)
        runs = {
            name: _simulate(name, plans(scale))
            for name, plans in (
                ("lives", scenarios.lives),
                ("shutdowns", scenarios.shutdowns),
                ("queues", scenarios.queues),
                ("outages", scenarios.outages),
            )
        }
        text = page.figures(scale, *runs.values(), machine())
        print(text)
        if options.write:
            draw(PLOT, runs["lives"], runs["queues"], runs["outages"])
            page.write(PAGE, text)
        if options.results is not None:
            _keep(options.results, costs, runs)
        if options.json is not None:
            options.json.write_text(_raw(scale, runs) + "\n", encoding="utf-8")
    except (CapacityError, PlotError, page.PageError, OSError) as error:
        print(f"bench.fleet: {error}", file=sys.stderr)
        return 1
    unbalanced = sum(run.unbalanced for some in runs.values() for run in some)
    if unbalanced:
        print(f"bench.fleet: {unbalanced} ledgers do not balance", file=sys.stderr)
    return int(unbalanced > 0)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.fleet", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--environments", type=_whole, default=2_000, metavar="N")
    parser.add_argument("--seconds", type=_positive, default=60.0, help="of a fleet's life")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cpus", type=_whole, default=1, help="processors of the receiver")
    parser.add_argument("--collector", type=Path, metavar="PROGRAM", help="is measured")
    parser.add_argument("--request-us", type=_positive, help="instead: processor time of a request")
    parser.add_argument("--span-us", type=_positive, help="and of each span in it")
    parser.add_argument("--write", action="store_true", help="tables and plot into docs/")
    parser.add_argument("--json", type=Path, metavar="FILE", help="every run's raw figures")
    parser.add_argument("--results", metavar="DIR", help="keep the tables there, as fleet.json")
    options = parser.parse_args(arguments)
    given = (options.request_us, options.span_us)
    if options.collector is None and None in given:
        parser.error(
            "name a Collector with --collector (python -m deploy.gateway FILE builds one), "
            "or give --request-us and --span-us"
        )
    if options.collector is not None and given != (None, None):
        parser.error("--collector is measured: leave out --request-us and --span-us")
    if options.results is not None and options.collector is None:
        parser.error("--results keeps measured costs: name a Collector with --collector")
    return options


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return value


def _whole(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not at least 1")
    return value


def _costs(options: argparse.Namespace) -> Costs:
    if options.collector is None:
        return Costs(options.request_us / 1e6, options.span_us / 1e6, 0, "given, not measured")
    print(f"measuring {options.collector}", file=sys.stderr)
    return measure(options.collector, REQUESTS)


def _simulate(name: str, plans: list[Plan]) -> list[Run]:
    runs = []
    for plan in plans:
        print(f"{name}: {plan.name}", file=sys.stderr)
        runs.append(simulate(plan))
    return runs


def _keep(results: str, costs: Costs, runs: dict[str, list[Run]]) -> None:
    """As the other benchmarks' results; raises OSError."""
    report = Report(
        "fleet",
        argparse.Namespace(quick=False, json=None, results=results),
        MEASURED,
        "What a simulated fleet does to one receiver, whose costs were measured.",
    )
    receiver = [costs.request_s * 1e6, costs.span_s * 1e6, costs.connection_bytes / 1024]
    columns = ["µs a request", "µs a span", "KiB a connection"]
    report.table("receiver", columns, [(costs.source, receiver)])
    for title, (heads, rows) in (
        ("a fleet's life", page.lives(runs["lives"])),
        ("SHUTDOWN for all at once", page.shutdowns(runs["shutdowns"])),
        ("SHUTDOWN before a queue", page.shutdowns(runs["queues"])),
        ("a receiver that comes back", page.outages(runs["outages"])),
    ):
        report.table(title, heads[1:], [(name, cells) for name, *cells in rows])
    report.finish()


def _raw(scale: Scale, runs: dict[str, list[Run]]) -> str:
    return json.dumps({"machine": machine(), "scale": scale, "runs": runs}, default=_plain)


def _plain(value: Any) -> dict[str, Any]:
    """The fields of a value, the product's own kind of them too; microseconds are enough."""
    named = {name: getattr(value, name) for name in value.__match_args__}
    return {
        name: [round(item, 6) for item in one] if isinstance(one, list) else one
        for name, one in named.items()
    }


if __name__ == "__main__":
    sys.exit(main())
