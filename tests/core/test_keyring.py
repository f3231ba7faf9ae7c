"""When secrets are fetched and whether an export may begin: scripted moments, whole values."""

from __future__ import annotations

import pytest

from exporter.keys import Keys
from exporter.settings import PARAMETER_STORE, SecretReference
from exporter.sigv4 import Credentials
from extension.instant import Instant
from extension.keyring import CREDENTIALS, LONGEST_FETCH_S, LOST, Fetched, Keyring

KEY = SecretReference(PARAMETER_STORE, "/key")
OTHER = SecretReference(PARAMETER_STORE, "/other")
MAX_AGE_S = 300.0
UNIX_S = 1_800_000_000.0


def at(seconds: float, frozen_s: float = 0.0) -> Instant:
    """`frozen_s` of them passed on the wall clock alone."""
    return Instant(seconds - frozen_s, UNIX_S + seconds)


def ring(*references: SecretReference, signs: bool = False) -> Keyring:
    return Keyring(references, MAX_AGE_S, lambda: 0.0, signs=signs)


def fetched(keyring: Keyring, moment: Instant, **values: str) -> bool:
    """A fetch that takes no time; `values` by the references' names without the slash."""
    keyring.on_begun(moment)
    return keyring.on_fetched(
        moment,
        Fetched({SecretReference(PARAMETER_STORE, f"/{k}"): v for k, v in values.items()}),
    )


def failed(keyring: Keyring, moment: Instant, name: str = str(KEY)) -> None:
    keyring.on_begun(moment)
    keyring.on_fetched(moment, Fetched(problems={name: "why"}))


def test_nothing_is_exported_before_everything_is_there() -> None:
    """Fetched at once; one of two is not enough."""
    keyring = ring(KEY, OTHER)
    assert (keyring.due_in_s(at(0)), keyring.may_export(at(0))) == (0.0, False)
    keyring.on_begun(at(0))
    assert keyring.due_in_s(at(5)) == float("inf")
    assert keyring.on_fetched(at(5), Fetched({KEY: "a"}, problems={str(OTHER): "why"}))
    assert keyring.missing(at(5)) == (str(OTHER),)
    assert not keyring.may_export(at(5))
    assert fetched(keyring, at(6), other="b")
    assert keyring.may_export(at(6))
    assert keyring.keys.secrets == {KEY: "a", OTHER: "b"}


def test_what_is_old_is_fetched_again_while_it_is_used() -> None:
    """By the clock that says more: a freeze counts."""
    keyring = ring(KEY)
    fetched(keyring, at(0), key="a")
    assert keyring.due_in_s(at(100)) == 200.0
    assert keyring.due_in_s(at(400, frozen_s=350)) == 0.0
    keyring.on_begun(at(400))
    assert keyring.may_export(at(401))
    assert not keyring.on_fetched(at(402), Fetched({KEY: "a"}))
    assert keyring.due_in_s(at(402)) == MAX_AGE_S


def test_a_failure_keeps_the_old_value_and_the_pause_doubles() -> None:
    """1, 2, 4 s and so on, a minute at most; a success ends it."""
    keyring = ring(KEY)
    fetched(keyring, at(0), key="a")
    pauses = []
    moment = 300.0
    for _ in range(8):
        failed(keyring, at(moment))
        pauses.append(keyring.due_in_s(at(moment)))
        assert keyring.may_export(at(moment))
        moment += pauses[-1]
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]
    assert keyring.keys.secrets == {KEY: "a"}
    fetched(keyring, at(moment), key="a")
    failed(keyring, at(moment))
    assert keyring.due_in_s(at(moment)) == 1.0


def test_what_is_refused_is_fetched_at_once_and_waited_for() -> None:
    """No export meets the same 401 again before the fetch is back."""
    keyring = ring(KEY)
    fetched(keyring, at(0), key="a")
    keyring.on_refused(at(10), keyring.keys.number)
    assert (keyring.due_in_s(at(10)), keyring.may_export(at(10))) == (0.0, False)
    keyring.on_begun(at(10))
    assert not keyring.may_export(at(11))
    assert keyring.on_fetched(at(11), Fetched({KEY: "b"}))
    assert keyring.may_export(at(11))
    assert keyring.keys.secrets == {KEY: "b"}


