"""Events to triggers: one table, which nothing in an event can break."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fifo import triggers

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
MESSAGING = {"messaging.operation.type": "process", "messaging.operation.name": "process"}
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
    "API Gateway HTTP": (
        {
            "version": "2.0",
            "routeKey": "GET /pets/{id}",
            "rawPath": "/pets/7",
            "rawQueryString": "a=1",
            "headers": {"host": "api.example.com:443", "user-agent": "curl"},
            "requestContext": {"http": {"method": "GET", "path": "/p", "userAgent": "agent"}},
        },
        "http",
        "GET /pets/{id}",
        {
            "url.query": "a=1",
            "http.request.method": "GET",
            "http.route": "/pets/{id}",
            "url.path": "/pets/7",
            "url.scheme": "https",
            "server.address": "api.example.com",
            "user_agent.original": "agent",
        },
    ),
    "function URL": (
        {
            "version": "2.0",
            "routeKey": "$default",
            "rawPath": "/my/path",
            "rawQueryString": "",
            "headers": {"x-forwarded-proto": "https", "host": "x.lambda-url.r.on.aws"},
            "requestContext": {"http": {"method": "SEARCH", "path": "/my/path"}},
        },
        "http",
        "HTTP",
        {
            "http.request.method_original": "SEARCH",
            "http.request.method": "_OTHER",
            "url.path": "/my/path",
            "url.scheme": "https",
            "server.address": "x.lambda-url.r.on.aws",
        },
    ),
    "authorizer": (
        {
            "type": "REQUEST",
            "httpMethod": "GET",
            "path": "/",
            "headers": {"traceparent": PARENT},
            "requestContext": {"path": "/"},
        },
        "other",
        "",
        {},
    ),
    "CloudFront": (
        {
            "Records": [
                {
                    "cf": {
                        "config": {"eventType": "viewer-request"},
                        "request": {
                            "method": "GET",
                            "uri": "/picture.jpg",
                            "querystring": "size=large",
                            "headers": {"host": [{"key": "Host", "value": "d.cloudfront.net"}]},
                        },
                    }
                }
            ]
        },
        "http",
        "GET",
        {
            "url.query": "size=large",
            "http.request.method": "GET",
            "url.path": "/picture.jpg",
            "url.scheme": "https",
            "server.address": "d.cloudfront.net",
        },
    ),
    "SNS": (
        {
            "Records": [
                {
                    "EventSource": "aws:sns",
                    "Sns": {"TopicArn": "arn:aws:sns:r:1:news", "MessageId": "m"},
                }
            ]
        },
        "pubsub",
        "",
        {
            **MESSAGING,
            "messaging.system": "aws.sns",
            "messaging.destination.name": "news",
            "aws.sns.topic.arn": "arn:aws:sns:r:1:news",
            "messaging.message.id": "m",
        },
    ),
    "Kinesis, by a consumer of its own": (
        {
            "Records": [
                {
                    "eventSource": "aws:kinesis",
                    "eventSourceARN": "arn:aws:kinesis:r:1:stream/clicks/consumer/c:9",
                    "kinesis": {"data": "eA=="},
                }
            ]
        },
        "pubsub",
        "",
        {
            **MESSAGING,
            "messaging.system": "aws.kinesis",
            "messaging.destination.name": "clicks",
        },
    ),
    "MSK": (
        {
            "eventSource": "aws:kafka",
            "records": {"orders-3": [{"topic": "orders", "partition": 3, "offset": 15}]},
        },
        "pubsub",
        "",
        {
            **MESSAGING,
            "messaging.system": "kafka",
            "messaging.destination.name": "orders",
            "messaging.destination.partition.id": "3",
            "messaging.kafka.offset": 15,
        },
    ),
    "Kafka of one's own": (
        {
            "eventSource": "SelfManagedKafka",
            "records": {
                "orders-0": [{"topic": "orders", "partition": 0, "offset": 1}],
                "orders-1": [{"topic": "orders", "partition": 1, "offset": 2}],
            },
        },
        "pubsub",
        "",
        {
            **MESSAGING,
            "messaging.system": "kafka",
            "messaging.destination.name": "orders",
            "messaging.batch.message_count": 2,
        },
    ),
    "IoT": (
        {"topic": "home/door", "clientid": "door-1", "open": True},
        "pubsub",
        "",
        {**MESSAGING, "messaging.system": "aws.iot", "messaging.destination.name": "home/door"},
    ),
    "EventBridge rule": (
        {"id": "e", "source": "shop", "detail-type": "order", "detail": {}, "time": "T"},
        "pubsub",
        "",
        {**MESSAGING, "messaging.system": "aws.eventbridge", "messaging.message.id": "e"},
    ),
    "S3": (
        {
            "Records": [
                {
                    "eventSource": "aws:s3",
                    "eventName": "ObjectTagging:Put",
                    "eventTime": "T",
                    "s3": {"bucket": {"name": "b"}, "object": {"key": "a+b"}},
                }
            ]
        },
        "datasource",
        "",
        {
            "faas.document.collection": "b",
            "faas.document.name": "a+b",
            "faas.document.time": "T",
            "faas.document.operation": "edit",
        },
    ),
    "Cognito": ({"triggerSource": "PreSignUp", "userPoolId": "p"}, "other", "", {}),
    "Step Functions": ({"order": 1, "traceparent": PARENT}, "other", "", {}),
    "none": ({"order": 1}, "other", "", {}),
}


@pytest.mark.parametrize("name", EVENTS)
def test_each_event_is_recognised(name: str) -> None:
    """Trigger, span name and attributes, whole."""
    event, trigger, span_name, attributes = EVENTS[name]
    found = triggers.recognise(event)
    assert (found.trigger, found.name, found.attributes) == (trigger, span_name, attributes)


def parents(count: int) -> list[str]:
    return [f"00-{trace:032x}-{trace:016x}-01" for trace in range(1, count + 1)]


def kafka(headers: list[Any]) -> Any:
    return {"eventSource": "aws:kafka", "records": {"t-0": headers[:2], "t-1": headers[2:]}}


def test_kafka_headers_are_carriers() -> None:
    """Bytes as numbers, signed as Java's; one record's is the parent's, of more each a link's."""
    texts = parents(3)
    signed = [byte - 256 if byte > 127 else byte for byte in "k=é".encode()]
    record = {
        "headers": [{"Traceparent": list(texts[0].encode())}, {"baggage": signed}, {"x": [1]}]
    }
    found = triggers.recognise(kafka([record]))
    assert (found.carrier, found.carriers) == ({"traceparent": texts[0], "baggage": "k=é"}, [])
    records = [{"headers": [{"traceparent": list(text.encode())}]} for text in texts]
    found = triggers.recognise(kafka(records))
    assert (found.carrier, found.carriers) == ({}, [{"traceparent": text} for text in texts])
    broken = triggers.recognise(kafka([{"headers": [{"traceparent": ["x"]}]}]))
    assert (broken.trigger, broken.carrier) == ("pubsub", {})


def test_a_kafka_batch_is_read_up_to_a_bound() -> None:
    """128 records over all partitions, and the rest is counted."""
    records = [{"headers": [{"traceparent": list(text.encode())}]} for text in parents(200)]
    found = triggers.recognise(kafka(records))
    assert (len(found.carriers), found.cut_count) == (128, 72)


def kinesis(*data: Any) -> Any:
    records = [{"eventSource": "aws:kinesis", "kinesis": {"data": one}} for one in data]
    return {"Records": records}


def packed(value: Any) -> str:
    return base64.b64encode(json.dumps(value).encode()).decode()


@pytest.mark.parametrize(
    ("event", "path", "carrier", "carriers"),
    [
        ({"detail": {"trace": {"B3": "1"}}}, "detail.trace", {"b3": "1"}, []),
        (kinesis(packed({"b3": "1", "x": 2})), "Records.kinesis.data", {"b3": "1"}, []),
        (
            kinesis(packed({"t": {"b3": "1"}}), packed({"t": {"b3": "2"}}), "no base64", "eA=="),
            "Records.kinesis.data.t",
            {},
            [{"b3": "1"}, {"b3": "2"}],
        ),
        ({"a": [{"t": {"b3": "1"}}, {"t": {"b3": "2"}}]}, "a.1.t", {"b3": "2"}, []),
        ({"body": '{"t": "{\\"b3\\": \\"1\\"}"}'}, "body.t", {"b3": "1"}, []),
        ({"a": [[{"b3": "1"}]], "b": 1}, "a.b", {}, []),
        ({"a": {"b3": "1"}}, "a.b.c", {}, []),
    ],
)
def test_the_users_own_path(
    event: Any, path: str, carrier: dict[str, str], carriers: list[dict[str, str]]
) -> None:
    """Through lists and texts of JSON: one place gives the parent, several give links."""
    found = triggers.recognise(event, path)
    assert (found.carrier, found.carriers, found.cut_count) == (carrier, carriers, 0)


def test_the_users_own_path_has_bounds() -> None:
    """So many characters are decoded, so many records are read; what is too much is counted."""
    data = packed({"b3": "1", "x": "y" * 9_000})
    found = triggers.recognise(kinesis(*[data] * 10), "Records.kinesis.data")
    fitting = triggers.MAX_DECODED // len(data)
    assert (len(found.carriers), found.cut_count) == (fitting, 10 - fitting)
    found = triggers.recognise({"a": [{"b3": "1"}] * 200}, "a")
    assert (len(found.carriers), found.cut_count) == (128, 72)


KEYS = ["requestContext", "Records", "detail-type", "source", "eventSource", "records", "info"]
KEYS += [
    "data",
    "a",
    "b",
    "http",
    "headers",
    "routeKey",
    "httpMethod",
    "cf",
    "Sns",
    "kinesis",
    "s3",
    "traceparent",
]
values = st.recursive(
    st.one_of(
        st.none(),
        st.integers(),
        st.sampled_from(["aws:sqs", "aws:s3", "aws:sns", "aws:kafka", "e30=", "[1]", "x"]),
    ),
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
