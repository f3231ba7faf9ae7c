"""One row: a fault, or several, with us and without, invocation by invocation in turn."""

from __future__ import annotations

import os
import random
import signal
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.measure import percentile
from chaos import kill_steps
from chaos.bad_collectors import MAKERS
from chaos.faults import COLLECTOR, FAULTS
from chaos.ledger_line import LedgerLine
from chaos.life import Life, Measured
from chaos.plan import TIMEOUT_S, Plan
from sandbox.environment import ExtensionExit
from spanpipe.wording import counted

UP = "none (collector up)"
DUE_MS = 50
"""Batches are due at this age, so that exports happen all the time."""

WRITER_S = 0.050
"""design, "Bounds": writer, whole invocation, anything wrong."""
HELD_S = max(0.200, TIMEOUT_S / 10)
"""design, "Bounds": `hold_ms` in `next`, a tenth of the time left in `end` and `auto`."""
SHUTDOWN_S = 1.900
EXIT_BEFORE_DEADLINE_S = 0.100
"""design, "Bounds": SHUTDOWN to exit."""
SLACK_S = 0.400
"""Two cores, on which everything of a row runs: the scheduler's, not ours."""
MEDIAN_SLACK_S = 0.005
EXIT_SLACK_S = 0.050
PEAK_KB = 192 * 1024
"""Of the extension: OpenTelemetry and its like (some 50 MiB), 16 MiB that wait, and what one
request takes in each of its forms on its way (record, span, protobuf, JSON, gzip)."""


@dataclass(slots=True)
class Row:
    """What was seen; times in seconds."""

    name: str
    ours: list[Measured] = field(default_factory=list)
    alone: list[Measured] = field(default_factory=list)
    exits: list[ExtensionExit] = field(default_factory=list)
    ledgers: list[LedgerLine] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    deaths: int = 0
    stuck: int = 0
    peak_kb: int = 0
    before: Counter[bytes] = field(default_factory=Counter)
    """What had arrived before the first of `ours`."""
    arrived: int | None = None
    arrivals: int | None = None

    def add(self, life: Life) -> None:
        """What a life with us leaves."""
        self.exits += life.end()
        self.ledgers += life.ledgers()
        self.lines += [line for line in life.lines if "spanpipe:" in line]
        self.deaths += life.deaths
        self.stuck += life.stuck
        self.peak_kb = max(self.peak_kb, life.peak_kb)

    @property
    def accepted(self) -> int:
        """By all generations."""
        return sum(one.invocations.left.get("accepted", 0) for one in self.ledgers)

    @property
    def exported(self) -> int:
        """By all generations."""
        return sum(one.invocations.right.get("exported", 0) for one in self.ledgers)

    @property
    def uncertain(self) -> int:
        """By all generations."""
        return sum(one.beside.get("uncertain", 0) for one in self.ledgers)


def slack_s() -> float:
    """`SLACK_S`, and in proportion where more wants to run than there are processors."""
    return SLACK_S * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


def new_plan(names: Sequence[str], count: int, seed: int, folder: Path, stack: ExitStack) -> Plan:
    """The plan of the faults in `names`. Raises SkippedError."""
    plan = Plan(folder, random.Random(seed), count, stack)  # noqa: S311
    plan.config["flush"] = {"max_age_ms": DUE_MS}
    faults = [FAULTS[name] for name in names if name in FAULTS]
    if all(fault.kind != COLLECTOR for fault in faults):
        MAKERS[UP](plan)
    for fault in faults:
        fault.make(plan)
    return plan


def run(names: Sequence[str], count: int, seed: int, folder: Path) -> dict[str, Any]:
    """Measure one row and judge it, as a value for JSON. Raises SkippedError."""
    with ExitStack() as stack:
        plan = new_plan(names, count, seed, folder, stack)
        row = Row(" + ".join(names))
        if kill_steps.NAME in names:
            _sweep(row, plan)
        else:
            _interleave(row, plan, plan.count)
        if plan.arrivals is not None:
            counts = plan.arrivals() - row.before
            row.arrived, row.arrivals = len(counts), counts.total()
        return {**figures(row, plan), "failures": judge(row, plan), "lines": row.lines[-12:]}


def _interleave(row: Row, plan: Plan, count: int) -> None:
    with Life(plan, ours=True) as ours, Life(plan, ours=False) as alone:
        for index in range(count):
            row.ours.append(ours.invoke(index))
            row.alone.append(alone.invoke(index))
        row.add(ours)


