"""Which invocations have their span, which have none and which a second one: no I/O."""

from __future__ import annotations

from dataclasses import dataclass

CLOCK_S = 0.002
"""The platform's events and a deadline count in milliseconds."""


@dataclass(slots=True)
class _Attempt:
    ordinal: int
    began_unix_s: float
    span_count: int = 0


class Tally:
    """Tell it of every invocation and of every invocation span; ask it what is missing.

    An invocation is one delivery: a retry brings the same request ID again. Of several under
    one request ID a span is of the newest that had begun when it starts. Which were sampled out
    nobody tells but how many: so many may be without a span, and none is lost then.
    """

    def __init__(self) -> None:
        self.resent_count = 0
        """Spans that came again, span ID and all: backends know those."""
        self.stray_count = 0
        """Spans of a request that nobody sent."""
        self.sampled_count = 0
        """Invocations that the extension says were sampled out."""
        self._attempts: dict[str, list[_Attempt]] = {}
        self._span_ids: set[str] = set()
        self._nameless_unix_s: list[float] = []

    def invoked(self, ordinal: int, request_id: str, began_unix_s: float) -> None:
        """An invocation has begun."""
        self._attempts.setdefault(request_id, []).append(_Attempt(ordinal, began_unix_s))

    def received(self, request_id: str, span_id: str, start_unix_s: float) -> int | None:
        """A span has come: its invocation's ordinal, 0 where not known, None where it came again.

        Without a request ID (a failed init of which the platform told nothing) it is of an
        invocation that has no other, and which is known at the end.
        """
        if span_id in self._span_ids:
            self.resent_count += 1
            return None
        self._span_ids.add(span_id)
        if not request_id:
            self._nameless_unix_s.append(start_unix_s)
            return 0
        attempt = _newest_begun(self._attempts.get(request_id, []), start_unix_s)
        if attempt is None:
            self.stray_count += 1
            return 0
        attempt.span_count += 1
        return attempt.ordinal

    @property
    def invoked_count(self) -> int:
        """Invocations."""
        return len(self._everyone())

    @property
    def lost_count(self) -> int:
        """Invocations without a span that were not sampled out."""
        return max(0, len(self.missing) - self.sampled_count)

    @property
    def missing(self) -> list[int]:
        """Ordinals without a span."""
        without = [one for one in self._everyone() if not one.span_count]
        for start_unix_s in sorted(self._nameless_unix_s):
            owner = _newest_begun(without, start_unix_s)
            if owner is not None:
                without.remove(owner)
        return [one.ordinal for one in without]

    @property
    def doubled(self) -> list[int]:
        """Ordinals with more than one span."""
        return [one.ordinal for one in self._everyone() if one.span_count > 1]

    @property
    def is_even(self) -> bool:
        """Whether every invocation has exactly one span."""
        return not (self.lost_count or self.doubled or self.stray_count)

    def __str__(self) -> str:
        invoked, missing, doubled = self.invoked_count, self.missing, self.doubled
        sampled, lost = self.sampled_count, self.lost_count
        among = "among " if sampled else ""
        return (
            f"{invoked} invoked, {invoked - len(missing)} received"
            + (f", {sampled} sampled out" if sampled else "")
            + f", {lost} lost"
            + (f" ({among}{numbered(missing)})" if lost else "")
            + (f", {len(doubled)} with a second span ({numbered(doubled)})" if doubled else "")
            + (f", {self.stray_count} of no invocation" if self.stray_count else "")
            + (f", {self.resent_count} sent twice" if self.resent_count else "")
        )

    def _everyone(self) -> list[_Attempt]:
        everyone = [one for attempts in self._attempts.values() for one in attempts]
        return sorted(everyone, key=lambda one: one.ordinal)


def _newest_begun(attempts: list[_Attempt], start_unix_s: float) -> _Attempt | None:
    """The newest that had begun by then, else the first: clocks differ."""
    begun = [one for one in attempts if one.began_unix_s <= start_unix_s + CLOCK_S]
    return next(iter(begun[-1:] or attempts[:1]), None)


def numbered(ordinals: list[int]) -> str:
    """``#2, #5-7``: runs of numbers in one."""
    runs: list[list[int]] = []
    for ordinal in ordinals:
        if runs and ordinal == runs[-1][-1] + 1:
            runs[-1].append(ordinal)
        else:
            runs.append([ordinal])
    return ", ".join(f"#{run[0]}" + (f"-{run[-1]}" if len(run) > 1 else "") for run in runs)
