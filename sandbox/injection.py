"""Faults done to one invocation while it runs: a kill or a freeze, at its moment."""

from __future__ import annotations

import threading
from typing import Protocol

from sandbox.faults import InvocationFaults


class Breakable(Protocol):
    """What can be done to an environment; each does nothing where no process runs."""

    def kill(self, which: str) -> bool:
        """SIGKILL to EXTENSION or RUNTIME; whether there was one."""

    def freeze(self) -> None:
        """Stop every process."""

    def thaw(self) -> None:
        """Let them go on."""


class Injection:
    """`begin` when the invocation begins, `wait` when it has ended and before anything else.

    The moment is counted from `begin`; `wait` is not back before it, so that what is to be
    killed is killed, be it idle by then. `struck` says whether there was anything to strike.
    """

    def __init__(self, environment: Breakable, faults: InvocationFaults) -> None:
        self.struck = False
        self._environment = environment
        self._faults = faults
        self._clock = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def wanted(self) -> bool:
        """Whether there is anything to do."""
        return self._faults.kill is not None or self._faults.freeze_ms > 0

    def begin(self) -> None:
        """Strike now where that is the moment, else from a thread."""
        if not self.wanted:
            return
        if self._faults.at_ms == 0:
            self._strike()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Until everything is done."""
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        if self._faults.at_ms:
            self._clock.wait(self._faults.at_ms / 1000)
            self._strike()
        if self._faults.freeze_ms:
            self._clock.wait(self._faults.freeze_ms / 1000)
            self._environment.thaw()

    def _strike(self) -> None:
        if self._faults.kill is not None:
            self.struck = self._environment.kill(self._faults.kill)
        else:
            self._environment.freeze()
            self.struck = True
