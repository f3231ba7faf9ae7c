"""What became of every invocation: accepted = exported + waiting + dropped, by reason."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from exporter.record import Invocation, Record, Supplement, merged

MAX_WAITING = 2_048
MAX_WAITING_BYTES = 16 * 1024 * 1024
"""What may wait for a collector that does not answer; the oldest go first, and are counted."""

_RECORD_BYTES = 1_024
_DETAIL_BYTES = 256
"""What a record and each of its details take in memory beside their bodies, roughly."""


def weight_bytes(record: Record) -> int:
    """About what `record` takes in memory and, within a factor, on the wire."""
    details, bodies = len(record.children), 0
    if isinstance(record, Invocation):
        details += len(record.events) + len(record.partials)
        bodies = sum(len(partial.payload.body) for partial in record.partials)
        if record.result is not None:
            bodies += len(record.result.body)
    return _RECORD_BYTES + details * _DETAIL_BYTES + bodies


@dataclass(slots=True)
class Ledger:
    """Counts of invocations. `dropped` and `noted` have an entry for each reason.

    `noted` are things that happened to messages rather than to whole invocations: they are
    told beside the sum and are no part of it. So is what the platform told of an invocation
    after its record had left.
    """

    accepted: int = 0
    exported: int = 0
    waiting: int = 0
    uncertain: int = 0
    """Exports cut off after sending began: each of them may arrive twice."""
    dropped: dict[str, int] = field(default_factory=dict)
    noted: dict[str, int] = field(default_factory=dict)

    def drop(self, reason: str, count: int) -> None:
        """`count` invocations are given up."""
        if count:
            self.dropped[reason] = self.dropped.get(reason, 0) + count

    @property
    def balanced(self) -> bool:
        """The conservation law."""
        return self.accepted == self.exported + self.waiting + sum(self.dropped.values())

    def line(self) -> str:
        """The one line for the log."""
        dropped = sum(self.dropped.values())
        text = (
            f"accepted {self.accepted} = exported {self.exported} + waiting {self.waiting} "
            f"+ dropped {dropped}"
        )
        if self.dropped:
            text += f" ({_reasons(self.dropped)})"
        if self.uncertain:
            text += f"; uncertain {self.uncertain}"
        if self.noted:
            text += f"; noted: {_reasons(self.noted)}"
        return text


def _reasons(counts: dict[str, int]) -> str:
    return ", ".join(f"{reason} {count}" for reason, count in sorted(counts.items()))


@dataclass(frozen=True, slots=True)
class _Entry:
    record: Record
    size_bytes: int
    wall_s: float


class Backlog:
    """Finished records that have not been delivered, oldest first, bounded.

    Whatever enters or leaves is told to the ledger here and nowhere else. Times are seconds
    of a wall clock: a batch ages while the environment is frozen too.
    """

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self._waiting: deque[_Entry] = deque()
        self._waiting_bytes = 0
        self._lent: list[_Entry] = []
        self._held_count = 0

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def waiting_bytes(self) -> int:
        """Of the records that wait; those being exported are not among them."""
        return self._waiting_bytes

    @property
    def lent_count(self) -> int:
        """Invocations that are being exported."""
        return sum(isinstance(entry.record, Invocation) for entry in self._lent)

    @property
    def is_lent(self) -> bool:
        """Whether anything is being exported."""
        return bool(self._lent)

    def oldest_age_s(self, wall_s: float) -> float:
        """How long the oldest has waited, 0.0 where none waits."""
        return max(0.0, wall_s - self._waiting[0].wall_s) if self._waiting else 0.0

    def accept(self, record: Record, wall_s: float) -> None:
        """A finished record enters; what belongs to an invocation that still waits joins it."""
        if isinstance(record, Invocation):
            self.ledger.accepted += 1
            self._held_count += 1
        elif self._join(record):
            return
        self._waiting.append(_Entry(record, weight_bytes(record), wall_s))
        self._waiting_bytes += self._waiting[-1].size_bytes
        self._enforce()

    def lend(self, max_count: int, max_bytes: int) -> list[Record]:
        """The oldest, for one export: at least one, within the bounds. They stay ours."""
        size = 0
        while self._waiting and len(self._lent) < max_count:
            entry = self._waiting[0]
            if self._lent and size + entry.size_bytes > max_bytes:
                break
            size += entry.size_bytes
            self._lent.append(self._waiting.popleft())
        self._waiting_bytes -= size
        self._tell()
        return [entry.record for entry in self._lent]

    def delivered(self, *, uncertain: bool = False) -> None:
        """What was lent has arrived; `uncertain`: by a second try, so perhaps twice."""
        if uncertain:
            self.ledger.uncertain += self.lent_count
        self.ledger.exported += self.lent_count
        self._settle_lent()

    def refused(self, reasons: Sequence[tuple[str, int]]) -> None:
        """What was lent is settled: so many dropped for each reason, the others arrived."""
        lent, dropped = self.lent_count, 0
        for reason, count in reasons:
            taken = min(count, lent - dropped)
            self.ledger.drop(reason, taken)
            dropped += taken
        self.ledger.exported += lent - dropped
        self._settle_lent()

    def returned(self, *, uncertain: bool) -> None:
        """What was lent did not arrive, or nobody knows: it waits again, first in line."""
        if uncertain:
            self.ledger.uncertain += self.lent_count
        lent, self._lent = self._lent, []
        for entry in reversed(lent):
            self._waiting.appendleft(entry)
            self._waiting_bytes += entry.size_bytes
        self._enforce()

    def _join(self, late: Supplement) -> bool:
        for index in range(len(self._waiting) - 1, -1, -1):
            entry = self._waiting[index]
            record = entry.record
            if isinstance(record, Invocation) and record.span_id == late.span_id:
                whole = merged(record, late)
                joined = _Entry(whole, weight_bytes(whole), entry.wall_s)
                self._waiting[index] = joined
                self._waiting_bytes += joined.size_bytes - entry.size_bytes
                self._enforce()
                return True
        return False

    def _enforce(self) -> None:
        while len(self._waiting) > MAX_WAITING or (
            self._waiting_bytes > MAX_WAITING_BYTES and len(self._waiting) > 1
        ):
            entry = self._waiting.popleft()
            self._waiting_bytes -= entry.size_bytes
            if isinstance(entry.record, Invocation):
                self.ledger.drop("queue_full", 1)
                self._held_count -= 1
            else:
                self.ledger.noted["supplement_queue_full"] = (
                    self.ledger.noted.get("supplement_queue_full", 0) + 1
                )
        self._tell()

    def _settle_lent(self) -> None:
        self._held_count -= self.lent_count
        self._lent.clear()
        self._tell()

    def _tell(self) -> None:
        self.ledger.waiting = self._held_count
