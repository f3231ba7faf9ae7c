"""The OTLP/HTTP receiver on a real socket: each request with its answer and its counter."""

from __future__ import annotations

import gzip
import select
import socket
import threading
from collections.abc import Iterator

import pytest
from google.rpc.status_pb2 import Status
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace.export import SpanExportResult

from extension.otlp_receiver import MAX_CONNECTIONS, OtlpReceiver
from extension.otlp_requests import MAX_BODY_BYTES, Spans
from fifo.otlp_bytes import MAX_SPANS
from tests.shells.test_otel import finished

TRACE_IDS = (b"t" * 16, b"u" * 16)


def request_of(*trace_ids: bytes) -> bytes:
    """An ExportTraceServiceRequest with a span for each."""
    request = ExportTraceServiceRequest()
    scope = request.resource_spans.add().scope_spans.add()
    for trace_id in trace_ids:
        scope.spans.add(trace_id=trace_id, span_id=b"s" * 8, name="GET")
    return request.SerializeToString()


DATA = request_of(*TRACE_IDS)
SPANS = Spans(DATA, 2, frozenset(TRACE_IDS))
PROTOBUF = "Content-Type: application/x-protobuf"


def post(body: bytes, *headers: str, target: str = "/v1/traces", method: str = "POST") -> bytes:
    lines = [f"{method} {target} HTTP/1.1", "Host: x", *(headers or (PROTOBUF,))]
    return "\r\n".join((*lines, f"Content-Length: {len(body)}", "", "")).encode() + body


class Served:
    """A receiver, its loop turned by hand, and one client."""

    def __init__(self) -> None:
        self.room = True
        self.receiver = OtlpReceiver(0, lambda size_bytes: self.room)
        self.clients: list[socket.socket] = []

    def connect(self) -> socket.socket:
        self.clients.append(socket.create_connection(("127.0.0.1", self.receiver.port), 5))
        self.turn()
        return self.clients[-1]

    def turn(self, timeout_ms: int = 5_000) -> list[Spans]:
        """What comes of one wake-up."""
        poll = select.poll()
        for descriptor, events in self.receiver.descriptors():
            poll.register(descriptor, events)
        return self.receiver.advance({descriptor for descriptor, _ in poll.poll(timeout_ms)})

    def exchange(self, client: socket.socket, data: bytes) -> tuple[bytes, list[Spans]]:
        """`data` sent, what was answered to it up to the first whole response, and what came."""
        taken: list[Spans] = []
        answered = b""
        rest = memoryview(data)
        client.setblocking(False)
        while not whole(answered):
            try:
                rest = rest[client.send(rest) :] if rest else rest
            except BlockingIOError:
                pass
            taken += self.turn(20)
            try:
                more = client.recv(65_536)
            except BlockingIOError:
                continue
            answered += more
            if not more:
                break
        return answered, taken

    def close(self) -> None:
        for client in self.clients:
            client.close()
        self.receiver.close()


def whole(answered: bytes) -> bool:
    head, end, body = answered.partition(b"\r\n\r\n")
    if not end or head.startswith(b"HTTP/1.1 100"):
        return False
    (length,) = [int(line[16:]) for line in head.split(b"\r\n") if line.startswith(b"Content-L")]
    return len(body) >= length


@pytest.fixture
def served() -> Iterator[Served]:
    """A receiver of its own."""
    made = Served()
    yield made
    made.close()


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Type: application/x-protobuf\r\n\r\n"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (post(DATA), [SPANS]),
        (post(gzip.compress(DATA), PROTOBUF, "Content-Encoding: gzip"), [SPANS]),
        (post(DATA, f"{PROTOBUF}; charset=x", "Content-Encoding: identity"), [SPANS]),
        (post(DATA, target="/v1/traces?a=b"), [SPANS]),
        (post(b""), []),
        (post(ExportTraceServiceRequest(resource_spans=[{}]).SerializeToString()), []),
    ],
)
def test_spans_are_taken_and_answered(served: Served, data: bytes, expected: list[Spans]) -> None:
    """With 200 and an empty response, twice on one connection; none is no error."""
    client = served.connect()
    for _ in range(2):
        assert served.exchange(client, data) == (OK, expected)
    assert served.receiver.counts == {}


def test_every_split_is_taken(served: Served) -> None:
    """Wherever the bytes are cut in two, on one connection."""
    data = post(DATA)
    client = served.connect()
    for cut in range(1, len(data)):
        client.setblocking(True)
        client.sendall(data[:cut])
        assert served.turn() == []
        assert served.exchange(client, data[cut:]) == (OK, [SPANS])


def test_a_client_that_asks_first_is_told_to_go_on(served: Served) -> None:
    """Expect: 100-continue, and then chunks."""
    client = served.connect()
    head = post(b"", PROTOBUF, "Expect: 100-continue", "Transfer-Encoding: chunked")
    client.sendall(head.replace(b"Content-Length: 0\r\n", b""))
    assert served.turn() == []
    assert client.recv(1_000) == b"HTTP/1.1 100 Continue\r\n\r\n"
    chunks = b"%x\r\n%s\r\n0\r\n\r\n" % (len(DATA), DATA)
    assert served.exchange(client, chunks) == (OK, [SPANS])


BOMB = gzip.compress(bytes(2 * MAX_BODY_BYTES))
MANY = request_of(*TRACE_IDS[:1] * (MAX_SPANS + 1))


