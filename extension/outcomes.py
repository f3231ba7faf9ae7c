"""What an export's outcome means for the invocations that were lent to it: one table."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from extension.ledger import Backlog
    from extension.pipeline import Exported


def settle(exported: Exported, backlog: Backlog) -> tuple[bool, str]:
    """Settle what `backlog` has lent; (whether the collector answered for good, log line).

    The line is empty where all is well.
    """
    outcome, fault = exported.outcome, exported.fault
    count = backlog.lent_count
    if fault is not None:
        backlog.refused([("internal", count)])
        return True, f"internal: {type(fault).__name__}: {fault}; invocations dropped: {count}"
    if outcome is None:
        backlog.returned(uncertain=False)
        return False, ""
    from exporter.outcome import FAULT, Verdict

    if outcome.verdict is Verdict.ACCEPTED:
        backlog.delivered(uncertain=outcome.uncertain)
        return True, ""
    if outcome.verdict is Verdict.PARTIAL:
        rejected = min(outcome.rejected_count, count)
        backlog.refused([("rejected_by_collector", rejected)])
        return True, outcome.detail
    if outcome.verdict is Verdict.REFUSED:
        reason = "refused_by_collector" if outcome.status != FAULT else "internal"
        backlog.refused([(reason, count)])
        return True, f"{outcome.detail}; invocations dropped: {count}"
    backlog.returned(uncertain=outcome.uncertain)
    return False, f"{outcome.detail}; invocations kept for the next try: {count}"
