"""The line that the extension leaves at SHUTDOWN, read by its form: names and numbers."""

from __future__ import annotations

import re
from dataclasses import dataclass

_LINE = re.compile(r"^spanpipe: shutdown (?P<reason>\S+): (?P<rest>.*)$")
_TERM = re.compile(r"([a-z_]+) (\d+)(?: \(([^)]*)\))?")
BODY_BYTES = "body bytes: "


@dataclass(frozen=True, slots=True)
class Law:
    """``LEFT = RIGHT``, each side as counts by name; `reasons` are those of `dropped`."""

    left: dict[str, int]
    right: dict[str, int]
    reasons: dict[str, int]

    @property
    def adds_up(self) -> bool:
        """The conservation law, and that what was dropped is named in full."""
        named = sum(self.reasons.values()) == self.right.get("dropped", 0)
        return bool(self.left) and sum(self.left.values()) == sum(self.right.values()) and named


@dataclass(frozen=True, slots=True)
class LedgerLine:
    """``shutdown REASON: LAW; beside …; body bytes: LAW``: invocations, then their bodies."""

    reason: str
    invocations: Law
    body_bytes: Law | None
    beside: dict[str, int]
    text: str

    @property
    def adds_up(self) -> bool:
        """Of invocations and, where they are told, of bytes."""
        return self.invocations.adds_up and (self.body_bytes is None or self.body_bytes.adds_up)


def parse(line: str) -> LedgerLine | None:
    """The ledger of `line`; None where it is another line."""
    found = _LINE.match(line)
    if found is None:
        return None
    law, *parts = found["rest"].split("; ")
    body_bytes, beside = None, {}
    for part in parts:
        if part.startswith(BODY_BYTES):
            body_bytes = _law(part.removeprefix(BODY_BYTES))
        else:
            beside.update(_counts(part))
    return LedgerLine(found["reason"], _law(law), body_bytes, beside, line)


def _law(text: str) -> Law:
    left, _, right = text.partition(" = ")
    counts: dict[str, int] = {}
    reasons: dict[str, int] = {}
    for name, count, parts in _TERM.findall(right):
        counts[name] = int(count)
        if name == "dropped":
            reasons = _counts(parts)
    return Law(_counts(left), counts, reasons)


def _counts(text: str) -> dict[str, int]:
    return {name: int(count) for name, count, _ in _TERM.findall(text)}
