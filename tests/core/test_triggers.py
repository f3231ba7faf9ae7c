"""Events to triggers: one table, which nothing in an event can break."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fifo import triggers

SQS = {"messageId": "m", "eventSource": "aws:sqs", "eventSourceARN": "arn:aws:sqs:r:1:orders"}
EVENTS: dict[str, tuple[Any, str, str, dict[str, Any]]] = {
    "API Gateway REST": (
        {
            "resource": "/{id}",
            "path": "/7",
            "httpMethod": "get",
            "headers": None,
            "multiValueHeaders": {"User-Agent": ["curl"], "X-Forwarded-Proto": ["http"]},
            "queryStringParameters": {"a": "1"},
            "requestContext": {"stage": "p"},
        },
        "http",
        "GET /{id}",
        {
            "url.query": "a=1",
            "http.request.method_original": "get",
            "http.request.method": "GET",
            "http.route": "/{id}",
            "url.path": "/7",
            "url.scheme": "http",
            "user_agent.original": "curl",
        },
    ),
    "ALB": (
        {"requestContext": {"elb": {}}, "httpMethod": "POST", "path": "/", "headers": {}},
        "http",
        "POST",
        {"http.request.method": "POST", "url.path": "/", "url.scheme": "https"},
    ),
    "WebSocket": (
        {"requestContext": {"connectionId": "c", "routeKey": "$connect", "domainName": "d"}},
        "http",
        "$connect",
        {"http.route": "$connect", "url.scheme": "wss", "server.address": "d"},
    ),
    "SQS": (
        {"Records": [SQS, SQS]},
        "pubsub",
        "",
        {
            "messaging.system": "aws_sqs",
            "messaging.operation.type": "process",
            "messaging.operation.name": "process",
            "messaging.destination.name": "orders",
            "messaging.batch.message_count": 2,
        },
    ),
    "SQS, one message": (
        {"Records": [SQS]},
        "pubsub",
        "",
        {
            "messaging.system": "aws_sqs",
            "messaging.operation.type": "process",
            "messaging.operation.name": "process",
            "messaging.destination.name": "orders",
            "messaging.message.id": "m",
        },
    ),
    "Kafka": (
        {"eventSource": "aws:kafka", "records": {"orders-0": [{"topic": "orders"}, {}]}},
        "pubsub",
        "",
        {
            "messaging.system": "kafka",
            "messaging.operation.type": "process",
            "messaging.operation.name": "process",
            "messaging.destination.name": "orders",
            "messaging.batch.message_count": 2,
        },
    ),
    "EventBridge": (
        {"source": "shop", "detail-type": "order", "id": "e", "detail": {}},
        "pubsub",
        "",
        {
            "messaging.system": "aws.eventbridge",
            "messaging.operation.type": "process",
            "messaging.operation.name": "process",
            "messaging.message.id": "e",
        },
    ),
    "AppSync": (
        {"info": {"fieldName": "order", "parentTypeName": "Query"}, "request": {"headers": {}}},
        "http",
        "",
        {"graphql.operation.type": "query"},
    ),
    "AppSync, a field of another type": (
        {"info": {"fieldName": "price", "parentTypeName": "Order"}},
        "http",
        "",
        {},
    ),
    "schedule": (
        {"source": "aws.events", "detail-type": "Scheduled Event", "time": "T", "detail": {}},
        "timer",
        "",
        {"faas.time": "T"},
    ),
    "DynamoDB": (
        {
            "Records": [
                {
                    "eventSource": "aws:dynamodb",
                    "eventName": "MODIFY",
                    "eventSourceARN": "arn:aws:dynamodb:r:1:table/t/stream/x",
                }
            ]
        },
        "datasource",
        "",
        {"faas.document.collection": "t", "faas.document.operation": "edit"},
    ),
    "Cognito": ({"triggerSource": "PreSignUp", "userPoolId": "p"}, "other", "", {}),
    "none": ({"order": 1}, "other", "", {}),
}


@pytest.mark.parametrize("name", EVENTS)
def test_each_event_is_recognised(name: str) -> None:
    """Trigger, span name and attributes, whole."""
    event, trigger, span_name, attributes = EVENTS[name]
    found = triggers.recognise(event)
    assert (found.trigger, found.name, found.attributes) == (trigger, span_name, attributes)


KEYS = ["requestContext", "Records", "detail-type", "source", "eventSource", "records", "info"]
KEYS += ["http", "headers", "routeKey", "httpMethod", "cf", "Sns", "kinesis", "s3", "traceparent"]
values = st.recursive(
    st.one_of(st.none(), st.integers(), st.sampled_from(["aws:sqs", "aws:s3", "aws:sns", "x"])),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.one_of(st.sampled_from(KEYS), st.integers()), inner, max_size=4),
    ),
    max_leaves=12,
)


@given(event=values)
@settings(max_examples=500, deadline=None)
def test_no_event_raises(event: Any) -> None:
    """Whatever types stand where."""
    assert triggers.recognise(event, "a.b").trigger in (
        "http",
        "pubsub",
        "timer",
        "datasource",
        "other",
    )
    triggers.outcome_of("http", event)
    triggers.outcome_of("pubsub", event)


def test_the_outcome_of_a_result() -> None:
    """An HTTP status only where HTTP was asked; failed items of a batch are counted."""
    assert triggers.outcome_of("http", {"statusCode": "404"}) == {"http.response.status_code": 404}
    assert triggers.outcome_of("other", {"statusCode": 404}) == {}
    failures = {"batchItemFailures": [{}, {}]}
    assert triggers.outcome_of("pubsub", failures) == {"spanpipe.batch.failed_count": 2}
