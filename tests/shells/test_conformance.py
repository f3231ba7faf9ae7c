"""Every fate and every trigger, on the way to the collector, against the table of attributes."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

import fifo
from docs.attribute_table import ATTRIBUTES, EVENTS, METRICS, SPANS, Place
from exporter.measures import measure_of
from exporter.metrics import FaasMetrics
from exporter.record import (
    ChildSpan,
    Environment,
    Event,
    Failure,
    Fate,
    Invocation,
    Partial,
    Payload,
    Record,
    Report,
    Supplement,
)
from exporter.spans import SpanBuilder
from exporter.values import replace
from extension.lifecycle import Lifecycle
from fifo import current
from fifo.handler import capture
from fifo.writer import Writer
from tests.conformance import deviations, metric_deviations, place_of
from tests.core.test_lifecycle import DEADLINE_MS, ENVIRONMENT, SECOND_NS, invoke, send
from tests.core.test_triggers import EVENTS as RECOGNISED
from tests.shells.conftest import ReadingEnd

S3 = {
    "eventSource": "aws:s3",
    "eventName": "ObjectCreated:Put",
    "eventTime": "2026-01-01T00:00:00Z",
    "s3": {"bucket": {"name": "b"}, "object": {"key": "k"}},
}
SNS = {
    "EventSource": "aws:sns",
    "Sns": {"TopicArn": "arn:aws:sns:r:1:topic", "MessageId": "m"},
}
FURTHER: dict[str, Any] = {
    "function URL": {
        "requestContext": {
            "http": {"method": "PUT", "path": "/a", "userAgent": "curl"},
        },
        "routeKey": "PUT /{id}",
        "rawQueryString": "a=1",
        "headers": {"host": "shop.example:443", "x-forwarded-proto": "https"},
    },
    "a tracestate that is too long": {
        "headers": {"traceparent": f"00-{'a' * 32}-{'b' * 16}-01", "tracestate": "a=" + "b" * 600},
        "requestContext": {"http": {"method": "GET", "path": "/a"}},
    },
    "unknown method": {"requestContext": {"http": {"method": "BREW", "path": "/a"}}},
    "SNS": {"Records": [SNS]},
    "S3": {"Records": [S3]},
    "S3, a restore": {"Records": [{**S3, "eventName": "ObjectRestore:Completed"}]},
    "Kinesis": {
        "Records": [
            {"eventSource": "aws:kinesis", "eventSourceARN": "arn:aws:kinesis:r:1:stream/s"}
        ]
    },
    "more messages than are looked at": {
        "Records": [{"eventSource": "aws:sqs", "eventSourceARN": "arn:aws:sqs:r:1:q"}] * 130
    },
    "CloudFront": {
        "Records": [{"cf": {"request": {"method": "GET", "uri": "/a", "querystring": "a=1"}}}]
    },
    "IoT": {"topic": "t", "clientid": "c"},
    "state machine": {"traceparent": f"00-{'a' * 32}-{'b' * 16}-01"},
}
TRIGGERS: dict[str, Any] = {name: told[0] for name, told in RECOGNISED.items()} | FURTHER

JSON = Payload(b'{"user": {"password": "x", "age": 7}, "ok": true}', 49, False, "json")
WIDE = Payload(f"[{','.join(['1.5'] * 70)}]".encode(), 281, False, "json")
LEDGER = ("accepted", "recovered", "exported", "printed", "spooled", "waiting", "dropped")
CHILDREN = tuple(
    ChildSpan(bytes((number,)) * 8, None, name, 1, 2, attributes, failure, of_platform)
    for number, (name, attributes, failure, of_platform) in enumerate(
        (
            (
                "init",
                {"spanpipe.init.type": "on-demand", "spanpipe.init.phase": "init"},
                None,
                False,
            ),
            ("restore", {"spanpipe.init.type": "snap-start"}, Failure("E", "failed"), False),
            ("responseLatency", {}, None, True),
            ("responseDuration", {}, None, True),
            ("runtimeOverhead", {}, None, True),
            ("extensionOverhead", {}, None, True),
            ("the user's", {"order": 7, "spanpipe.attributes": "over 32768 bytes"}, None, False),
            ("failed", {}, Failure("ValueError", "bad", "trace"), False),
        ),
        start=1,
    )
)
REPORT = Report(12.0, 11.5, 80.25, 5.0, 64, 128)
FULL = Invocation(
    ordinal=1,
    request_id="r-1",
    invoked_function_arn="arn:aws:lambda:eu-west-1:123456789012:function:shop:live",
    environment=Environment("shop", "7", "eu-west-1", "123456789012", 128, "group", "stream"),
    trace_id=b"t" * 16,
    span_id=b"s" * 8,
    start_unix_ns=1_000,
    end_unix_ns=2_000,
    fate=Fate.RETURNED,
    deadline_unix_ms=9,
    cold_start=True,
    initialization_type="on-demand",
    proactive_init=True,
    tenant_id="blue",
    durable_execution_arn="arn",
    request=JSON,
    result=WIDE,
    produced_bytes=16,
    report=REPORT,
    partials=(Partial(1_500, Payload(b'"so far"', 8, False, "json")), Partial(1_600, WIDE)),
    events=(Event(1_600, "paid", {"order": 7, "spanpipe.attributes": "over 32768 bytes"}),),
    children=CHILDREN,
    ledger=dict.fromkeys((*LEDGER, "uncertain"), 1),
)
BARE = Invocation(
    ordinal=1,
    request_id="r-1",
    invoked_function_arn="",
    environment=Environment("shop", "$LATEST"),
    trace_id=b"t" * 16,
    span_id=b"s" * 8,
    start_unix_ns=1_000,
    end_unix_ns=1_000,
    fate=Fate.UNREPORTED,
    deadline_unix_ms=0,
)
BUILDERS = {
    "as it comes": SpanBuilder(),
    "everything": SpanBuilder(request="always", flat=True),
    "whole bodies": SpanBuilder(request="always", response="always", max_body_bytes=10),
    "no body": SpanBuilder(response="off", platform_spans=False),
}


def sent(builder: SpanBuilder, records: Iterable[Record]) -> ExportTraceServiceRequest:
    return encode_spans(builder.spans(list(records)))


def ended(record: Invocation, fate: Fate) -> Invocation:
    """`record` with another end, as the lifecycle writes it."""
    failed = fate not in (Fate.RETURNED, Fate.UNREPORTED)
    raised = Failure("ValueError", "bad", "trace") if fate is Fate.RAISED else None
    return replace(
        record,
        fate=fate,
        failure=raised or (Failure("Runtime.ExitError", "it exited") if failed else None),
        exception=raised,
        request_id="" if fate is Fate.INIT_FAILED else record.request_id,
    )


@pytest.mark.parametrize("builder", BUILDERS)
@pytest.mark.parametrize("fate", Fate)
def test_every_fate_conforms(fate: Fate, builder: str) -> None:
    """With all that can be known of it and with nothing, in time and late."""
    late = Supplement(b"t" * 16, b"s" * 8, FULL.environment, 3_000, 1, REPORT, b"r" * 8, CHILDREN)
    other = replace(FULL, request=WIDE, result=JSON, partials=(Partial(1_500, JSON),))
    records = [ended(FULL, fate), ended(other, fate), ended(BARE, fate), late]
    assert deviations(sent(BUILDERS[builder], records), users=()) == []


def recorded(
    end: ReadingEnd, monkeypatch: pytest.MonkeyPatch, event: Any, result: Any
) -> list[Record]:
    """What the writer says of one invocation, as the lifecycle understands it."""
    writer = Writer(str(end.directory), environ={})
    monkeypatch.setattr(current, "made_writer", writer)

    class LambdaContext:
        aws_request_id = "r-1"
        _epoch_deadline_time_in_ms = DEADLINE_MS
        invoked_function_arn = FULL.invoked_function_arn

    @capture
    def handler(event: Any, context: Any) -> Any:
        with fifo.span("query"):
            return result

    handler(event, LambdaContext())
    assert writer.fault_count == 0
    writer.close()
    draws = itertools.count(1)
    core = Lifecycle(ENVIRONMENT, lambda size: next(draws).to_bytes(size, "big"))
    core.on_invoke(invoke(), SECOND_NS)
    send(core, end.messages())
    records = list(core.on_shutdown("spindown", 2 * SECOND_NS))
    assert [one.fate for one in records if isinstance(one, Invocation)] == [Fate.RETURNED]
    return records


@pytest.mark.parametrize("name", TRIGGERS)
def test_every_trigger_conforms(
    reading_end: ReadingEnd, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Recognised by the real writer, with results that say something of themselves."""
    builder = SpanBuilder()
    for result in (None, {"statusCode": 503}, {"batchItemFailures": [{}]}):
        records = recorded(reading_end, monkeypatch, TRIGGERS[name], result)
        request = sent(builder, records)
        assert deviations(request, users=()) == []
        measures = [one for one in map(measure_of, records) if one is not None]
        assert len(measures) == 1
        metrics = FaasMetrics(builder.resource, "1")
        metrics.add(measures)
        data = metrics.take()
        assert data is not None
        assert metric_deviations(encode_metrics(data), users=()) == []


