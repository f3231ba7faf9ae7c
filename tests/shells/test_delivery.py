"""The senders against real sockets: every verdict, within the deadline."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
import trustme
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from collectors import breaking
from collectors.ports import free_port
from exporter.delivery import open_sender
from exporter.outcome import FAULT, Outcome, Sender, Verdict
from exporter.settings import OTLP_GRPC, OTLP_HTTP, ExporterSettings, TlsSettings
from exporter.spans import SpanBuilder
from exporter.values import replace
from sandbox.receiver import Receiver
from tests.core.test_spans import RETURNED

TIMEOUT_S = 0.5
SLACK_S = 0.5
SPANS = SpanBuilder().spans([RETURNED])
TIMED_OUT = "no answer in time"


@contextmanager
def sender_to(endpoint: str, **settings: Any) -> Iterator[Sender]:
    sender = open_sender(
        ExporterSettings(settings.pop("protocol", OTLP_HTTP), endpoint, **settings)
    )
    try:
        yield sender
    finally:
        sender.close()


def send(sender: Sender) -> Outcome:
    """The outcome without its duration, which must be within the deadline."""
    outcome = sender.send(SPANS, len(SPANS), TIMEOUT_S)
    assert outcome.duration_s < TIMEOUT_S + SLACK_S
    return replace(outcome, duration_s=0.0)


def http_endpoint(port: int) -> str:
    return f"http://127.0.0.1:{port}/v1/traces"


@pytest.mark.parametrize("compression", ["gzip", "none"])
def test_http_spans_arrive_over_one_kept_connection(compression: str) -> None:
    """Two sends, both accepted and both received."""
    with Receiver() as receiver:
        with sender_to(receiver.http_endpoint, compression=compression) as sender:
            for _ in range(2):
                assert send(sender) == Outcome(
                    Verdict.ACCEPTED, 1, f"{receiver.http_endpoint} answered 200 OK", status="200"
                )
        assert [span.span_id for span in receiver.spans()] == [RETURNED.span_id] * 2


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (
            breaking.http_answer("503 Busy", b"", "Retry-After: 7"),
            Outcome(Verdict.RETRYABLE, 1, "answered 503 Busy", status="503", retry_after_s=7.0),
        ),
        (
            breaking.http_answer("429 Slow Down"),
            Outcome(Verdict.RETRYABLE, 1, "answered 429 Slow Down", status="429"),
        ),
        (
            breaking.http_answer("401 Who"),
            Outcome(Verdict.RETRYABLE, 1, "answered 401 Who", status="401"),
        ),
        (
            breaking.http_answer("400 Bad"),
            Outcome(Verdict.REFUSED, 1, "answered 400 Bad", status="400"),
        ),
        (
            breaking.http_answer("302 Found", b"", "Location: http://127.0.0.1:1/"),
            Outcome(
                Verdict.RETRYABLE,
                1,
                "answered 302 Found, a redirect, which OTLP does not follow: set the final URL "
                "as endpoint",
                status="302",
            ),
        ),
        (
            breaking.http_answer("200 OK", breaking.partial_success(1, "too old")),
            Outcome(
                Verdict.PARTIAL,
                1,
                "answered 200 OK but rejected 1 of 1 spans: too old",
                rejected_count=1,
                status="200",
            ),
        ),
        (
            breaking.http_answer("200 OK", b"not protobuf"),
            Outcome(Verdict.ACCEPTED, 1, "answered 200 OK", status="200"),
        ),
        (
            breaking.http_answer("202 Accepted"),
            Outcome(Verdict.ACCEPTED, 1, "answered 202 Accepted", status="202"),
        ),
        (
            breaking.http_answer("203 Changed"),
            Outcome(Verdict.REFUSED, 1, "answered 203 Changed", status="203"),
        ),
    ],
    ids=["503", "429", "401", "400", "302", "partial success", "200 with text", "202", "203"],
)
def test_every_http_answer_has_its_verdict(answer: bytes, expected: Outcome) -> None:
    """Status and partial success are read; one request is sent, none is repeated."""
    with breaking.answering(answer) as collector:
        endpoint = http_endpoint(collector.port)
        with sender_to(endpoint) as sender:
            assert send(sender) == replace(expected, detail=f"{endpoint} {expected.detail}")
        assert collector.requests == 1


@pytest.mark.parametrize("protocol", [OTLP_HTTP, OTLP_GRPC])
def test_a_request_that_is_encoded_already_arrives_as_it_is(protocol: str) -> None:
    """What a log has kept is sent by the same senders, and judged alike."""
    request = encode_spans(SPANS)
    with Receiver(grpc=True) as receiver:
        http = protocol == OTLP_HTTP
        endpoint = receiver.http_endpoint if http else receiver.grpc_endpoint
        with sender_to(endpoint, protocol=protocol) as sender:
            outcome = sender.send_request(request.SerializeToString(), 1, 10.0)
        assert (outcome.verdict, outcome.item_count) == (Verdict.ACCEPTED, 1)
        assert receiver.requests == [request]


@pytest.mark.parametrize("protocol", [OTLP_HTTP, OTLP_GRPC])
def test_what_cannot_be_encoded_is_a_fault_of_ours(protocol: str) -> None:
    """Nothing is raised, and nothing is sent."""
    with sender_to(f"http://127.0.0.1:{free_port()}", protocol=protocol) as sender:
        outcome = sender.send([object()], 1, 10.0)
    assert (outcome.verdict, outcome.status) == (Verdict.REFUSED, FAULT)


def test_http_headers_are_the_settings_and_nothing_elses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The user's headers, gzip and protobuf; a .netrc replaces none of them."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login wrong password wrong\n")
    monkeypatch.setenv("NETRC", str(netrc))
    with breaking.answering(breaking.OK) as collector:
        headers = {"Authorization": "Bearer right", "x-team": "shop"}
        with sender_to(http_endpoint(collector.port), headers=headers) as sender:
            assert send(sender).verdict is Verdict.ACCEPTED
        (head,) = collector.heads
    request, *lines = head.split("\r\n")
    sent = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    assert request == "POST /v1/traces HTTP/1.1"
    names = ("authorization", "x-team", "content-encoding", "content-type")
    assert [sent[name] for name in names] == [
        "Bearer right",
        "shop",
        "gzip",
        "application/x-protobuf",
    ]


@pytest.mark.parametrize(
    "make",
    [
        breaking.hanging,
        lambda: breaking.dripping(breaking.OK),
        lambda: breaking.dripping(breaking.http_answer("200 OK", bytes(1000))[60:]),
    ],
    ids=["hanging", "dripping header", "dripping garbage"],
)
def test_http_without_an_answer_ends_at_the_deadline(make: Any) -> None:
    """A collector that never finishes its answer costs the time given, and it is uncertain."""
    with make() as collector:
        endpoint = http_endpoint(collector.port)
        with sender_to(endpoint) as sender:
            outcome = send(sender)
    assert (outcome.verdict, outcome.uncertain) == (Verdict.RETRYABLE, True)
    assert outcome.detail.startswith(endpoint)


def test_http_a_dripping_body_ends_at_the_deadline() -> None:
    """Headers at once, then a body byte by byte, outlives every read timeout, but not ours."""

    def drip(connection: Any, stopped: threading.Event) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while not stopped.wait(breaking.DRIP_S):
            connection.sendall(b"\0")

    with breaking.Collector(drip) as collector:
        endpoint = http_endpoint(collector.port)
        with sender_to(endpoint) as sender:
            assert send(sender) == Outcome(
                Verdict.RETRYABLE, 1, f"{endpoint}: {TIMED_OUT}", uncertain=True
            )


def test_http_every_request_of_a_sender_has_its_own_deadline() -> None:
    """One thread watches them all: a shorter one behind a longer one too, and ends with it."""

    def watchers() -> list[threading.Thread]:
        return [one for one in threading.enumerate() if one.name == "spanpipe-deadline"]

    def drip(connection: Any, stopped: threading.Event) -> None:
        if collector.requests <= 2:
            connection.sendall(breaking.OK)
            return
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while not stopped.wait(breaking.DRIP_S):
            connection.sendall(b"\0")

    before = watchers()
    with breaking.Collector(drip) as collector:
        with sender_to(http_endpoint(collector.port)) as sender:
            verdicts = [sender.send(SPANS, len(SPANS), 30.0).verdict for _ in range(2)]
            (watcher,) = [one for one in watchers() if one not in before]
            verdicts.append(send(sender).verdict)
            assert [one for one in watchers() if one not in before] == [watcher]
        watcher.join(5)
        assert not watcher.is_alive()
    assert verdicts == [Verdict.ACCEPTED, Verdict.ACCEPTED, Verdict.RETRYABLE]


def test_http_refused_and_unreachable_are_certain() -> None:
    """Where no byte was sent, nothing can have arrived."""
    endpoint = http_endpoint(free_port())
    with sender_to(endpoint) as sender:
        assert send(sender) == Outcome(
            Verdict.RETRYABLE, 1, f"{endpoint}: ConnectionRefusedError: Connection refused"
        )
    with breaking.FullBacklog() as full:
        endpoint = http_endpoint(full.port)
        with sender_to(endpoint) as sender:
            assert send(sender) == Outcome(Verdict.RETRYABLE, 1, f"{endpoint}: not reached in time")


def test_http_a_reset_is_uncertain() -> None:
    """The request was sent, and the connection reset instead of an answer."""
    with breaking.resetting() as collector:
        endpoint = http_endpoint(collector.port)
        with sender_to(endpoint) as sender:
            outcome = send(sender)
    assert (outcome.verdict, outcome.uncertain) == (Verdict.RETRYABLE, True)


def test_http_a_connection_closed_by_the_collector_is_opened_anew() -> None:
    """A collector that closes idle connections loses nothing."""

    def once(connection: Any, stopped: threading.Event) -> None:
        connection.sendall(breaking.OK)
        connection.close()

    with breaking.Collector(once) as collector:
        with sender_to(http_endpoint(collector.port)) as sender:
            verdicts = [send(sender).verdict for _ in range(3)]
        assert (verdicts, collector.requests) == ([Verdict.ACCEPTED] * 3, 3)


@pytest.mark.parametrize("protocol", [OTLP_HTTP, OTLP_GRPC])
def test_abort_ends_a_send_at_once(protocol: str) -> None:
    """The loop can end an export from its own thread long before the timeout."""
    with breaking.hanging() as collector:
        endpoint = f"http://127.0.0.1:{collector.port}"
        with sender_to(endpoint, protocol=protocol) as sender:
            aborter = threading.Timer(0.2, sender.abort)
            aborter.start()
            began_s = time.monotonic()
            outcome = sender.send(SPANS, len(SPANS), 30.0)
            aborter.join()
    assert time.monotonic() - began_s < 5
    assert outcome.verdict is Verdict.RETRYABLE


def test_abort_during_name_resolution_sends_nothing_afterwards(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A name that is resolved only after the abort does not start a late request."""
    import socket

    resolve, entered, release = socket.getaddrinfo, threading.Event(), threading.Event()

    def slow(*arguments: Any, **options: Any) -> Any:
        entered.set()
        release.wait(10)
        return resolve(*arguments, **options)

    with breaking.answering(breaking.OK) as collector:
        monkeypatch.setattr(socket, "getaddrinfo", slow)
        with sender_to(http_endpoint(collector.port)) as sender:
            outcomes: list[Outcome] = []
            thread = threading.Thread(
                target=lambda: outcomes.append(sender.send(SPANS, len(SPANS), 30.0))
            )
            thread.start()
            assert entered.wait(10)
            sender.abort()
            release.set()
            thread.join(10)
        assert collector.requests == 0
    assert [(one.verdict, one.uncertain) for one in outcomes] == [(Verdict.RETRYABLE, False)]


