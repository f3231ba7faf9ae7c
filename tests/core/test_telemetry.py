"""The Telemetry API's protocol parts, and what its events mean for an invocation."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans

from exporter.record import Failure, Fate, Invocation
from exporter.spans import SpanBuilder
from extension import api
from extension.platform_events import (
    MAX_TEXT_CHARS,
    PlatformEvent,
    Reported,
    RuntimeDone,
    parse,
)
from extension.subscription import listening_address
from extension.telemetry import MAX_LINE_BYTES, Lines
from tests.core.test_lifecycle import SECOND_NS, invoke, lifecycle, result, send, start

EVENT = {
    "time": "2022-10-12T00:01:15.064Z",
    "type": "platform.runtimeDone",
    "record": {
        "requestId": "r-1",
        "status": "failure",
        "errorType": "Runtime.OutOfMemory",
        "metrics": {"durationMs": 140.5, "producedBytes": 16},
        "spans": [],
    },
}
DONE = RuntimeDone("r-1", "failure", "Runtime.OutOfMemory", 1_665_532_875_064_000_000, 140.5, 16)


@pytest.mark.parametrize(
    ("logs", "types"), [(False, ["platform"]), (True, ["platform", "function"])]
)
def test_the_subscription_is_what_the_api_documents(logs: bool, types: list[str]) -> None:
    """Path, identifier and body, compared whole."""
    request = api.telemetry("127.0.0.1:9001", "id-1", 1234, logs=logs)
    head, _, body = request.partition(b"\r\n\r\n")
    assert head.decode().split("\r\n") == [
        "PUT /2022-07-01/telemetry HTTP/1.1",
        "Host: 127.0.0.1:9001",
        "Lambda-Extension-Identifier: id-1",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
    ]
    assert json.loads(body) == {
        "schemaVersion": "2025-01-29",
        "types": types,
        "buffering": {"maxItems": 1000, "maxBytes": 262144, "timeoutMs": 25},
        "destination": {"protocol": "TCP", "port": 1234},
    }


def test_runtime_done_is_read_and_the_rest_left() -> None:
    """The documented example; other events, and anything else, are nothing."""
    assert parse(json.dumps(EVENT).encode()) == DONE
    assert parse(json.dumps({**EVENT, "type": "platform.telemetrySubscription"}).encode()) is None
    bare = {"type": "platform.runtimeDone", "record": {"requestId": "r", "status": "success"}}
    assert parse(json.dumps(bare).encode()) == RuntimeDone("r", "success", None, None, None)


def test_a_strangers_event_cannot_stop_an_export() -> None:
    """Whatever JSON can say becomes spans that OTLP's encoder takes, its texts cut."""
    times = ("9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z", "2262-04-11T23:47:16Z")
    hostile = "\ud800" * 2 + "x" * MAX_TEXT_CHARS
    spans = [{"name": hostile, "start": time, "durationMs": 2**42} for time in times]
    core = lifecycle()
    core.on_invoke(invoke(), 1 * SECOND_NS)
    for kind, time in zip(("platform.runtimeDone", "platform.report"), times, strict=False):
        record = {
            "requestId": "r-1",
            "status": "failure",
            "errorType": hostile,
            "metrics": {"durationMs": 2**42, "maxMemoryUsedMB": 2**42, "producedBytes": 2**53},
            "spans": spans,
        }
        event = parse(json.dumps({"type": kind, "time": time, "record": record}).encode())
        assert isinstance(event, RuntimeDone | Reported)
        assert (event.time_unix_ns, len(event.spans)) == (None, 1)
        assert event.error_type == "??" + "x" * (MAX_TEXT_CHARS - 2)
        core.on_platform_event(event, 2 * SECOND_NS)
    (record,) = core.on_shutdown("failure", 9 * SECOND_NS)
    assert encode_spans(SpanBuilder().spans([record])).SerializeToString()


@pytest.mark.parametrize("request_id", ['"../x"', '""', "7", "[[]]", f'"{"r" * 129}"'])
def test_an_event_of_nobody_is_nothing(request_id: str) -> None:
    """It would wait for an INVOKE that cannot come."""
    assert (
        parse(b'{"type":"platform.start","record":{"requestId":%b}}' % request_id.encode()) is None
    )


@given(
    st.one_of(
        st.binary(max_size=100),
        st.recursive(
            st.none() | st.booleans() | st.floats() | st.text(max_size=9),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(["type", "record", "requestId", "metrics", "time"]),
                    inner,
                    max_size=4,
                )
            ),
        ).map(lambda value: json.dumps(value).encode()),
    )
)
def test_random_lines_are_nothing(line: bytes) -> None:
    """What comes over a socket is a stranger's too."""
    assert parse(line) is None or isinstance(parse(line), PlatformEvent)


@given(st.lists(st.binary(max_size=20), max_size=8), st.data())
def test_lines_are_the_same_however_they_are_cut(parts: list[bytes], data: st.DataObject) -> None:
    """Any split of the stream gives the same lines."""
    stream = b"\n".join(part.replace(b"\n", b"") for part in parts) + b"\n"
    cut = data.draw(st.integers(0, len(stream)))
    lines = Lines()
    assert lines.feed(stream[:cut]) + lines.feed(stream[cut:]) == [
        line for line in stream.split(b"\n") if line.strip()
    ]


