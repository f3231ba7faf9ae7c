"""SHUTDOWN with spans waiting, many times over: how long until the extension has left."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from bench.measure import percentile
from chaos.ledger_line import LedgerLine
from chaos.life import Life
from chaos.row import judge_exits, new_plan, spread
from sandbox.environment import ExtensionExit

AT_A_TIME = 4
"""They wait more than they work."""
INVOCATIONS = 3
WORST = ("hanging", "unanswered SYN", "silent name server", "dripping")


def run(names: Sequence[str], count: int, seed: int, folder: Path) -> dict[str, Any]:
    """``[collector]``: `count` environments, each with three spans that wait."""
    with ExitStack() as stack:
        plan = new_plan(names, count, seed, folder, stack)
        plan.config["flush"] = {"mode": "next", "max_age_ms": 600_000}

        lives = []
        with ThreadPoolExecutor(AT_A_TIME) as pool:
            for start in range(0, count, AT_A_TIME):
                # Made in one thread: a script that is being written cannot be executed, and
                # whoever forks meanwhile holds it open (ETXTBSY).
                numbers = range(start, min(start + AT_A_TIME, count))
                made = [Life(plan, ours=True, number=number) for number in numbers]
                lives += list(pool.map(_live, made))
    exits = [one for left, _ in lives for one in left]
    ledgers = [one for _, told in lives for one in told]
    failures = judge_exits(exits)
    failures += [f"does not add up: {one.text}" for one in ledgers if not one.adds_up][:3]
    if len(exits) != count or len(ledgers) != count:
        failures.append(f"{count} lives, {len(exits)} exits, {len(ledgers)} ledger lines")
    accepted = sum(one.invocations.left.get("accepted", 0) for one in ledgers)
    if accepted != count * INVOCATIONS:
        failures.append(f"accepted {accepted} of {count * INVOCATIONS} invocations")
    after_s = [one.after_s for one in exits]
    return {
        "name": " + ".join(names),
        "runs": len(exits),
        "shutdown_ms": spread(after_s),
        "before_deadline_ms": [
            round(1000 * percentile([one.before_deadline_s for one in exits], part))
            for part in (0.5, 0.01)
        ]
        + [round(1000 * min(one.before_deadline_s for one in exits))],
        "ledger": ledgers[-1].text if ledgers else "",
        "failures": failures,
    }


def _live(life: Life) -> tuple[list[ExtensionExit], list[LedgerLine]]:
    with life:
        for index in range(INVOCATIONS):
            life.invoke(index)
        exits = life.end()
    return exits, life.ledgers()
