"""The line that the extension leaves at SHUTDOWN, read by its form: names and numbers."""

from __future__ import annotations

import re
from dataclasses import dataclass

_LINE = re.compile(
    r"^spanpipe: shutdown (?P<reason>\S+): (?P<left>[^=]*)=(?P<right>[^;]*)(?P<rest>.*)$"
)
_TERM = re.compile(r"([a-z_]+) (\d+)(?: \(([^)]*)\))?")


@dataclass(frozen=True, slots=True)
class LedgerLine:
    """``shutdown REASON: LEFT = RIGHT; REST``, each side as counts by name.

    `reasons` are those of `dropped`, `beside` what stands after the sum.
    """

    reason: str
    left: dict[str, int]
    right: dict[str, int]
    reasons: dict[str, int]
    beside: dict[str, int]
    text: str

    @property
    def adds_up(self) -> bool:
        """The conservation law, and that what was dropped is named in full."""
        named = sum(self.reasons.values()) == self.right.get("dropped", 0)
        return sum(self.left.values()) == sum(self.right.values()) and named


def parse(line: str) -> LedgerLine | None:
    """The ledger of `line`; None where it is another line."""
    found = _LINE.match(line)
    if found is None:
        return None
    right: dict[str, int] = {}
    reasons: dict[str, int] = {}
    for name, count, parts in _TERM.findall(found["right"]):
        right[name] = int(count)
        if name == "dropped":
            reasons = _counts(parts)
    return LedgerLine(
        found["reason"], _counts(found["left"]), right, reasons, _counts(found["rest"]), line
    )


def _counts(text: str) -> dict[str, int]:
    return {name: int(count) for name, count, _ in _TERM.findall(text)}