class Certificates:
    """An authority, a server's context and a client's files."""

    def __init__(self, folder: Path) -> None:
        authority = trustme.CA()
        server = authority.issue_cert("127.0.0.1")
        client = authority.issue_cert("client@example.com")
        self.ca_file = str(folder / "ca.pem")
        self.cert_file = str(folder / "client.pem")
        self.key_file = str(folder / "client.key")
        authority.cert_pem.write_to_path(self.ca_file)
        client.cert_chain_pems[0].write_to_path(self.cert_file)
        client.private_key_pem.write_to_path(self.key_file)
        self.server_key = server.private_key_pem.bytes()
        self.server_chain = b"".join(pem.bytes() for pem in server.cert_chain_pems)
        self.ca = authority.cert_pem.bytes()
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.configure_cert(self.context)
        authority.configure_trust(self.context)
        self.context.verify_mode = ssl.CERT_REQUIRED

    @property
    def tls(self) -> TlsSettings:
        return TlsSettings(self.ca_file, self.cert_file, self.key_file)


def test_https_with_own_authority_and_client_certificate(tmp_path: Path) -> None:
    """Accepted with both; without the client's certificate, or with another authority, not."""
    certificates = Certificates(tmp_path)
    other = tmp_path / "other"
    other.mkdir()

    def serve(connection: Any, stopped: threading.Event) -> None:
        connection.sendall(breaking.OK)

    with breaking.Collector(serve, tls=certificates.context) as collector:
        endpoint = f"https://127.0.0.1:{collector.port}/v1/traces"
        with sender_to(endpoint, tls=certificates.tls) as sender:
            assert send(sender).verdict is Verdict.ACCEPTED
        with sender_to(endpoint, tls=TlsSettings(certificates.ca_file)) as sender:
            assert send(sender).verdict is Verdict.RETRYABLE
        with sender_to(endpoint, tls=Certificates(other).tls) as sender:
            outcome = send(sender)
        assert outcome.verdict is Verdict.RETRYABLE
        assert "CERTIFICATE_VERIFY_FAILED" in outcome.detail
        assert collector.requests == 1


