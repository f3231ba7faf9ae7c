"""Run the faults and print what they cost; exits with 1 where something does not hold.

    python -m chaos [--quick] [--seed N] [NAME...]

NAME is a fault, two with `` + `` between them, or one of the tables: rows, pairs, hold,
shutdown, memory. Results are kept in .cache/chaos/.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.measure import machine
from chaos import hold, kill_steps, memory, report, shutdown
from chaos.faults import FAULTS
from spanpipe.wording import counted

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / ".cache" / "chaos"
QUICK, FULL = 0, 1
COUNTS = {"row": (10, 100), "hold": (6, 100), "shutdown": (4, 100), "memory": (2_000, 100_000)}
"""Invocations, runs of SHUTDOWN, and invocations in all for the memory: quick and full."""
STEP_COUNTS = (12, 600)
"""Four invocations for each life; a life has some 130 steps."""
PAIRS = (4, 24)
AT_A_TIME = {"row": (2, 1), "hold": (5, 2), "shutdown": (2, 1), "memory": (2, 1)}
"""Processes at once: figures are taken with one core for each side, holds mostly wait."""
ALONE = {"slow collector, no pause", "clock to and fro, libfaketime"}
"""In no pair: it brings its own collector; it slows all that the other would show."""
JOB_LIMIT_S = 900
TABLES = ("rows", "pairs", "hold", "shutdown", "memory")


@dataclass(frozen=True, slots=True)
class Job:
    """One run of `chaos.inside`."""

    experiment: str
    names: tuple[str, ...]
    count: int

    @property
    def namespaces(self) -> list[str]:
        """Options of unshare(1) that its faults need."""
        wanted = [FAULTS[name].namespaces for name in self.names if name in FAULTS]
        return sorted(set(itertools.chain.from_iterable(wanted)))


def jobs_of(names: Sequence[str], size: int, seed: int) -> list[Job]:
    """What is to be run. Raises SystemExit at a name that there is not."""
    jobs: list[Job] = []
    for name in names or TABLES:
        if name == "rows":
            jobs += [_row_job((one,), size) for one in (*FAULTS, kill_steps.NAME)]
        elif name == "pairs":
            jobs += [_row_job(pair, size) for pair in _pairs(PAIRS[size], seed)]
        elif name == "hold":
            jobs += [
                Job("hold", (mode, one), COUNTS["hold"][size])
                for one in hold.COLLECTORS
                for mode in hold.MODES
            ]
        elif name == "shutdown":
            jobs += [Job("shutdown", (one,), COUNTS["shutdown"][size]) for one in shutdown.WORST]
        elif name == "memory":
            count = COUNTS["memory"][size]
            jobs += [Job("memory", (one,), count) for one in memory.COLLECTORS]
        else:
            parts = tuple(name.split(" + "))
            for part in parts:
                if part not in FAULTS and part != kill_steps.NAME:
                    raise SystemExit(f"{part!r} is no fault; there are: {', '.join(FAULTS)}")
            jobs.append(_row_job(parts, size))
    return jobs


def _row_job(names: tuple[str, ...], size: int) -> Job:
    if kill_steps.NAME in names:
        return Job("row", names, STEP_COUNTS[size])
    counts = [FAULTS[name].counts or COUNTS["row"] for name in names]
    return Job("row", names, max(count[size] for count in counts))


def _pairs(count: int, seed: int) -> list[tuple[str, str]]:
    """A sample of those whose kinds differ."""
    pairs = [
        (one, other)
        for one, other in itertools.combinations(FAULTS, 2)
        if FAULTS[one].kind != FAULTS[other].kind and not {one, other} & ALONE
    ]
    return random.Random(seed).sample(pairs, count)  # noqa: S311


def run(job: Job, seed: int) -> dict[str, Any]:
    """The result of `job`; `died` instead of figures where its process did not end well."""
    name = " + ".join(job.names)
    with tempfile.TemporaryDirectory(prefix="spanpipe-chaos-") as folder:
        result = Path(folder) / "result.json"
        command = [sys.executable, "-m", "chaos.inside", job.experiment, *job.names]
        command += ["--json", str(result), "--count", str(job.count), "--seed", str(seed)]
        options = job.namespaces
        if options:
            options = [*([] if os.geteuid() == 0 else ["-r"]), *options]
            probe = subprocess.run(
                ["unshare", *options, "true"], capture_output=True, text=True, check=False
            )
            if probe.returncode:
                reason = f"unshare {' '.join(options)}: {probe.stderr.strip()}"
                return {"name": name, "skipped": reason, "failures": []}
            command = ["unshare", *options, *command]
        environ = {**os.environ, "TMPDIR": folder}
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environ,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        try:
            _, told = process.communicate(timeout=JOB_LIMIT_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            died = f"not over after {JOB_LIMIT_S} s"
            return {"name": name, "died": died, "failures": [died]}
        if process.returncode or not result.exists():
            died = f"status {process.returncode}: {told.strip()[-600:]}"
            return {"name": name, "died": died, "failures": [died]}
        value: dict[str, Any] = json.loads(result.read_text())
    if "skipped" in value and os.environ.get("CI", "").lower() == "true":
        value["failures"] = [f"skipped, and CI=true: {value['skipped']}"]
    return value


def main() -> None:
    """Run, print, keep, and leave with a status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--quick", action="store_true", help="few invocations")
    parser.add_argument("--seed", type=int, default=None)
    options = parser.parse_args()
    seed = secrets.randbelow(2**32) if options.seed is None else options.seed
    size = QUICK if options.quick else FULL
    jobs = jobs_of(options.names, size, seed)
    began_s = time.monotonic()
    print(f"{counted(len(jobs), 'experiment')}, seed {seed}; {machine()}")
    results: dict[str, list[dict[str, Any]]] = {}
    RESULTS.mkdir(parents=True, exist_ok=True)
    kept = RESULTS / ("quick.json" if options.quick else "full.json")
    for experiment, group in itertools.groupby(jobs, lambda job: job.experiment):
        print(report.HEADS[experiment], flush=True)
        with ThreadPoolExecutor(AT_A_TIME[experiment][size]) as pool:
            for value in pool.map(lambda job: run(job, seed), group):
                results.setdefault(experiment, []).append(value)
                print(report.line(experiment, value), flush=True)
                told = {"machine": machine(), "seed": seed, **results}
                kept.write_text(json.dumps(told, indent=1) + "\n")
    failed = [value for values in results.values() for value in values if value["failures"]]
    print(f"{time.monotonic() - began_s:.0f} s; raw figures in {kept.relative_to(ROOT)}")
    for value in failed:
        for failure in value["failures"]:
            print(f"FAILED {value['name']}: {failure}")
    raise SystemExit(1 if failed else 0)


if __name__ == "__main__":
    main()
