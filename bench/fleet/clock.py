"""The simulated clock: what is to happen, in order of time, then in order of asking."""

from __future__ import annotations

import heapq
from collections.abc import Callable

from extension.instant import Instant

EPOCH_S = 1_764_000_000.0
"""The wall clock at 0.0; any day serves."""


class Clock:
    """`now_s` is seconds since the run began; nothing here reads a real clock."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self._count = 0
        self._events: list[tuple[float, int, Callable[[], None]]] = []

    def instant(self) -> Instant:
        """Now, as the product's cores take it: both clocks run, in a freeze too."""
        return Instant(self.now_s, EPOCH_S + self.now_s)

    def at(self, time_s: float, happen: Callable[[], None]) -> None:
        """Call `happen` at `time_s`, or now where that is past."""
        self._count += 1
        heapq.heappush(self._events, (max(time_s, self.now_s), self._count, happen))

    def run(self) -> None:
        """Until nothing is to happen any more."""
        while self._events:
            self.now_s, _, happen = heapq.heappop(self._events)
            happen()
