"""The last resort: what could not leave, as OTLP JSON lines in the function's log.

Lambda reads standard output through a pipe. Nothing here waits for it past the deadline: a
chunk is written only when the pipe says that it takes one (POSIX poll(2), write(2)).
"""

from __future__ import annotations

import os
import select
import time

CHUNK_BYTES = 4_096
"""PIPE_BUF: a pipe that polls writable takes as much without blocking."""


class Printer:
    """Writes whole lines to `descriptor` until `until_s` (monotonic)."""

    def __init__(self, descriptor: int, until_s: float) -> None:
        self._descriptor = descriptor
        self._until_s = until_s

    def line(self, data: bytes) -> bool:
        """Write `data`, a line with its newline; False where time was over, or nobody reads.

        A line that was cut off is ended, so that the next one stands by itself.
        """
        view = memoryview(data)
        begun = False
        while view:
            if not self._is_writable():
                if begun:
                    self._write(memoryview(b"\n"))
                return False
            written = self._write(view[:CHUNK_BYTES])
            if not written:
                return False
            begun = True
            view = view[written:]
        return True

    def _is_writable(self) -> bool:
        left_s = self._until_s - time.monotonic()
        if left_s <= 0:
            return False
        poll = select.poll()
        poll.register(self._descriptor, select.POLLOUT)
        return any(events & select.POLLOUT for _, events in poll.poll(left_s * 1000))

    def _write(self, data: memoryview) -> int:
        try:
            return os.write(self._descriptor, data)
        except OSError:
            return 0