def places_of(request: ExportTraceServiceRequest) -> Iterable[tuple[Place, str, str]]:
    """(Place, name of the span or event, attribute) of all that is in `request`."""
    of_event = {event.name: event.place for event in EVENTS if event.name}
    for resource_spans in request.resource_spans:
        for one in resource_spans.resource.attributes:
            yield Place.RESOURCE, "", one.key
        for span in resource_spans.scope_spans[0].spans:
            yield from ((place_of(span), span.name, name) for name in ("", *_keys(span)))
            for event in span.events:
                place = of_event.get(event.name, Place.USER_EVENT)
                yield from ((place, event.name, name) for name in ("", *_keys(event)))


def _keys(holder: Any) -> list[str]:
    return [one.key for one in holder.attributes]


def test_every_row_of_the_table_is_sent_by_something(
    reading_end: ReadingEnd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On each of its places: what nothing sets any more is no part of the table."""
    seen: set[tuple[Place, str, str]] = set()
    for builder in BUILDERS.values():
        for fate in Fate:
            seen |= set(places_of(sent(builder, [ended(FULL, fate)])))
    other = replace(FULL, request=WIDE, result=JSON, partials=(Partial(1_500, JSON),))
    seen |= set(places_of(sent(BUILDERS["everything"], [other])))
    late = Supplement(b"t" * 16, b"s" * 8, FULL.environment, 3_000, 1, REPORT, b"r" * 8)
    seen |= set(places_of(sent(SpanBuilder(), [late])))
    for event in TRIGGERS.values():
        for result in ({"statusCode": 200}, {"batchItemFailures": [{}]}):
            records = recorded(reading_end, monkeypatch, event, result)
            seen |= set(places_of(sent(SpanBuilder(), records)))
    attributes = {(place, name) for place, _, name in seen}
    unseen = [
        (place.value, row.name)
        for row in ATTRIBUTES
        for place in row.at
        if place is not Place.POINT
        and not any(
            where is place
            and (name == row.name or (row.name[-2:] == ".*" and name.startswith(row.name[:-1])))
            for where, name in attributes
        )
    ]
    assert unseen == []
    named = {(place, name) for place, name, _ in seen}
    rows = {(row.place, row.name) for row in SPANS} | {(row.place, row.name) for row in EVENTS}
    assert {row for row in rows if row[1]} - named == set()


def test_every_metric_of_the_table_is_sent_by_something() -> None:
    """And has a point under a trigger."""
    records = [FULL, ended(FULL, Fate.TIMED_OUT)]
    metrics = FaasMetrics(SpanBuilder().resource, "1")
    metrics.add(one for one in map(measure_of, records) if one is not None)
    data = metrics.take()
    assert data is not None
    request = encode_metrics(data)
    assert metric_deviations(request, users=()) == []
    sent_metrics = request.resource_metrics[0].scope_metrics[0].metrics
    assert {one.name for one in sent_metrics} == {one.name for one in METRICS}
