"""The ledger's law, for invocations and for bytes, and its one line."""

from hypothesis import given
from hypothesis import strategies as st

from extension.ledger import EXPORTED, PRINTED, SAMPLED, SPOOLED, WAITING, Account, Amount, Ledger

AMOUNTS = st.builds(Amount, st.integers(0, 9), st.integers(0, 9))
PLACES = st.sampled_from([WAITING, SPOOLED, EXPORTED, PRINTED])


@given(st.lists(st.tuples(st.sampled_from("erdm"), AMOUNTS, PLACES, PLACES), max_size=60))
def test_the_law_holds_after_any_story(steps: list[tuple[str, Amount, str, str]]) -> None:
    """accepted + recovered = exported + printed + spooled + waiting + dropped, at every step."""
    ledger = Ledger()
    for kind, amount, source, target in steps:
        if kind == "e":
            ledger.enter(amount)
        elif kind == "r":
            ledger.recover(amount)
        elif kind == "d":
            ledger.drop(amount, source, "reason")
        else:
            ledger.move(amount, source, target)
        assert ledger.balanced, (steps, ledger)


def test_the_plain_line_is_short() -> None:
    """What is zero and rare is left out."""
    ledger = Ledger(Account(accepted=4, exported=4))
    assert ledger.line() == "accepted 4 = exported 4 + waiting 0 + dropped 0"


def test_spans_are_told_where_something_was_lost_or_held_up() -> None:
    """Nothing while all is well; else figures that add up."""
    ledger = Ledger()
    ledger.enter(Amount(3, 5))
    ledger.move(Amount(1, 5), WAITING, EXPORTED)
    assert ledger.told() == {}
    ledger.drop(Amount(1), WAITING, "queue_full")
    assert ledger.told() == {
        "accepted": 3,
        "recovered": 0,
        "exported": 1,
        "printed": 0,
        "spooled": 0,
        "waiting": 1,
        "dropped": 1,
        "uncertain": 0,
    }


def test_what_was_sampled_out_is_no_loss() -> None:
    """Spans are told nothing of it, neither alone nor beside a loss; the line is."""
    ledger = Ledger()
    ledger.enter(Amount(5))
    ledger.drop(Amount(3), WAITING, SAMPLED)
    assert ledger.told() == {}
    ledger.drop(Amount(1), WAITING, "queue_full")
    assert ledger.told() == {
        "accepted": 2,
        "recovered": 0,
        "exported": 0,
        "printed": 0,
        "spooled": 0,
        "waiting": 1,
        "dropped": 1,
        "uncertain": 0,
    }
    assert ledger.line() == (
        "accepted 5 = exported 0 + waiting 1 + dropped 4 (queue_full 1, sampled 3)"
    )


def test_the_whole_line_says_it_all() -> None:
    """Each place, each reason, both accounts."""
    ledger = Ledger()
    ledger.recover(Amount(2, 20))
    ledger.enter(Amount(9, 90))
    ledger.move(Amount(3, 30), WAITING, EXPORTED)
    ledger.move(Amount(1, 10), WAITING, PRINTED)
    ledger.move(Amount(1, 10), WAITING, SPOOLED)
    ledger.drop(Amount(2, 10), WAITING, "queue_full")
    ledger.drop(Amount(1, 10), SPOOLED, "spool_expired")
    ledger.uncertain = 1
    ledger.note("malformed", 2)
    ledger.note("garbage", 0)
    assert ledger.line() == (
        "accepted 9 + recovered 2 = exported 3 + waiting 2 + printed 1 + spooled 2 + dropped 3 "
        "(queue_full 2, spool_expired 1); uncertain 1; noted: malformed 2; body bytes: "
        "accepted 90 + recovered 20 = exported 30 + waiting 30 + printed 10 + spooled 20 "
        "+ dropped 20 (queue_full 10, spool_expired 10)"
    )
