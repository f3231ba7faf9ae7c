"""Collectors that misbehave, each in one thread; closed at the end of their block."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable
from types import TracebackType

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from collectors.listening import Listening

DRIP_S = 0.05
"""Between two bytes: far below any read timeout."""


def http_answer(status: str, body: bytes = b"", *headers: str) -> bytes:
    """A whole response."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def partial_success(rejected: int, message: str) -> bytes:
    """The protobuf body of a partial success."""
    answer = ExportTraceServiceResponse()
    answer.partial_success.rejected_spans = rejected
    answer.partial_success.error_message = message
    return answer.SerializeToString()


OK = http_answer("200 OK", b"", "Content-Type: application/x-protobuf")


class Collector(Listening):
    """Accepts connections; for each whole request runs `behave(connection, stopped)`.

    `requests` counts the whole requests read, `heads` has their request lines and headers.
    With a `listener`, which listens already, it takes that one over.
    """

    def __init__(
        self,
        behave: Callable[[socket.socket, threading.Event], None],
        tls: ssl.SSLContext | None = None,
        listener: socket.socket | None = None,
    ) -> None:
        self._behave = behave
        self._tls = tls
        self._stopped = threading.Event()
        self.requests = 0
        self.heads: list[str] = []
        super().__init__(listener)

    def close(self) -> None:
        """End it, whatever it is about to do."""
        self._stopped.set()
        super().close()

    def serve(self, connection: socket.socket) -> None:
        """One request after the other."""
        if self._tls is None:
            self._answer(connection)
        else:
            with self._tls.wrap_socket(connection, server_side=True) as wrapped:
                self._answer(wrapped)

    def _answer(self, connection: socket.socket) -> None:
        while not self._stopped.is_set():
            head = _read_request(connection, self._stopped)
            if head is None:
                return
            self.heads.append(head)
            self.requests += 1
            self._behave(connection, self._stopped)


def _read_request(connection: socket.socket, stopped: threading.Event) -> str | None:
    """The head of one request, read with its body; None where there is none."""
    connection.settimeout(0.05)
    data = b""
    while True:
        head, end, body = data.partition(b"\r\n\r\n")
        if end:
            length = 0
            for line in head.split(b"\r\n"):
                name, _, value = line.partition(b":")
                if name.lower() == b"content-length":
                    length = int(value)
            if len(body) >= length:
                return head.decode("latin-1")
        try:
            more = connection.recv(65536)
        except (TimeoutError, ssl.SSLWantReadError):
            if stopped.is_set():
                return None
            continue
        if not more:
            return None
        data += more


def answering(answer: bytes) -> Collector:
    """Answers every request the same."""
    return Collector(lambda connection, stopped: connection.sendall(answer))


def hanging() -> Collector:
    """Reads every request and never answers."""
    return Collector(lambda connection, stopped: _until(stopped))


def dripping(answer: bytes) -> Collector:
    """Sends `answer` byte by byte, and then blanks for ever."""

    def drip(connection: socket.socket, stopped: threading.Event) -> None:
        for byte in answer:
            connection.sendall(bytes((byte,)))
            if stopped.wait(DRIP_S):
                return
        while not stopped.wait(DRIP_S):
            connection.sendall(b" ")

    return Collector(drip)


def resetting() -> Collector:
    """Reads every request, then resets the connection."""

    def reset(connection: socket.socket, stopped: threading.Event) -> None:
        linger = (1).to_bytes(4, "little") + (0).to_bytes(4, "little")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        connection.close()

    return Collector(reset)


def _until(stopped: threading.Event) -> None:
    stopped.wait()


class FullBacklog:
    """A port whose SYNs are never answered: its accept queue is full and nobody accepts."""

    def __init__(self) -> None:
        self._listener = socket.socket()
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(0)
        self._filling: list[socket.socket] = []

    def __enter__(self) -> FullBacklog:
        # A connect that hangs shows that the queue is full.
        for _ in range(16):
            filler = socket.socket()
            filler.settimeout(0.2)
            self._filling.append(filler)
            try:
                filler.connect(("127.0.0.1", self.port))
            except TimeoutError:
                return self
        raise AssertionError("the accept queue takes more than 16 connections")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for filler in self._filling:
            filler.close()
        self._listener.close()

    @property
    def port(self) -> int:
        """Where it listens."""
        port: int = self._listener.getsockname()[1]
        return port
