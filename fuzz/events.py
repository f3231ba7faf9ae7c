"""Target `events`: lines of the Telemetry API, INVOKE, SHUTDOWN and messages to the lifecycle."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans

from exporter.measures import measure_of
from exporter.record import Environment, Invocation, Record
from exporter.spans import SpanBuilder
from extension import platform_events
from extension.api import MANAGED_INSTANCES
from extension.backlog import MAX_WAITING_BYTES, Backlog
from extension.events import MAX_UNIX_MS, InvokeEvent, parse_event
from extension.function_logs import FunctionLogs
from extension.initialization import ON_DEMAND
from extension.instant import Instant
from extension.ledger import Ledger
from extension.lifecycle import MAX_OPEN, Lifecycle
from extension.settings import MAX_WAITING
from extension.telemetry import MAX_LINE_BYTES, Lines
from fifo import messages
from fuzz.draw import Draw, block

REQUESTS = ("r-1", "r-2", "r-3", "../x", "?", "\ud800")
KINDS = (*platform_events._MAKERS, "platform.other")
STATUSES: tuple[object, ...] = ("success", "failure", "error", "timeout", "", "\ud800", 7, [], None)
TIMES = (
    "2022-10-12T00:01:15.064Z",
    "1970-01-01T00:00:01.000Z",
    "9999-12-31T23:59:59.999Z",
    "0001-01-01T00:00:00+23:59",
    "2022-10-12T00:01:15",
    "\ud800",
    None,
    1.5,
)
NUMBERS = (0, 1, 250.5, -1, 2**42, 2**42 + 1, 1e300, float("inf"), float("nan"), True, "7", None)
TEXTS = ("", "x", "Runtime.OutOfMemory", "\ud800", "y" * 2_000, None, 7)
ATTRIBUTES = ("", "{}", '{"a":1e999,"\\ud800":[1,"x"]}', "[", '{"a":' + "[" * 990 + "]" * 990 + "}")
MOMENTS = (0, 1, 2_000_000_000, messages.MAX_NUMBER)
REASONS = ("spindown", "timeout", "failure", "", "\ud800")
SPAN_IDS = (None, b"spanspan", b"otherspn", b"\0" * 7 + b"\1")
SECOND_NS = 1_000_000_000
MANY = MAX_OPEN + 8
MESSAGE_KINDS = 8
OTLP = (b"", b"\n\0", b"\n\6\x12\4\x12\2*\0", b"\xff\xff", b"\n\x80")
TRIGGERS = (
    "",
    '{"faas.trigger":"http","http.response.status_code":200}',
    '{"faas.trigger":["\\ud800",1e999,null,{}],"messaging.batch.message_count":-1}',
    "[",
    "7",
)
OUTCOMES = (
    '{"http.response.status_code":503}',
    '{"spanpipe.batch.failed_count":"x","http.response.status_code":1e999}',
    "[]",
)
LINKS = ((), ((b"t" * 16, b"linkspan", 1),), ((b"t" * 16, b"linkspan", 255),) * messages.MAX_LINKS)


class _Complaint(logging.Handler):
    """The encoder leaves out what it cannot carry and says so in the function's log."""

    def emit(self, record: logging.LogRecord) -> None:
        raise AssertionError(record.getMessage())


_logger = logging.getLogger("opentelemetry")
_complaint = _Complaint()


def check(data: bytes) -> None:
    """`checked`, with whatever the encoder complains of raised."""
    _logger.addHandler(_complaint)
    _logger.propagate = False
    try:
        checked(data)
    finally:
        _logger.removeHandler(_complaint)
        _logger.propagate = True


