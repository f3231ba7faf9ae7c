"""The extension killed at every step of its loop: before each system call of its main thread.

A hook in the extension's process counts the calls that lead into the kernel and sends
SIGKILL before the one whose number is given; those that only import are left out. No part
of the product knows of it.
"""

from __future__ import annotations

from pathlib import Path

from chaos.life import Life
from chaos.plan import Plan

NAME = "extension killed at every step"
INVOCATIONS = 4
"""Of a life; the last ones run beside the extension that comes after the killed one."""

_CALLS = (
    *("open", "close", "read", "write", "mkfifo", "fstat", "stat", "scandir", "unlink", "rename"),
    *("mkdir", "fsync", "fcntl", "ioctl", "poll", "connect", "send", "recv", "recv_into"),
    *("setblocking", "pipe2", "start_new_thread", "put", "pidfd_open", "_exit"),
)

_PREAMBLE = """
def _hook():
    import os, signal, sys
    at, marker, calls, count = {at}, {marker!r}, frozenset({calls}), 0

    def before(frame, event, argument):
        nonlocal count
        if event != "c_call" or argument.__name__ not in calls:
            return
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return
        count += 1
        if at is None and argument.__name__ == "_exit":
            with open(marker, "w") as stream:
                stream.write(str(count))
        elif count == at:
            sys.setprofile(None)
            os.close(os.open(marker, os.O_CREAT | os.O_WRONLY))
            os.kill(os.getpid(), signal.SIGKILL)

    if not os.path.exists(marker):
        sys.setprofile(before)


_hook()
"""


def preamble(at: int | None, marker: Path) -> str:
    """Die before call number `at`, once: `marker` says that it happened.

    With None nothing dies, and the number of calls is written to `marker`.
    """
    return _PREAMBLE.format(at=at, marker=str(marker), calls=_CALLS)


def first_life(plan: Plan) -> int:
    """How many steps a whole life has."""
    counted = plan.folder / "steps"
    plan.preamble = preamble(None, counted)
    with Life(plan, ours=True) as life:
        for index in range(INVOCATIONS):
            life.invoke(index)
        life.end()
    return int(counted.read_text())
