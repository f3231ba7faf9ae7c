"""What stands between functions in a local run: their file, queues, URLs, and trees of spans."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from sandbox import function_url
from sandbox.application import EventSource, Reference, failed_ids
from sandbox.function import ERROR, RETURNED, InvocationResult
from sandbox.queues import MAX_RECEIVES, Queues, lambda_event
from sandbox.sqs import SqsEndpoint, digest
from spanpipe.run.functions_file import Entry, FunctionsFileError, parse
from spanpipe.run.waterfall import Branch, trees_of

# The file


def test_every_key_of_the_file_is_read() -> None:
    """Two functions that say everything or nothing; variables are replaced."""
    text = """
functions:
  a:
    handler: app.a
    directory: src
    timeout: 1.5
    memory: 256
    environment: {B: {url_of: b}, Q: {queue: q}, ONE: 1, HOST: "${HOST}", NONE: }
  b: {handler: app.b, queue: {name: q, batch_size: 2, window_s: 0.5, item_failures: true}}
"""
    references = {"B": Reference("url_of", "b"), "Q": Reference("queue", "q")}
    environ = {"ONE": "1", "HOST": "h", "NONE": ""}
    assert parse(text, "/x/f.yaml", {"HOST": "h"}) == [
        Entry("a", "app.a", Path("/x/src"), 1.5, 256, environ, references, None),
        Entry("b", "app.b", Path("/x"), None, None, {}, {}, EventSource("q", 2, 0.5, True)),
    ]


def test_every_mistake_in_the_file_is_named_at_once() -> None:
    """With its place and what to do."""
    text = """
functions:
  a b: {handler: app.a, timeout: 0, queue: {name: q.fifo}}
  c: {handler: app.c, environment: {X: {url_of: d, queue: e}, 1X: 1}, queue: {name: q}}
  d: {handler: app.d, environment: {Y: {url_of: z}}, queue: {name: q, size: 3}}
  e: {memory: 1}
