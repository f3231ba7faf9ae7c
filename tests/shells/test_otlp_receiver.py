"""The OTLP/HTTP receiver on a real socket: each request with its answer and its counter."""

from __future__ import annotations

import gzip
import json
import select
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from google.protobuf.json_format import ParseDict
from google.rpc.status_pb2 import Status
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace.export import SpanExportResult

from exporter.otlp_json import to_value
from extension import otlp_receiver
from extension.http1_request import Request, RequestError
from extension.otlp_receiver import MAX_CONNECTIONS, OtlpReceiver
from extension.otlp_requests import MAX_BODY_BYTES, Spans
from fifo.otlp_bytes import MAX_SPANS
from tests.shells.test_otel import finished

ROOT = Path(__file__).resolve().parents[2]
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
JSON = "Content-Type: application/json"


def json_of(data: bytes) -> bytes:
    return json.dumps(to_value(ExportTraceServiceRequest.FromString(data))).encode()


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
JSON_OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: application/json\r\n\r\n{}"


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


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (post(json_of(DATA), JSON), [SPANS]),
        (post(gzip.compress(json_of(DATA)), JSON, "Content-Encoding: gzip"), [SPANS]),
        (post(json_of(DATA), f"{JSON.upper()}; charset=utf-8"), [SPANS]),
        (post(b'{"resourceSpans":[]}', JSON), []),
    ],
)
def test_json_is_taken_as_protobuf(served: Served, data: bytes, expected: list[Spans]) -> None:
    """The same spans in protobuf's bytes, answered in JSON; protobuf on the same connection."""
    client = served.connect()
    for _ in range(2):
        assert served.exchange(client, data) == (JSON_OK, expected)
    assert served.exchange(client, post(DATA)) == (OK, [SPANS])
    assert served.receiver.counts == {}


def test_requests_behind_json_wait_for_its_answer(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sent at once, they are answered in order; another connection is served meanwhile."""
    released, read = threading.Event(), otlp_receiver._worth

    def held(request: Request) -> Spans | RequestError:
        return read(request) if released.wait(10) else RequestError(400, "never released")

    client, other = served.connect(), served.connect()
    client.sendall(post(json_of(DATA), JSON) + post(DATA) + post(json_of(DATA), JSON))
    with monkeypatch.context() as patched:
        patched.setattr(otlp_receiver, "_worth", held)
        assert served.turn() == []
    assert served.exchange(other, post(DATA)) == (OK, [SPANS])
    released.set()
    taken: list[Spans] = []
    while len(taken) < 3:
        taken += served.turn()
    client.setblocking(True)
    expected = JSON_OK + OK + JSON_OK
    assert (client.recv(len(expected), socket.MSG_WAITALL), taken) == (expected, [SPANS] * 3)


def test_json_that_waits_to_be_read_is_bounded(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of three requests of 4 MiB the third is told to come again, on a connection that stays."""
    released, read = threading.Event(), otlp_receiver._worth
    monkeypatch.setattr(
        otlp_receiver, "_worth", lambda request: released.wait(10) and read(request)
    )
    text = json_of(DATA)
    data = post(text + b" " * (MAX_BODY_BYTES - len(text)), JSON)
    waiting = [served.connect() for _ in range(2)]
    for client in waiting:
        client.setblocking(False)
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[client.send(rest) :]
            except BlockingIOError:
                pass
            served.turn(20)
    while len(served.receiver._converting) < 2:
        served.turn()
    last = served.connect()
    answered, taken = served.exchange(last, data)
    assert answered.startswith(b"HTTP/1.1 503 ")
    assert (taken, served.receiver.counts) == ([], {"otlp_full": 1})
    released.set()
    while len(taken) < 2:
        taken += served.turn()
    assert taken == [SPANS] * 2
    assert served.exchange(last, post(text, JSON)) == (JSON_OK, [SPANS])


def test_whoever_leaves_before_an_answer_takes_nothing_along(served: Served) -> None:
    """What came whole is kept, and the next one is served."""
    client = served.connect()
    client.sendall(post(json_of(DATA), JSON))
    served.turn()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    client.close()
    taken: list[Spans] = []
    while not taken:
        taken = served.turn()
    assert taken == [SPANS]
    assert served.exchange(served.connect(), post(json_of(DATA), JSON)) == (JSON_OK, [SPANS])


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
        (post(b"{}", "Content-Type: text/json"), 415, "otlp_not_served", True),
        (post(b"{}", JSON, target="/v1/metrics"), 404, "otlp_not_served", True),
        (post(b"{", JSON), 400, "otlp_bad", True),
        (post(b"", JSON), 400, "otlp_bad", True),
        (post(json_of(request_of(b"")), JSON), 400, "otlp_bad", True),
        (post(b"{}", JSON, "Content-Encoding: gzip"), 400, "otlp_bad", True),
        (post(b"{}", JSON, "Content-Encoding: gzip", "Connection: close"), 400, "otlp_bad", False),
        (post(b"{}", "A: b"), 415, "otlp_not_served", True),
        (post(DATA, PROTOBUF, "Content-Encoding: br"), 415, "otlp_not_served", True),
        (post(b"\xff\xff"), 400, "otlp_bad", True),
        (post(request_of(b"")), 400, "otlp_bad", True),
        (post(DATA, PROTOBUF, "Content-Encoding: gzip"), 400, "otlp_bad", True),
        (post(gzip.compress(DATA)[:-1], PROTOBUF, "Content-Encoding: gzip"), 400, "otlp_bad", True),
        (post(BOMB, PROTOBUF, "Content-Encoding: gzip"), 413, "otlp_too_large", True),
        (post(MANY), 413, "otlp_too_large", True),
        (post(json_of(MANY), JSON), 413, "otlp_too_large", True),
        (post(b"[" * MAX_BODY_BYTES, JSON), 413, "otlp_too_large", True),
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
    elif JSON.encode() in data:
        assert b"\r\nContent-Type: application/json" in head
        assert ParseDict(json.loads(body), Status()).message
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
    late.sendall(post(json_of(DATA), JSON) + post(DATA))
    assert served.receiver.drain() == [SPANS] * 5
    assert served.receiver.counts == {}


def test_what_reads_json_is_imported_with_the_first_one() -> None:
    """Not by the receiver, nor by a request in protobuf: most functions never send any."""
    program = (
        "import sys\n"
        "import extension.loop, extension.otlp_receiver\n"
        "from extension import otlp_requests\n"
        "from extension.http1_request import Request\n"
        "def asked(kind, body):\n"
        "    headers = {'content-type': kind}\n"
        "    otlp_requests.spans_of(Request('POST', '/v1/traces', headers, body, True))\n"
        "    return [name for name in ('extension.json_requests', 'extension.otlp_from_json')\n"
        "            if name in sys.modules]\n"
        "print(asked(otlp_requests.PROTOBUF, b''), asked(otlp_requests.JSON, b'{}'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.stderr == ""
    assert done.stdout == "[] ['extension.json_requests', 'extension.otlp_from_json']\n"


def test_json_that_is_not_read_in_time_is_counted(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the end there is a bound to waiting for it."""
    monkeypatch.setattr(otlp_receiver, "MAX_CONVERSION_WAIT_S", 0.0)
    release = threading.Event()
    monkeypatch.setattr(otlp_receiver, "_worth", lambda request: release.wait() and SPANS)
    client = served.connect()
    client.sendall(post(json_of(DATA), JSON))
    assert served.receiver.drain() == []
    assert served.receiver.counts == {"otlp_cut_off": 1}
    release.set()


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
