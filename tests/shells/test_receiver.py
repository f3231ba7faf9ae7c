"""The sandbox's receiver: what it answers as scripted, and what it has afterwards."""

from __future__ import annotations

import http.client
import socket
from urllib.parse import urlsplit

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from sandbox.faults import ACCEPTED, Answer
from sandbox.receiver import Receiver

REQUEST = ExportTraceServiceRequest()
for scope_name in ("a", "b"):
    scope_spans = REQUEST.resource_spans.add().scope_spans.add()
    scope_spans.scope.name = scope_name
    for span_name in ("1", "2"):
        scope_spans.spans.add(name=scope_name + span_name)
PROTOBUF = "application/x-protobuf"
JSON = "application/json"
GIVE_UP_S = 0.3


def post(
    receiver: Receiver, body: bytes = REQUEST.SerializeToString(), kind: str = PROTOBUF
) -> tuple[int, str | None, bytes]:
    """(status, Retry-After, body) of one request on a connection of its own."""
    url = urlsplit(receiver.http_endpoint)
    connection = http.client.HTTPConnection(url.netloc, timeout=GIVE_UP_S)
    try:
        connection.request("POST", url.path, body, {"Content-Type": kind})
        response = connection.getresponse()
        return response.status, response.getheader("Retry-After"), response.read()
    finally:
        connection.close()


def names(receiver: Receiver) -> list[str]:
    return [span.name for span in receiver.spans()]


def partial(count: int) -> bytes:
    response = ExportTraceServiceResponse()
    response.partial_success.rejected_spans = count
    response.partial_success.error_message = "as the fault plan says"
    return response.SerializeToString()


@pytest.mark.parametrize(
    ("answer", "told", "kept"),
    [
        (ACCEPTED, (200, None, b""), ["a1", "a2", "b1", "b2"]),
        (Answer(503, 1), (503, "1", b"as the fault plan says"), []),
        (Answer(302), (302, None, b"as the fault plan says"), []),
        (Answer(rejected_spans=3), (200, None, partial(3)), ["a1"]),
        (Answer(rejected_spans=9), (200, None, partial(4)), []),
        (Answer(delay_ms=1), (200, None, b""), ["a1", "a2", "b1", "b2"]),
    ],
)
def test_what_is_answered_and_kept(
    answer: Answer, told: tuple[int, str | None, bytes], kept: list[str]
) -> None:
    """Status, Retry-After and body, and the spans that the collector has then."""
    with Receiver(answer_to=lambda number: answer) as receiver:
        assert post(receiver) == told
        assert names(receiver) == kept


@pytest.mark.parametrize(
    ("answer", "error", "kept"),
    [
        (Answer(hang=True), TimeoutError, []),
        (Answer(drop_connection=True), http.client.RemoteDisconnected, []),
        (Answer(delay_ms=60_000), TimeoutError, ["a1", "a2", "b1", "b2"]),
    ],
)
def test_where_no_answer_comes(answer: Answer, error: type[Exception], kept: list[str]) -> None:
    """The client gives up or is cut off; a request whose answer is only late is kept."""
    with Receiver(answer_to=lambda number: answer) as receiver:
        with pytest.raises(error):
            post(receiver)
        assert names(receiver) == kept


def test_requests_are_numbered_as_they_come() -> None:
    """From 1; what is no OTLP has no number; JSON is told of a partial success in JSON."""
    script = {1: Answer(429), 3: Answer(rejected_spans=1)}
    with Receiver(answer_to=lambda number: script.get(number, ACCEPTED)) as receiver:
        statuses = [post(receiver)[0], post(receiver, b"no OTLP")[0], post(receiver)[0]]
        assert statuses == [429, 400, 200]
        body = b'{"resourceSpans": [{"scopeSpans": [{"spans": [{"name": "c"}]}]}]}'
        assert post(receiver, body, JSON) == (
            200,
            None,
            b'{"partialSuccess": {"rejectedSpans": "1", "errorMessage": "as the fault plan says"}}',
        )
        assert (receiver.request_count, names(receiver)) == (3, ["a1", "a2", "b1", "b2"])


def test_a_receiver_that_hangs_can_be_closed() -> None:
    """With a client still waiting."""
    with Receiver(answer_to=lambda number: Answer(hang=True)) as receiver:
        url = urlsplit(receiver.http_endpoint)
        address = (url.hostname, url.port)
        client = socket.create_connection(address, GIVE_UP_S)
        body = REQUEST.SerializeToString()
        head = f"POST {url.path} HTTP/1.1\r\nContent-Type: {PROTOBUF}\r\n"
        client.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        with pytest.raises(TimeoutError):
            client.recv(1)
    client.close()
