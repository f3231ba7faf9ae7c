"""The backlog: order, bounds, what goes first where memory is short, and the ledger's law."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from exporter.record import (
    ChildSpan,
    Environment,
    Failure,
    Fate,
    Invocation,
    Passed,
    Payload,
    Record,
    Report,
    Supplement,
)
from exporter.values import replace
from exporter.weight import bare, weight_bytes
from extension.backlog import (
    FILE_COUNT,
    KEPT_PART,
    MAX_WAITING_BYTES,
    Backlog,
    Stored,
)
from extension.instant import Instant
from extension.ledger import SAMPLED, Account, Amount, Ledger
from extension.settings import MAX_WAITING

NOW = Instant(0.0, 0.0)
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
CUT = replace(ONE, result=Payload(b"12345", 8, True, "json"))
LATE = Supplement(bytes(16), b"another!", ONE.environment, 1, report=Report(duration_ms=1.0))
ALL = 100 * MAX_WAITING_BYTES


class Shelf:
    """A store in memory, with room for so many files."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.stored: list[Stored] = []
        self._count = 0

    def put(self, records: Sequence[Record], amount: Amount, weight_bytes: int) -> bool:
        if len(self.stored) >= self.room:
            return False
        self._count += 1
        self.stored.append(Stored(str(self._count), amount, tuple(records)))
        return True

    def take(self) -> Stored | None:
        return self.stored[0] if self.stored else None

    def remove(self, name: str) -> None:
        self.stored = [one for one in self.stored if one.name != name]


def numbered(count: int) -> list[Invocation]:
    return [replace(ONE, ordinal=index) for index in range(count)]


def filled(records: Sequence[Record], store: Shelf | None = None) -> Backlog:
    backlog = Backlog(Ledger(), store)
    for record in records:
        backlog.accept(record, NOW)
    return backlog


def ordinals(records: Sequence[Record]) -> list[int]:
    return [record.ordinal for record in records if isinstance(record, Invocation)]


def test_delivered_and_returned_keep_order() -> None:
    """What comes back from a failed export goes first again, in its own order."""
    backlog = filled(numbered(4))
    assert ordinals(backlog.lend(2, ALL)) == [0, 1]
    backlog.returned(uncertain=2)
    assert ordinals(backlog.lend(3, ALL)) == [0, 1, 2]
    backlog.delivered(2)
    backlog.returned()
    assert ordinals(backlog.lend(9, ALL)) == [2, 3]
    assert backlog.ledger == Ledger(Account(accepted=4, exported=2, waiting=2), uncertain=2)


def test_a_batch_is_bounded_by_bytes_but_never_empty() -> None:
    """One invocation over the limit still leaves, alone."""
    backlog = filled([BIG, ONE])
    assert backlog.lend(10, 500_000) == [BIG]
    assert backlog.ledger.invocations.waiting == 2


def test_a_partial_refusal_is_counted_by_reason() -> None:
    """Of five lent, two refused are dropped under their reason and three have arrived."""
    backlog = filled(numbered(5))
    backlog.lend(10, ALL)
    backlog.dropped(5, "rejected_by_collector", most=2)
    assert backlog.ledger.line() == (
        "accepted 5 = exported 3 + waiting 0 + dropped 2 (rejected_by_collector 2)"
    )


def test_what_was_cut_before_is_in_the_bytes() -> None:
    """The writer cut three of eight bytes; five are exported."""
    backlog = filled([CUT])
    backlog.lend(1, ALL)
    backlog.delivered(1)
    assert backlog.ledger.body_bytes == Account(accepted=8, exported=5, dropped={"payload_cut": 3})


def test_the_oldest_go_when_nothing_else_can() -> None:
    """Without a spool the count is bounded by the oldest, and counted."""
    backlog = filled([LATE, *numbered(MAX_WAITING + 2)])
    assert ordinals(backlog.lend(1, 1)) == [2]
    assert backlog.ledger.invocations.dropped == {"queue_full": 2}
    assert backlog.ledger.noted == {"supplement_queue_full": 1}


