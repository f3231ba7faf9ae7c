"""How much memory the runtime takes, and its end where that is too much."""

from __future__ import annotations

import os
import threading
from types import TracebackType

from sandbox.processes import Process

SAMPLE_S = 0.005
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_MB = 1024 * 1024


class MemoryWatch:
    """For the time of one invocation: samples the runtime, and kills it over `limit_mb`.

    `limit_mb` None: it is only measured, at the end. Lambda counts the extensions too; here
    the function alone is held to the limit.
    """

    def __init__(self, runtime: Process | None, limit_mb: int | None) -> None:
        self.killed = False
        self._runtime = runtime
        self._limit_mb = limit_mb
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> MemoryWatch:
        if self._runtime is not None and self._limit_mb is not None:
            self._thread = threading.Thread(target=self._watch, daemon=True)
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._over.set()
        if self._thread is not None:
            self._thread.join()

    def used_mb(self, size_mb: int) -> int:
        """The most that was used, at most `size_mb`, as Lambda reports it."""
        if self.killed or self._runtime is None:
            return size_mb if self.killed else 0
        return min(_peak_mb(self._runtime.pid), size_mb - 1)

    def _watch(self) -> None:
        runtime, limit_mb = self._runtime, self._limit_mb
        if runtime is None or limit_mb is None:
            return
        while not self._over.wait(SAMPLE_S):
            if _resident_mb(runtime.pid) > limit_mb:
                self.killed = True
                runtime.kill()
                return


def _resident_mb(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/statm", encoding="ascii") as stream:
            return int(stream.read().split()[1]) * _PAGE_BYTES // _MB
    except (OSError, IndexError):
        return 0


def _peak_mb(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/status", encoding="ascii") as stream:
            for line in stream:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) // 1024
    except OSError:
        pass
    return 0
