"""When a collector that fails is tried again, and when an invocation stops paying for it.

No I/O, no clock. After each failure nothing is sent for a while that doubles, or for as long as
the collector asks. After `OPEN_AFTER` failures in a row the breaker is open: what is tried from
then on runs beside the function and never holds `/next`. It closes once the collector has
answered well within the time that an invocation may be held for: one that is merely slow is
served beside the function.
"""

from __future__ import annotations

from collections.abc import Callable

from extension.instant import Instant

OPEN_AFTER = 3
FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0
"""After n failures in a row: 2^(n-1) seconds, a minute at most; half of it is jitter."""
LONGEST_RETRY_AFTER_S = 300.0
"""A collector may ask for more patience than that, and is asked again all the same."""

_JITTER_PART = 0.5


class Breaker:
    """`draw_unit` gives a random number from 0 to 1: a fleet must not come back as one."""

    def __init__(self, draw_unit: Callable[[], float]) -> None:
        self._draw_unit = draw_unit
        self._failures = 0
        self._failed_at: Instant | None = None
        self._pause_s = 0.0

    @property
    def is_open(self) -> bool:
        """Whether no invocation is to pay for the collector any more."""
        return self._failures >= OPEN_AFTER

    def on_arrived(self, *, in_time: bool) -> None:
        """The collector has answered for good; `in_time`: well within what a hold may last."""
        if in_time or not self.is_open:
            self._failures = 0
        self._failed_at = None

    def on_failed(self, now: Instant, retry_after_s: float | None = None) -> None:
        """It has not; `retry_after_s` is what it asked for (RFC 9110, "Retry-After")."""
        self._failures += 1
        self._failed_at = now
        longest_s = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** min(self._failures - 1, 16))
        jitter_s = longest_s * _JITTER_PART * self._draw_unit()
        self._pause_s = longest_s - jitter_s
        if retry_after_s is not None:
            # Never sooner than it asks.
            asked_s = min(retry_after_s, LONGEST_RETRY_AFTER_S)
            self._pause_s = max(self._pause_s, asked_s + jitter_s)

    def on_key_renewed(self) -> None:
        """What it refused may have been the key, which is another now: no pause any more."""
        self._failed_at = None

    def may_try(self, now: Instant) -> bool:
        """Whether the pause is over."""
        return self._failed_at is None or now.since(self._failed_at) >= self._pause_s
