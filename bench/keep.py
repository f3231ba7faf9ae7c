"""Runs a benchmark that tells its samples alone (`--json`), and keeps them as the others do.

python -m bench.keep PART [--quick] [--results DIR]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import handover
from bench.measure import percentile
from bench.results import ROOT, Report, arguments


@dataclass(frozen=True, slots=True)
class Kept:
    """A part, what it measures, and how it runs in a hurry."""

    measured: tuple[str, ...]
    about: str
    unit: str
    base: str
    quick: tuple[str, ...]


P99_LIMIT = 5.0
PARTS = {
    "handover": Kept(
        ("fifo",),
        "What `capture` and `fifo.span` cost the function; a serialised result by size.",
        "µs",
        "os.write, 1 KiB",
        ("--runs", "100"),
    ),
    "otel": Kept(
        ("fifo",),
        "What a handler loses to OpenTelemetry's SDK, by our exporter and by the stock one.",
        "µs",
        "no exporter",
        ("--runs", "20"),
    ),
    "held": Kept(
        ("extension",),
        "What `/next` is held for after the function's end, where nothing is due.",
        "ms",
        "asks only",
        ("--runs", "30", "--warm-up", "20"),
    ),
    "telemetry": Kept(
        ("extension/telemetry.py", "extension/platform_events.py"),
        "Receiving platform events over TCP and over HTTP.",
        "µs",
        "TCP, a line each",
        ("--runs", "100"),
    ),
    "redaction": Kept(
        ("exporter",),
        "What redaction costs the worker, by size.",
        "µs",
        "1 KiB, json.loads + json.dumps",
        ("--runs", "2"),
    ),
}


def handover_targets(report: Report, seconds: Mapping[str, Sequence[float]]) -> None:
    """A serialised result over a raw write of as much, and how far its p99 is."""
    floor = percentile(seconds[handover.RAW], 0.5)
    for name, goal in handover.GOALS.items():
        figure = percentile(seconds[name], 0.5) / floor
        report.target(f"{name}, over {handover.RAW}, p50", figure, goal)
    for size, limit in handover.SERIALISED.items():
        ours = seconds[f"result, {size:,} bytes"]
        p50 = percentile(ours, 0.5)
        raw = percentile(seconds[f"os.write, {size:,} bytes"], 0.5)
        report.target(f"a result of {size:,} bytes over os.write, p50", p50 / raw, limit)
        if size == min(handover.SERIALISED):
            spread = percentile(ours, 0.99) / p50
            report.target(f"a result of {size:,} bytes, p99 over its own p50", spread, P99_LIMIT)


def keep(part: str, options: argparse.Namespace) -> int:
    """Run it, and keep what it found; its exit status."""
    kept = PARTS[part]
    with tempfile.TemporaryDirectory(prefix="spanpipe-bench-") as folder:
        file = Path(folder) / "samples.json"
        command = [sys.executable, "-m", f"bench.{part}", "--json", str(file)]
        command += kept.quick if options.quick else ()
        done = subprocess.run(command, cwd=ROOT, check=False)
        if done.returncode:
            return done.returncode
        seconds = json.loads(file.read_text())["seconds"]
    report = Report(part, options, kept.measured, kept.about)
    report.value["command"] = f"python -m bench.{part}"
    report.timings("all of this part", seconds, kept.unit, kept.base)
    if part == "handover":
        handover_targets(report, seconds)
    report.finish()
    return 0


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("part", choices=PARTS)
    options = parser.parse_args()
    sys.exit(keep(options.part, options))


if __name__ == "__main__":
    main()
