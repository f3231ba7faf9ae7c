"""An OTLP receiver on loopback: HTTP (protobuf and JSON, gzip) and, if asked for, gRPC."""

from __future__ import annotations

import base64
import gzip
import json
import threading
import zlib
from collections.abc import Callable, Mapping
from typing import Any

from google.protobuf.json_format import MessageToJson, ParseDict
from google.protobuf.json_format import ParseError as JsonParseError
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from sandbox.closing import Closing
from sandbox.faults import ACCEPTED, Answer
from sandbox.http_server import LoopbackServer, QuietHandler

MAX_REQUEST_BYTES = 64 * 1024 * 1024
TRACES_PATH = "/v1/traces"
METRICS_PATH = "/v1/metrics"
LOGS_PATH = "/v1/logs"

OnRequest = Callable[[ExportTraceServiceRequest], None]
AnswerTo = Callable[[int], Answer]
"""What is answered to request N, from 1: OTLP requests over HTTP of any signal."""

_SIGNALS: dict[str, tuple[Any, Any]] = {
    TRACES_PATH: (ExportTraceServiceRequest, ExportTraceServiceResponse),
    METRICS_PATH: (ExportMetricsServiceRequest, ExportMetricsServiceResponse),
    LOGS_PATH: (ExportLogsServiceRequest, ExportLogsServiceResponse),
}
"""Path → request and response."""


class Receiver(Closing):
    """Collects requests; `on_request` is told of each as it comes, from the server's thread.

    Over gRPC a request of more than `max_grpc_bytes` is refused. A port of 0 is any that is free;
    one that is taken raises OSError (HTTP) or RuntimeError (gRPC). Not `keeps`: what has come is
    told to `on_request`, and forgotten.
    `answer_to` scripts what is answered over HTTP; `request_count` has the requests that came.
    """

    def __init__(
        self,
        on_request: OnRequest | None = None,
        *,
        grpc: bool = False,
        max_grpc_bytes: int = MAX_REQUEST_BYTES,
        answer_to: AnswerTo = lambda number: ACCEPTED,
        keeps: bool = True,
        http_port: int = 0,
        grpc_port: int = 0,
    ) -> None:
        self.request_count = 0
        self._keeps = keeps
        self.requests: list[ExportTraceServiceRequest] = []
        self.metrics: list[ExportMetricsServiceRequest] = []
        self.logs: list[ExportLogsServiceRequest] = []
        self._arrived = threading.Condition()
        self._on_request = on_request
        self._answer_to = answer_to
        self._closing = threading.Event()
        receiver = self

        class Handler(_Handler):
            def take(self, request: Any) -> None:
                receiver.take(request)

            def answer(self) -> Answer:
                return receiver.next_answer()

            def pause(self, seconds: float) -> None:
                receiver.pause(seconds)

        self._http = LoopbackServer(Handler, http_port)
        self._grpc: Any = None
        self._grpc_port = 0
        if grpc:
            try:
                self._grpc, self._grpc_port = _serve_grpc(self.take, max_grpc_bytes, grpc_port)
            except RuntimeError:
                self._http.close()
                raise

    @property
    def http_endpoint(self) -> str:
        """The whole URL for traces."""
        return f"http://{self._http.address}{TRACES_PATH}"

    @property
    def grpc_endpoint(self) -> str:
        """Scheme, host and port."""
        return f"http://127.0.0.1:{self._grpc_port}"

    def take(
        self,
        request: ExportTraceServiceRequest | ExportMetricsServiceRequest | ExportLogsServiceRequest,
    ) -> None:
        """A request has come."""
        with self._arrived:
            if isinstance(request, ExportMetricsServiceRequest):
                kept: list[Any] = self.metrics
            elif isinstance(request, ExportLogsServiceRequest):
                kept = self.logs
            else:
                kept = self.requests
            if self._keeps:
                kept.append(request)
            self._arrived.notify_all()
        if self._on_request is not None and isinstance(request, ExportTraceServiceRequest):
            self._on_request(request)

    def next_answer(self) -> Answer:
        """What is answered to the request that has just been read."""
        with self._arrived:
            self.request_count += 1
            return self._answer_to(self.request_count)

    def pause(self, seconds: float) -> None:
        """Let so much time pass, less where this closes."""
        self._closing.wait(seconds)

    def spans(self) -> list[Any]:
        """All spans so far, as protobuf messages, in order of arrival."""
        with self._arrived:
            return [
                span
                for request in self.requests
                for resource_spans in request.resource_spans
                for scope_spans in resource_spans.scope_spans
                for span in scope_spans.spans
            ]

    def log_records(self) -> list[Any]:
        """All log records so far, in order of arrival."""
        with self._arrived:
            return [
                record
                for request in self.logs
                for resource_logs in request.resource_logs
                for scope_logs in resource_logs.scope_logs
                for record in scope_logs.log_records
            ]

    def wait_for_spans(self, count: int, timeout_s: float) -> list[Any]:
        """The spans, once there are `count` or `timeout_s` is over."""
        with self._arrived:
            self._arrived.wait_for(lambda: len(self.spans()) >= count, timeout=timeout_s)
            return self.spans()

    def close(self) -> None:
        """Stop listening."""
        self._closing.set()
        self._http.close()
        if self._grpc is not None:
            self._grpc.stop(grace=None).wait()