"""
    with pytest.raises(FunctionsFileError) as raised:
        parse(text, "f", {})
    assert str(raised.value).splitlines() == [
        "f:3:3: functions.a b: is no function's name: 1 to 64 letters, digits, - and _",
        "f:3:34: functions.a b.timeout: is 0, must be from 0.1 to 900",
        "f:3:44: functions.a b.queue.name: must be there: 1 to 80 letters, digits, - and _ "
        "(no FIFO queue)",
        "f:4:40: functions.c.environment.X: needs one of url_of: and queue:",
        "f:4:63: functions.c.environment.1X: is no variable's name: a letter, then letters, "
        "digits and _",
        "f:5:3: functions.d.queue.name: q is taken by c already",
        "f:5:3: functions.d.environment.Y: no function has the name z",
        "f:5:71: functions.d.queue.size: unknown key; known: name, batch_size, window_s, "
        "item_failures",
        "f:6:3: functions.e.handler: must be there: module.function, as in Lambda",
        "f:6:15: functions.e.memory: is 1, must be from 128 to 10240",
    ]
    with pytest.raises(FunctionsFileError, match="f:1:1: functions: must name a function"):
        parse("functions: {}", "f", {})


# SQS


def endpoint(queues: Queues) -> SqsEndpoint:
    return SqsEndpoint(queues, lambda name: f"http://host/1/{name}", lambda: 1_000)


def call(
    queues: Queues, operation: str, request: Any, trace_header: str | None = None
) -> tuple[int, Any]:
    body = request if isinstance(request, bytes) else json.dumps(request).encode()
    status, answer = endpoint(queues).answer(f"AmazonSQS.{operation}", trace_header, body)
    return status, json.loads(answer)


def test_a_message_comes_as_lambda_gives_it() -> None:
    """SendMessage and SendMessageBatch in, an event's records out, with SQS's own digests."""
    queues = Queues(["q"])
    attributes = {
        "traceparent": {"DataType": "String", "StringValue": "00-1"},
        "raw": {"DataType": "Binary.x", "BinaryValue": "AP8="},
    }
    system = {"AWSTraceHeader": {"DataType": "String", "StringValue": "Root=1"}}
    request = {
        "QueueUrl": "http://host/1/q",
        "MessageBody": "one",
        "MessageAttributes": attributes,
        "MessageSystemAttributes": system,
    }
    status, receipt = call(queues, "SendMessage", request, "Root=2")
    assert (status, receipt) == (
        200,
        {
            "MessageId": receipt["MessageId"],
            "MD5OfMessageBody": "f97c5d29941bfb1b2fdab0874906ab82",
            "MD5OfMessageAttributes": digest(attributes),
            "MD5OfMessageSystemAttributes": digest(system),
        },
    )
    # What AWS returned for this one.
    number = {"timestamp": {"DataType": "Number", "StringValue": "1493147359900"}}
    assert digest(number) == "235c5c510d26fb653d073faed50ae77c"
    entries = [{"Id": "a", "MessageBody": "two"}]
    status, reply = call(
        queues, "SendMessageBatch", {"QueueUrl": "q", "Entries": entries}, "Root=2"
    )
    assert (status, [one["Id"] for one in reply["Successful"]], reply["Failed"]) == (200, ["a"], [])
    batch = queues.take("q", 2, 0.0, lambda: 2_000)
    first, second = lambda_event(batch, "arn:aws:sqs:r:1:q", "r")["Records"]
    assert first == {
        "messageId": receipt["MessageId"],
        "receiptHandle": f"{receipt['MessageId']}#1",
        "body": "one",
        "attributes": {
            "ApproximateReceiveCount": "1",
            "SentTimestamp": "1000",
            "SenderId": "spanpipe",
            "ApproximateFirstReceiveTimestamp": "2000",
            "AWSTraceHeader": "Root=1",
        },
        "messageAttributes": {
            "traceparent": {
                "stringValue": "00-1",
                "stringListValues": [],
                "binaryListValues": [],
                "dataType": "String",
            },
            "raw": {
                "binaryValue": "AP8=",
                "stringListValues": [],
                "binaryListValues": [],
                "dataType": "Binary.x",
            },
        },
        "md5OfBody": "f97c5d29941bfb1b2fdab0874906ab82",
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:r:1:q",
        "awsRegion": "r",
    }
    # What botocore adds to a call from within Lambda is what SQS takes as its own.
    assert second["attributes"]["AWSTraceHeader"] == "Root=2"
    assert call(queues, "GetQueueUrl", {"QueueName": "q"}) == (
        200,
        {"QueueUrl": "http://host/1/q"},
    )


@pytest.mark.parametrize(
    ("operation", "request_", "code"),
    [
        ("SendMessage", b"{", "InvalidParameterValue"),
        ("SendMessage", [], "InvalidParameterValue"),
        ("SendMessage", {"QueueUrl": "http://host/1/x", "MessageBody": "b"}, "QueueDoesNotExist"),
        ("SendMessage", {"QueueUrl": "q"}, "InvalidParameterValue"),
        (
            "SendMessage",
            {"QueueUrl": "q", "MessageBody": "b", "DelaySeconds": 1},
            "UnsupportedOperation",
        ),
        (
            "SendMessage",
            {"QueueUrl": "q", "MessageBody": "b", "MessageAttributes": {"a": {"DataType": "S"}}},
            "InvalidParameterValue",
        ),
        ("SendMessage", {"QueueUrl": "q", "MessageBody": "b" * 1_048_577}, "InvalidParameterValue"),
        ("SendMessageBatch", {"QueueUrl": "q", "Entries": []}, "EmptyBatchRequest"),
        (
            "SendMessageBatch",
            {"QueueUrl": "q", "Entries": [{"Id": "a"}, {"Id": "a"}]},
            "BatchEntryIdsNotDistinct",
        ),
        ("ReceiveMessage", {"QueueUrl": "q"}, "UnsupportedOperation"),
    ],
)
def test_a_request_that_cannot_be_served_is_refused_by_name(
    operation: str, request_: Any, code: str
) -> None:
    """SQS's own code, status 400, and no message."""
    queues = Queues(["q"])
    status, refusal = call(queues, operation, request_)
    assert (status, refusal["__type"]) == (400, f"com.amazonaws.sqs#{code}")
    queues.wait_idle()


def test_a_failed_message_comes_again_and_is_given_up() -> None:
    """After its last delivery it is counted; the rest of its batch is deleted at once."""
    queues = Queues(["q"])
    for body in ("good", "bad"):
        call(queues, "SendMessage", {"QueueUrl": "q", "MessageBody": body})
    deliveries = []
    for _ in range(MAX_RECEIVES):
        batch = queues.take("q", 10, 0.0, lambda: 1)
        deliveries.append([one.body for one in batch])
        failures = [one.message_id for one in batch if one.body == "bad"]
        queues.settle("q", batch, failures)
    assert deliveries == [["good", "bad"], ["bad"], ["bad"]]
    assert queues.given_up_count == 1
    queues.wait_idle()
    queues.close()
    assert queues.take("q", 1, 0.0, lambda: 1) == []


def test_which_messages_of_a_batch_failed() -> None:
    """What Lambda makes of a result; an ID that is none fails all of them."""
    queues = Queues(["q"])
    for body in ("1", "2"):
        call(queues, "SendMessage", {"QueueUrl": "q", "MessageBody": body})
    batch = queues.take("q", 2, 0.0, lambda: 1)
    first, second = (message.message_id for message in batch)

    def failed(answer: Any, status: str = RETURNED, item_failures: bool = True) -> set[str]:
        result = InvocationResult(1, "r", status, json.dumps(answer).encode(), 0.0)
        return failed_ids(batch, result, item_failures)

    one = {"batchItemFailures": [{"itemIdentifier": second}]}
    everything = {first, second}
    assert failed(one) == {second}
    assert failed(one, item_failures=False) == set()
    assert failed(None) == failed({"batchItemFailures": []}) == set()
    assert failed({"batchItemFailures": [{"itemIdentifier": "x"}]}) == everything
    assert failed({"batchItemFailures": [{}]}) == everything
    assert failed({}, ERROR) == everything
    assert failed_ids(batch, None, False) == everything


