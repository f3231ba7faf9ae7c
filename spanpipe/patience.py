"""Sending for a user who waits: the same request again, until it is judged or time is over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from exporter.outcome import Outcome, Sender, Verdict

FIRST_PAUSE_S = 0.5
MAX_PAUSE_S = 5.0
"""Doubled from the first on. Without jitter: one user is no herd."""
MIN_TRY_S = 0.05
ANSWERS_THAT_STAY = frozenset({"401", "403", "UNAUTHENTICATED", "PERMISSION_DENIED"})
"""An extension tries these again later, since a key may be rotating. A user can correct them."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long one try and all of them may take, in seconds; with a monotonic clock."""

    try_s: float
    whole_s: float
    now: Callable[[], float]
    wait: Callable[[float], object]

    def send(
        self, sender: Sender, request: bytes, count: int, tell: Callable[[str], None]
    ) -> Outcome:
        """The last outcome. What the collector asks for with Retry-After is kept to.

        `tell` gets one line when it begins to wait.
        """
        until_s = self.now() + self.whole_s
        pause_s = FIRST_PAUSE_S
        told = False
        while True:
            left_s = max(MIN_TRY_S, until_s - self.now())
            outcome = sender.send_request(request, count, min(self.try_s, left_s))
            if outcome.verdict is not Verdict.RETRYABLE or _stays(outcome):
                return outcome
            asked_s = outcome.retry_after_s
            wait_s = pause_s if asked_s is None else asked_s
            left_s = until_s - self.now()
            if wait_s >= left_s:
                return outcome
            if not told:
                told = True
                tell(f"{outcome.detail}; trying again for {left_s:.0f} s")
            self.wait(wait_s)
            pause_s = min(2 * pause_s, MAX_PAUSE_S)


def _stays(outcome: Outcome) -> bool:
    status = outcome.status or ""
    return status in ANSWERS_THAT_STAY or (len(status) == 3 and status.startswith("3"))
