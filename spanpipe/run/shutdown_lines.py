"""The extension's account of itself, from the lines it prints at SHUTDOWN; no I/O."""

from __future__ import annotations

import re

from extension.ledger import Account

_LINE = re.compile(r"spanpipe: (shutdown [\w-]+: (accepted .*))")
_FIGURE = re.compile(r"\b(accepted|recovered|exported|printed|spooled|waiting) (\d+)")
_REASONS = re.compile(r"\bdropped \d+ \(([^)]*)\)")
_REASON = re.compile(r"([a-z_]+) (\d+)")
SAMPLED = "sampled"


class ShutdownLines:
    """The accounts of a run's extensions, one of each function's, over all their lives.

    A reset ends an extension, and the next one takes from `/tmp` what was left: what was spooled
    and recovered is counted once.
    """

    def __init__(self) -> None:
        self.lines: list[str] = []
        """Each as it was printed, without the mark before it."""
        self._accounts: dict[str, Account] = {}

    def take(self, function: str, line: str) -> bool:
        """Whether `line` was such a one."""
        found = _LINE.match(line)
        if found is None:
            return False
        self.lines.append(found[1])
        # Of invocations: the account of bytes comes behind.
        _add(self._accounts.setdefault(function, Account()), found[2].partition("; ")[0])
        return True

    def account(self, function: str) -> Account:
        """Of one function's extensions."""
        return self._accounts.get(function, Account())

    @property
    def whole(self) -> Account:
        """Of all of them."""
        whole = Account()
        for account in self._accounts.values():
            _add(whole, account.text())
        return whole

    @property
    def sampled_count(self) -> int:
        """Invocations that were sampled out."""
        return self.whole.dropped.get(SAMPLED, 0)


def figures(account: Account) -> dict[str, int]:
    """The account as names and numbers."""
    found = {name: int(count) for name, count in _FIGURE.findall(account.text())}
    return {**found, "dropped": sum(account.dropped.values())}


def _add(account: Account, law: str) -> None:
    for name, count in _FIGURE.findall(law):
        setattr(account, name, getattr(account, name) + int(count))
    listed = _REASONS.search(law)
    for reason, count in _REASON.findall(listed[1] if listed else ""):
        account.dropped[reason] = account.dropped.get(reason, 0) + int(count)
    again = min(account.recovered, account.spooled)
    account.recovered -= again
    account.spooled -= again
