"""The checker of attributes: what it takes, and one deviation of every kind that it names."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.json_format import ParseDict
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.conformance import deviations, metric_deviations

RESOURCE = {
    "cloud.provider": "aws",
    "cloud.platform": "aws_lambda",
    "faas.name": "shop",
    "faas.version": "7",
    "service.name": "shop",
    "telemetry.sdk.language": "python",
    "telemetry.sdk.name": "opentelemetry",
    "telemetry.sdk.version": "1",
    "telemetry.distro.name": "spanpipe",
    "telemetry.distro.version": "1",
}
RETURNED = {
    "spanpipe.fate": "returned",
    "faas.trigger": "other",
    "faas.invocation_id": "r-1",
    "aws.lambda.invoked_arn": "arn",
    "cloud.resource_id": "arn",
    "cloud.account.id": "1",
}
HTTP = {"faas.trigger": "http", "http.request.method": "GET", "url.scheme": "https"}
SQS = {
    "faas.trigger": "pubsub",
    "messaging.system": "aws_sqs",
    "messaging.operation.type": "process",
    "messaging.operation.name": "process",
}
HOLDER = "invocation span 'shop'"
ERROR = {"code": 2, "message": "bad"}


def any_value(value: Any) -> dict[str, Any]:
    if isinstance(value, list):
        return {"arrayValue": {"values": [any_value(one) for one in value]}}
    kinds = {bool: "boolValue", int: "intValue", float: "doubleValue", str: "stringValue"}
    return {kinds[type(value)]: value}


def attributes(given: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"key": name, "value": any_value(value)} for name, value in given.items()]


def span(given: dict[str, Any], **more: Any) -> dict[str, Any]:
    """An invocation span with `given` beside what it must have; None takes a name away."""
    kept = {name: value for name, value in {**RETURNED, **given}.items() if value is not None}
    return {"name": "shop", "kind": 2, "attributes": attributes(kept), **more}


def child(name: str, given: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"name": name, "kind": 1, "attributes": attributes(given), **more}


def found(
    *spans: dict[str, Any],
    resource: dict[str, Any] | None = None,
    users: tuple[str, ...] | None = None,
    scope: dict[str, Any] | None = None,
) -> list[str]:
    resource_spans = {
        "resource": {"attributes": attributes(RESOURCE if resource is None else resource)},
        "scopeSpans": [{"scope": scope or {"name": "spanpipe", "version": "1"}, "spans": spans}],
    }
    request = ParseDict({"resourceSpans": [resource_spans]}, ExportTraceServiceRequest())
    return deviations(request, users)


def test_what_conforms_has_no_deviation() -> None:
    """Invocation, children and events, with the user's names where users may have them."""
    raised = {"name": "exception", "attributes": attributes({"exception.type": "ValueError"})}
    event = {"name": "paid", "attributes": attributes({"order.id": 7, "faas.x": "mine"})}
    init = {"spanpipe.init.type": "on-demand"}
    assert (
        found(
            span(HTTP | {"url.path": "/"}, events=[event]),
            span(SQS | {"messaging.message.id": "m"}),
            span(
                {"spanpipe.fate": "raised", "error.type": "ValueError"},
                status=ERROR,
                events=[raised],
            ),
            child("query", {"order.id": 7, "http.route": "mine"}),
            child("init", init),
            resource=RESOURCE | {"deployment.environment.name": "prod", "service.version": "2"},
        )
        == []
    )


def test_what_others_have_made_is_not_looked_at() -> None:
    """Spans of another scope, and the resource that they alone stand on."""
    scope = {"name": "opentelemetry.instrumentation.requests"}
    assert found(span({"spanpipe.fate": "?"}), resource={}, scope=scope) == []


@pytest.mark.parametrize(
    ("given", "more", "deviation"),
    [
        ({"order.id": "7"}, {}, "order.id is not in docs/attribute_table.py for this place"),
        (
            {"faas.max_memory": 1},
            {},
            "faas.max_memory is not in docs/attribute_table.py for this place",
        ),
        ({"faas.coldstart": "true"}, {}, "faas.coldstart is string, not boolean"),
        ({"spanpipe.links.cut": 1.5}, {}, "spanpipe.links.cut is double, not int"),
        ({"http.route": ["a"]}, {}, "http.route is string[], not string"),
        ({"faas.time": ""}, {}, "faas.time is empty"),
        ({"faas.trigger": None}, {}, "faas.trigger is missing: it is required"),
        (
            {"faas.trigger": "cron"},
            {},
            "faas.trigger is 'cron', none of datasource, http, pubsub, timer, other",
        ),
        (
            {"faas.invocation_id": None},
            {},
            "faas.invocation_id is missing: it was invoked: `spanpipe.fate` is not `init_failed`",
        ),
        (
            {"spanpipe.fate": "timed_out"},
            {},
            "error.type is missing: the span's status is ERROR",
        ),
        ({}, {"status": ERROR}, "error.type is missing: the span's status is ERROR"),
        (
            HTTP,
            {},
            "url.path is missing: the event has a method",
        ),
        (
            {"url.path": "/"},
            {},
            "url.path is there, though only where the event has a method",
        ),
        (
            SQS | {"messaging.batch.message_count": 2, "messaging.message.id": "m"},
            {},
            "messaging.message.id is there, though only where the event is one message",
        ),
        (
            {"spanpipe.result.content_kind": "json", "spanpipe.result.body": "1"},
            {},
            "spanpipe.result.truncated is missing: a body is sent: its content kind is not `none`",
        ),
        ({}, {"name": ""}, "it has no name"),
        ({}, {"startTimeUnixNano": 2, "endTimeUnixNano": 1}, "it ends before it starts"),
        (
            {},
            {"links": [{"attributes": attributes({"a": 1})}]},
            "a link has attributes",
        ),
    ],
)
def test_each_kind_of_deviation_is_named(
    given: dict[str, Any], more: dict[str, Any], deviation: str
) -> None:
    """Where, which name and what is wrong: one sentence, and no other."""
    where = HOLDER if more.get("name", "shop") else "invocation span ''"
    assert found(span(given, **more)) == [f"{where}: {deviation}"]


