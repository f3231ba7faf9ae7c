"""What a writer makes of an event, in one process: held to the Python writer, whatever comes."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fifo import propagation, triggers
from tests.core.test_triggers import EVENTS, packed
from tests.vectors import callers
from tests.whole.test_sample_events import sample_events
from tests.writers.languages import WRITERS, tool

Tell = Callable[[dict[str, Any]], Any]


@pytest.fixture(scope="module")
def tell() -> Iterator[Tell]:
    """The Node writer's word on each question, from one process."""
    command = [tool("node"), str(WRITERS / "node" / "test" / "teller.js")]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
    ) as process:
        stdin, stdout = process.stdin, process.stdout
        assert stdin is not None
        assert stdout is not None

        def told(question: dict[str, Any]) -> Any:
            stdin.write(json.dumps(question) + "\n")
            stdin.flush()
            return json.loads(stdout.readline())

        yield told
        stdin.close()


def question(
    event: Any, names: list[str], event_path: str, xray_header: str, results: list[Any]
) -> dict[str, Any]:
    return {
        "event": event,
        "propagators": names,
        "event_path": event_path,
        "xray_header": xray_header,
        "results": results,
    }


def expected(asked: dict[str, Any]) -> dict[str, Any]:
    names, path = asked["propagators"], asked["event_path"]
    told = callers.told(asked["event"], names, path, asked["xray_header"])
    outcomes = [triggers.outcome_of(told["trigger"], one) or None for one in asked["results"]]
    return {**told, "outcomes": outcomes}


@pytest.mark.emulator
def test_every_sample_event_of_aws_is_told_alike(tell: Tell) -> None:
    """As they are, and with a caller's headers wherever they may be."""
    carrier = {"traceparent": callers.PARENT, "tracestate": "a=1", "baggage": "k=v"}
    for name, event in sample_events().items():
        for changed in (event, with_carrier(event, carrier)):
            asked = question(changed, callers.ALL, "detail", callers.XRAY, list(callers.RESULTS))
            assert tell(asked) == expected(asked), name


def with_carrier(event: Any, carrier: dict[str, str]) -> Any:
    if not isinstance(event, dict):
        return event
    held = {**event, "headers": {**(event.get("headers") or {}), **carrier}}
    attributes = {key: {"stringValue": text, "Value": text} for key, text in carrier.items()}
    for record in held.get("Records", ()):
        record["messageAttributes"] = attributes
        if "Sns" in record:
            record["Sns"]["MessageAttributes"] = attributes
    return held


# JSON's numbers have one kind in JavaScript: 3.0 is 3 there, and 2^53 - 1 its last whole one.
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(1 - 2**53, 2**53 - 1),
    st.sampled_from([0.5, 1428537600.9, -0.5]),
    st.sampled_from(
        [
            *("aws:sqs", "aws:sns", "aws:kinesis", "aws:dynamodb", "aws:s3", "aws:kafka"),
            *("ObjectCreated:Put", "MODIFY", "Scheduled Event", "Query", "REQUEST", "$default"),
            *("GET", "get", "GET /a/{b}", "/a?b", "h:80", "", "é", "😀" * 1_100, "constructor"),
            *("arn:aws:sqs:r:1:orders", "arn:aws:kinesis:r:1:stream/clicks/consumer/c:9"),
            *(callers.PARENT, callers.OTHER, callers.XRAY, "a=1, b@c=2", "a=1,a=2", "k=v"),
            *(f"{callers.TRACE}-{callers.SPAN}-1", f"{callers.TRACE[:16]}-{callers.SPAN}", "1"),
            *("1-2-3-4-5", callers.TRACE, callers.SPAN, "404", "00404", "{", "eA==", "[1]"),
            packed({"traceparent": callers.PARENT}),
            json.dumps([{"a": {"b3": f"{callers.TRACE}-{callers.SPAN}-d"}}]),
        ]
    ),
)
keys = st.sampled_from(
    [
        *("requestContext", "Records", "detail-type", "source", "eventSource", "EventSource"),
        *("records", "info", "fieldName", "parentTypeName", "request", "triggerSource", "topic"),
        *("userPoolId", "identityPoolId", "clientid", "http", "method", "path", "userAgent"),
        *("rawPath", "rawQueryString", "routeKey", "connectionId", "domainName", "elb", "type"),
        *("httpMethod", "resource", "headers", "multiValueHeaders", "queryStringParameters"),
        *("multiValueQueryStringParameters", "cf", "config", "querystring", "uri", "value"),
        *("eventSourceARN", "eventName", "eventTime", "messageId", "messageAttributes", "Sns"),
        *("MessageAttributes", "stringValue", "Value", "attributes", "AWSTraceHeader"),
        *("TopicArn", "MessageId", "dynamodb", "ApproximateCreationDateTime", "s3", "bucket"),
        *("object", "name", "key", "partition", "offset", "kinesis", "data", "detail", "time"),
        *("id", "a", "statusCode", "batchItemFailures", "user-agent", "Host", "constructor"),
        *("x-forwarded-proto", *propagation.HEADERS, "Traceparent", "X-B3-TraceId"),
    ]
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(keys, inner, max_size=5)),
    max_leaves=25,
)


def changed(event: Any, replaced: list[tuple[int, Any]]) -> Any:
    """`event` with other values at some of its places."""
    for place, value in replaced:
        event = _changed(event, [place], value)
    return event


def _changed(value: Any, left: list[int], given: Any) -> Any:
    left[0] -= 1
    if left[0] == 0:
        return given
    if isinstance(value, dict):
        return {key: _changed(one, left, given) for key, one in value.items()}
    return [_changed(one, left, given) for one in value] if isinstance(value, list) else value


whole = [event for event, *_ in EVENTS.values()] + [one["event"] for one in callers.events()]
small = [event for event in whole if len(json.dumps(event)) < 4_000]
events = st.one_of(
    values,
    st.builds(
        changed,
        st.sampled_from(small),
        st.lists(st.tuples(st.integers(1, 40), values), max_size=3),
    ),
)


@given(
    asked=st.builds(
        question,
        events,
        st.lists(st.sampled_from(propagation.NAMES), unique=True),
        st.sampled_from(["", "a", "detail.a", "Records.0.kinesis.data", "Records.data.a"]),
        st.sampled_from(["", callers.XRAY, "Root=1-x"]),
        st.lists(st.one_of(values, st.sampled_from(callers.RESULTS)), max_size=2),
    )
)
@settings(max_examples=500, deadline=None)
def test_any_event_is_told_alike(tell: Tell, asked: dict[str, Any]) -> None:
    """Events of every trigger with anything in any of their places, and anything at all."""
    assert tell(asked) == expected(asked)
