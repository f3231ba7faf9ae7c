"""A moment on both clocks, since each of them alone can stand still or jump.

The monotonic clock may stop while the environment is frozen; the wall clock may be stepped.
"""

from __future__ import annotations

import time

from exporter.values import dataclass


@dataclass(frozen=True, slots=True)
class Instant:
    """`monotonic_s` on CLOCK_MONOTONIC, `wall_s` since the Unix epoch."""

    monotonic_s: float
    wall_s: float

    def since(self, earlier: Instant) -> float:
        """Seconds since `earlier`, by the clock that says more; never below 0.0.

        A freeze counts, a wall clock that was stepped back takes nothing away, and one that was
        stepped forward makes something due too soon, which does no harm.
        """
        return max(0.0, self.monotonic_s - earlier.monotonic_s, self.wall_s - earlier.wall_s)


def instant() -> Instant:
    """Now."""
    return Instant(time.monotonic(), time.time())
