"""Finished records that have not been delivered: oldest first, bounded, lent to one export.

What memory has no room for goes to the spool whole; where that has none either, details go
first and invocations last. Whatever enters or leaves is told to the ledger here.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from exporter.record import Invocation, Record, Supplement, merged
from exporter.values import dataclass, replace
from exporter.weight import (
    bare,
    body_bytes,
    details_count,
    passed_spans,
    weight_bytes,
    without_passed,
)
from extension.instant import Instant
from extension.ledger import EXPORTED, NOTHING, SAMPLED, SPOOLED, WAITING, Amount, Ledger, total
from extension.settings import MAX_WAITING

MAX_WAITING_BYTES = 16 * 1024 * 1024
"""What may wait in memory for a collector that does not answer."""
KEPT_PART = 0.9
"""Room is made for several at once: a file for each would be slow."""
FILE_COUNT = 64
FILE_WEIGHT_BYTES = 524_288
"""Of one file of the spool, and so of one export from it."""


@dataclass(frozen=True, slots=True)
class Stored:
    """One file of the spool, read back."""

    name: str
    amount: Amount
    records: Sequence[Record]


class Store(Protocol):
    """Where records wait when memory has no room; `extension.spool`."""

    def put(self, records: Sequence[Record], amount: Amount, weight_bytes: int) -> bool:
        """Keep `records`; False where that is not possible."""

    def take(self) -> Stored | None:
        """The oldest, which stays until it is removed; None where there is nothing."""

    def remove(self, name: str) -> None:
        """It is not needed any more."""


class NoStore:
    """No spool."""

    def put(self, records: Sequence[Record], amount: Amount, weight_bytes: int) -> bool:
        """Never."""
        return False

    def take(self) -> Stored | None:
        """Nothing."""
        return None

    def remove(self, name: str) -> None:
        """Nothing to do."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A record with what is counted of it."""

    record: Record
    weight_bytes: int
    amount: Amount
    accepted_at: Instant


def amount_of(record: Record) -> Amount:
    """What the ledger counts of it."""
    kept, cut = body_bytes(record)
    return Amount(int(isinstance(record, Invocation)), kept - cut)


