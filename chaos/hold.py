"""How long `/next` is held in each mode with each bad collector, before and after the breaker.

The breaker's outer sign is the policy in the control FIFO: the function is asked whether it
has been told that the exporter is down, and each invocation counts on that side.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from chaos.handlers import TOLD
from chaos.life import Life
from chaos.plan import TIMEOUT_S
from chaos.row import new_plan, slack_s, spread

MODES = ("next", "end", "auto")
COLLECTORS = (
    "refused",
    "hanging",
    "dripping",
    "resetting",
    "slow",
    "429",
    "503",
    "401",
    "unanswered SYN",
    "silent name server",
    "hanging proxy",
    "gRPC refused",
    "gRPC hanging",
)
BOUNDS_S = {"next": 0.200, "end": TIMEOUT_S / 10, "auto": TIMEOUT_S / 10}
"""design, "Bounds": before it opens."""
OPEN_BOUND_S = 0.001
"""design, "Bounds": nothing due, p99 after the function's end; once it is open, nothing is."""
OPENS_WITHIN_S = 15.0
PAUSE_S = 0.050
"""Between invocations that wait for the breaker: a try may be spaced out in time."""


def run(names: Sequence[str], count: int, seed: int, folder: Path) -> dict[str, Any]:
    """``[mode, collector]``: `count` invocations before it opens, if it does, and after."""
    mode, collector = names
    before: list[float] = []
    after: list[float] = []
    alone_held: list[float] = []
    with ExitStack() as stack:
        plan = new_plan([collector], count, seed, folder, stack)
        plan.config["flush"] = {"mode": mode, "max_age_ms": 0}
        plan.order["tell"] = True
        # No error: after one `auto` holds for the end, whatever the collector.
        plan.order_of.append(lambda index: {"raises": False})
        with Life(plan, ours=True) as ours, Life(plan, ours=False) as alone:
            until_s = time.monotonic() + OPENS_WITHIN_S
            index = 0
            while len(after) < count and (len(before) < count or time.monotonic() < until_s):
                measured = ours.invoke(index)
                held_s = measured.held_s if measured.held_s is not None else float("inf")
                is_open = _last_told(ours.lines)
                (after if is_open else before).append(held_s)
                other = alone.invoke(index)
                if other.held_s is not None:
                    alone_held.append(other.held_s)
                index += 1
                if not is_open and len(before) > count:
                    threading.Event().wait(PAUSE_S)
    failures = []
    if before and max(before) > BOUNDS_S[mode] + slack_s():
        failures.append(f"before: held for {max(before):.3f} s, bound {BOUNDS_S[mode]:.3f} s")
    if after and max(after) > OPEN_BOUND_S + slack_s():
        failures.append(f"after: held for {max(after):.3f} s, bound {OPEN_BOUND_S:.3f} s")
    if after:
        paid_s = spread_p50(after) - spread_p50(alone_held)
        if paid_s > OPEN_BOUND_S + 0.005:
            failures.append(f"after: {paid_s * 1000:.1f} ms more than without us at p50")
    return {
        "name": f"{mode}: {collector}",
        "before": len(before),
        "before_held_ms": spread(before),
        "after": len(after),
        "after_held_ms": spread(after),
        "held_alone_ms": spread(alone_held),
        "bound_ms": round(BOUNDS_S[mode] * 1000),
        "failures": failures,
        "lines": [line for line in ours.lines if "spanpipe:" in line][-4:],
    }


def spread_p50(seconds: list[float]) -> float:
    """The median."""
    return sorted(seconds)[len(seconds) // 2]


def _last_told(lines: Sequence[str]) -> bool:
    told = [line for line in lines[-50:] if line.startswith(TOLD)]
    return bool(told) and json.loads(told[-1].removeprefix(TOLD).lower()) is True