def test_a_refusal_of_keys_that_are_no_more_is_nothing() -> None:
    """It was of a request that left with the old ones."""
    keyring = ring(KEY)
    fetched(keyring, at(0), key="a")
    old = keyring.keys.number
    keyring.on_refused(at(1), old)
    fetched(keyring, at(1), key="b")
    keyring.on_refused(at(2), old)
    assert (keyring.due_in_s(at(2)), keyring.may_export(at(2))) == (MAX_AGE_S - 1, True)


def test_the_same_again_is_not_fetched_for_each_refusal() -> None:
    """At once the first time, then after pauses that double; exports go on in between."""
    keyring = ring(KEY)
    fetched(keyring, at(0), key="a")
    begun = []
    for tenth in range(200):
        moment = at(10 + tenth / 10)
        keyring.on_refused(moment, keyring.keys.number)
        if keyring.due_in_s(moment) <= 0:
            begun.append(tenth / 10)
            fetched(keyring, moment, key="a")
        assert keyring.may_export(moment)
    assert begun == [0.0, 1.0, 3.0, 7.0, 15.0]


def test_a_fetch_that_is_stuck_is_given_up() -> None:
    """In name resolution say; it counts as failed, and what is there is tried."""
    keyring = ring(KEY, signs=True)
    assert keyring.lost_in_s(at(0)) == float("inf")
    keyring.on_begun(at(0))
    assert keyring.lost_in_s(at(1)) == LONGEST_FETCH_S - 1
    assert keyring.lost_in_s(at(3_600, frozen_s=3_599)) == 0.0
    keyring.on_lost(at(LONGEST_FETCH_S))
    assert keyring.problems == {str(KEY): LOST, CREDENTIALS: LOST}
    assert keyring.due_in_s(at(LONGEST_FETCH_S)) == 1.0
    refused = ring(KEY)
    fetched(refused, at(0), key="a")
    refused.on_refused(at(1), refused.keys.number)
    refused.on_begun(at(1))
    assert not refused.may_export(at(LONGEST_FETCH_S))
    refused.on_lost(at(1 + LONGEST_FETCH_S))
    assert refused.may_export(at(1 + LONGEST_FETCH_S))


def test_at_shutdown_a_pause_is_over() -> None:
    """It is the last chance."""
    keyring = ring(KEY)
    failed(keyring, at(0))
    assert keyring.due_in_s(at(0.5)) == 0.5
    keyring.press()
    assert keyring.due_in_s(at(0.5)) == 0.0


@pytest.mark.parametrize(
    ("left_s", "due_in_s"), [(None, MAX_AGE_S), (3_600.0, MAX_AGE_S), (400.0, 100.0), (10.0, 1.0)]
)
def test_passing_credentials_are_renewed_before_they_end(
    left_s: float | None, due_in_s: float
) -> None:
    """Five minutes before, and not over and over where AWS gives the same."""
    keyring = ring(signs=True)
    assert keyring.missing(at(0)) == (CREDENTIALS,)
    keyring.on_begun(at(0))
    end = None if left_s is None else UNIX_S + left_s
    assert keyring.on_fetched(at(0), Fetched(credentials=Credentials("A", "s", "t", end)))
    assert keyring.may_export(at(0))
    assert keyring.due_in_s(at(0)) == due_in_s
    if left_s is not None:
        assert not keyring.may_export(at(left_s))
        assert keyring.missing(at(left_s)) == (CREDENTIALS,)


def test_nothing_shows_a_value() -> None:
    """Errors and logs may hold a `repr`."""
    secret = Fetched({KEY: "hidden"}, Credentials("hidden", "hidden"), {"ssm:/x": "why"})
    assert repr(secret) == "Fetched(…, problems={'ssm:/x': 'why'})"
    assert repr(Keys({KEY: "hidden"}, Credentials("hidden", "hidden"), 3)) == "Keys(…, number=3)"