class Backlog:
    """`ledger` is told of everything; `store` keeps what memory has no room for."""

    def __init__(self, ledger: Ledger, store: Store | None = None) -> None:
        self.ledger = ledger
        self.store: Store = NoStore() if store is None else store
        self._leaves: Callable[[Record], bool] = lambda record: True
        self._waiting: deque[Entry] = deque()
        self._waiting_bytes = 0
        self._supplements = 0
        self._lent: deque[Entry] = deque()
        self._lent_from: Stored | None = None
        self._lent_settled = False

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def waiting_bytes(self) -> int:
        """Of the records that wait in memory; those being exported are not among them."""
        return self._waiting_bytes

    @property
    def is_lent(self) -> bool:
        """Whether anything is being exported."""
        return bool(self._lent)

    @property
    def lent_count(self) -> int:
        """Records that are being exported."""
        return len(self._lent)

    @property
    def lent_amount(self) -> Amount:
        """What is being exported."""
        return total(entry.amount for entry in self._lent)

    @property
    def lent_in_memory(self) -> Amount:
        """What is being exported, and is in no file."""
        return self.lent_amount if self._lent_from is None else NOTHING

    def oldest_age_s(self, now: Instant) -> float:
        """How long the oldest in memory has waited, 0.0 where none waits."""
        return now.since(self._waiting[0].accepted_at) if self._waiting else 0.0

    def sample(self, leaves: Callable[[Record], bool]) -> None:
        """From now on only what `leaves` is exported; of those that wait, the others go."""
        self._leaves = leaves
        for entry in self.take_all():
            if leaves(entry.record):
                self._append(entry)
            else:
                self.ledger.drop(entry.amount, WAITING, SAMPLED)

    def accept(self, record: Record, now: Instant) -> bool:
        """A finished record enters; what belongs to an invocation that still waits joins it.

        False where it was sampled out, and goes at once.
        """
        if isinstance(record, Supplement) and self._join(record):
            return True
        whole, cut = body_bytes(record)
        amount = Amount(int(isinstance(record, Invocation)), whole)
        self.ledger.enter(amount)
        if cut:
            self.ledger.drop(Amount(body_bytes=cut), WAITING, "payload_cut")
            amount = Amount(amount.invocations, whole - cut)
        if not self._leaves(record):
            self.ledger.drop(amount, WAITING, SAMPLED)
            return False
        told = self.ledger.told()
        if told and isinstance(record, Invocation):
            record = replace(record, ledger=told)
        self._append(Entry(record, weight_bytes(record), amount, now))
        self._enforce()
        return True

    def lend(self, max_count: int, max_bytes: int) -> list[Record]:
        """The oldest, for one export: at least one, within the bounds. They stay ours.

        Where nothing waits in memory, what the spool has kept longest.
        """
        size = 0
        while self._waiting and len(self._lent) < max_count:
            entry = self._waiting[0]
            if self._lent and size + entry.weight_bytes > max_bytes:
                break
            size += entry.weight_bytes
            self._lent.append(self._pop())
        self._lent_settled = False
        if not self._lent:
            self._lend_stored()
        return [entry.record for entry in self._lent]

    def delivered(self, count: int, *, uncertain: bool = False) -> None:
        """The first `count` records of those lent have arrived; `uncertain`: perhaps twice."""
        amount = total(self._settle_one() for _ in range(count))
        self.ledger.move(amount, self._lent_place, EXPORTED)
        if uncertain:
            self.ledger.uncertain += amount.invocations
        self._settled()

    def dropped(self, count: int, reason: str, most: int | None = None) -> None:
        """The first `count` records of those lent are settled for good.

        Given up for `reason`, `most` invocations of them if that is given; the others arrived.
        """
        for _ in range(count):
            amount = self._settle_one()
            if most is None or most > 0:
                self.ledger.drop(amount, self._lent_place, reason)
            else:
                self.ledger.move(amount, self._lent_place, EXPORTED)
            if most is not None:
                most -= amount.invocations
        self._settled()

    def cut(self, body_bytes: int, reason: str) -> None:
        """So much of the first record lent was left out for `reason`, and the rest was sent."""
        if body_bytes and self._lent:
            entry = self._lent[0]
            cut = Amount(body_bytes=min(body_bytes, entry.amount.body_bytes))
            self.ledger.drop(cut, self._lent_place, reason)
            left = Amount(entry.amount.invocations, entry.amount.body_bytes - cut.body_bytes)
            self._lent[0] = replace(entry, amount=left)

    def returned(self, *, uncertain: int = 0) -> None:
        """What is left of those lent waits again, first in line.

        Of its first `uncertain` records nobody knows whether they have arrived.
        """
        for entry, _ in zip(self._lent, range(uncertain), strict=False):
            self.ledger.uncertain += entry.amount.invocations
        if self._lent_from is not None and not self._lent_settled:
            # The file is there as it was.
            self._lent.clear()
            self._lent_from = None
            return
        while self._lent:
            entry = self._lent.pop()
            if self._lent_from is not None:
                self.ledger.move(entry.amount, SPOOLED, WAITING)
            self._append(entry, first=True)
        self._settled()
        self._enforce()

    def keep(self, entries: Sequence[Entry]) -> bool:
        """Into the spool with `entries`, which wait no more here; False where it takes none."""
        amount = total(entry.amount for entry in entries)
        weight = sum(entry.weight_bytes for entry in entries)
        if not self.store.put([entry.record for entry in entries], amount, weight):
            return False
        self.ledger.move(amount, WAITING, SPOOLED)
        return True

    def strip(self, entry: Entry, reason: str) -> Entry:
        """`entry` without bodies and details, which are dropped for `reason`."""
        record = entry.record
        self.ledger.drop(Amount(body_bytes=entry.amount.body_bytes), WAITING, reason)
        left: Record
        if isinstance(record, Invocation):
            self.ledger.note("details_dropped", details_count(record))
            left = bare(record)
        else:
            self.ledger.note("details_dropped", passed_spans(record))
            left = without_passed(record)
        amount = Amount(entry.amount.invocations)
        return replace(entry, record=left, weight_bytes=weight_bytes(left), amount=amount)

    def take_all(self) -> list[Entry]:
        """Empty it, at the end; the ledger still counts them as waiting."""
        taken = list(self._waiting)
        self._waiting.clear()
        self._waiting_bytes = self._supplements = 0
        return taken

    # The end of an export

    @property
    def _lent_place(self) -> str:
        return WAITING if self._lent_from is None else SPOOLED

    def _settle_one(self) -> Amount:
        self._lent_settled = True
        return self._lent.popleft().amount

    def _settled(self) -> None:
        if not self._lent and self._lent_from is not None:
            self.store.remove(self._lent_from.name)
            self._lent_from = None

    def _lend_stored(self) -> None:
        long_ago = Instant(0.0, 0.0)
        while not self._lent and (stored := self.store.take()) is not None:
            self._lent_from = stored
            for record in stored.records:
                amount = amount_of(record)
                if self._leaves(record):
                    self._lent.append(Entry(record, weight_bytes(record), amount, long_ago))
                else:
                    # It was spooled before the configuration had been read.
                    self._lent_settled = True
                    self.ledger.drop(amount, SPOOLED, SAMPLED)
            self._settled()

    # Bounds

    def _append(self, entry: Entry, *, first: bool = False) -> None:
        if first:
            self._waiting.appendleft(entry)
        else:
            self._waiting.append(entry)
        self._waiting_bytes += entry.weight_bytes
        self._supplements += not isinstance(entry.record, Invocation)

    def _pop(self) -> Entry:
        entry = self._waiting.popleft()
        self._waiting_bytes -= entry.weight_bytes
        self._supplements -= not isinstance(entry.record, Invocation)
        return entry

    def _join(self, late: Supplement) -> bool:
        for index in range(len(self._waiting) - 1, -1, -1):
            entry = self._waiting[index]
            record = entry.record
            if isinstance(record, Invocation) and record.span_id == late.span_id:
                whole = merged(record, late)
                more = amount_of(late)
                self.ledger.enter(more)
                self._replace(
                    index,
                    replace(
                        entry,
                        record=whole,
                        weight_bytes=weight_bytes(whole),
                        amount=entry.amount + more,
                    ),
                )
                self._enforce()
                return True
        return False

    def _replace(self, index: int, entry: Entry) -> None:
        self._waiting_bytes += entry.weight_bytes - self._waiting[index].weight_bytes
        self._waiting[index] = entry

    @property
    def _is_over(self) -> bool:
        return len(self._waiting) > MAX_WAITING or (
            self._waiting_bytes > MAX_WAITING_BYTES and len(self._waiting) > 1
        )

    def _enforce(self) -> None:
        if not self._is_over:
            return
        self._spool_oldest()
        if self._waiting_bytes > MAX_WAITING_BYTES:
            self._strip_oldest()
        while len(self._waiting) > MAX_WAITING:
            self._drop_oldest()

    def _spool_oldest(self) -> None:
        chosen: list[Entry] = []
        while self._waiting and (
            len(self._waiting) > MAX_WAITING * KEPT_PART
            or self._waiting_bytes > MAX_WAITING_BYTES * KEPT_PART
        ):
            chosen.append(self._pop())
        kept = 0
        for part in files_of(chosen):
            if not self.keep(part):
                break
            kept += len(part)
        for entry in reversed(chosen[kept:]):
            self._append(entry, first=True)

    def _strip_oldest(self) -> None:
        """Bodies and details go, oldest first, until the rest fits."""
        for index, entry in enumerate(self._waiting):
            if self._waiting_bytes <= MAX_WAITING_BYTES * KEPT_PART:
                break
            self._replace(index, self.strip(entry, "memory_full"))

    def _drop_oldest(self) -> None:
        """What the platform told late goes before any invocation does."""
        if self._supplements:
            index = next(
                index
                for index, entry in enumerate(self._waiting)
                if not isinstance(entry.record, Invocation)
            )
            self._waiting.rotate(-index)
            amount = self._pop().amount
            self._waiting.rotate(index)
            self.ledger.drop(amount, WAITING, "queue_full")
            self.ledger.note("supplement_queue_full")
            return
        self.ledger.drop(self._pop().amount, WAITING, "queue_full")


def files_of(entries: Sequence[Entry]) -> Iterator[list[Entry]]:
    """`entries` in files of the spool, in their order."""
    part: list[Entry] = []
    weight = 0
    for entry in entries:
        if part and (len(part) >= FILE_COUNT or weight + entry.weight_bytes > FILE_WEIGHT_BYTES):
            yield part
            part, weight = [], 0
        part.append(entry)
        weight += entry.weight_bytes
    if part:
        yield part