# URLs


def test_a_request_becomes_an_event() -> None:
    """Payload 2.0, whole."""
    headers = [("Host", "h:1"), ("X-A", "1"), ("x-a", "2"), ("Cookie", "a=1; b=2")]
    event = function_url.event_of("POST", "/p?q=1&q=2&e=", headers, b"\xff", 0.0)
    context = event["requestContext"]
    assert event == {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": "/p",
        "rawQueryString": "q=1&q=2&e=",
        "headers": {"host": "h:1", "x-a": "1,2"},
        "cookies": ["a=1", "b=2"],
        "queryStringParameters": {"q": "1,2", "e": ""},
        "requestContext": {
            "accountId": "anonymous",
            "apiId": "h:1",
            "domainName": "h:1",
            "domainPrefix": "h:1",
            "http": {
                "method": "POST",
                "path": "/p",
                "protocol": "HTTP/1.1",
                "sourceIp": "127.0.0.1",
                "userAgent": "",
            },
            "requestId": context["requestId"],
            "routeKey": "$default",
            "stage": "$default",
            "time": "01/Jan/1970:00:00:00 +0000",
            "timeEpoch": 0,
        },
        "isBase64Encoded": True,
        "body": "/w==",
    }


@pytest.mark.parametrize(
    ("result", "status", "headers", "body"),
    [
        ("text", 200, [("Content-Type", "application/json")], b"text"),
        ({"a": 1}, 200, [("Content-Type", "application/json")], b'{"a": 1}'),
        (
            {"statusCode": 404, "headers": {"content-type": "x/y"}, "cookies": ["c=1"]},
            404,
            [("content-type", "x/y"), ("Set-Cookie", "c=1")],
            b"",
        ),
        ({"statusCode": "200"}, 502, function_url.ERROR.headers, function_url.ERROR.body),
        (
            {"statusCode": 200, "headers": {"a": "b\r\nc: d"}},
            502,
            function_url.ERROR.headers,
            function_url.ERROR.body,
        ),
    ],
)
def test_a_result_becomes_a_response(
    result: Any, status: int, headers: list[tuple[str, str]], body: bytes
) -> None:
    """Formatted or not; what is no response is an error of the gateway."""
    response = function_url.response_of(json.dumps(result).encode())
    assert response == function_url.Response(status, headers, body)


# The tree


def request_of(function: str, *spans: tuple[int, int, str, int, int]) -> Any:
    """Spans as (ID, parent's ID, name, start, end) in ns, all of trace 1."""
    request = ExportTraceServiceRequest()
    resource_spans = request.resource_spans.add()
    resource_spans.resource.attributes.add(key="faas.name").value.string_value = function
    scope_spans = resource_spans.scope_spans.add()
    for span_id, parent_id, name, start, end in spans:
        span = scope_spans.spans.add(name=name, start_time_unix_nano=start, end_time_unix_nano=end)
        span.trace_id = (1).to_bytes(16, "big")
        span.span_id = span_id.to_bytes(8, "big")
        span.parent_span_id = parent_id.to_bytes(8, "big") if parent_id else b""
    return request


def test_spans_of_several_requests_are_one_tree() -> None:
    """Parents first, siblings by time, strangers' children at the margin, copies once."""
    late = request_of("b", (3, 2, "work\x1b", 150, 200), (9, 8, "of another", 120, 130))
    late.resource_spans[0].scope_spans[0].spans[0].status.code = 2
    for span_id in (2, 77):
        link = late.resource_spans[0].scope_spans[0].spans[1].links.add()
        link.trace_id, link.span_id = (1).to_bytes(16, "big"), span_id.to_bytes(8, "big")
    early = request_of(
        "a", (1, 0, "root", 100, 200), (4, 1, "second", 180, 190), (2, 1, "call", 110, 180)
    )
    (tree,) = trees_of([late, early, early])
    assert (tree.trace_id, tree.span_count, tree.function_count) == (f"{1:032x}", 5, 2)
    links = ("call of a, trace 00000000…", f"span {77:016x} of trace 00000000…, not received")
    assert tree.branches == (
        Branch("root", "a", "", 0, 1e-7, 0.0, 1.0),
        Branch("call", "a", "", 1, 7e-8, 0.1, 0.7),
        Branch("work·", "b", "error", 2, 5e-8, 0.5, 0.5),
        Branch("second", "a", "", 1, 1e-8, 0.8, 0.1),
        Branch("of another", "b", "", 0, 1e-8, 0.2, 0.1, links),
    )


def test_spans_in_a_circle_end() -> None:
    """Whatever a stranger sends, with no line for what has no beginning."""
    (tree,) = trees_of([request_of("a", (1, 2, "x", 0, 1), (2, 1, "y", 0, 1))])
    assert (tree.branches, tree.span_count) == ((), 2)