def checked(data: bytes) -> None:
    """Nothing raises, in any order, and:

    - every INVOKE has exactly one record, under its own request ID, and no other record comes
      but on Managed Instances, where START and platform.start begin one too;
    - every record becomes spans that OTLP's encoder takes, and a measure;
    - what is open and what waits is within the bounds, and the ledger is balanced.
    """
    draw = Draw(data)
    flags = draw.byte()
    managed = bool(flags & 1)
    core = Lifecycle(
        Environment("f", "1"),
        lambda size: b"\7" * size,
        initialization_type=MANAGED_INSTANCES if managed else ON_DEMAND,
    )
    core.platform_tells_ends = bool(flags & 2)
    core.max_body_bytes = 2 if flags & 4 else 65_536
    records: list[Record] = []
    lines, invoked, now_ns = Lines(), [], SECOND_NS
    logs = FunctionLogs(managed=managed)
    while draw.more:
        now_ns += draw.byte() * 10_000_000
        step = draw.byte() % 10
        if step == 0:
            event = parse_event(_invoke(draw))
            assert isinstance(event, InvokeEvent)
            invoked.append(event.request_id)
            records += core.on_invoke(event, now_ns)
        elif step in (1, 2):
            line = _line(draw) if step == 1 else draw.block()
            for one in lines.feed(line):
                told = platform_events.parse(one)
                if isinstance(told, platform_events.LoggedLine):
                    logs.add(told)
                elif told is not None:
                    records += core.on_platform_event(told, now_ns)
            assert len(lines._buffer) <= MAX_LINE_BYTES
        elif step == 3:
            records += core.settle(now_ns)
        elif step == 4:
            records += core.tick(now_ns)
        elif step == 5:
            core.on_process_gone(draw.byte() % 2, now_ns)
        elif step == 6 and managed and draw.byte() == 255:
            for index in range(MANY):
                told = platform_events.Started(f"m-{index}", now_ns, "", None, None)
                records += core.on_platform_event(told, now_ns)
        else:
            records += core.on_message(_message(draw), draw.byte() * 1_000, now_ns)
        assert len(core.open_request_ids) <= MAX_OPEN
        running = core.if_killed()
        assert running is None or running.request_id in core.open_request_ids
    records += core.on_shutdown(draw.pick(REASONS), now_ns)
    assert core.open_request_ids == []
    _conserved(core, records, invoked, managed=managed)
    _sent(records)


def _conserved(
    core: Lifecycle, records: list[Record], invoked: list[str], *, managed: bool
) -> None:
    found = [one for one in records if isinstance(one, Invocation)]
    assert sorted(one.ordinal for one in found) == list(range(1, core.invoked_count + 1))
    if managed:
        left = [one.request_id for one in found]
        for request_id in invoked:
            left.remove(request_id)
    elif invoked:
        found.sort(key=lambda one: one.ordinal)
        assert [one.request_id for one in found] == invoked
    else:
        assert len(found) <= 1, "a failed init is one invocation"
    assert all(count > 0 for count in core.counts.values())


def _sent(records: list[Record]) -> None:
    ledger = Ledger()
    backlog = Backlog(ledger)
    for record in records:
        backlog.accept(record, Instant(0.0, 0.0))
        measure_of(record)
        assert ledger.balanced
        assert len(backlog) <= MAX_WAITING
        assert backlog.waiting_bytes <= MAX_WAITING_BYTES or len(backlog) == 1
    encode_spans(SpanBuilder().spans(records[:64])).SerializeToString()


def _invoke(draw: Draw) -> bytes:
    """With a request ID and a deadline, without which it would be no INVOKE."""
    event = {
        "eventType": "INVOKE",
        "requestId": draw.pick(REQUESTS),
        "deadlineMs": draw.pick((0, 1, 2_000, 2_000.5, MAX_UNIX_MS)),
        "invokedFunctionArn": draw.pick(TEXTS),
        "tracing": {"value": draw.pick(TEXTS)},
    }
    return json.dumps(event).encode()


def _line(draw: Draw) -> bytes:
    """An event of the schema, each value as it should be or not."""
    record = {
        "requestId": draw.pick(REQUESTS),
        "status": draw.pick(STATUSES),
        "errorType": draw.pick(TEXTS),
        "functionArn": draw.pick(TEXTS),
        "tenantId": draw.pick(TEXTS),
        "phase": draw.pick(TEXTS),
        "initializationType": draw.pick(TEXTS),
        "droppedRecords": draw.pick(NUMBERS),
        "tracing": {"value": draw.pick(TEXTS)},
        "metrics": {
            "durationMs": draw.pick(NUMBERS),
            "producedBytes": draw.pick(NUMBERS),
            "maxMemoryUsedMB": draw.pick(NUMBERS),
            "memorySizeMB": draw.pick(NUMBERS),
            "initDurationMs": draw.pick(NUMBERS),
        },
        "spans": [
            {
                "name": draw.pick(TEXTS),
                "start": draw.pick(TIMES),
                "durationMs": draw.pick(NUMBERS),
            }
        ]
        * (draw.byte() % 20),
    }
    event = {"type": draw.pick(KINDS), "time": draw.pick(TIMES), "record": record}
    return json.dumps(event).encode() + b"\n"


