"""The newest of many things."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from extension.remembered import Remembered


@given(st.lists(st.integers(0, 9), max_size=40), st.integers(1, 6))
def test_the_last_ones_are_remembered(added: list[int], most: int) -> None:
    """Those `most` whose last time was the latest, and no other."""
    remembered: Remembered[int] = Remembered(most)
    for one in added:
        remembered.add(one)
    latest = list(dict.fromkeys(reversed(added)))[:most]
    assert {one for one in range(10) if one in remembered} == set(latest)
