"""Secrets and credentials to the senders: the thread that fetches them, and what it says.

There only where the configuration asks for them, and never in anybody's way: neither `/next` nor
an invocation waits for a fetch, and an export is not begun without what it needs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING

from exporter.keys import Keys
from exporter.settings import ExporterSettings, SecretReference
from extension.instant import Instant
from extension.keyring import CREDENTIALS, Fetched, Keyring
from extension.log import Log
from extension.worker import Worker

if TYPE_CHECKING:
    from extension.secret_fetch import Fetcher

WAITS = "invocations wait for it in memory and in /tmp"
GOES_ON = "what was fetched before is used"
LAST_TRIES = 2
"""At SHUTDOWN: the first may have begun before a freeze, and its connection has died in it."""
UNANSWERED = "nothing has answered yet"
MAX_GIVEN_UP = 4
"""Threads that are stuck are left behind, since none can be ended; so many at most."""


class KeyStore:
    """`exporter.keys.KeySource` between threads: each value is replaced whole."""

    def __init__(self) -> None:
        self._keys = Keys()
        self._refused: int | None = None

    def keys(self) -> Keys:
        """See `KeySource.keys`."""
        return self._keys

    def refused(self, keys: Keys) -> None:
        """See `KeySource.refused`."""
        self._refused = keys.number

    def put(self, keys: Keys) -> None:
        """From now on these."""
        self._keys = keys

    def take_refused(self) -> int | None:
        """The number of the keys that were refused since the last call."""
        number, self._refused = self._refused, None
        return number


class KeyDelivery:
    """Fills `store` as `settings` need it; `draw_unit` gives a random number from 0 to 1."""

    def __init__(
        self,
        store: KeyStore,
        settings: ExporterSettings,
        max_age_s: float,
        environ: Mapping[str, str],
        log: Log,
        draw_unit: Callable[[], float],
    ) -> None:
        self._store = store
        self._references = settings.secrets
        self._signs = settings.sigv4 is not None
        self._environ = environ
        self._log = log
        self._ring = Keyring(self._references, max_age_s, draw_unit, signs=self._signs)
        self._worker: Worker[Fetched] = Worker(self._failed)
        self._fetcher: Fetcher | None = None
        self._told: dict[str, str] = {}
        self._given_up: list[Worker[Fetched]] = []
        self._last_tries: int | None = None
        self._worker.start()

    def fileno(self) -> int:
        """Readable when a fetch has come back."""
        return self._worker.fileno()

    def advance(self, now: Instant) -> bool:
        """Take what has come back, and fetch what is due; whether there is anything new."""
        renewed = False
        for fetched in self._worker.take():
            renewed |= self._ring.on_fetched(now, fetched)
            self._store.put(self._ring.keys)
            self._tell(now, fetched.problems)
            if self._last_tries is not None:
                self._last_tries -= 1
                self._ring.press()
        if self._ring.lost_in_s(now) <= 0 and len(self._given_up) < MAX_GIVEN_UP:
            self._give_up(now)
        refused = self._store.take_refused()
        if refused is not None:
            self._ring.on_refused(now, refused)
        if self._ring.due_in_s(now) <= 0 and self._may_try:
            self._ring.on_begun(now)
            doubted = self._ring.keys if self._ring.is_doubted else None
            self._worker.submit(partial(self._fetch, self._references, self._signs, doubted))
        return renewed

    def may_export(self, now: Instant) -> bool:
        """Whether a request would have all it needs, and what was refused is not being renewed."""
        if self._may_try or self._ring.is_fetching:
            return self._ring.may_export(now)
        return not self._ring.missing(now)

    def wake_at_s(self, now: Instant) -> float:
        """When the next fetch is due, or one on its way is given up (monotonic)."""
        lost_in_s = self._ring.lost_in_s(now)
        if len(self._given_up) >= MAX_GIVEN_UP:
            lost_in_s = float("inf")
        due_in_s = self._ring.due_in_s(now) if self._may_try else float("inf")
        return now.monotonic_s + min(due_in_s, lost_in_s)

    def is_hopeless(self, now: Instant) -> bool:
        """Whether what is missing will not come any more: after SHUTDOWN, and enough tries."""
        return not self._may_try and bool(self._ring.missing(now))

    @property
    def _may_try(self) -> bool:
        return self._last_tries is None or self._last_tries > 0

    def leave(self) -> None:
        """SHUTDOWN: what is missing is tried some more, without a pause."""
        self._last_tries = LAST_TRIES
        self._ring.press()

    def why_missing(self, now: Instant) -> str:
        """What is missing at the end, and why; "" where all is there."""
        problems = self._ring.problems
        return "; ".join(
            f"{name}: {problems.get(name, UNANSWERED)}" for name in self._ring.missing(now)
        )

    def _give_up(self, now: Instant) -> None:
        """Its thread is left alone, and the next fetch has another."""
        self._given_up.append(self._worker)
        self._worker, self._fetcher = Worker(self._failed), None
        self._worker.start()
        self._ring.on_lost(now)
        self._tell(now, self._ring.problems)

    def _tell(self, now: Instant, problems: Mapping[str, str]) -> None:
        """The same trouble twice in a row is told once."""
        missing = self._ring.missing(now)
        for name, text in problems.items():
            if self._told.get(name) != text:
                rest = WAITS if name in missing else GOES_ON
                self._log.warning(f"keys: {name}: {text}; {rest}")
        if self._told and not problems:
            self._log.info("keys: all are there now")
        self._told = dict(problems)

    def _fetch(
        self, references: tuple[SecretReference, ...], signs: bool, doubted: Keys | None
    ) -> Fetched:
        """In the thread; what it takes is imported there."""
        if self._fetcher is None:
            from extension.secret_fetch import Fetcher

            self._fetcher = Fetcher(self._environ)
        return self._fetcher.fetch(references, signs=signs, doubted=doubted)

    def _failed(self, error: Exception) -> Fetched:
        """A fault of ours is a problem of each; its words may hold a value, and are not told."""
        names = [*map(str, self._references), *([CREDENTIALS] if self._signs else [])]
        return Fetched(problems=dict.fromkeys(names, f"internal: {type(error).__name__}"))
