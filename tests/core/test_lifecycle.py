"""The lifecycle's table: events and messages in, one finished record per invocation out."""

import bisect
import itertools
import json
from collections.abc import Iterable

import pytest
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans

from exporter.record import (
    ChildSpan,
    Environment,
    Event,
    Failure,
    Fate,
    Invocation,
    Partial,
    Passed,
    Payload,
    Supplement,
)
from exporter.spans import SpanBuilder
from extension import details
from extension.api import MANAGED_INSTANCES
from extension.attempt import MAX_ATTEMPT_BYTES, MAX_EVENTS
from extension.events import InvokeEvent
from extension.lifecycle import MAX_EARLY_EVENTS, MAX_EARLY_MESSAGES, MAX_OPEN, Lifecycle
from extension.platform_events import Started
from extension.transitions import TRANSITIONS, Input, State
from fifo import messages, parsing

ARN = "arn:aws:lambda:eu-west-1:123456789012:function:shop:live"
ENVIRONMENT = Environment("shop", "7", region="eu-west-1", memory_mb=128)
SECOND_NS = 1_000_000_000
DEADLINE_MS = 60_000
SPAN = b"spanspan"
TRACE = b"tracetracetrace!"


def lifecycle() -> Lifecycle:
    draws = itertools.count(1)
    return Lifecycle(ENVIRONMENT, lambda size: next(draws).to_bytes(size, "big"))


def invoke(request_id: str = "r-1", xray_header: str | None = None) -> InvokeEvent:
    return InvokeEvent(request_id, DEADLINE_MS, ARN, xray_header)


def start(
    request_id: str = "r-1", span_id: bytes = SPAN, cold_start: bool = True
) -> messages.Start:
    return messages.Start(
        request_id,
        span_id,
        trace_id=TRACE,
        start_unix_ns=2 * SECOND_NS,
        deadline_unix_ms=DEADLINE_MS,
        memory_mb=256,
        pid=42,
        cold_start=cold_start,
        log_group="/aws/lambda/shop",
        log_stream="stream",
    )


def result(
    request_id: str = "r-1", span_id: bytes | None = SPAN, data: bytes = b'"ok"', end_s: int = 3
) -> messages.Result:
    body = messages.Body(data, len(data), truncated=False, content_kind=messages.JSON)
    return messages.Result(request_id, span_id, end_unix_ns=end_s * SECOND_NS, body=body)


def error(request_id: str = "r-1", span_id: bytes | None = SPAN) -> messages.Error:
    return messages.Error(
        request_id,
        span_id,
        end_unix_ns=3 * SECOND_NS,
        error_type="ValueError",
        message="bad",
        stack_trace="at line 1",
    )


def line(request_id: str = "r-1", payload: str = "1") -> messages.Result:
    return parsing.parse_line(f'{{"request_id":"{request_id}","payload":{payload}}}'.encode())


def send(core: Lifecycle, sent: Iterable[messages.Message], now_s: int = 4) -> None:
    for message in sent:
        core.on_message(message, 100, now_s * SECOND_NS)


def expected(**changes: object) -> Invocation:
    values: dict[str, object] = {
        "ordinal": 1,
        "request_id": "r-1",
        "invoked_function_arn": ARN,
        "environment": Environment(
            "shop",
            "7",
            region="eu-west-1",
            memory_mb=256,
            log_group="/aws/lambda/shop",
            log_stream="stream",
        ),
        "trace_id": TRACE,
        "span_id": SPAN,
        "start_unix_ns": 2 * SECOND_NS,
        "end_unix_ns": 3 * SECOND_NS,
        "fate": Fate.RETURNED,
        "deadline_unix_ms": DEADLINE_MS,
        "cold_start": True,
        "initialization_type": "on-demand",
        "result": Payload(b'"ok"', 4, False, "json"),
    }
    values.update(changes)
    return Invocation(**values)  # type: ignore[arg-type]


