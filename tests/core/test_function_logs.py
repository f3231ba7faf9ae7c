"""Whose a log line is, when it may leave, and what becomes of it: no I/O."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from exporter.log_lines import SentLogs
from exporter.record import Environment, Fate, Invocation
from extension.early_config import may_want_logs
from extension.function_logs import LENT_LINES, MAX_BYTES, MAX_LINES, FunctionLogs
from extension.platform_events import LoggedLine, Started, parse

ENVIRONMENT = Environment("shop", "7")
MS = 1_000_000


def line(at_ms: int, request_id: str = "", event: bytes = b"{}") -> LoggedLine:
    return LoggedLine(event, at_ms * MS, request_id)


def started(request_id: str, at_ms: int) -> Started:
    return Started(request_id, at_ms * MS, "", None, None)


def invocation(request_id: str, at_ms: int, span: bytes) -> Invocation:
    return Invocation(
        ordinal=1,
        request_id=request_id,
        invoked_function_arn="",
        environment=ENVIRONMENT,
        trace_id=span * 16,
        span_id=span * 8,
        start_unix_ns=at_ms * MS,
        end_unix_ns=at_ms * MS,
        fate=Fate.RETURNED,
        deadline_unix_ms=0,
    )


def lent(logs: FunctionLogs, *open_ids: str, now_s: float = 0.0) -> list[tuple[int, str, bytes]]:
    """(Moment in ms, request ID, first byte of the span ID) of each; all of them settled."""
    found = logs.lend(open_ids, ENVIRONMENT, now_s)
    logs.settle(SentLogs(len(found)) if found else None, now_s)
    return [(one.time_unix_ns // MS, one.request_id, one.span_id[:1]) for one in found]


def test_a_line_waits_for_its_invocations_span() -> None:
    """By the request that it names, else by the moment; those of init have none."""
    logs = FunctionLogs(managed=False)
    logs.add(line(1))
    logs.note_started(started("r-1", 2))
    logs.add(line(3))
    logs.add(line(4, "r-1"))
    assert lent(logs, "r-1") == [(1, "", b"")]
    logs.note_record(invocation("r-1", 3, b"a"))
    logs.note_started(started("r-2", 5))
    logs.add(line(6))
    logs.add(line(7, "r-1"))
    assert lent(logs, "r-2") == [(3, "r-1", b"a"), (4, "r-1", b"a"), (7, "r-1", b"a")]
    logs.note_record(invocation("r-2", 5, b"b"))
    assert lent(logs) == [(6, "r-2", b"b")]
    assert logs.unsent() == {}


def test_a_record_may_come_before_the_platforms_word() -> None:
    """Telemetry is 25 ms behind: what is told late is of the invocation that had its record."""
    logs = FunctionLogs(managed=False)
    logs.note_record(invocation("r-1", 10, b"a"))
    logs.note_started(started("r-1", 9))
    logs.add(line(9))
    assert lent(logs) == [(9, "r-1", b"a")]


def test_two_attempts_under_one_request_id_stay_apart() -> None:
    """A retry's lines wait for the retry's own span; those of the first are told by the moment."""
    logs = FunctionLogs(managed=False)
    logs.note_started(started("r-1", 1))
    logs.note_record(invocation("r-1", 1, b"a"))
    logs.note_started(started("r-1", 10))
    logs.add(line(9, "r-1"))
    logs.add(line(11, "r-1"))
    assert lent(logs, "r-1") == [(9, "r-1", b"a")]
    logs.note_record(invocation("r-1", 10, b"b"))
    assert lent(logs) == [(11, "r-1", b"b")]


def test_on_managed_instances_nobody_guesses() -> None:
    """Requests run at once there: a line that names none has no span."""
    logs = FunctionLogs(managed=True)
    for request_id, span in (("r-1", b"a"), ("r-2", b"b")):
        logs.note_started(started(request_id, 1))
        logs.note_record(invocation(request_id, 1, span))
    logs.add(line(2))
    logs.add(line(2, "r-1"))
    assert lent(logs) == [(2, "", b""), (2, "r-1", b"a")]


def test_at_shutdown_everything_may_leave() -> None:
    """Those whose span never came too; nothing presses once that has failed."""
    logs = FunctionLogs(managed=False)
    logs.note_started(started("r-1", 1))
    logs.add(line(2))
    assert (lent(logs, "r-1"), logs.presses) == ([], False)
    logs.leave()
    assert logs.presses
    assert lent(logs, "r-1") == [(2, "r-1", b"")]
    logs.add(line(3))
    assert logs.lend((), ENVIRONMENT, 0.0)
    logs.settle(SentLogs(problem="down"), 0.0)
    assert not logs.presses
    assert logs.unsent() == {"log_lines_unsent": 1}


def test_a_collector_that_takes_none_is_left_alone_longer_and_longer() -> None:
    """1, 2, 4 s; what was not tried costs no pause, and success ends it."""
    logs = FunctionLogs(managed=False)
    for at_ms in (1, 2, 3):
        logs.add(line(at_ms))
    now_s = 0.0
    for pause_s in (1.0, 2.0, 4.0):
        assert len(logs.lend((), ENVIRONMENT, now_s)) == 3
        logs.settle(SentLogs(problem="down"), now_s)
        assert logs.lend((), ENVIRONMENT, now_s + pause_s - 0.01) == []
        now_s += pause_s
    assert len(logs.lend((), ENVIRONMENT, now_s)) == 3
    logs.settle(None, now_s)
    assert len(logs.lend((), ENVIRONMENT, now_s)) == 3
    logs.settle(SentLogs(2, 1), now_s)
    assert lent(logs, now_s=now_s) == [(3, "", b"")]
    assert logs.unsent() == {"log_lines_rejected": 1}


def test_what_waits_is_bounded_and_the_oldest_go_first() -> None:
    """In number and in bytes; a request is bounded too."""
    logs = FunctionLogs(managed=False)
    for at_ms in range(MAX_LINES + 5):
        logs.add(line(at_ms))
    found = lent(logs)
    assert (len(found), found[0]) == (LENT_LINES, (5, "", b""))
    small = FunctionLogs(managed=False)
    small.switch(on=True, max_request_bytes=5)
    for at_ms in range(4):
        small.add(line(at_ms, event=b"xxxx"))
    assert [at for at, *_ in lent(small)] == [0, 1]
    large = FunctionLogs(managed=False)
    for at_ms in range(5):
        large.add(line(at_ms, event=b"x" * (MAX_BYTES // 4)))
    assert [at for at, *_ in lent(large)] == [1]
    assert (logs.counts, large.counts) == ({"log_lines_cut": 5}, {"log_lines_cut": 1})


def test_what_is_not_wanted_is_not_kept() -> None:
    """The file was searched for the key alone."""
    logs = FunctionLogs(managed=False)
    logs.add(line(1))
    logs.switch(on=False)
    logs.add(line(2))
    logs.leave()
    assert (lent(logs), logs.presses, logs.unsent()) == ([], False, {})


ID = "6f7f0961-83f1-4c58-9d0b-0f2ba5d64a10"
TIME = "2026-01-02T03:04:05.678Z"


@pytest.mark.parametrize(
    ("record", "request_id"),
    [
        ("plain", ""),
        (f"[INFO]\t2026-01-02T03:04:05.678Z\t{ID}\thello\n", ID),
        (f"2026-01-02T03:04:05.678Z\t{ID}\tINFO\thello", ID),
        (f"a\tb\tc\t{ID}", ""),
        ({"requestId": ID, "message": "hello"}, ID),
        ({"function_request_id": ID}, ID),
        ({"requestId": 7}, ""),
        (json.dumps({"function_request_id": ID}), ID),
        ("{no json", ""),
    ],
)
def test_a_line_names_its_request(record: object, request_id: str) -> None:
    """In the formats of Lambda's runtimes and of Powertools; the event is kept as it came."""
    event = json.dumps({"time": TIME, "type": "function", "record": record}).encode()
    assert parse(event) == LoggedLine(event, 1_767_323_045_678 * MS, request_id)