def test_others_spans_that_hang_on_no_invocation_are_bounded_too() -> None:
    """Their bytes go, oldest first, and are counted; so do those of a record that goes whole."""
    heavy = replace(LATE, span_id=b"", passed=(Passed(b"x" * (MAX_WAITING_BYTES // 4), 3),))
    backlog = filled([heavy] * 8)
    assert backlog.waiting_bytes <= MAX_WAITING_BYTES
    assert backlog.ledger.noted == {"details_dropped": 15}
    assert backlog.ledger.body_bytes.dropped == {"memory_full": 5 * MAX_WAITING_BYTES // 4}
    backlog = filled([replace(LATE, span_id=b"", passed=(Passed(b"1234", 1),))] * (MAX_WAITING + 1))
    assert backlog.ledger.noted == {"supplement_queue_full": 1}
    assert backlog.ledger.body_bytes.dropped == {"queue_full": 4}
    assert backlog.ledger.balanced


def test_bodies_go_before_invocations_do() -> None:
    """Without a spool the oldest lose what is heavy, and every invocation stays."""
    count = MAX_WAITING_BYTES // weight_bytes(BIG) + 2
    backlog = filled([replace(BIG, ordinal=index) for index in range(count)])
    assert backlog.waiting_bytes <= MAX_WAITING_BYTES
    kept = backlog.lend(count, ALL)
    assert ordinals(kept) == list(range(count))
    assert kept[0] == replace(bare(BIG), ordinal=0)
    assert kept[-1] == replace(BIG, ordinal=count - 1)
    account = backlog.ledger.body_bytes
    assert account.dropped["memory_full"] == account.accepted - account.waiting > 0


def test_what_the_spool_refuses_whole_it_may_take_bare() -> None:
    """Its bytes and details are dropped for a reason, the invocation is not."""
    shelf = Shelf(1)
    backlog = filled([BIG, ONE], shelf)
    (big, one) = backlog.take_all()
    left = backlog.strip(big, "spool_full")
    assert left.record == bare(BIG)
    assert backlog.keep([left])
    assert not backlog.keep([one])
    assert backlog.ledger.line() == (
        "accepted 2 = exported 0 + waiting 1 + spooled 1 + dropped 0; body bytes: accepted 1000000 "
        "= exported 0 + waiting 0 + dropped 1000000 (spool_full 1000000)"
    )
    assert shelf.stored == [Stored("1", Amount(1), (bare(BIG),))]


def test_a_bare_record_still_says_what_happened() -> None:
    """Fate, times, IDs and the beginning of why; no body and no child."""
    failure = Failure("E", "m" * 9_999, "s" * 9_999)
    child = ChildSpan(bytes(8), None, "child", 1, 2)
    heavy = replace(BIG, fate=Fate.RAISED, failure=failure, exception=failure, children=(child,))
    short = Failure("E", "m" * 1_024, "s" * 1_024)
    assert bare(heavy) == replace(
        ONE,
        fate=Fate.RAISED,
        failure=short,
        exception=short,
        result=Payload(b"", 1_000_000, True, "json"),
    )


def test_the_spool_takes_what_memory_has_no_room_for_and_gives_it_back() -> None:
    """The oldest, whole; they are lent when memory is empty, and go once they have arrived."""
    shelf = Shelf(99)
    backlog = filled(numbered(MAX_WAITING + 1), shelf)
    spooled = MAX_WAITING + 1 - int(MAX_WAITING * KEPT_PART)
    assert backlog.ledger.invocations == Account(
        accepted=MAX_WAITING + 1, waiting=MAX_WAITING + 1 - spooled, spooled=spooled
    )
    assert ordinals(backlog.lend(MAX_WAITING, ALL)) == list(range(spooled, MAX_WAITING + 1))
    backlog.delivered(backlog.lent_count)
    assert ordinals(backlog.lend(1, ALL)) == list(range(FILE_COUNT))
    backlog.returned()
    while backlog.lend(1, ALL):
        backlog.delivered(backlog.lent_count)
    assert not shelf.stored
    assert backlog.ledger.line() == (
        f"accepted {MAX_WAITING + 1} = exported {MAX_WAITING + 1} + waiting 0 + dropped 0"
    )


def test_a_file_that_arrived_in_part_waits_in_memory_for_the_rest() -> None:
    """The file goes; what is left of it is not sent twice."""
    shelf = Shelf(99)
    backlog = filled(numbered(MAX_WAITING + 1), shelf)
    backlog.lend(MAX_WAITING, ALL)
    backlog.delivered(backlog.lent_count)
    count = len(backlog.lend(1, ALL))
    backlog.delivered(3)
    backlog.returned(uncertain=1)
    assert count == FILE_COUNT
    assert len(backlog.lend(MAX_WAITING, ALL)) == count - 3
    backlog.returned()
    assert ordinals(backlog.lend(MAX_WAITING, ALL)) == list(range(3, count))
    assert backlog.ledger.balanced
    assert backlog.ledger.uncertain == 1


def test_what_is_sampled_out_goes_at_once() -> None:
    """Before the configuration is known it waits; its bytes go under the same reason."""
    backlog = filled([*numbered(3), replace(CUT, ordinal=3), LATE])
    backlog.sample(lambda record: isinstance(record, Invocation) and record.ordinal % 2 == 0)
    late = [backlog.accept(replace(CUT, ordinal=ordinal), NOW) for ordinal in (4, 5)]
    assert late == [True, False]
    assert ordinals(backlog.lend(9, ALL)) == [0, 2, 4]
    assert backlog.ledger == Ledger(
        Account(accepted=6, waiting=3, dropped={SAMPLED: 3}),
        Account(accepted=24, waiting=5, dropped={"payload_cut": 9, SAMPLED: 10}),
    )


def test_what_was_spooled_undecided_is_sampled_when_it_comes_back() -> None:
    """Part of a file, then a whole one: what is left is delivered, and no file stays."""
    shelf = Shelf(9)
    backlog = Backlog(Ledger(), shelf)
    for part in (numbered(3), [replace(ONE, ordinal=7)]):
        backlog.ledger.recover(Amount(len(part)))
        shelf.put(part, Amount(len(part)), 1)
    backlog.sample(lambda record: isinstance(record, Invocation) and record.ordinal == 1)
    assert ordinals(backlog.lend(9, ALL)) == [1]
    backlog.delivered(1)
    assert ordinals(backlog.lend(9, ALL)) == []
    assert not shelf.stored
    assert backlog.ledger == Ledger(Account(recovered=4, exported=1, dropped={SAMPLED: 3}))


STEPS = ["one", "big", "late", "lend", "delivered", "part", "returned", "no", "sample"]


@given(st.lists(st.sampled_from(STEPS), max_size=120), st.integers(0, 3))
def test_the_law_holds_after_any_story(steps: list[str], room: int) -> None:
    """With a full spool or an empty one, after every single step, and memory stays bounded."""
    heavy = replace(ONE, result=Payload(bytes(3_000_000), 3_000_000, False, "json"))
    backlog = Backlog(Ledger(), Shelf(room))
    for step in steps:
        lent = backlog.lent_count
        if step in ("one", "big", "late"):
            backlog.accept({"one": CUT, "big": heavy, "late": LATE}[step], NOW)
        elif step == "lend" and not lent:
            backlog.lend(3, 4_000_000)
        elif step == "delivered":
            backlog.delivered(lent)
        elif step == "part" and lent:
            backlog.delivered(1, uncertain=True)
            backlog.returned(uncertain=1)
        elif step == "returned":
            backlog.returned()
        elif step == "no":
            backlog.dropped(lent, "refused", most=1)
        elif step == "sample" and not lent:
            backlog.sample(lambda record: weight_bytes(record) < 1_000_000)
        assert backlog.ledger.balanced, (steps, backlog.ledger)
        assert backlog.waiting_bytes <= MAX_WAITING_BYTES
    while backlog.lend(9, ALL):
        backlog.delivered(backlog.lent_count)
    account = backlog.ledger.invocations
    assert (account.waiting, account.spooled) == (0, 0)
    assert account.accepted == sum(step in ("one", "big") for step in steps)


def test_others_spans_count_as_bytes_wherever_they_join() -> None:
    """With their invocation, behind it, and where they are given up."""
    ledger = Ledger()
    backlog = Backlog(ledger)
    backlog.accept(replace(ONE, passed=(Passed(b"123", 1),)), NOW)
    late = Supplement(bytes(16), ONE.span_id, ONE.environment, 1, passed=(Passed(b"12345", 2),))
    backlog.accept(late, NOW)
    (entry,) = backlog.take_all()
    assert entry.record == replace(ONE, passed=(Passed(b"123", 1), Passed(b"12345", 2)))
    assert entry.amount == Amount(1, 8)
    assert backlog.strip(entry, "spool_full").record == ONE
    assert ledger == Ledger(
        Account(accepted=1, waiting=1),
        Account(accepted=8, dropped={"spool_full": 8}),
        noted={"details_dropped": 3},
    )