BAD = Failure("ValueError", "bad", "at line 1")
RAISED = expected(fate=Fate.RAISED, result=None, failure=BAD, exception=BAD)
SILENT = {
    "environment": ENVIRONMENT,
    "trace_id": (1).to_bytes(16, "big"),
    "span_id": (2).to_bytes(8, "big"),
    "start_unix_ns": 1 * SECOND_NS,
    "result": None,
}
TIMED_OUT = Failure("Sandbox.Timedout", "the function reached its timeout")
EXITED = Failure("Runtime.ExitError", "the runtime exited")

STORIES = {
    "returned": ([start(), result()], "spindown", expected()),
    "raised": ([start(), error()], "spindown", RAISED),
    "timed out after START": (
        [start()],
        "timeout",
        expected(fate=Fate.TIMED_OUT, end_unix_ns=9 * SECOND_NS, failure=TIMED_OUT, result=None),
    ),
    "timed out without a writer": (
        [],
        "timeout",
        expected(
            **{**SILENT, "end_unix_ns": 9 * SECOND_NS},
            fate=Fate.TIMED_OUT,
            failure=TIMED_OUT,
        ),
    ),
    "runtime exited": (
        [start()],
        "failure",
        expected(fate=Fate.CRASHED, end_unix_ns=9 * SECOND_NS, failure=EXITED, result=None),
    ),
    "runtime exited, the emulator's word": (
        [start()],
        "releasefail",
        expected(fate=Fate.CRASHED, end_unix_ns=9 * SECOND_NS, failure=EXITED, result=None),
    ),
    "returned, then the environment failed": ([start(), result()], "failure", expected()),
    "an unknown reason makes nothing up": (
        [start()],
        "solar flare",
        expected(fate=Fate.UNREPORTED, end_unix_ns=2 * SECOND_NS, result=None),
    ),
    "silent": (
        [],
        "spindown",
        expected(**{**SILENT, "end_unix_ns": 1 * SECOND_NS}, fate=Fate.UNREPORTED),
    ),
    "a line alone": (
        [line()],
        "spindown",
        expected(
            **{**SILENT, "end_unix_ns": 4 * SECOND_NS, "result": Payload(b"1", 1, False, "json")}
        ),
    ),
    "wrote twice": ([start(), result(), result(data=b'"again"'), error()], "spindown", expected()),
    "result before START": ([result(), start()], "spindown", expected()),
    "details": (
        [
            start(),
            messages.Span(
                "r-1",
                SPAN,
                span_id=b"childspa",
                parent_span_id=None,
                start_unix_ns=5,
                end_unix_ns=4,
                name="query",
                attributes_json='{"n": 1, "l": ["a"], "o": {"b": null}, "none": null}',
                error_type="KeyError",
            ),
            messages.Event("r-1", SPAN, time_unix_ns=6, span_id=b"childspa", name="tick"),
            messages.Partial("r-1", SPAN, time_unix_ns=7, body=result().body),
            result(),
        ],
        "spindown",
        expected(
            children=(
                ChildSpan(
                    b"childspa",
                    None,
                    "query",
                    5,
                    5,
                    {"n": 1, "l": ["a"], "o": '{"b": null}'},
                    Failure("KeyError"),
                ),
            ),
            events=(Event(6, "tick", {}, b"childspa"),),
            partials=(Partial(7, Payload(b'"ok"', 4, False, "json")),),
        ),
    ),
}


@pytest.mark.parametrize("name", STORIES)
def test_every_story_ends_in_one_record(name: str) -> None:
    """INVOKE, what the function said, SHUTDOWN: one record, compared whole."""
    said, reason, record = STORIES[name]
    core = lifecycle()
    assert core.on_invoke(invoke(), 1 * SECOND_NS) == []
    send(core, said)
    assert core.on_shutdown(reason, 9 * SECOND_NS) == [record]
    assert core.on_shutdown(reason, 9 * SECOND_NS) == []


@pytest.mark.parametrize("name", ["returned", "raised", "details", "result before START"])
def test_messages_may_come_before_their_invoke(name: str) -> None:
    """The FIFO may be faster than the Extensions API: the record is the same."""
    said, reason, record = STORIES[name]
    core = lifecycle()
    send(core, said, now_s=1)
    assert core.on_invoke(invoke(), 1 * SECOND_NS) == []
    assert core.on_shutdown(reason, 9 * SECOND_NS) == [record]
    assert core.counts == {}