def test_a_line_without_end_is_bounded_and_counted() -> None:
    """It is skipped to its newline, and what follows is read."""
    lines = Lines()
    for _ in range(3):
        assert lines.feed(b"x" * MAX_LINE_BYTES) == []
    assert lines.feed(b"x\nnext\n") == [b"next"]
    assert lines.cut_count == 1


@pytest.mark.parametrize(
    ("hosts", "address"),
    [
        ("127.0.0.1 localhost\n169.254.79.1 x sandbox.localdomain # theirs\n", "169.254.79.1"),
        ("127.0.0.1 localhost\n# 10.0.0.1 sandbox.localdomain\n", "127.0.0.1"),
        ("", "127.0.0.1"),
    ],
)
def test_the_address_is_looked_up_in_the_hosts_file_alone(hosts: str, address: str) -> None:
    """Where Lambda names it, there; else on loopback."""
    assert listening_address(hosts) == address


@pytest.mark.parametrize(
    ("status", "error_type", "fate", "failure"),
    [
        ("success", None, Fate.RETURNED, None),
        ("error", "KeyError", Fate.RAISED, Failure("KeyError", "the handler raised")),
        (
            "error",
            "Runtime.OutOfMemory",
            Fate.OUT_OF_MEMORY,
            Failure("Runtime.OutOfMemory", "the runtime was killed with all memory used"),
        ),
        (
            "failure",
            "Runtime.ExitError",
            Fate.CRASHED,
            Failure("Runtime.ExitError", "the runtime exited"),
        ),
        (
            "timeout",
            None,
            Fate.TIMED_OUT,
            Failure("Sandbox.Timedout", "the function reached its timeout"),
        ),
        ("a status of the future", None, Fate.UNREPORTED, None),
    ],
)
def test_runtime_done_ends_what_nobody_else_has(
    status: str, error_type: str | None, fate: Fate, failure: Failure | None
) -> None:
    """Fate, reason and duration of a function without a writer."""
    core = lifecycle()
    core.on_invoke(invoke(), 1 * SECOND_NS)
    core.on_platform_event(RuntimeDone("r-1", status, error_type, None, 1500.0), 9 * SECOND_NS)
    (record,) = core.on_shutdown("spindown", 9 * SECOND_NS)
    assert isinstance(record, Invocation)
    assert (record.fate, record.failure, record.start_unix_ns, record.end_unix_ns) == (
        fate,
        failure,
        1 * SECOND_NS,
        1 * SECOND_NS + 1_500_000_000,
    )


def test_runtime_done_may_come_after_the_next_invoke() -> None:
    """Lambda buffers its events: an attempt without an end is kept for one more boundary."""
    core = lifecycle()
    core.platform_tells_ends = True
    assert core.on_invoke(invoke("r-1"), 1 * SECOND_NS) == []
    assert core.on_invoke(invoke("r-2"), 2 * SECOND_NS) == []
    (first,) = core.on_platform_event(
        RuntimeDone("r-1", "success", None, None, 10.0), 3 * SECOND_NS
    )
    assert (first.request_id, first.ordinal, first.fate) == ("r-1", 1, Fate.RETURNED)
    assert first.end_unix_ns == 1 * SECOND_NS + 10_000_000
    assert core.on_invoke(invoke("r-3"), 4 * SECOND_NS) == []
    (second,) = core.on_invoke(invoke("r-4"), 5 * SECOND_NS)
    third, fourth = core.on_shutdown("timeout", 6 * SECOND_NS)
    assert [(one.request_id, one.fate) for one in (second, third, fourth)] == [
        ("r-2", Fate.UNREPORTED),
        ("r-3", Fate.UNREPORTED),
        ("r-4", Fate.TIMED_OUT),
    ]


def test_runtime_done_may_come_before_its_invoke() -> None:
    """The two come over two sockets: an end that is early waits for its attempt."""
    core = lifecycle()
    core.platform_tells_ends = True
    core.on_invoke(invoke("r-1"), 1 * SECOND_NS)
    assert core.on_platform_event(RuntimeDone("r-2", "success", None, None, 1.0), 1) == []
    core.on_platform_event(RuntimeDone("r-1", "success", None, None, 1.0), 2 * SECOND_NS)
    (first,) = core.on_invoke(invoke("r-2"), 3 * SECOND_NS)
    (second,) = core.settle(4 * SECOND_NS)
    assert [(one.request_id, one.fate) for one in (first, second)] == [
        ("r-1", Fate.RETURNED),
        ("r-2", Fate.RETURNED),
    ]


def test_an_end_that_the_writer_told_is_not_waited_for() -> None:
    """With a result the record leaves at the next INVOKE, whatever the platform will say."""
    core = lifecycle()
    core.platform_tells_ends = True
    core.on_invoke(invoke(), 1 * SECOND_NS)
    send(core, [start(), result()])
    (record,) = core.on_invoke(invoke("r-2"), 2 * SECOND_NS)
    assert record.fate is Fate.RETURNED
