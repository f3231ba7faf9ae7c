"""Whether the process that runs the handler is still there.

`pidfd_open(2)` gives a descriptor that becomes readable when the process ends. Where it is
refused (an old kernel, another PID namespace) nothing is watched, and the invocation's
deadline bounds every wait instead.
"""

from __future__ import annotations

import os


class RuntimeWatch:
    """Follows one process at a time; `fileno` is -1 while there is none."""

    __slots__ = ("_descriptor", "_pid")

    def __init__(self) -> None:
        self._pid = -1
        self._descriptor = -1

    def fileno(self) -> int:
        """Readable once the process is gone."""
        return self._descriptor

    def follow(self, pid: int) -> None:
        """Watch `pid`, which a stranger told us: a wrong one shortens or bounds a wait only."""
        if pid == self._pid:
            return
        self.close()
        self._pid = pid
        try:
            self._descriptor = os.pidfd_open(pid)
        except (OSError, OverflowError, AttributeError):
            self._descriptor = -1

    def close(self) -> None:
        """Follow nobody."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1
        self._pid = -1