def test_the_next_invoke_ends_the_one_before() -> None:
    """Every INVOKE gives the record of the attempt before it, reported or not."""
    core = lifecycle()
    core.on_invoke(invoke("r-1"), 1 * SECOND_NS)
    send(core, [start("r-1"), result("r-1")])
    assert core.on_invoke(invoke("r-2"), 5 * SECOND_NS) == [expected()]
    silent = core.on_invoke(invoke("r-3"), 6 * SECOND_NS)
    assert [(one.request_id, one.ordinal, one.fate, one.cold_start) for one in silent] == [
        ("r-2", 2, Fate.UNREPORTED, False)
    ]


def test_a_retry_under_the_same_request_id_is_an_invocation_of_its_own() -> None:
    """Two attempts with one request ID give two records, each with its own result."""
    core = lifecycle()
    core.on_invoke(invoke(), 1 * SECOND_NS)
    send(core, [start(), error()])
    again = b"2ndagain"
    send(core, [start(span_id=again, cold_start=False)])
    assert core.on_invoke(invoke(), 5 * SECOND_NS) == [RAISED]
    send(core, [result(span_id=SPAN, data=b'"of the first"'), result(span_id=again)])
    second = core.on_shutdown("spindown", 9 * SECOND_NS)
    assert second == [
        expected(ordinal=2, span_id=again, cold_start=False, initialization_type=None)
    ]
    assert core.counts == {"late": 1}


def test_late_and_unknown_messages_are_counted_and_credited_to_nobody() -> None:
    """What comes after its record, or for a request never invoked, changes no other record."""
    core = lifecycle()
    core.on_invoke(invoke("r-1"), 1 * SECOND_NS)
    send(core, [start("r-1"), result("r-1")])
    core.on_invoke(invoke("r-2"), 5 * SECOND_NS)
    send(core, [result("r-1", data=b'"late"'), result("never", span_id=b"whatever")])
    (record,) = core.on_shutdown("spindown", 9 * SECOND_NS)
    assert (record.request_id, record.fate, record.result) == ("r-2", Fate.UNREPORTED, None)
    assert core.counts == {"late": 1, "unknown_request": 1}


def otlp(request_id: str = "r-1", data: bytes = b"1", count: int = 1) -> messages.Otlp:
    return messages.Otlp(request_id, None, data=data, span_count=count)


def test_others_spans_wait_for_the_invoke_of_the_invocation_that_they_name() -> None:
    """START and they may be read before it: the invocation before may be sampled out."""
    core = lifecycle()
    core.on_invoke(invoke(), 1 * SECOND_NS)
    send(core, [start(), result(), start("r-2", b"spantwo!"), otlp("r-2", b"two"), otlp("", b"?")])
    (first,) = core.on_invoke(invoke("r-2"), 5 * SECOND_NS)
    (second,) = core.on_shutdown("spindown", 9 * SECOND_NS)
    assert (first.passed, second.passed) == ((Passed(b"?", 1),), (Passed(b"two", 1),))


def test_others_spans_go_with_the_invocation_that_they_name_or_with_the_next() -> None:
    """They say themselves whose they are: late, early, of nobody, none of them is lost."""
    core = lifecycle()
    send(core, [otlp("", b"init")])
    assert core.on_invoke(invoke("r-1"), SECOND_NS) == []
    send(core, [start(), otlp("r-1", b"own", 2), otlp("r-0", b"stranger"), result()])
    (record,) = core.settle(5 * SECOND_NS)
    assert isinstance(record, Invocation)
    assert record.passed == (Passed(b"init", 1), Passed(b"own", 2), Passed(b"stranger", 1))
    send(core, [otlp("r-1", b"late")])
    core.on_invoke(invoke("r-2"), 6 * SECOND_NS)
    (second,) = core.on_shutdown("spindown", 7 * SECOND_NS)
    assert second.passed == (Passed(b"late", 1),)
    assert core.counts == {}