def test_an_error_type_without_an_error() -> None:
    """It must not be there: the condition, and the status itself."""
    assert found(span({"error.type": "E"})) == [
        f"{HOLDER}: error.type is there, though only where the span's status is ERROR",
        f"{HOLDER}: error.type, and the status is not ERROR",
    ]


def test_a_name_that_is_there_twice() -> None:
    """OTLP's names are unique in their list."""
    twice = span({})
    twice["attributes"] += attributes({"spanpipe.fate": "returned"})
    assert found(twice) == [f"{HOLDER}: spanpipe.fate is there twice"]


def test_children_and_events_have_their_own_rows() -> None:
    """The platform's are closed, the user's open but for our own namespace."""
    event = {"name": "exception", "attributes": attributes({"exception.message": "bad"})}
    assert found(
        child("init", {}),
        child("responseLatency", {"ms": 1}),
        child("query", {"spanpipe.new": 1}, events=[event]),
        child("call", {}, kind=3),
    ) == [
        "`init` and `restore` spans 'init': spanpipe.init.type is missing: it is required",
        "spans of the platform 'responseLatency': ms is not in docs/attribute_table.py "
        "for this place",
        "spans of the function 'query': spanpipe.new is not in docs/attribute_table.py "
        "for this place",
        "spans of the function 'query', `exception` event 'exception': exception.type is missing: "
        "it is required",
        "spans of the function 'call': kind 3 is neither SERVER nor INTERNAL",
    ]


def test_the_resource_and_the_scope() -> None:
    """Names in Lambda's namespaces are ours; with `users` told, all others are unknown."""
    wrong = RESOURCE | {"faas.max_memory": "128", "faas.id": "x", "team": "blue"}
    scope = {"name": "spanpipe", "attributes": attributes({"a": 1})}
    of_resource = [
        "resource: faas.max_memory is string, not int",
        "resource: faas.id is not in docs/attribute_table.py for this place",
    ]
    of_scope = [
        "scope 'spanpipe': it is not spanpipe with a version",
        "scope 'spanpipe': it has attributes",
    ]
    assert found(span({}), resource=wrong, scope=scope) == [*of_resource, *of_scope]
    assert found(span({}), resource=wrong, users=("team", "faas.id")) == of_resource[:1]
    assert found(span({}), resource=RESOURCE | {"team": "blue"}, users=()) == [
        "resource: team is not in docs/attribute_table.py for this place"
    ]


def test_metrics() -> None:
    """Name, unit, instrument, temporality, kind of value, attributes."""
    point = {"attributes": attributes({"faas.trigger": "http"})}
    count = {"name": "faas.errors", "unit": "{error}"}
    total = {"aggregationTemporality": 1, "isMonotonic": True}

    def of(metric: dict[str, Any]) -> list[str]:
        scope_metrics = {"scope": {"name": "spanpipe", "version": "1"}, "metrics": [metric]}
        resource_metrics = {
            "resource": {"attributes": attributes(RESOURCE)},
            "scopeMetrics": [scope_metrics],
        }
        request = {"resourceMetrics": [resource_metrics]}
        return metric_deviations(ParseDict(request, ExportMetricsServiceRequest()))

    assert of({**count, "sum": {**total, "dataPoints": [{**point, "asInt": 1}]}}) == []
    assert of({"name": "faas.x"}) == ["metric 'faas.x': it is not in the table"]
    assert of({**count, "unit": "1", "histogram": {}}) == [
        "metric 'faas.errors': unit '1' is not '{error}'",
        "metric 'faas.errors': histogram is no counter",
    ]
    other = {"attributes": attributes({"faas.coldstart": True}), "asDouble": 1.0}
    assert of({**count, "sum": {"dataPoints": [other]}}) == [
        "metric 'faas.errors': it is not delta",
        "metric 'faas.errors': it is not monotonic",
        "metric 'faas.errors': a point is no integer",
        "metric 'faas.errors': faas.coldstart is not in docs/attribute_table.py for this place",
    ]
