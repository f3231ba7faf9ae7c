"""Context in and out through the real writer: what START says, what a call to others carries."""

from __future__ import annotations

import json
from typing import Any

import pytest

import fifo
from fifo import current, mailbox, messages
from fifo.handler import capture
from fifo.writer import Writer
from tests.shells.conftest import ReadingEnd

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"
PARENT = f"00-{TRACE}-{SPAN}-01"
EVENT = {
    "requestContext": {"http": {"method": "GET", "path": "/a"}},
    "routeKey": "GET /{id}",
    "headers": {"Traceparent": PARENT, "TraceState": "v=1", "Baggage": "user=7"},
}


class LambdaContext:
    aws_request_id = "r-1"


def run(
    end: ReadingEnd, monkeypatch: pytest.MonkeyPatch, event: Any, environ: dict[str, str]
) -> tuple[list[Any], dict[str, str], dict[str, str]]:
    """(Messages, headers in the handler, headers in a span of it)."""
    writer = Writer(str(end.directory), environ=environ)
    monkeypatch.setattr(current, "made_writer", writer)
    outside: dict[str, str] = {}
    inside: dict[str, str] = {}

    @capture
    def handler(event: Any, context: Any) -> Any:
        fifo.inject(outside)
        with fifo.span("query"):
            fifo.inject(inside)
        return {"statusCode": 503}

    handler(event, LambdaContext())
    assert (fifo.traceparent(), writer.fault_count) == ("", 0)
    writer.close()
    return end.messages(), outside, inside


def test_the_callers_trace_goes_on(
    reading_end: ReadingEnd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """START has the parent, the current span is everybody's, the status is told."""
    (start, child, outcome, _), outside, inside = run(reading_end, monkeypatch, EVENT, {})
    assert (start.trace_id.hex(), start.parent_span_id, start.tracestate, start.span_name) == (
        TRACE,
        bytes.fromhex(SPAN),
        "v=1",
        "GET /{id}",
    )
    rest = {"tracestate": "v=1", "baggage": "user=7"}
    span_id = start.invocation_span_id.hex()
    assert outside == {"traceparent": f"00-{TRACE}-{span_id}-01", **rest}
    assert inside == {"traceparent": f"00-{TRACE}-{child.span_id.hex()}-01", **rest}
    assert (outcome.name, outcome.attributes_json) == (
        messages.OUTCOME,
        '{"http.response.status_code":503}',
    )


SAMPLERS = {
    # Of traces that begin here, with a sampled caller, with one that is not: as in the policy.
    "none": ("", [1, 1, 0]),
    "always_off": ("0,0,0", [0, 0, 0]),
    "always_on": ("10000000000000000,10000000000000000,10000000000000000", [1, 1, 1]),
    "parentbased_always_off": ("0,10000000000000000,0", [0, 1, 0]),
    "a ratio above the caller's trace": ("0,8448eb211c80319d,8448eb211c80319d", [0, 1, 1]),
    "a ratio below it": ("0,8448eb211c80319c,8448eb211c80319c", [0, 0, 0]),
    "not to be read": ("x", [1, 1, 0]),
}


@pytest.mark.parametrize("name", SAMPLERS)
def test_others_are_told_what_the_sampler_says(
    reading_end: ReadingEnd, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """In every header; START has the caller's own flag all the same."""
    text, expected = SAMPLERS[name]
    found = []
    for caller in (None, f"{PARENT[:-1]}1", f"{PARENT[:-1]}0"):
        reading_end.publish(mailbox.Policy(1, sampler=text))
        event = {} if caller is None else {**EVENT, "headers": {"traceparent": caller}}
        (start, *_), outside, inside = run(reading_end, monkeypatch, event, {})
        assert start.trace_flags == (1 if caller is None else int(caller[-1]))
        assert outside["traceparent"][-2:] == inside["traceparent"][-2:]
        found.append(int(outside["traceparent"][-1]))
    assert found == expected


@pytest.mark.parametrize("trigger", ["http", "other"])
def test_a_tracestate_that_is_too_long_is_left_out_and_told(
    reading_end: ReadingEnd, monkeypatch: pytest.MonkeyPatch, trigger: str
) -> None:
    """Where the event is recognised and where it is not."""
    headers = {"traceparent": PARENT, "tracestate": "v=" + "1" * 511}
    event = {**EVENT, "headers": headers} if trigger == "http" else {"own": headers}
    reading_end.publish(mailbox.Policy(1, event_path="own"))
    (start, *_), outside, _ = run(reading_end, monkeypatch, event, {})
    attributes = json.loads(start.attributes_json)
    assert (start.tracestate, "tracestate" in outside) == ("", False)
    assert (attributes["faas.trigger"], attributes["spanpipe.tracestate.cut"]) == (trigger, 513)


def test_the_propagators_come_from_the_policy_and_the_environment_goes_before(
    reading_end: ReadingEnd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another carrier's place too; without a propagator nothing is read nor written."""
    event = {"trace": {"b3": f"{TRACE}-{SPAN}-0"}}
    policy = mailbox.Policy(1, propagators="b3", event_path="trace")
    reading_end.publish(policy)
    (start, *_), outside, _ = run(reading_end, monkeypatch, event, {})
    assert (start.trace_id.hex(), start.trace_flags) == (TRACE, 0)
    assert outside == {"b3": f"{TRACE}-{start.invocation_span_id.hex()}-0"}
    reading_end.publish(policy)
    (start, *_), outside, _ = run(reading_end, monkeypatch, event, {"OTEL_PROPAGATORS": "none"})
    assert (start.parent_span_id, outside) == (None, {})


def test_xray_is_a_parent_only_on_request(
    reading_end: ReadingEnd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else its header goes along, and becomes a link."""
    header = f"Root=1-{TRACE[:8]}-{TRACE[8:]};Parent={SPAN};Sampled=1"
    monkeypatch.setenv("_X_AMZN_TRACE_ID", header)
    parents = []
    for environ in ({}, {"OTEL_PROPAGATORS": "tracecontext,xray"}):
        start = run(reading_end, monkeypatch, {}, environ)[0][0]
        assert start.xray_header == header
        parents.append(start.parent_span_id)
    assert parents == [None, bytes.fromhex(SPAN)]


def test_a_batch_gives_links(reading_end: ReadingEnd, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two messages, two links and a trace of its own; one message is the parent."""
    record = {
        "eventSource": "aws:sqs",
        "messageAttributes": {"traceparent": {"stringValue": PARENT, "dataType": "String"}},
    }
    start = run(reading_end, monkeypatch, {"Records": [record, record]}, {})[0][0]
    link = (bytes.fromhex(TRACE), bytes.fromhex(SPAN), 1)
    assert (start.parent_span_id, start.links) == (None, (link, link))
    start = run(reading_end, monkeypatch, {"Records": [record]}, {})[0][0]
    assert (start.parent_span_id, start.links) == (bytes.fromhex(SPAN), ())


def test_a_span_that_was_left_open_is_no_parent_later(
    reading_end: ReadingEnd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not in the next invocation, nor after the handler."""
    writer = Writer(str(reading_end.directory), environ={})
    monkeypatch.setattr(current, "made_writer", writer)

    @capture
    def handler(event: Any, context: Any) -> Any:
        with fifo.span("whole"):
            pass
        fifo.span("left open").__enter__()

    handler({}, LambdaContext())
    assert current.current_span_id.get() is None
    handler({}, LambdaContext())
    spans = [one for one in reading_end.messages() if isinstance(one, messages.Span)]
    assert [(one.name, one.parent_span_id) for one in spans] == [("whole", None)] * 2
    writer.close()
