"""What an export's end means for the records that were lent to it: one table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.values import dataclass

if TYPE_CHECKING:
    from exporter.batch import Sent
    from extension.backlog import Backlog
    from extension.pipeline import Exported


@dataclass(frozen=True, slots=True)
class Settled:
    """Of one export, for the breaker and for the log.

    `answered`: the collector has answered a request for good. `failed`: the last one is to be
    tried again, after `retry_after_s` where it says so. `late`: the time was over before all
    was sent.
    """

    answered: bool = False
    failed: bool = False
    late: bool = False
    retry_after_s: float | None = None
    lines: tuple[str, ...] = ()


def settle(exported: Exported, backlog: Backlog) -> Settled:
    """Settle what `backlog` has lent; what is not told of waits again."""
    answered = failed = late = False
    retry_after_s = None
    lines: list[str] = []
    uncertain = 0
    for sent in exported.sent:
        if sent.goes_on:
            answered = True
            lines += _settle_for_good(sent, backlog)
            continue
        # The last one: it is to be tried again, or there was no time for it.
        outcome = sent.outcome
        if sent.arrived_in_part or (outcome is not None and outcome.uncertain):
            uncertain = sent.count
        late = outcome is None
        if outcome is not None:
            failed = True
            retry_after_s = outcome.retry_after_s
            kept = backlog.lent_amount.invocations
            lines.append(f"{outcome.detail}; invocations kept for the next try: {kept}")
    backlog.returned(uncertain=uncertain)
    problem = exported.metrics_problem
    if problem:
        lines.append(problem)
    if problem is not None and not exported.sent:
        # Metrics alone: every invocation was sampled out.
        answered, failed = not problem, bool(problem)
    if exported.logs is not None and exported.logs.problem:
        lines.append(exported.logs.problem)
    return Settled(answered, failed, late, retry_after_s, tuple(lines))


def _settle_for_good(sent: Sent, backlog: Backlog) -> list[str]:
    from exporter.outcome import FAULT, Verdict

    outcome = sent.outcome
    assert outcome is not None  # noqa: S101 - for the types: it goes on
    backlog.cut(sent.cut_body_bytes, "request_full")
    backlog.cut(sent.unreadable_bytes, "unreadable_otlp")
    backlog.ledger.note("details_dropped", sent.lost_details)
    backlog.ledger.note("span_cut_bytes", sent.cut_text_bytes)
    if outcome.verdict is Verdict.ACCEPTED:
        backlog.delivered(sent.count, uncertain=outcome.uncertain)
        return []
    if outcome.verdict is Verdict.PARTIAL:
        backlog.dropped(sent.count, "rejected_by_collector", most=outcome.rejected_count)
        return [outcome.detail]
    reason = "internal" if outcome.status == FAULT else "refused_by_collector"
    before = backlog.lent_amount.invocations
    backlog.dropped(sent.count, reason)
    count = before - backlog.lent_amount.invocations
    return [f"{outcome.detail}; invocations dropped: {count}"]
