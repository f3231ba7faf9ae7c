"""Whether the processes that run the handler are still there.

`pidfd_open(2)` gives a descriptor that becomes readable when the process ends. Where it is
refused (an old kernel, another PID namespace) nothing is watched, and the invocation's
deadline bounds every wait instead.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

MAX_PROCESSES = 64
"""Watched at once, on Managed Instances; the sender of START is not trusted."""


class RuntimeWatch:
    """Follows processes by their IDs; `left_out_count` counts those that are watched no more."""

    __slots__ = ("_descriptors", "left_out_count")

    def __init__(self) -> None:
        self.left_out_count = 0
        self._descriptors: dict[int, int] = {}

    def descriptors(self) -> list[int]:
        """Each readable once its process is gone."""
        return [descriptor for descriptor in self._descriptors.values() if descriptor >= 0]

    def follow(self, pids: Iterable[int]) -> list[int]:
        """Watch `pids`, which strangers told us: a wrong one shortens or bounds a wait only.

        Those new ones that are not there, gone already or in another PID namespace.
        """
        missing: list[int] = []
        for pid in pids:
            if pid in self._descriptors:
                continue
            if len(self._descriptors) >= MAX_PROCESSES:
                self.left_out_count += 1
                self._forget(next(iter(self._descriptors)))
            try:
                self._descriptors[pid] = os.pidfd_open(pid)
            except ProcessLookupError:
                self._descriptors[pid] = -1
                missing.append(pid)
            except (OSError, OverflowError, AttributeError):
                self._descriptors[pid] = -1
        return missing

    def gone(self, ready: set[int]) -> list[int]:
        """The processes whose descriptors are `ready`; they are followed no more."""
        pids = [pid for pid, descriptor in self._descriptors.items() if descriptor in ready]
        for pid in pids:
            self._forget(pid)
        return pids

    def _forget(self, pid: int) -> None:
        descriptor = self._descriptors.pop(pid)
        if descriptor >= 0:
            os.close(descriptor)