class _Handler(QuietHandler):
    def take(self, request: Any) -> None:
        raise NotImplementedError

    def answer(self) -> Answer:
        raise NotImplementedError

    def pause(self, seconds: float) -> None:
        raise NotImplementedError

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        if length > MAX_REQUEST_BYTES:
            self.close_connection = True
            self._send(413, b"", "text/plain")
            return
        body = self.rfile.read(length)
        if self.path not in _SIGNALS:
            self._send(404, f"only {', '.join(_SIGNALS)} are here".encode(), "text/plain")
            return
        request_type, response_type = _SIGNALS[self.path]
        try:
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            kind = self.headers.get("Content-Type", "").partition(";")[0].strip()
            request = _parse(body, kind, request_type)
        except (DecodeError, JsonParseError, ValueError, OSError, zlib.error, EOFError) as error:
            self._send(400, f"not OTLP: {error}".encode(), "text/plain")
            return
        answer = self.answer()
        response = response_type()
        if answer.is_kept:
            if answer.rejected_spans and isinstance(request, ExportTraceServiceRequest):
                response.partial_success.rejected_spans = _reject(request, answer.rejected_spans)
                response.partial_success.error_message = "as the fault plan says"
            self.take(request)
        self.pause(answer.delay_ms / 1000)
        if answer.hang or answer.drop_connection:
            self.close_connection = True
            if answer.hang:
                self.rfile.read(1)  # the end of the connection: the client has given up
            return
        if answer.status != 200:
            retry_after = {"Retry-After": str(answer.retry_after_s)}
            headers = retry_after if answer.retry_after_s is not None else {}
            self._send(answer.status, b"as the fault plan says", "text/plain", headers)
            return
        if kind == "application/json":
            self._send(200, MessageToJson(response, indent=None).encode(), kind)
        else:
            self._send(200, response.SerializeToString(), kind)

    def _send(
        self, status: int, body: bytes, kind: str, headers: Mapping[str, str] | None = None
    ) -> None:
        self.reply(status, body, [*(headers or {}).items(), ("Content-Type", kind)])


def _reject(request: ExportTraceServiceRequest, count: int) -> int:
    """Take the last `count` spans out of `request`; how many there were to take."""
    left = count
    for resource_spans in reversed(request.resource_spans):
        for scope_spans in reversed(resource_spans.scope_spans):
            while left and scope_spans.spans:
                del scope_spans.spans[-1]
                left -= 1
    return count - left


def _parse(body: bytes, kind: str, request_type: Any) -> Any:
    if kind == "application/json":
        value = json.loads(body)
        _base64_ids(value)
        return ParseDict(value, request_type(), ignore_unknown_fields=True)
    if kind == "application/x-protobuf":
        return request_type.FromString(body)
    raise ValueError(f"Content-Type {kind!r}")


def _base64_ids(value: Any) -> None:
    """OTLP's JSON has IDs in hex, protobuf's in base64."""
    if isinstance(value, dict):
        for key, item in value.items():
            if key in ("traceId", "spanId", "parentSpanId") and isinstance(item, str):
                value[key] = base64.b64encode(bytes.fromhex(item)).decode()
            else:
                _base64_ids(item)
    elif isinstance(value, list):
        for item in value:
            _base64_ids(item)


def _serve_grpc(take: OnRequest, max_bytes: int, port: int) -> tuple[Any, int]:
    from concurrent.futures import ThreadPoolExecutor

    import grpc
    from opentelemetry.proto.collector.logs.v1 import logs_service_pb2_grpc
    from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2_grpc
    from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc

    class Logs(logs_service_pb2_grpc.LogsServiceServicer):
        def Export(self, request: Any, context: Any) -> ExportLogsServiceResponse:  # noqa: N802
            take(request)
            return ExportLogsServiceResponse()

    class Metrics(metrics_service_pb2_grpc.MetricsServiceServicer):
        def Export(self, request: Any, context: Any) -> ExportMetricsServiceResponse:  # noqa: N802
            take(request)
            return ExportMetricsServiceResponse()

    class Service(trace_service_pb2_grpc.TraceServiceServicer):
        def Export(self, request: Any, context: Any) -> ExportTraceServiceResponse:  # noqa: N802
            take(request)
            return ExportTraceServiceResponse()

    server = grpc.server(
        ThreadPoolExecutor(max_workers=4),
        # Without SO_REUSEPORT a port that is taken is an error.
        options=[("grpc.max_receive_message_length", max_bytes), ("grpc.so_reuseport", 0)],
    )
    register: Any = trace_service_pb2_grpc.add_TraceServiceServicer_to_server
    register(Service(), server)
    register_metrics: Any = metrics_service_pb2_grpc.add_MetricsServiceServicer_to_server
    register_metrics(Metrics(), server)
    register_logs: Any = logs_service_pb2_grpc.add_LogsServiceServicer_to_server
    register_logs(Logs(), server)
    port = server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    return server, port