def _sweep(row: Row, plan: Plan) -> None:
    """A life for each step that is to be its extension's last, as many as `count` allows."""
    plan.kills_extension = True
    plan.loses_spans = True
    lives = max(1, plan.count // kill_steps.INVOCATIONS)
    steps = kill_steps.first_life(plan)
    row.before = Counter(plan.arrivals() if plan.arrivals is not None else ())
    with Life(plan, ours=False) as alone:
        for number in range(lives):
            at = 1 + number * steps // lives if lives < steps else number % steps + 1
            plan.preamble = kill_steps.preamble(at, plan.folder / f"killed-{number}")
            with Life(plan, ours=True, number=number + 1) as ours:
                for index in range(kill_steps.INVOCATIONS):
                    row.ours.append(ours.invoke(index))
                    row.alone.append(alone.invoke(index))
                row.add(ours)
    row.lines.append(f"chaos: {steps} steps in a life, killed at {lives} of them")


def figures(row: Row, plan: Plan) -> dict[str, Any]:
    """Everything that is printed, in ms, and the counts."""
    added = [
        ours.latency_s - alone.latency_s
        for ours, alone in zip(row.ours, row.alone, strict=True)
        if ours.latency_s is not None and alone.latency_s is not None
    ]
    held = [one.held_s for one in row.ours if one.held_s is not None]
    return {
        "name": row.name,
        "invocations": len(row.ours),
        "answers_equal": _answers_equal(row),
        "latency_ms": spread(_latencies(row.ours)),
        "latency_alone_ms": spread(_latencies(row.alone)),
        "added_ms": spread(added),
        "held_ms": spread(held),
        "held_alone_ms": spread([one.held_s for one in row.alone if one.held_s is not None]),
        "held_bound_ms": round((HELD_S + plan.held_extra_s) * 1000),
        "shutdown_ms": max((round(one.after_s * 1000) for one in row.exits), default=None),
        "before_deadline_ms": min(
            (round(one.before_deadline_s * 1000) for one in row.exits), default=None
        ),
        "ledger_adds_up": bool(row.ledgers) and all(one.adds_up for one in row.ledgers),
        "accepted": row.accepted,
        "exported": row.exported,
        "uncertain": row.uncertain,
        "arrived": row.arrived,
        "extra_arrivals": None if row.arrived is None else (row.arrivals or 0) - row.arrived,
        "extension_deaths": row.deaths,
        "peak_mb": round(row.peak_kb / 1024),
        "ledger": row.ledgers[-1].text if row.ledgers else "",
    }


def spread(seconds: Sequence[float]) -> list[float] | None:
    """p50, p99 and maximum in ms; None where there is nothing."""
    if not seconds:
        return None
    return [
        round(1000 * value, 2)
        for value in (percentile(seconds, 0.5), percentile(seconds, 0.99), max(seconds))
    ]


def _latencies(measured: Sequence[Measured]) -> list[float]:
    return [one.latency_s for one in measured if one.latency_s is not None]


def _answers_equal(row: Row) -> bool:
    return [one.answer for one in row.ours] == [one.answer for one in row.alone]


def judge(row: Row, plan: Plan) -> list[str]:
    """What does not hold, as sentences; empty where all does."""
    return [*_judge_answers(row, plan), *_judge_times(row, plan), *_judge_counts(row, plan)]


def _judge_answers(row: Row, plan: Plan) -> list[str]:
    failures = []
    for index, (ours, alone) in enumerate(zip(row.ours, row.alone, strict=True)):
        if ours.answer != alone.answer:
            told = f"{ours.answer[:120]!r}, without us {alone.answer[:120]!r}"
            failures.append(f"answer {index} differs: {told}")
            break
    if row.deaths and not plan.kills_extension:
        failures.append(f"the extension ended by itself {counted(row.deaths, 'time')}")
    if row.stuck:
        failures.append(f"{counted(row.stuck, 'invocation')} never came to an idle environment")
    faulty = [line for line in row.lines if "internal" in line or "Traceback" in line]
    return failures + [f"logged: {line[:200]}" for line in faulty[:2]]


def _judge_times(row: Row, plan: Plan) -> list[str]:
    failures = []
    ours, alone = _latencies(row.ours), _latencies(row.alone)
    bound_s = max(alone) + WRITER_S + plan.latency_extra_s + slack_s()
    if max(ours) > bound_s:
        failures.append(f"an invocation took {max(ours):.3f} s, bound {bound_s:.3f} s")
    added_s = percentile(ours, 0.5) - percentile(alone, 0.5)
    bound_s = WRITER_S + plan.latency_extra_s + MEDIAN_SLACK_S
    if added_s > bound_s:
        failures.append(f"{added_s * 1000:.1f} ms added at p50, bound {bound_s * 1000:.0f} ms")
    held = [one.held_s for one in row.ours if one.held_s is not None]
    bound_s = HELD_S + plan.held_extra_s + slack_s()
    if held and max(held) > bound_s:
        failures.append(f"/next was held for {max(held):.3f} s, bound {bound_s:.3f} s")
    return failures + judge_exits(row.exits, killed_by_us=plan.kills_extension)


def judge_exits(exits: Sequence[ExtensionExit], *, killed_by_us: bool = False) -> list[str]:
    """SHUTDOWN within its bound, by itself, save where the kill is the fault."""
    failures = []
    for one in exits:
        if killed_by_us and one.status == -signal.SIGKILL and not one.killed:
            continue
        if one.killed or one.status != 0:
            failures.append(f"SHUTDOWN: killed {one.killed}, status {one.status}")
        elif (
            one.before_deadline_s < EXIT_BEFORE_DEADLINE_S - EXIT_SLACK_S
            or one.after_s > SHUTDOWN_S + EXIT_SLACK_S
        ):
            failures.append(
                f"SHUTDOWN to exit took {one.after_s:.3f} s, {one.before_deadline_s:.3f} s "
                "before the deadline"
            )
    return failures[:3]


def _judge_counts(row: Row, plan: Plan) -> list[str]:
    failures = []
    if not row.ledgers:
        failures.append("no ledger line")
    failures += [f"does not add up: {one.text}" for one in row.ledgers if not one.adds_up]
    accepted = row.accepted
    if accepted > len(row.ours) or (accepted < len(row.ours) and not plan.loses_spans):
        failures.append(f"accepted {accepted} of {len(row.ours)} invocations")
    if row.arrived is not None and row.arrivals is not None:
        exported, extra = row.exported, row.arrivals - row.arrived
        if row.arrived < exported:
            failures.append(f"{exported} exported, only {row.arrived} arrived")
        if extra > row.uncertain and not plan.loses_spans:
            failures.append(f"{extra} extra arrivals, uncertain {row.uncertain}")
    if row.peak_kb > PEAK_KB:
        failures.append(f"{row.peak_kb} KiB at most in the extension, bound {PEAK_KB}")
    return failures