def _message(draw: Draw) -> messages.Message:  # noqa: PLR0911 - one for each kind
    """As `fifo.parsing` may give it: request IDs are valid, texts are UTF-8."""
    request_id, span_id = draw.pick(REQUESTS[:3]), draw.pick(SPAN_IDS)
    kind, moment = draw.byte() % MESSAGE_KINDS, draw.pick(MOMENTS)
    body = messages.Body(
        draw.take(draw.byte()),
        draw.pick((None, 0, messages.MAX_NUMBER)),
        truncated=bool(draw.byte() & 1),
        content_kind=draw.pick(list(messages.CONTENT_KINDS)),
    )
    if kind == 0:
        return messages.Start(
            request_id,
            span_id or b"spanspan",
            trace_id=b"t" * 16,
            start_unix_ns=moment,
            deadline_unix_ms=draw.pick(MOMENTS),
            memory_mb=draw.pick((0, 128, 2**32 - 1)),
            pid=draw.byte() % 2,
            cold_start=bool(draw.byte() & 1),
            xray_header=draw.pick(("", "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=x", ";=")),
            parent_span_id=draw.pick(SPAN_IDS),
            trace_flags=draw.byte(),
            tracestate=draw.pick(("", "a=1,b=2", "t@v=~")),
            span_name=draw.pick(("", "GET /x", "y" * messages.MAX_SPAN_NAME)),
            attributes_json=draw.pick(TRIGGERS),
            links=draw.pick(LINKS),
        )
    if kind == 1:
        return messages.Result(request_id, span_id, end_unix_ns=moment, body=body)
    if kind == 2:
        return messages.Partial(request_id, span_id, time_unix_ns=moment, body=body)
    if kind == 3:
        return messages.Error(request_id, span_id, end_unix_ns=moment, error_type="x" * 99)
    if kind == 6:
        return messages.Request(request_id, span_id, time_unix_ns=moment, body=body)
    if kind == 7:
        nobodys = draw.byte() & 1
        return messages.Otlp(
            "" if nobodys else request_id,
            span_id,
            data=draw.pick(OTLP) * (draw.byte() % 3),
            span_count=draw.pick((1, 2**16 - 1)),
        )
    attributes = draw.pick(ATTRIBUTES)
    if kind == 4:
        told = draw.byte() & 1
        return messages.Event(
            request_id,
            span_id,
            time_unix_ns=moment,
            span_id=span_id,
            name=messages.OUTCOME if told else "",
            attributes_json=draw.pick(OUTCOMES) if told else attributes,
        )
    return messages.Span(
        request_id,
        span_id,
        span_id=b"childspa",
        parent_span_id=span_id,
        start_unix_ns=moment,
        end_unix_ns=draw.pick(MOMENTS),
        name="n",
        attributes_json=attributes,
        error_type="" if draw.byte() & 1 else None,
    )


def seeds() -> Iterator[tuple[str, bytes]]:
    """The documented events, and short lives in each mode."""
    documented = {
        "time": "2022-10-12T00:01:15.064Z",
        "type": "platform.runtimeDone",
        "record": {
            "requestId": "r-1",
            "status": "success",
            "metrics": {"durationMs": 140.0, "producedBytes": 16},
            "spans": [
                {"name": "responseLatency", "start": "2022-10-12T00:01:15.064Z", "durationMs": 23.0}
            ],
        },
    }
    raw = json.dumps(documented).encode() + b"\n"
    for flags in range(4):
        invoke = bytes((1, 0, 0, 2, 1, 1))
        for kind in range(len(KINDS)):
            line = bytes((1, 1)) + bytes(22) + bytes((2, kind, 0))
            yield f"line-{flags}", bytes((flags,)) + invoke + line + invoke + line
            wild = (
                bytes((1, 1))
                + bytes((kind * 7 + n * n) % 256 for n in range(22))
                + bytes((1, kind, 0))
            )
            yield f"wild-{flags}", bytes((flags,)) + wild + invoke + wild
        yield (
            f"raw-{flags}",
            bytes((flags,)) + invoke + bytes((1, 2)) + block(raw) + b"\1\3\1\4\1\5\1",
        )
        for kind in range(MESSAGE_KINDS):
            message = bytes((1, 7, 0, 1, kind, 1, 3)) + b"[1]" + bytes((2, 0, kind)) + b"\2\1\1\1\0"
            yield (
                f"message-{flags}",
                bytes((flags,)) + message + b"\0" + invoke + message + b"\0\1\3" + message,
            )
    yield "many", bytes((1, 0, 6, 255)) + bytes((0, 6, 255))