class GrpcCollector(trace_service_pb2_grpc.TraceServiceServicer):
    """Answers as it is told; keeps the metadata of the last call."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.metadata: dict[str, Any] = {}

    def Export(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.metadata = dict(context.invocation_metadata())
        return self.answer(context)

    @contextmanager
    def serve(self, credentials: Any = None, port: int = 0) -> Iterator[int]:
        server = grpc.server(ThreadPoolExecutor(max_workers=2))
        trace_service_pb2_grpc.add_TraceServiceServicer_to_server(self, server)
        if credentials is None:
            port = server.add_insecure_port(f"127.0.0.1:{port}")
        else:
            port = server.add_secure_port(f"127.0.0.1:{port}", credentials)
        server.start()
        try:
            yield port
        finally:
            server.stop(grace=None).wait()


def accept(context: Any) -> ExportTraceServiceResponse:
    return ExportTraceServiceResponse()


def test_grpc_spans_and_headers_arrive() -> None:
    """Accepted, with the headers as metadata."""
    collector = GrpcCollector(accept)
    with collector.serve() as port:
        endpoint = f"http://127.0.0.1:{port}"
        with sender_to(endpoint, protocol=OTLP_GRPC, headers={"Api-Key": "k"}) as sender:
            assert send(sender) == Outcome(
                Verdict.ACCEPTED, 1, f"{endpoint} answered OK", status="OK"
            )
    assert collector.metadata["api-key"] == "k"


def test_grpc_partial_success_is_read() -> None:
    """The library hides it; we count it."""

    def partial(context: Any) -> ExportTraceServiceResponse:
        return ExportTraceServiceResponse.FromString(breaking.partial_success(1, "too old"))

    with GrpcCollector(partial).serve() as port:
        endpoint = f"http://127.0.0.1:{port}"
        with sender_to(endpoint, protocol=OTLP_GRPC) as sender:
            assert send(sender) == Outcome(
                Verdict.PARTIAL,
                1,
                f"{endpoint} answered OK but rejected 1 of 1 spans: too old",
                rejected_count=1,
                status="OK",
            )


@pytest.mark.parametrize(
    ("code", "verdict"),
    [
        (grpc.StatusCode.UNAVAILABLE, Verdict.RETRYABLE),
        (grpc.StatusCode.PERMISSION_DENIED, Verdict.RETRYABLE),
        (grpc.StatusCode.INVALID_ARGUMENT, Verdict.REFUSED),
    ],
)
def test_grpc_codes_have_their_verdicts(code: grpc.StatusCode, verdict: Verdict) -> None:
    """What may be tried again and what must not, as the OTLP specification says."""
    with GrpcCollector(lambda context: context.abort(code, "as told")).serve() as port:
        endpoint = f"http://127.0.0.1:{port}"
        with sender_to(endpoint, protocol=OTLP_GRPC) as sender:
            assert send(sender) == Outcome(
                verdict, 1, f"{endpoint} answered {code.name}: as told", status=code.name
            )


def test_grpc_connects_anew_as_soon_as_the_collector_is_back() -> None:
    """After any number of failures the next try does not wait for gRPC's own back-off."""
    port = free_port()
    with sender_to(f"http://127.0.0.1:{port}", protocol=OTLP_GRPC) as sender:
        down = [send(sender).verdict for _ in range(5)]
        with GrpcCollector(accept).serve(port=port):
            back = send(sender)
    assert (down, back.verdict) == ([Verdict.RETRYABLE] * 5, Verdict.ACCEPTED)