def test_others_spans_after_the_last_record_leave_at_shutdown() -> None:
    """No invocation can take them along any more."""
    core = lifecycle()
    core.on_invoke(invoke("r-1"), SECOND_NS)
    send(core, [start(), result()])
    core.settle(5 * SECOND_NS)
    send(core, [otlp("r-1", b"late", 3)])
    (left,) = core.on_shutdown("spindown", 7 * SECOND_NS)
    assert isinstance(left, Supplement)
    assert (left.span_id, left.passed) == (b"", (Passed(b"late", 3),))
    assert core.counts == {}


def test_others_spans_are_bounded_and_counted() -> None:
    """Over the bound of one invocation they are counted, and the rest stays."""
    core = lifecycle()
    core.on_invoke(invoke("r-1"), SECOND_NS)
    core.on_message(otlp(), MAX_ATTEMPT_BYTES, SECOND_NS)
    core.on_message(otlp(), 1, SECOND_NS)
    (record,) = core.on_shutdown("spindown", 7 * SECOND_NS)
    assert record.passed == (Passed(b"1", 1),)
    assert core.counts == {"detail_over_limit": 1}


def test_spans_by_http_go_with_the_one_invocation_whose_trace_they_are_of() -> None:
    """Open or closed, whoever came last; of two traces, of an unknown one or one of two, alone."""
    core = lifecycle()
    core.on_invoke(invoke("r-1"), SECOND_NS)
    send(core, [start(), result()])
    trace_id = start().trace_id
    one, stranger = Passed(b"1", 1), b"\x01" * 16

    def alone(trace_id: bytes, now_ns: int) -> list[Supplement]:
        return [Supplement(trace_id, b"", core.environment, now_ns, passed=(one,))]

    assert core.on_otlp(one, frozenset((trace_id,)), 2) == []
    assert core.on_otlp(one, frozenset((stranger,)), 3) == alone(stranger, 3)
    assert core.on_otlp(one, frozenset((trace_id, stranger)), 4) == alone(stranger, 4)
    (record,) = core.settle(5 * SECOND_NS)
    assert isinstance(record, Invocation)
    assert record.passed == (one,)
    (late,) = core.on_otlp(one, frozenset((trace_id,)), 6)
    assert isinstance(late, Supplement)
    assert (late.span_id, late.passed) == (record.span_id, (one,))
    core.on_invoke(invoke("r-2"), 6 * SECOND_NS)
    send(core, [start("r-2", b"2" * 8)])
    assert core.on_otlp(one, frozenset((trace_id,)), 7) == alone(trace_id, 7)


def test_early_messages_are_bounded_and_the_oldest_go_first() -> None:
    """A flood for requests nobody knows cannot push out what is about to be invoked."""
    core = lifecycle()
    send(core, [line(f"flood-{index}") for index in range(MAX_EARLY_MESSAGES)])
    send(core, [start(), result()])
    core.on_invoke(invoke(), 1 * SECOND_NS)
    assert core.on_shutdown("spindown", 9 * SECOND_NS) == [expected()]
    assert core.counts == {"unknown_request": MAX_EARLY_MESSAGES}


def test_settle_gives_the_record_once_its_end_is_known() -> None:
    """A mode that exports at the end takes the record then, and the next INVOKE has none."""
    core = lifecycle()
    core.on_invoke(invoke(), 1 * SECOND_NS)
    send(core, [start()])
    assert core.settle(3 * SECOND_NS) == []
    send(core, [result()])
    assert core.settle(4 * SECOND_NS) == [expected()]
    assert core.settle(4 * SECOND_NS) == []
    assert core.on_invoke(invoke("r-2"), 5 * SECOND_NS) == []


def test_a_writer_speaks_while_its_last_invocation_had_a_start() -> None:
    """What decides whether an end may be expected of the next invocation."""
    core = lifecycle()
    spoke = []
    for request_id, said in [("a", [start("a")]), ("b", []), ("c", []), ("d", [start("d")])]:
        core.on_invoke(invoke(request_id), 1 * SECOND_NS)
        spoke.append(core.writer_speaks)
        send(core, said)
    assert [*spoke, core.writer_speaks] == [False, True, False, False, True]


