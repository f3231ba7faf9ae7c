"""The span that OpenTelemetry's Lambda instrumentation makes: it and ours leave as one."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from exporter.adoption import others
from exporter.otlp_json import to_value
from exporter.record import Failure, Invocation, Passed, RemoteSpan, Supplement
from exporter.record_json import from_json, to_json
from exporter.redaction import REDACTED, Redactor
from exporter.settings import RedactSettings
from exporter.spans import SpanBuilder
from exporter.values import replace
from fifo import messages
from fifo.otlp_bytes import invocation_spans
from tests.core.test_lifecycle import SECOND_NS, expected, invoke, lifecycle, result, send, start
from tests.core.test_spans import RETURNED

SCOPE = "opentelemetry.instrumentation.aws_lambda"
TRACE, SPAN, CALLER = b"another trace id", b"its span", b"a caller"
CHILD = b"children"


def request(request_id: str = "r-1", span_id: bytes = SPAN, scope: str = SCOPE) -> Any:
    """Its span of the invocation, one of another scope below it, and one of SQS' kind."""
    made = ExportTraceServiceRequest()
    resource = made.resource_spans.add()
    lambdas = resource.scope_spans.add()
    lambdas.scope.name = scope
    own = lambdas.spans.add(
        trace_id=TRACE,
        span_id=span_id,
        parent_span_id=CALLER,
        trace_state="v=1",
        name="shop",
        kind=2,
    )
    own.attributes.add(key="faas.invocation_id").value.string_value = request_id
    own.attributes.add(key="cloud.account.id").value.string_value = "7"
    lambdas.spans.add(trace_id=TRACE, span_id=b"messages", parent_span_id=span_id, name="process")
    below = resource.scope_spans.add()
    below.scope.name = "opentelemetry.instrumentation.requests"
    below.spans.add(trace_id=TRACE, span_id=CHILD, parent_span_id=span_id, name="GET")
    return made


def otlp(made: Any, request_id: str = "r-1") -> messages.Otlp:
    return messages.Otlp(request_id, None, data=made.SerializeToString(), span_count=3)


def names(passed: tuple[Passed, ...]) -> list[list[str]]:
    return [
        [
            span.name
            for resource_spans in ExportTraceServiceRequest.FromString(one.data).resource_spans
            for scope_spans in resource_spans.scope_spans
            for span in scope_spans.spans
        ]
        for one in passed
    ]


def test_it_is_told_by_its_scope_and_its_invocation() -> None:
    """Its IDs, its parent and its tracestate; a span of another scope, or without, is none."""
    (found,) = invocation_spans(request().SerializeToString())
    assert (found.request_id, found.trace_id, found.span_id) == ("r-1", TRACE, SPAN)
    assert (found.parent_span_id, found.tracestate) == (CALLER, "v=1")
    assert invocation_spans(request(scope=f"{SCOPE}.of.mine").SerializeToString()) == []


def test_a_record_takes_its_ids_and_its_parent() -> None:
    """Trace, span, parent and tracestate are its own; all that is known besides stays."""
    core = lifecycle()
    core.on_invoke(invoke(), SECOND_NS)
    message = otlp(request())
    send(core, [start(), message, result()])
    (record,) = core.settle(5 * SECOND_NS)
    assert record == expected(
        trace_id=TRACE,
        span_id=SPAN,
        parent_span_id=CALLER,
        tracestate="v=1",
        passed=(Passed(message.data, 3, (SPAN,)),),
    )
    assert core.counts == {}
    assert from_json(to_json([record])) == [record]


def test_a_caller_that_it_has_not_found_is_a_link() -> None:
    """What START told of another trace is not lost."""
    core = lifecycle()
    core.on_invoke(invoke(), SECOND_NS)
    begun = start()
    begun.parent_span_id, begun.trace_flags = b"from sqs", 0
    send(core, [begun, otlp(request()), result()])
    (record,) = core.settle(5 * SECOND_NS)
    assert isinstance(record, Invocation)
    assert record.links == (RemoteSpan(begun.trace_id, b"from sqs", 0),)
    assert (record.parent_span_id, record.trace_flags) == (CALLER, 1)


@pytest.mark.parametrize("late", [True, False])
def test_a_second_one_is_counted_and_never_leaves(late: bool) -> None:
    """After the record, or beside one that was adopted: an invocation has one span."""
    core = lifecycle()
    core.on_invoke(invoke(), SECOND_NS)
    sent = [start(), result()] if late else [start(), otlp(request()), result()]
    send(core, sent)
    if late:
        core.settle(5 * SECOND_NS)
    send(core, [otlp(request(span_id=b"one more"))])
    *_, last = core.on_shutdown("spindown", 7 * SECOND_NS)
    assert names(others(last)) == [["process", "GET"]] * (1 if late else 2)
    assert core.counts == {"late" if late else "duplicate": 1}