def test_grpc_without_an_answer_ends_at_the_deadline() -> None:
    """Hanging, refused and unanswered: back in time, to be tried again."""
    with breaking.hanging() as collector, breaking.FullBacklog() as full:
        for port in (collector.port, full.port, free_port()):
            with sender_to(f"http://127.0.0.1:{port}", protocol=OTLP_GRPC) as sender:
                assert send(sender).verdict is Verdict.RETRYABLE


def test_grpc_with_own_authority_and_client_certificate(tmp_path: Path) -> None:
    """Accepted with both; without the client's certificate not."""
    certificates = Certificates(tmp_path)
    credentials = grpc.ssl_server_credentials(
        [(certificates.server_key, certificates.server_chain)],
        root_certificates=certificates.ca,
        require_client_auth=True,
    )
    with GrpcCollector(accept).serve(credentials) as port:
        endpoint = f"https://127.0.0.1:{port}"
        with sender_to(endpoint, protocol=OTLP_GRPC, tls=certificates.tls) as sender:
            assert send(sender).verdict is Verdict.ACCEPTED
        only_ca = TlsSettings(certificates.ca_file)
        with sender_to(endpoint, protocol=OTLP_GRPC, tls=only_ca) as sender:
            assert send(sender).verdict is Verdict.RETRYABLE
