"""Pauses, jitter and the point from which nothing is held any more."""

import pytest

from extension.breaker import LONGEST_PAUSE_S, LONGEST_RETRY_AFTER_S, OPEN_AFTER, Breaker
from extension.instant import Instant

START = Instant(100.0, 5_000.0)


def after(seconds: float) -> Instant:
    return Instant(START.monotonic_s + seconds, START.wall_s + seconds)


def pause_s(breaker: Breaker) -> float:
    """How long it waits after START, to a tenth of a second."""
    return next(tenth / 10 for tenth in range(10_000) if breaker.may_try(after(tenth / 10)))


@pytest.mark.parametrize(("drawn", "part"), [(0.0, 1.0), (1.0, 0.5), (0.5, 0.75)])
def test_pauses_double_up_to_a_minute_and_are_spread(drawn: float, part: float) -> None:
    """1, 2, 4, … 60 seconds, less up to half of it."""
    breaker = Breaker(lambda: drawn)
    assert breaker.may_try(START)
    pauses = []
    for _ in range(8):
        breaker.on_failed(START)
        pauses.append(pause_s(breaker))
    longest = [1, 2, 4, 8, 16, 32, LONGEST_PAUSE_S, LONGEST_PAUSE_S]
    assert pauses == pytest.approx([part * one for one in longest], abs=0.1)


def test_it_opens_after_some_failures_in_a_row_and_closes_at_once() -> None:
    """One arrival in time takes everything back; a late one the pause alone."""
    breaker = Breaker(lambda: 0.0)
    told = []
    for _ in range(OPEN_AFTER):
        breaker.on_failed(START)
        told.append(breaker.is_open)
    assert told == [False] * (OPEN_AFTER - 1) + [True]
    breaker.on_arrived(in_time=False)
    assert (breaker.is_open, breaker.may_try(START)) == (True, True)
    breaker.on_arrived(in_time=True)
    assert (breaker.is_open, breaker.may_try(START)) == (False, True)


@pytest.mark.parametrize(
    ("asked_s", "expected_s"), [(0.2, 1.0), (30.0, 30.0), (1e9, LONGEST_RETRY_AFTER_S)]
)
def test_retry_after_is_obeyed_within_reason(asked_s: float, expected_s: float) -> None:
    """Never sooner than the collector asks, and never silenced for ever."""
    breaker = Breaker(lambda: 0.0)
    breaker.on_failed(START, asked_s)
    assert pause_s(breaker) == pytest.approx(expected_s)


@pytest.mark.parametrize(
    ("monotonic_s", "wall_s", "over"),
    [
        (0.5, 0.5, False),
        (1.0, 1.0, True),
        (0.0, 3_600.0, True),
        (1.0, -3_600.0, True),
        (0.5, -3_600.0, False),
    ],
    ids=["too soon", "over", "frozen in between", "stepped back, over", "stepped back, too soon"],
)
def test_a_freeze_counts_and_a_step_back_silences_nothing(
    monotonic_s: float, wall_s: float, over: bool
) -> None:
    """The clock that says more decides."""
    breaker = Breaker(lambda: 0.0)
    breaker.on_failed(START)
    now = Instant(START.monotonic_s + monotonic_s, START.wall_s + wall_s)
    assert breaker.may_try(now) is over