@pytest.mark.parametrize(
    ("data", "status", "reason", "kept"),
    [
        (post(DATA, target="/v1/metrics"), 404, "otlp_not_served", True),
        (post(DATA, target="/v1/logs"), 404, "otlp_not_served", True),
        (post(b"", method="GET"), 405, "otlp_not_served", True),
        (post(b"", method="HEAD"), 405, "otlp_not_served", False),
        (post(b"{}", "Content-Type: application/json"), 415, "otlp_not_served", True),
        (post(b"{}", "A: b"), 415, "otlp_not_served", True),
        (post(DATA, PROTOBUF, "Content-Encoding: br"), 415, "otlp_not_served", True),
        (post(b"\xff\xff"), 400, "otlp_bad", True),
        (post(request_of(b"")), 400, "otlp_bad", True),
        (post(DATA, PROTOBUF, "Content-Encoding: gzip"), 400, "otlp_bad", True),
        (post(gzip.compress(DATA)[:-1], PROTOBUF, "Content-Encoding: gzip"), 400, "otlp_bad", True),
        (post(BOMB, PROTOBUF, "Content-Encoding: gzip"), 413, "otlp_too_large", True),
        (post(MANY), 413, "otlp_too_large", True),
        (post(bytes(MAX_BODY_BYTES + 1)), 413, "otlp_too_large", False),
        (b"nonsense\r\n\r\n", 400, "otlp_bad", False),
        (b"x" * 20_000, 431, "otlp_bad", False),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "otlp_bad", False),
    ],
)
def test_bad_input_has_its_answer_and_its_counter(
    served: Served, data: bytes, status: int, reason: str, kept: bool
) -> None:
    """A Status says why; the connection goes on where the request was understood."""
    client = served.connect()
    answered, taken = served.exchange(client, data)
    head, _, body = answered.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status), answered
    assert taken == []
    assert served.receiver.counts == {reason: 1}
    if data.startswith(b"HEAD"):
        assert body == b""
    else:
        assert Status.FromString(body).message
    assert (b"Connection: close" in head) is not kept
    assert (b"Allow: POST" in head) is (status == 405)
    if kept:
        assert served.exchange(client, post(DATA)) == (OK, [SPANS])
    else:
        assert client.recv(1) == b""


def test_without_room_the_client_is_told_to_come_again(served: Served) -> None:
    """503 and Retry-After; once there is room it is taken."""
    client = served.connect()
    served.room = False
    answered, taken = served.exchange(client, post(DATA))
    assert answered.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
    assert b"\r\nRetry-After: 5\r\n" in answered
    assert (taken, served.receiver.counts) == ([], {"otlp_full": 1})
    served.room = True
    assert served.exchange(client, post(DATA)) == (OK, [SPANS])


def test_unfinished_requests_are_bounded_together(served: Served) -> None:
    """Three of almost 4 MiB are over it: the one that is has 503, the others go on."""
    almost = post(bytes(MAX_BODY_BYTES))[:-1]
    clients = [served.connect() for _ in range(3)]
    for client in clients:
        client.setblocking(False)
        rest = memoryview(almost)
        while rest and not served.receiver.counts:
            try:
                rest = rest[client.send(rest) :]
            except BlockingIOError:
                pass
            served.turn(20)
    while not served.receiver.counts:
        served.turn()
    answered, _, _ = select.select(clients, [], [], 5)
    assert [one.recv(1_000)[:13] for one in answered] == [b"HTTP/1.1 503 "]
    assert served.receiver.counts == {"otlp_full": 1}


def test_the_idle_give_way_and_one_too_many_is_refused(served: Served) -> None:
    """The connection that was silent longest closes for a new one, but none inside a request."""
    for _ in range(MAX_CONNECTIONS + 1):
        served.connect()
    assert served.clients[0].recv(1) == b""
    for client in served.clients[1:]:
        client.sendall(b"POST")
        served.turn()
    extra = served.connect()
    assert extra.recv(1_000).startswith(b"HTTP/1.1 503 ")
    assert served.receiver.counts == {"otlp_full": 1}
    assert served.exchange(served.clients[1], post(DATA)[4:]) == (OK, [SPANS])


def test_a_request_that_is_cut_off_is_counted(served: Served) -> None:
    """The end of a connection between two requests is none."""
    for data in (b"", post(DATA)[:-1]):
        client = served.connect()
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        while len(served.receiver.descriptors()) > 1:
            served.turn()
    assert served.receiver.counts == {"otlp_cut_off": 1}


def test_what_is_in_the_sockets_is_read_at_the_end(served: Served) -> None:
    """A connection that was never accepted, and several requests on another."""
    client = served.connect()
    client.sendall(post(DATA) * 3)
    late = socket.create_connection(("127.0.0.1", served.receiver.port), 5)
    served.clients.append(late)
    late.sendall(post(DATA))
    assert served.receiver.drain() == [SPANS] * 4


@pytest.mark.parametrize("compression", [Compression.NoCompression, Compression.Gzip])
def test_the_sdks_own_exporter_is_content(served: Served, compression: Compression) -> None:
    """OpenTelemetry's for Python says SUCCESS, and every span is there."""
    exporter = OTLPSpanExporter(
        f"http://127.0.0.1:{served.receiver.port}/v1/traces", timeout=5, compression=compression
    )
    results: list[SpanExportResult] = []
    spans = finished(300)
    thread = threading.Thread(target=lambda: results.append(exporter.export(spans)))
    thread.start()
    taken: list[Spans] = []
    while thread.is_alive():
        taken += served.turn(20)
    exporter.shutdown()
    assert results == [SpanExportResult.SUCCESS]
    assert sum(one.count for one in taken) == 300