@pytest.mark.parametrize("event", [{}, {"time": TIME}, {"time": "x", "record": ""}])
def test_a_line_without_time_or_record_is_none(event: dict[str, object]) -> None:
    """Nothing is made up."""
    assert parse(json.dumps({"type": "function", **event}).encode()) is None


@pytest.mark.parametrize(
    ("text", "asks"),
    [
        ("signals: {logs: true}", True),
        ("signals:\n  metrics: false\n  'logs' : ${LOGS:-true}\n", True),
        ("signals:\n  logs:\n    true", True),
        ("signals: {logs: false}", False),
        ("signals: {metrics: true}  # logs: true", False),
        ("resource: {attributes: [{name: logs, value: x}]}", False),
        ("", False),
    ],
)
def test_the_file_is_searched_for_the_switch(tmp_path: Path, text: str, asks: bool) -> None:
    """Whatever it says but false: the subscription cannot wait for the parser."""
    file = tmp_path / "spanpipe.yaml"
    file.write_text(text)
    assert may_want_logs({"SPANPIPE_CONFIG": str(file)}) is asks
    assert not may_want_logs({"SPANPIPE_CONFIG": str(file), "OTEL_SDK_DISABLED": "True"})


def test_what_cannot_be_read_asks_for_nothing(tmp_path: Path) -> None:
    """Neither a file that is not there nor a folder; and the layer's own has it off."""
    assert not may_want_logs({"SPANPIPE_CONFIG": str(tmp_path / "none")})
    assert not may_want_logs({"SPANPIPE_CONFIG": str(tmp_path)})
    assert not may_want_logs({})