def test_no_more_of_a_body_is_kept_than_may_leave() -> None:
    """A writer that has not heard of the limit fills no memory; binary is cut to the byte."""
    core = lifecycle()
    core.max_body_bytes = 3
    core.on_invoke(invoke(), 1 * SECOND_NS)
    binary = messages.Body(b"\x80" * 5, 5, truncated=False, content_kind=messages.BINARY)
    emitted = messages.Partial("r-1", SPAN, time_unix_ns=1, body=binary)
    send(core, [start(), emitted, result(data="äöü".encode())])
    (record,) = core.on_shutdown("spindown", 9 * SECOND_NS)
    assert record.result == Payload("ä".encode(), 6, True, "json")
    assert record.partials == (Partial(1, Payload(b"\x80" * 3, 5, True, "binary")),)


def test_the_table_is_complete_and_closed_is_final() -> None:
    """Every state answers every input, and nothing leads out of CLOSED."""
    assert set(TRANSITIONS) == set(itertools.product(State, Input))
    assert {TRANSITIONS[State.CLOSED, one][0] for one in Input} == {State.CLOSED}


def test_attributes_that_can_be_read_and_not_written_are_malformed() -> None:
    """Nested just so deep as this Python reads; the span is kept without them."""

    def nested(depth: int) -> str:
        return '{"a":' + "[" * depth + "]" * depth + "}"

    def can_be_read(depth: int) -> bool:
        try:
            json.loads(nested(depth))
        except RecursionError:
            return False
        return True

    limit = bisect.bisect_left(range(1_000_000), True, key=lambda depth: not can_be_read(depth))
    found = [details.attributes_of(nested(depth)) for depth in range(limit - 100, limit + 100)]
    assert found[0] is not None
    assert found[-1] is None


def test_attributes_are_bounded_in_number_and_the_rest_is_counted() -> None:
    """Small JSON makes many objects; a list that is too long becomes its JSON."""
    values: dict[str, object] = {f"a{index}": index for index in range(details.MAX_ATTRIBUTES + 2)}
    values["a0"] = ["x"] * (details.MAX_ATTRIBUTES + 1)
    event = messages.Event(
        "r-1", SPAN, time_unix_ns=1, span_id=None, name="n", attributes_json=json.dumps(values)
    )
    core = lifecycle()
    core.on_invoke(invoke(), 1 * SECOND_NS)
    send(core, [event])
    (record,) = core.on_shutdown("spindown", 9 * SECOND_NS)
    kept = {**{f"a{index}": index for index in range(details.MAX_ATTRIBUTES)}}
    assert record.events[0].attributes == {**kept, "a0": json.dumps(values["a0"])}
    assert core.counts == {"attributes_over_limit": 2}


def test_early_platform_events_are_bounded_and_counted() -> None:
    """The oldest goes, as of messages."""
    core = lifecycle()
    for index in range(MAX_EARLY_EVENTS + 1):
        core.on_platform_event(Started(f"r-{index}", None, ARN, None, None), 1 * SECOND_NS)
    assert core.counts == {"unknown_event": 1}


def test_one_more_attempt_than_may_be_open_closes_the_oldest_whoever_begins_it() -> None:
    """On Managed Instances, where platform.start begins one too: no record is lost."""
    core = Lifecycle(ENVIRONMENT, bytes, initialization_type=MANAGED_INSTANCES)
    records = []
    for index in range(MAX_OPEN + 1):
        event = Started(f"r-{index}", 1 * SECOND_NS, ARN, None, None)
        records += core.on_platform_event(event, 1 * SECOND_NS)
    assert [(one.request_id, one.fate) for one in records] == [("r-0", Fate.UNREPORTED)]
    assert core.counts == {"open_full": 1}


def outcome(values: object, span_id: bytes | None = SPAN) -> messages.Event:
    return messages.Event(
        "r-1",
        span_id,
        time_unix_ns=3,
        span_id=None,
        name=messages.OUTCOME,
        attributes_json=json.dumps(values),
    )


