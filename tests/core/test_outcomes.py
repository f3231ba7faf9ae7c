"""What an export's end means for the invocations that were lent to it."""

import pytest

from exporter.outcome import FAULT, Outcome, Verdict
from extension.ledger import Backlog, Ledger
from extension.outcomes import settle
from extension.pipeline import Exported
from tests.core.test_ledger import numbered


@pytest.mark.parametrize(
    ("exported", "ledger", "arrived", "line"),
    [
        (Exported(Outcome(Verdict.ACCEPTED, 3, "ok")), Ledger(3, exported=3), True, ""),
        (
            Exported(Outcome(Verdict.ACCEPTED, 3, "ok", uncertain=True)),
            Ledger(3, exported=3, uncertain=3),
            True,
            "",
        ),
        (
            Exported(Outcome(Verdict.PARTIAL, 3, "c took 2", rejected_count=1)),
            Ledger(3, exported=2, dropped={"rejected_by_collector": 1}),
            True,
            "c took 2",
        ),
        (
            Exported(Outcome(Verdict.REFUSED, 3, "c answered 400", status="400")),
            Ledger(3, dropped={"refused_by_collector": 3}),
            True,
            "c answered 400; invocations dropped: 3",
        ),
        (
            Exported(Outcome(Verdict.REFUSED, 3, "c: KeyError", status=FAULT)),
            Ledger(3, dropped={"internal": 3}),
            True,
            "c: KeyError; invocations dropped: 3",
        ),
        (
            Exported(Outcome(Verdict.RETRYABLE, 3, "c answered 503", status="503")),
            Ledger(3, waiting=3),
            False,
            "c answered 503; invocations kept for the next try: 3",
        ),
        (
            Exported(Outcome(Verdict.RETRYABLE, 3, "c: no answer in time", uncertain=True)),
            Ledger(3, waiting=3, uncertain=3),
            False,
            "c: no answer in time; invocations kept for the next try: 3",
        ),
        (Exported(None), Ledger(3, waiting=3), False, ""),
        (
            Exported(None, KeyError("x")),
            Ledger(3, dropped={"internal": 3}),
            True,
            "internal: KeyError: 'x'; invocations dropped: 3",
        ),
    ],
    ids=lambda one: one.outcome.verdict.value if isinstance(one, Exported) and one.outcome else "",
)
def test_every_verdict_settles_the_ledger(
    exported: Exported, ledger: Ledger, arrived: bool, line: str
) -> None:
    """Ledger, whether to go on, and the line for the log, compared whole."""
    backlog = Backlog(Ledger())
    for invocation in numbered(3):
        backlog.accept(invocation, 0.0)
    backlog.lend(3, 10_000_000)
    assert settle(exported, backlog) == (arrived, line)
    assert backlog.ledger == ledger
    assert backlog.ledger.balanced
