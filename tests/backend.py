"""A receiver that is as strict as a back end's documentation: path, protocol, key and sizes."""

from __future__ import annotations

import gzip
import ssl
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from sandbox.http_server import LoopbackServer, QuietHandler

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Rules:
    """What a back end documents. Sizes are in bytes, before compression; None: it names none.

    `headers` must be there as they are here, else the answer is `denied`; header names in lower
    case. `max_text` bounds an attribute's text, in characters, `max_span_bytes` a span.
    """

    path: str = "/v1/traces"
    headers: Mapping[str, str] = field(default_factory=dict)
    denied: int = 401
    success: int = 200
    max_request_bytes: int | None = None
    max_span_bytes: int | None = None
    max_text: int | None = None


class Backend(LoopbackServer):
    """Listens on loopback until it is left; `requests` are those taken, `refused` why others not.

    With `tls` it speaks HTTPS. `grpc_endpoint` serves the same rules over gRPC.
    """

    def __init__(self, rules: Rules, tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[ExportTraceServiceRequest] = []
        self.refused: list[str] = []
        backend = self

        class Handler(QuietHandler):
            def do_POST(self) -> None:
                headers = {name.lower(): value for name, value in self.headers.items()}
                answer = backend._judge(self.path, headers, self.read_body())
                self.reply(*answer, [("Content-Type", "application/x-protobuf")])

        self._rules = rules
        self._scheme = "http" if tls is None else "https"
        super().__init__(Handler, tls=tls)
        self._grpc, grpc_port = self._serve_grpc()
        self.grpc_endpoint = f"http://127.0.0.1:{grpc_port}"

    def close(self) -> None:
        super().close()
        self._grpc.stop(grace=None).wait()

    @property
    def url(self) -> str:
        """Scheme, host and port."""
        return f"{self._scheme}://{self.address}"

    def spans(self) -> list[Any]:
        """Every span taken, in order of arrival."""
        return [span for request in self.requests for span in _spans(request)]

    def _judge(self, path: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
        """(Status, body) of the answer."""
        try:
            self.requests.append(self._checked(path, headers, body))
        except _RefusedError as refused:
            self.refused.append(f"{refused.status} {refused}")
            return refused.status, b""
        return self._rules.success, ExportTraceServiceResponse().SerializeToString()

    def _checked(
        self, path: str, headers: dict[str, str], body: bytes
    ) -> ExportTraceServiceRequest:
        rules = self._rules
        if path != rules.path:
            raise _RefusedError(404, f"path {path}")
        if headers.get("content-type") != "application/x-protobuf":
            raise _RefusedError(415, f"content type {headers.get('content-type')}")
        lacking = [name for name, value in rules.headers.items() if headers.get(name) != value]
        if lacking:
            raise _RefusedError(rules.denied, f"header {', '.join(lacking)}")
        if headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        if rules.max_request_bytes is not None and len(body) > rules.max_request_bytes:
            raise _RefusedError(413, "size of the request")
        try:
            request = ExportTraceServiceRequest.FromString(body)
        except DecodeError as error:
            raise _RefusedError(400, "no OTLP") from error
        problem = self._problem(request)
        if problem:
            raise _RefusedError(400, problem)
        return request

    def _problem(self, request: ExportTraceServiceRequest) -> str | None:
        rules = self._rules
        for span in _spans(request):
            if rules.max_span_bytes is not None and span.ByteSize() > rules.max_span_bytes:
                return "size of a span"
            texts = [one.value.string_value for one in span.attributes]
            if rules.max_text is not None and max(map(len, texts), default=0) > rules.max_text:
                return "length of an attribute"
        return None

    def _serve_grpc(self) -> tuple[Any, int]:
        backend, rules = self, self._rules

        class Service(trace_service_pb2_grpc.TraceServiceServicer):
            def Export(self, request: Any, context: Any) -> ExportTraceServiceResponse:  # noqa: N802
                metadata = dict(context.invocation_metadata())
                lacking = [k for k, value in rules.headers.items() if metadata.get(k) != value]
                problem = backend._problem(request)
                if lacking:
                    backend.refused.append(f"UNAUTHENTICATED header {', '.join(lacking)}")
                    context.abort(grpc.StatusCode.UNAUTHENTICATED, "no such key")
                elif problem:
                    backend.refused.append(f"INVALID_ARGUMENT {problem}")
                    context.abort(grpc.StatusCode.INVALID_ARGUMENT, problem)
                backend.requests.append(request)
                return ExportTraceServiceResponse()

        size = min(rules.max_request_bytes or 4 * MIB, 4 * MIB)
        options = [("grpc.max_receive_message_length", size), ("grpc.so_reuseport", 0)]
        server = grpc.server(ThreadPoolExecutor(max_workers=2), options=options)
        add: Any = trace_service_pb2_grpc.add_TraceServiceServicer_to_server
        add(Service(), server)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        return server, port


class _RefusedError(Exception):
    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


def _spans(request: ExportTraceServiceRequest) -> list[Any]:
    return [
        span
        for resource_spans in request.resource_spans
        for scope_spans in resource_spans.scope_spans
        for span in scope_spans.spans
    ]
