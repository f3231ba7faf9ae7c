"""What became of every invocation and of every byte captured: one law, kept by construction.

accepted + recovered = exported + printed + spooled + waiting + dropped, by reason
"""

from __future__ import annotations

from collections.abc import Iterable

from exporter.values import dataclass, field

WAITING = "waiting"
SPOOLED = "spooled"
EXPORTED = "exported"
PRINTED = "printed"
"""Where something may be; what was dropped has a reason instead."""
SAMPLED = "sampled"
"""The reason of what the user's sampler has left out: the only one that is no loss."""
SECRET_MISSING = "secret_missing"  # noqa: S105 - a reason
"""What could not be sent at the end, since a secret or credentials were not there."""


@dataclass(frozen=True, slots=True)
class Amount:
    """Of one record or several: invocations, and the bytes of their captured bodies."""

    invocations: int = 0
    body_bytes: int = 0

    def __add__(self, other: Amount) -> Amount:
        return Amount(self.invocations + other.invocations, self.body_bytes + other.body_bytes)

    def __sub__(self, other: Amount) -> Amount:
        return Amount(self.invocations - other.invocations, self.body_bytes - other.body_bytes)


NOTHING = Amount()


def total(amounts: Iterable[Amount]) -> Amount:
    """Of all of them."""
    invocations = body_bytes = 0
    for amount in amounts:
        invocations += amount.invocations
        body_bytes += amount.body_bytes
    return Amount(invocations, body_bytes)


@dataclass(slots=True)
class Account:
    """One column of the ledger: of invocations, or of bytes.

    `recovered` was found in `/tmp`, accepted by an extension before this one. `spooled` lies
    there now; whether anybody will come for it after the last SHUTDOWN is not known.
    """

    accepted: int = 0
    recovered: int = 0
    exported: int = 0
    printed: int = 0
    spooled: int = 0
    waiting: int = 0
    dropped: dict[str, int] = field(default_factory=dict)

    @property
    def balanced(self) -> bool:
        """The conservation law."""
        gone = self.exported + self.printed + sum(self.dropped.values())
        return self.accepted + self.recovered == gone + self.spooled + self.waiting

    def text(self) -> str:
        """The law with its figures; what is zero and rare is left out."""
        dropped = sum(self.dropped.values())
        rare = {name: getattr(self, name) for name in ("recovered", PRINTED, SPOOLED)}
        shown = {name: f" + {name} {count}" if count else "" for name, count in rare.items()}
        return (
            f"accepted {self.accepted}{shown['recovered']} = exported {self.exported} + waiting "
            f"{self.waiting}{shown[PRINTED]}{shown[SPOOLED]} + dropped {dropped}"
            + (f" ({reasons(self.dropped)})" if self.dropped else "")
        )


def reasons(counts: dict[str, int]) -> str:
    """``reason count, …`` in order of the alphabet."""
    return ", ".join(f"{reason} {count}" for reason, count in sorted(counts.items()))


@dataclass(slots=True)
class Ledger:
    """Both accounts. Nothing is counted but by `enter`, `recover`, `move` and `drop`.

    `uncertain` counts exports cut off after sending began: each of them may arrive twice.
    `noted` are things that happened to messages rather than to whole invocations: they are told
    beside the law and are no part of it.
    """

    invocations: Account = field(default_factory=Account)
    body_bytes: Account = field(default_factory=Account)
    uncertain: int = 0
    noted: dict[str, int] = field(default_factory=dict)

    def enter(self, amount: Amount) -> None:
        """It was accepted, and waits."""
        for account, count in self._columns(amount):
            account.accepted += count
            account.waiting += count

    def recover(self, amount: Amount) -> None:
        """It was found in the spool."""
        self._add("recovered", amount)
        self._add(SPOOLED, amount)

    def move(self, amount: Amount, source: str, target: str) -> None:
        """From one place to another."""
        self._add(source, amount, -1)
        self._add(target, amount)

    def drop(self, amount: Amount, source: str, reason: str) -> None:
        """It is given up."""
        self._add(source, amount, -1)
        for account, count in self._columns(amount):
            if count:
                account.dropped[reason] = account.dropped.get(reason, 0) + count

    def note(self, reason: str, count: int = 1) -> None:
        """Something that is no invocation was left out."""
        if count:
            self.noted[reason] = self.noted.get(reason, 0) + count

    def told(self) -> dict[str, int]:
        """The law's figures for invocations, for their spans; {} while all is well.

        What was sampled out is neither lost nor held up: it is in none of them.
        """
        account = self.invocations
        if not (account.dropped or self.uncertain or account.recovered or account.spooled):
            return {}
        sampled = account.dropped.get(SAMPLED, 0)
        dropped = sum(account.dropped.values()) - sampled
        if not (dropped or self.uncertain or account.recovered or account.spooled):
            return {}
        places = ("accepted", "recovered", EXPORTED, PRINTED, SPOOLED, WAITING)
        figures = {name: getattr(account, name) for name in places}
        figures["accepted"] -= sampled
        return {**figures, "dropped": dropped, "uncertain": self.uncertain}

    @property
    def balanced(self) -> bool:
        """The law holds for both."""
        return self.invocations.balanced and self.body_bytes.balanced

    def line(self) -> str:
        """The one line for the log."""
        text = self.invocations.text()
        if self.uncertain:
            text += f"; uncertain {self.uncertain}"
        if self.noted:
            text += f"; noted: {reasons(self.noted)}"
        if self.body_bytes != Account():
            text += f"; body bytes: {self.body_bytes.text()}"
        return text

    def _add(self, place: str, amount: Amount, sign: int = 1) -> None:
        for account, count in self._columns(amount):
            setattr(account, place, getattr(account, place) + sign * count)

    def _columns(self, amount: Amount) -> tuple[tuple[Account, int], ...]:
        return (
            (self.invocations, amount.invocations),
            (self.body_bytes, amount.body_bytes),
        )
