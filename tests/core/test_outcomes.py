"""What an export's end means for the records that were lent to it."""

from __future__ import annotations

from typing import Any

import pytest

from exporter.batch import Sent
from exporter.outcome import FAULT, Outcome, Verdict
from exporter.record import Passed
from exporter.values import replace
from extension.backlog import Backlog
from extension.ledger import Account, Ledger
from extension.outcomes import Settled, settle
from extension.pipeline import Exported
from tests.core.test_backlog import filled, numbered

ACCEPTED = Outcome(Verdict.ACCEPTED, 1, "ok")
BUSY = Outcome(Verdict.RETRYABLE, 1, "c answered 429", status="429", retry_after_s=7.0)
SILENT = Outcome(Verdict.RETRYABLE, 1, "c: no answer in time", uncertain=True)


def account(**values: Any) -> Account:
    return Account(accepted=3, **values)


CASES: dict[str, tuple[tuple[Sent, ...], Ledger, Settled]] = {
    "all arrived": ((Sent(3, ACCEPTED),), Ledger(account(exported=3)), Settled(True)),
    "arrived by a second try": (
        (Sent(3, Outcome(Verdict.ACCEPTED, 3, "ok", uncertain=True)),),
        Ledger(account(exported=3), uncertain=3),
        Settled(True),
    ),
    "some rejected": (
        (Sent(3, Outcome(Verdict.PARTIAL, 3, "c took 2", rejected_count=1)),),
        Ledger(account(exported=2, dropped={"rejected_by_collector": 1})),
        Settled(True, lines=("c took 2",)),
    ),
    "refused": (
        (Sent(3, Outcome(Verdict.REFUSED, 3, "c answered 400", status="400")),),
        Ledger(account(dropped={"refused_by_collector": 3})),
        Settled(True, lines=("c answered 400; invocations dropped: 3",)),
    ),
    "a fault of ours": (
        (
            Sent(1, Outcome(Verdict.REFUSED, 1, "internal: KeyError: 'x'", status=FAULT)),
            Sent(2, ACCEPTED),
        ),
        Ledger(account(exported=2, dropped={"internal": 1})),
        Settled(True, lines=("internal: KeyError: 'x'; invocations dropped: 1",)),
    ),
    "to be tried again": (
        (Sent(3, BUSY),),
        Ledger(account(waiting=3)),
        Settled(
            failed=True,
            retry_after_s=7.0,
            lines=("c answered 429; invocations kept for the next try: 3",),
        ),
    ),
    "no answer": (
        (Sent(2, SILENT),),
        Ledger(account(waiting=3), uncertain=2),
        Settled(
            failed=True,
            lines=("c: no answer in time; invocations kept for the next try: 3",),
        ),
    ),
    "the first arrived, the rest is to be tried again": (
        (Sent(1, ACCEPTED), Sent(1, BUSY)),
        Ledger(account(exported=1, waiting=2)),
        Settled(
            True,
            True,
            retry_after_s=7.0,
            lines=("c answered 429; invocations kept for the next try: 2",),
        ),
    ),
    "one arrived in part": (
        (Sent(1, None, arrived_in_part=True),),
        Ledger(account(waiting=3), uncertain=1),
        Settled(late=True),
    ),
    "made smaller to be taken": (
        (Sent(1, ACCEPTED, lost_details=4), Sent(2, ACCEPTED)),
        Ledger(account(exported=3), noted={"details_dropped": 4}),
        Settled(True),
    ),
    "no time for the rest": (
        (Sent(1, ACCEPTED), Sent(1, None)),
        Ledger(account(exported=1, waiting=2)),
        Settled(True, late=True),
    ),
    "nothing begun": ((), Ledger(account(waiting=3)), Settled()),
}


@pytest.mark.parametrize("name", CASES)
def test_every_end_settles_the_ledger(name: str) -> None:
    """Ledger, what the breaker is told, and the lines for the log, compared whole."""
    sent, ledger, settled = CASES[name]
    backlog: Backlog = filled(numbered(3))
    backlog.lend(3, 10_000_000)
    assert settle(Exported(sent), backlog) == settled
    assert backlog.ledger == ledger
    assert not backlog.is_lent


@pytest.mark.parametrize(
    ("problem", "settled"),
    [
        ("", Settled(answered=True)),
        ("metrics: gone", Settled(failed=True, lines=("metrics: gone",))),
        (None, Settled()),
    ],
)
def test_metrics_alone_are_an_answer_or_a_failure(problem: str | None, settled: Settled) -> None:
    """Where every invocation was sampled out the breaker knows the collector by them."""
    assert settle(Exported((), problem), filled([])) == settled


def test_each_reason_for_a_cut_has_its_name() -> None:
    """What was too large, and what was no OTLP; the bytes of the rest arrived."""
    (record,) = numbered(1)
    backlog = filled([replace(record, passed=(Passed(b"nine byte", 1),))])
    backlog.lend(1, 10_000_000)
    sent = Sent(1, ACCEPTED, cut_body_bytes=3, unreadable_bytes=4, lost_details=1)
    assert settle(Exported((sent,)), backlog) == Settled(True)
    assert backlog.ledger == Ledger(
        Account(accepted=1, exported=1),
        Account(accepted=9, exported=2, dropped={"request_full": 3, "unreadable_otlp": 4}),
        noted={"details_dropped": 1},
    )


def test_a_metrics_problem_is_told_with_the_rest() -> None:
    """It settles nothing."""
    backlog = filled(numbered(1))
    backlog.lend(1, 1)
    settled = settle(Exported((Sent(1, ACCEPTED),), "metrics: gone"), backlog)
    assert settled == Settled(True, lines=("metrics: gone",))