def test_that_of_a_request_before_is_left_out_of_the_next_record() -> None:
    """Its own record is out; what hangs on it goes on."""
    core = lifecycle()
    core.on_invoke(invoke(), SECOND_NS)
    send(core, [start(), result()])
    core.settle(5 * SECOND_NS)
    core.on_invoke(invoke("r-2"), 6 * SECOND_NS)
    send(core, [otlp(request())])
    (record,) = core.on_shutdown("spindown", 7 * SECOND_NS)
    assert isinstance(record, Invocation)
    assert (record.request_id, record.trace_id != TRACE) == ("r-2", True)
    assert names(others(record)) == [["process", "GET"]]
    assert core.counts == {"late": 1}


def test_what_comes_late_for_an_adopted_one_hangs_on_it() -> None:
    """The function's own messages name START's span, and are late all the same."""
    core = lifecycle()
    core.on_invoke(invoke(), SECOND_NS)
    send(core, [start(), otlp(request()), result()])
    core.settle(5 * SECOND_NS)
    send(core, [result()])
    assert core.counts == {"late": 1}


def span_of(made: Any, builder: SpanBuilder | None = None, **changes: Any) -> dict[str, Any]:
    """Our span of an invocation that has adopted it, in the form that leaves."""
    passed = (Passed(made.SerializeToString(), 3, (SPAN,)),)
    record = replace(RETURNED, trace_id=TRACE, span_id=SPAN, passed=passed, **changes)
    value = to_value(encode_spans((builder or SpanBuilder()).spans([record])))
    (span,) = value["resourceSpans"][0]["scopeSpans"][0]["spans"]
    span["attributes"] = {one["key"]: one["value"] for one in span["attributes"]}
    return span


def test_our_span_says_what_both_say() -> None:
    """Its attributes win, of every type; its events, links and status come too."""
    made = request()
    own = made.resource_spans[0].scope_spans[0].spans[0]
    own.attributes.add(key="numbers").value.array_value.values.add().int_value = 7
    own.attributes.add(key="nothing")
    pair = own.attributes.add(key="map").value.kvlist_value.values.add(key="a")
    pair.value.double_value = 0.5
    own.events.add(name="cache miss", time_unix_nano=5)
    own.links.add(trace_id=TRACE, span_id=CALLER).attributes.add(key="k").value.bool_value = True
    own.status.code, own.status.message = 2, "as the function says"
    span = span_of(made)
    plain_span = span_of(request())
    added = {"numbers", "nothing", "map"}
    assert span["attributes"]["cloud.account.id"] == {"stringValue": "7"}
    assert span["attributes"]["spanpipe.fate"] == {"stringValue": "returned"}
    assert {name: span["attributes"].get(name) for name in added} == {
        "numbers": {"arrayValue": {"values": [{"intValue": "7"}]}},
        "nothing": {},
        "map": {"kvlistValue": {"values": [{"key": "a", "value": {"doubleValue": 0.5}}]}},
    }
    assert span["attributes"].keys() - added == plain_span["attributes"].keys()
    assert [one["name"] for one in span["events"]] == ["cache miss"]
    assert [one["attributes"][0]["key"] for one in span["links"]] == ["k"]
    assert span["status"] == {"code": 2, "message": "as the function says"}
    assert plain_span["status"] == {}


def test_a_status_that_is_none_is_none() -> None:
    """The invocation's span leaves whatever the bytes say."""
    made = request()
    made.resource_spans[0].scope_spans[0].spans[0].status.code = 7
    assert span_of(made)["status"] == {}


def test_an_exception_is_told_once() -> None:
    """By its event, where it has one; the status is ours, which has the reason."""
    made = request()
    own = made.resource_spans[0].scope_spans[0].spans[0]
    own.events.add(name="exception").attributes.add(
        key="exception.message"
    ).value.string_value = "as asked"
    own.status.code = 2
    failure = Failure("ValueError", "as asked", "at line 1")
    span = span_of(made, failure=failure, exception=failure)
    assert [one["name"] for one in span["events"]] == ["exception"]
    assert span["status"] == {"code": 2, "message": "as asked"}
    assert [one["name"] for one in span_of(request(), exception=failure)["events"]] == ["exception"]


def test_secrets_that_it_says_are_left_out_of_our_span() -> None:
    """What becomes a part of our span keeps to its rules."""
    made = request()
    own = made.resource_spans[0].scope_spans[0].spans[0]
    own.attributes.add(key="password").value.string_value = "xyzzy"
    own.attributes.add(key="said").value.array_value.values.add().string_value = "number 4711"
    redactor = Redactor(RedactSettings(patterns=(r"\d{4}",)))
    span = span_of(made, SpanBuilder(redactor=redactor))
    assert span["attributes"]["password"] == {"stringValue": REDACTED}
    assert "4711" not in str(span["attributes"])


def test_bytes_that_cannot_be_read_are_left_as_they_are() -> None:
    """They are named when they are to be sent; one alone that is left out leaves nothing."""
    broken = Passed(b"\x0a\x01", 1)
    nothing = ExportTraceServiceRequest()
    nothing.resource_spans.add().scope_spans.add().spans.add(trace_id=TRACE, span_id=SPAN)
    alone = Passed(nothing.SerializeToString(), 1, (SPAN,))
    late = Supplement(TRACE, b"", RETURNED.environment, 1, passed=(broken, alone))
    assert others(late) == (broken,)
