"""When secrets and credentials are fetched, and whether an export may begin: no I/O, no clock.

Fetched at once, and again when they are `max_age_s` old, when passing credentials are about to
end, and when the endpoint has refused them. What fails is tried again after a pause that
doubles; until then the old value is kept and used. An export may begin where everything is there,
unless what the endpoint has refused is just being fetched again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from exporter.keys import Keys
from exporter.settings import SecretReference
from exporter.sigv4 import Credentials
from exporter.values import dataclass, field
from extension.instant import Instant

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0
_JITTER_PART = 0.5
RENEW_BEFORE_END_S = 300.0
"""Passing credentials are fetched again so long before they end; AWS gives new ones then."""
LONGEST_FETCH_S = 10.0
"""A fetch that takes longer is given up: it may be stuck in name resolution, or its connection has
died in a freeze."""
LOST = "no answer in time"
CREDENTIALS = "credentials"
"""Their name among what is missing."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a fetch has brought. `problems` has a reason for each that it has not, by name.

    `credentials` None: they were not asked for, or are among the problems.
    """

    secrets: Mapping[SecretReference, str] = field(default_factory=dict)
    credentials: Credentials | None = None
    problems: Mapping[str, str] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"Fetched(…, problems={self.problems!r})"


class Keyring:
    """`references` are all wanted; with `signs`, credentials too. Tell it what happened."""

    def __init__(
        self,
        references: Sequence[SecretReference],
        max_age_s: float,
        draw_unit: Callable[[], float],
        *,
        signs: bool,
    ) -> None:
        self._references = tuple(references)
        self._signs = signs
        self._max_age_s = max_age_s
        self._draw_unit = draw_unit
        self._fetched_at: Instant | None = None
        self._failed_at: Instant | None = None
        self._failures = 0
        self._begun_at: Instant | None = None
        self._is_doubted = False
        self._doubts = 0
        self._doubted_at: Instant | None = None
        self._pause_s = 0.0
        self._doubt_pause_s = 0.0
        self.keys = Keys()
        self.problems: Mapping[str, str] = {}

    @property
    def is_fetching(self) -> bool:
        """Whether a fetch is on its way."""
        return self._begun_at is not None

    @property
    def is_doubted(self) -> bool:
        """Whether the endpoint has refused what there is, and it was not fetched again since."""
        return self._is_doubted

    def missing(self, now: Instant) -> tuple[str, ...]:
        """The names of what is not there, or has ended."""
        names = [str(one) for one in self._references if one not in self.keys.secrets]
        if self._signs and self._credentials_left_s(now) <= 0:
            names.append(CREDENTIALS)
        return tuple(names)

    def may_export(self, now: Instant) -> bool:
        """Whether a request would have all it needs, and a chance."""
        renewing = self._is_doubted and (self.is_fetching or self._due_in_s(now) <= 0)
        return not renewing and not self.missing(now)

    def due_in_s(self, now: Instant) -> float:
        """In how many seconds to fetch, 0.0: now; infinite while a fetch is on its way."""
        return float("inf") if self.is_fetching else max(0.0, self._due_in_s(now))

    def lost_in_s(self, now: Instant) -> float:
        """In how many seconds the fetch on its way is given up; infinite where there is none."""
        if self._begun_at is None:
            return float("inf")
        return max(0.0, LONGEST_FETCH_S - now.since(self._begun_at))

    def on_lost(self, now: Instant) -> None:
        """It was given up: it counts as one that has failed."""
        names = [*map(str, self._references), *([CREDENTIALS] if self._signs else [])]
        self.on_fetched(now, Fetched(problems=dict.fromkeys(names, LOST)))

    def on_begun(self, now: Instant) -> None:
        """A fetch is on its way."""
        self._begun_at = now

    def on_fetched(self, now: Instant, fetched: Fetched) -> bool:
        """It has come back; whether a value is there that was not, or is another."""
        self._begun_at, self._is_doubted = None, False
        self.problems = fetched.problems
        if fetched.problems:
            self._failures += 1
            self._failed_at = now
            self._pause_s = self._pause(self._failures)
        else:
            self._failures, self._failed_at = 0, None
            self._fetched_at = now
        before = self.keys
        secrets = {**before.secrets, **fetched.secrets}
        credentials = fetched.credentials or before.credentials
        changed = secrets != before.secrets or _differ(credentials, before.credentials)
        if changed:
            self._doubts, self._doubted_at = 0, None
            self.keys = Keys(secrets, credentials, before.number + 1)
        return changed

    def on_refused(self, now: Instant, number: int) -> None:
        """The endpoint has refused the keys of that number."""
        if number != self.keys.number or self._is_doubted:
            return
        paused = self._doubted_at is not None and now.since(self._doubted_at) < self._doubt_pause_s
        if paused:
            # They were just fetched, and are the same: the next fetch is not so soon.
            return
        self._is_doubted = True
        self._doubts += 1
        self._doubted_at = now
        self._doubt_pause_s = self._pause(self._doubts)

    def press(self) -> None:
        """No pause after a failure any more: this is the last chance."""
        self._failed_at = None

    def _due_in_s(self, now: Instant) -> float:
        if self._failed_at is not None:
            return self._pause_s - now.since(self._failed_at)
        if self._is_doubted or self._fetched_at is None:
            return 0.0
        due_in_s = self._max_age_s - now.since(self._fetched_at)
        if self._signs:
            # Asked for too soon AWS gives the same again: not sooner than after a first pause.
            left_s = self._credentials_left_s(now) - RENEW_BEFORE_END_S
            again_s = FIRST_PAUSE_S - now.since(self._fetched_at)
            due_in_s = min(due_in_s, max(left_s, again_s))
        return due_in_s

    def _credentials_left_s(self, now: Instant) -> float:
        credentials = self.keys.credentials
        if credentials is None:
            return 0.0
        if credentials.expires_unix_s is None:
            return float("inf")
        return credentials.expires_unix_s - now.wall_s

    def _pause(self, count: int) -> float:
        longest_s = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** min(count - 1, 16))
        return longest_s * (1 - _JITTER_PART * self._draw_unit())


def _differ(one: Credentials | None, other: Credentials | None) -> bool:
    if one is None or other is None:
        return one is not other
    return (one.access_key_id, one.session_token) != (other.access_key_id, other.session_token)
