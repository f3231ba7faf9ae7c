"""The extension's wall clock stepped during its life; never the machine's.

The clock is handed to the extension's process by a preamble, to the moment and at no cost;
libfaketime (Debian's package) steps it under the C libraries as well, and slows every call.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from chaos.plan import Plan, SkippedError
from sandbox.environment import LambdaEnvironment

HOUR_S = 3600
STEPS = 4
"""Invocations before a step, and between two where the clock goes to and fro."""
CACHE_S = 1
"""How long libfaketime believes what it read; without a cache its calls take milliseconds."""
LIBRARY = "libfaketime.so.1"
LIBRARY_COST_S = 5.0
"""What libfaketime itself adds to a hold while OpenTelemetry is imported, on a busy core."""

_PREAMBLE = """
def _step_clock():
    import os, time

    unix_s, unix_ns = time.time, time.time_ns
    # Opened once: a process may have no descriptor to spare later.
    offset = os.open({path!r}, os.O_RDONLY | os.O_CLOEXEC)

    def offset_s():
        return int(os.pread(offset, 8, 0))

    time.time = lambda: unix_s() + offset_s()
    time.time_ns = lambda: unix_ns() + offset_s() * 1_000_000_000


_step_clock()
"""


def forward(plan: Plan) -> None:
    """An hour forward, once, after four invocations."""
    _step(plan, lambda index: HOUR_S if index >= STEPS else 0)


def back(plan: Plan) -> None:
    """An hour back, once, after four invocations."""
    _step(plan, lambda index: -HOUR_S if index >= STEPS else 0)


def to_and_fro(plan: Plan) -> None:
    """An hour to and fro, every four invocations."""
    _step(plan, lambda index: HOUR_S if index // STEPS % 2 else 0)


def by_libfaketime(plan: Plan) -> None:
    """An hour forward and back again, under every library of the process."""
    offset = plan.folder / "clock"
    offset.write_text("+0\n")
    plan.extension_prefix = (
        *plan.extension_prefix,
        "env",
        f"LD_PRELOAD={_library()}",
        f"FAKETIME_TIMESTAMP_FILE={offset}",
        f"FAKETIME_CACHE_DURATION={CACHE_S}",
        # `poll` and condition variables wait on the monotonic clock, which does not step.
        "DONT_FAKE_MONOTONIC=1",
        "NO_FAKE_STAT=1",
    )
    plan.held_extra_s += LIBRARY_COST_S
    half = max(STEPS, plan.count // 2)

    @contextmanager
    def around(environment: LambdaEnvironment, index: int) -> Iterator[None]:
        if index in (STEPS, half + STEPS):
            offset.write_text(f"{HOUR_S if index == STEPS else 0:+d}\n")
            threading.Event().wait(CACHE_S + 0.1)
        yield

    plan.around.append(around)


def _step(plan: Plan, offset_s: Callable[[int], int]) -> None:
    path = plan.folder / "clock"
    offset = os.open(path, os.O_WRONLY | os.O_CREAT)
    plan.stack.callback(os.close, offset)

    @contextmanager
    def around(environment: LambdaEnvironment, index: int) -> Iterator[None]:
        os.pwrite(offset, b"%+8d" % offset_s(index), 0)
        yield

    os.pwrite(offset, b"%+8d" % 0, 0)
    plan.preamble += _PREAMBLE.format(path=str(path))
    plan.around.append(around)


def _library() -> Path:
    for folder in (*Path("/usr/lib").glob("*/faketime"), Path("/usr/lib/faketime")):
        if (folder / LIBRARY).exists():
            return folder / LIBRARY
    raise SkippedError("libfaketime is not here (Debian: apt-get install libfaketime)")