def test_an_outcome_is_no_event_and_goes_before_the_trigger() -> None:
    """With as many events as there may be, and whether START is read before it or behind."""
    told = start()
    told.attributes_json = '{"faas.trigger": "http", "a": 1}'
    event = messages.Event("r-1", SPAN, time_unix_ns=1, span_id=None, name="n")
    for sent in (
        [told, *[event] * MAX_EVENTS, outcome({"a": 2, "b": 3}), result()],
        [*[event] * MAX_EVENTS, outcome({"a": 2, "b": 3}), told, result()],
    ):
        core = lifecycle()
        core.on_invoke(invoke(), 1 * SECOND_NS)
        send(core, sent)
        (record,) = core.settle(9 * SECOND_NS)
        assert isinstance(record, Invocation)
        assert record.attributes == {"faas.trigger": "http", "a": 2, "b": 3}
        assert len(record.events) == MAX_EVENTS
        assert core.counts == {}


def test_what_is_over_the_bound_of_the_invocations_own_attributes_is_counted() -> None:
    """The trigger's, the result's, their number and their bytes."""
    told = start()
    told.attributes_json = json.dumps({f"t{index}": 1 for index in range(130)})
    core = lifecycle()
    core.on_invoke(invoke(), 1 * SECOND_NS)
    send(core, [told, outcome({"t0": 2, "more": 1}), outcome([])])
    core.on_message(outcome({"t1": 2}), MAX_ATTEMPT_BYTES, 4 * SECOND_NS)
    send(core, [result()])
    (record,) = core.settle(9 * SECOND_NS)
    assert isinstance(record, Invocation)
    assert record.attributes == {"t0": 2, **{f"t{index}": 1 for index in range(1, 128)}}
    assert core.counts == {
        "attributes_over_limit": 3,
        "malformed_attributes": 1,
        "detail_over_limit": 1,
    }


def test_attributes_are_parsed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """However often the record is made: the black box asks for it at every change."""
    parsed: list[str] = []
    real = details.attributes_of
    monkeypatch.setattr(details, "attributes_of", lambda text: parsed.append(text) or real(text))
    told = start()
    told.attributes_json = '{"a": 1}'
    core = lifecycle()
    core.on_invoke(invoke(), 1 * SECOND_NS)
    send(core, [told])
    first = core.if_killed()
    send(core, [result()])
    second = core.if_killed()
    (record,) = core.settle(9 * SECOND_NS)
    assert isinstance(record, Invocation)
    assert first is not None
    assert second is not None
    assert [one.attributes for one in (first, second, record)] == [{"a": 1}] * 3
    assert parsed == ['{"a": 1}']


def test_a_strangers_attributes_cannot_stop_an_export() -> None:
    """Whatever JSON can say becomes attributes that OTLP's encoder takes."""
    hostile = (
        '{"\\ud800":"\\udfff","l":["\\ud800"],"o":{"\\ud800":1},"n":NaN,"i":-Infinity,'
        '"big":123456789012345678901234567890,"deep":[[[[1]]]],"e":[],"":""}'
    )
    core = lifecycle()
    core.on_invoke(invoke(), 1 * SECOND_NS)
    child = messages.Span(
        "r-1",
        SPAN,
        span_id=b"childspa",
        parent_span_id=b"childspa",
        start_unix_ns=2**63 - 1,
        end_unix_ns=0,
        name="",
        attributes_json=hostile,
    )
    event = messages.Event(
        "r-1", SPAN, time_unix_ns=2**63 - 1, span_id=None, name="", attributes_json=hostile
    )
    send(core, [start(), child, event, result(data=b"\xff")])
    (record,) = core.on_shutdown("spindown", 9 * SECOND_NS)
    assert len(record.children[0].attributes) == 9
    assert encode_spans(SpanBuilder().spans([record])).SerializeToString()


@pytest.mark.parametrize(("late_ms", "told"), [(0, 0), (1, 0), (11, 10), (5_000, 0)])
def test_an_invoke_that_is_heard_of_late_began_earlier(late_ms: int, told: int) -> None:
    """By the deadlines, to a millisecond; over a second it is a clock that was stepped."""
    core = Lifecycle(ENVIRONMENT, bytes)
    core.on_invoke(InvokeEvent("r-1", 13_000, ARN, None), 10_000_000_000)
    core.on_invoke(InvokeEvent("r-2", 23_000, ARN, None), (20_000 + late_ms) * 1_000_000)
    (record,) = core.on_shutdown("timeout", 29_000_000_000)
    assert isinstance(record, Invocation)
    assert record.start_unix_ns == (20_000 + late_ms - told) * 1_000_000
