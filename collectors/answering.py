"""Collectors that answer by a rule, go and come back."""

from __future__ import annotations

import gzip
import ssl
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from sandbox.closing import Closing
from sandbox.http_server import LoopbackServer, QuietHandler

KIND_SERVER = 2


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request gets, `delay_s` after it has been read; with 200 its spans are kept."""

    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    delay_s: float = 0.0


OK = Answer()
Decide = Callable[[int, int], Answer]
"""Given the request's number, from 1, and the size of its body in bytes."""


class Arrivals:
    """Invocation spans by span ID: how often each has come."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[bytes] = Counter()

    def take(self, request: ExportTraceServiceRequest) -> None:
        """A request has come."""
        with self._lock:
            self._counts.update(
                span.span_id
                for resource_spans in request.resource_spans
                for scope_spans in resource_spans.scope_spans
                for span in scope_spans.spans
                if span.kind == KIND_SERVER
            )

    def counts(self) -> Counter[bytes]:
        """All so far."""
        with self._lock:
            return Counter(self._counts)


class AnsweringCollector(Closing):
    """OTLP over HTTP on one port for its whole life; `go` and `come` close and open it."""

    def __init__(
        self, decide: Decide = lambda number, size: OK, tls: ssl.SSLContext | None = None
    ) -> None:
        self.arrivals = Arrivals()
        self._decide = decide
        self._tls = tls
        self._requests = 0
        self._stopped = threading.Event()
        self._server: LoopbackServer | None = None
        self.port = 0
        self.come()

    def close(self) -> None:
        """End it for good."""
        self._stopped.set()
        self.go()

    def come(self) -> None:
        """Listen."""
        if self._server is not None:
            return
        collector = self

        class Handler(_Handler):
            def answer(self, body: bytes) -> Answer | None:
                return collector.answer(body)

        self._server = LoopbackServer(Handler, self.port, self._tls)
        self.port = self._server.port

    def go(self) -> None:
        """Close the port and every connection."""
        server, self._server = self._server, None
        if server is not None:
            server.close()

    def answer(self, body: bytes) -> Answer | None:
        """The answer to one request, once its time has come; None at the end."""
        self._requests += 1
        answer = self._decide(self._requests, len(body))
        if answer.status == 200:
            raw = gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body
            self.arrivals.take(ExportTraceServiceRequest.FromString(raw))
        if answer.delay_s and self._stopped.wait(answer.delay_s):
            return None
        return answer


class _Handler(QuietHandler):
    def answer(self, body: bytes) -> Answer | None:
        raise NotImplementedError

    def do_POST(self) -> None:
        answer = self.answer(self.read_body())
        if answer is None:
            self.close_connection = True
        else:
            self.reply(answer.status, answer.body, answer.headers)


class GrpcCollector(Closing):
    """OTLP over gRPC on one port for its whole life; `go` and `come` close and open it."""

    def __init__(self) -> None:
        self.arrivals = Arrivals()
        self.port = 0
        self._server: Any = None
        self.come()

    def close(self) -> None:
        """End it for good."""
        self.go()

    def come(self) -> None:
        """Listen."""
        from concurrent.futures import ThreadPoolExecutor

        import grpc
        from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc

        take = self.arrivals.take

        class Service(trace_service_pb2_grpc.TraceServiceServicer):
            def Export(self, request: Any, context: Any) -> ExportTraceServiceResponse:  # noqa: N802
                take(request)
                return ExportTraceServiceResponse()

        if self._server is None:
            self._server = grpc.server(ThreadPoolExecutor(max_workers=4))
            register: Any = trace_service_pb2_grpc.add_TraceServiceServicer_to_server
            register(Service(), self._server)
            self.port = self._server.add_insecure_port(f"127.0.0.1:{self.port}")
            self._server.start()

    def go(self) -> None:
        """Close the port and every connection."""
        server, self._server = self._server, None
        if server is not None:
            server.stop(grace=None).wait()
