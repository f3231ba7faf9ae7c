"""What is being measured just now, on standard error: a line that changes, or one now and then."""

from __future__ import annotations

import sys
import time

EVERY_S = 0.2
EVERY_S_IN_A_LOG = 15.0


class Progress:
    """Counts steps to `total`; nothing is written while a run is timed but by `step`."""

    def __init__(self, label: str, total: int) -> None:
        self._label = label
        self._total = total
        self._count = 0
        self._terminal = sys.stderr.isatty()
        self._began_s = time.monotonic()
        self._next_s = self._began_s + (0.0 if self._terminal else EVERY_S_IN_A_LOG)

    def step(self) -> None:
        """One more is done."""
        self._count += 1
        now_s = time.monotonic()
        over = self._count >= self._total
        if self._terminal and (over or now_s >= self._next_s):
            self._next_s = now_s + EVERY_S
            line = f"\r\x1b[K{self._label}: {self._count} of {self._total}"
            sys.stderr.write("\r\x1b[K" if over else line)
            sys.stderr.flush()
        elif not self._terminal and now_s >= self._next_s and not over:
            self._next_s = now_s + EVERY_S_IN_A_LOG
            sys.stderr.write(f"{self._label}: {self._count} of {self._total}\n")
            sys.stderr.flush()
