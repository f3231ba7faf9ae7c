"""Attempts that are open, found without a search."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from extension.attempt import Attempt
from extension.open_attempts import OpenAttempts
from fifo import messages


def start(request_id: str, span_id: bytes, pid: int) -> messages.Start:
    return messages.Start(
        request_id,
        span_id,
        trace_id=bytes(16),
        start_unix_ns=5,
        deadline_unix_ms=0,
        memory_mb=128,
        pid=pid,
        cold_start=False,
    )


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans(), st.booleans()), max_size=30))
def test_they_are_found_as_a_search_finds_them(steps: list[tuple[str, bool, bool]]) -> None:
    """The newest of a request that a message is for, the ends of the row, and the processes."""
    attempts = OpenAttempts()
    row: list[Attempt] = []
    for ordinal, (request_id, is_started, is_closed) in enumerate(steps):
        attempt = Attempt(ordinal, request_id, 5)
        attempts.add(attempt)
        row.append(attempt)
        if is_started:
            attempt.adopt(start(request_id, ordinal.to_bytes(8, "big"), ordinal % 3))
            attempts.note_started(ordinal % 3)
        if is_closed:
            gone = row.pop(len(row) // 2)
            attempts.remove(gone)
    assert list(attempts) == row
    assert len(attempts) == len(row)
    assert not row or (attempts.oldest, attempts.newest) == (row[0], row[-1])
    pids = {one.start.pid for one in row if one.start is not None}
    assert sorted(attempts.pids) == sorted(pids)
    for request_id in "abcd":
        same = [one for one in row if one.request_id == request_id]
        assert list(attempts.of(request_id)) == same
        for ordinal in range(len(steps)):
            told = messages.Error(
                request_id, ordinal.to_bytes(8, "big"), end_unix_ns=5, error_type="E"
            )
            found = [one for one in row if one.is_for(told)]
            assert attempts.whose(told) is (found[-1] if found else None)
