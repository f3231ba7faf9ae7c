"""The ledger's law and the backlog's bounds."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from exporter.record import Environment, Fate, Invocation, Payload
from extension.ledger import MAX_WAITING, MAX_WAITING_BYTES, Backlog, Ledger, weight_bytes

ONE = Invocation(
    ordinal=1,
    request_id="r",
    invoked_function_arn="arn",
    environment=Environment("f", "1"),
    trace_id=bytes(16),
    span_id=bytes(8),
    start_unix_ns=0,
    end_unix_ns=0,
    fate=Fate.RETURNED,
    deadline_unix_ms=0,
)
BIG = replace(ONE, result=Payload(bytes(1_000_000), 1_000_000, False, "json"))


def numbered(count: int) -> list[Invocation]:
    return [replace(ONE, ordinal=index) for index in range(count)]


def test_delivered_and_returned_keep_order() -> None:
    """What comes back from a failed export goes first again, in its own order."""
    backlog = Backlog(Ledger())
    for invocation in numbered(4):
        backlog.accept(invocation, 0.0)
    assert [one.ordinal for one in backlog.lend(2, 10_000_000)] == [0, 1]
    backlog.returned(uncertain=True)
    assert [one.ordinal for one in backlog.lend(3, 10_000_000)] == [0, 1, 2]
    backlog.delivered()
    assert backlog.ledger == Ledger(accepted=4, exported=3, waiting=1, uncertain=2)


def test_a_batch_is_bounded_by_bytes_but_never_empty() -> None:
    """One invocation over the limit still leaves, alone."""
    backlog = Backlog(Ledger())
    backlog.accept(BIG, 0.0)
    backlog.accept(ONE, 0.0)
    assert backlog.lend(10, 500_000) == [BIG]
    assert backlog.ledger.waiting == 2


def test_a_partial_refusal_is_counted_by_reason() -> None:
    """Of five lent, two refused are dropped under their reason and three have arrived."""
    backlog = Backlog(Ledger())
    for invocation in numbered(5):
        backlog.accept(invocation, 0.0)
    backlog.lend(10, 10_000_000)
    backlog.refused([("rejected_by_collector", 2)])
    assert backlog.ledger == Ledger(accepted=5, exported=3, dropped={"rejected_by_collector": 2})
    assert backlog.ledger.line() == (
        "accepted 5 = exported 3 + waiting 0 + dropped 2 (rejected_by_collector 2)"
    )


def test_the_oldest_go_when_the_queue_is_full() -> None:
    """Count and bytes are both bounded, and what is cut is counted."""
    backlog = Backlog(Ledger())
    for invocation in numbered(MAX_WAITING + 3):
        backlog.accept(invocation, 0.0)
    assert backlog.lend(1, 1)[0].ordinal == 3
    assert backlog.ledger.dropped == {"queue_full": 3}
    backlog = Backlog(Ledger())
    fitting = MAX_WAITING_BYTES // weight_bytes(BIG)
    for _ in range(fitting + 2):
        backlog.accept(BIG, 0.0)
    assert len(backlog) == fitting
    assert backlog.waiting_bytes <= MAX_WAITING_BYTES


@given(
    st.lists(st.sampled_from(["accept", "lend", "delivered", "returned", "refused"]), max_size=80)
)
def test_the_law_holds_after_any_story(steps: list[str]) -> None:
    """accepted = exported + waiting + dropped, after every single step."""
    backlog = Backlog(Ledger())
    lent = False
    for step in steps:
        if step == "accept":
            backlog.accept(ONE, 0.0)
        elif step == "lend" and not lent:
            lent = bool(backlog.lend(3, 10_000))
        elif lent and step == "delivered":
            backlog.delivered()
            lent = False
        elif lent and step == "returned":
            backlog.returned(uncertain=False)
            lent = False
        elif lent and step == "refused":
            backlog.refused([("a", 1), ("b", 1)])
            lent = False
        assert backlog.ledger.balanced, (steps, backlog.ledger)
