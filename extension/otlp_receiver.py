"""OTLP/HTTP on loopback, for OpenTelemetry SDKs in other languages: descriptors for the loop.

A request is answered as soon as it is whole and its spans are in memory, so the function's
exporter waits for no collector. Where there is no room it is told to come again.
"""

from __future__ import annotations

import select
import socket
from collections.abc import Callable

from extension import otlp_requests
from extension.http1_request import CONTINUE, Request, RequestError, RequestParser
from extension.otlp_requests import MAX_BODY_BYTES, Spans

HOST = "127.0.0.1"
MAX_CONNECTIONS = 16
"""One for each exporter; Node's agents hold several."""
MAX_HELD_BYTES = 8 * 1024 * 1024
"""Of requests that are not whole yet, all connections together."""
MAX_DISCARDED_BYTES = 2 * MAX_BODY_BYTES
"""Read after a refusal, so that its answer is not lost to a reset."""
_READ_BYTES = 65_536
_BAD_ENDING = "otlp_cut_off"


class _Client:
    """One connection. `discarding` None, or what may still be read and thrown away."""

    __slots__ = ("discarding", "outgoing", "parser", "socket")

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self.parser = RequestParser(MAX_BODY_BYTES)
        self.outgoing = b""
        self.discarding: int | None = None

    @property
    def is_idle(self) -> bool:
        return not self.outgoing and (self.discarding is not None or self.parser.is_idle)

    def send(self, data: bytes) -> None:
        """Now, or as soon as the socket takes it. Raises OSError."""
        self.outgoing += data
        try:
            sent = self.socket.send(self.outgoing)
        except BlockingIOError:
            return
        self.outgoing = self.outgoing[sent:]
        if not self.outgoing and self.discarding is not None:
            self.socket.shutdown(socket.SHUT_WR)


class OtlpReceiver:
    """Listens at `port` of loopback; raises OSError where that cannot be had.

    `has_room` says whether so many bytes of spans may be taken. `counts` has what was refused.
    """

    def __init__(self, port: int, has_room: Callable[[int], bool]) -> None:
        self.counts: dict[str, int] = {}
        self._has_room = has_room
        self._clients: dict[int, _Client] = {}
        """The one that was heard of last comes last."""
        self._listener = socket.create_server((HOST, port), backlog=MAX_CONNECTIONS)
        self._listener.setblocking(False)

    @property
    def port(self) -> int:
        """Where it listens."""
        port: int = self._listener.getsockname()[1]
        return port

    def descriptors(self) -> list[tuple[int, int]]:
        """(descriptor, events) to poll."""
        found = [
            (descriptor, select.POLLOUT if client.outgoing else select.POLLIN)
            for descriptor, client in self._clients.items()
        ]
        return [*found, (self._listener.fileno(), select.POLLIN)]

    def advance(self, ready: set[int]) -> list[Spans]:
        """Do what the `ready` descriptors allow; the spans that came."""
        readable = [descriptor for descriptor in self._clients if descriptor in ready]
        if self._listener.fileno() in ready:
            readable += self._accept()
        taken: list[Spans] = []
        for descriptor in readable:
            self._advance_one(descriptor, taken)
        return taken

    def drain(self) -> list[Spans]:
        """All that the sockets hold now: nobody sends any more."""
        taken: list[Spans] = []
        poll = select.poll()
        for _ in range(MAX_HELD_BYTES // _READ_BYTES):
            now: list[tuple[int, int]] = self.descriptors()
            for descriptor, events in now:
                poll.register(descriptor, events)
            ready = {descriptor for descriptor, _ in poll.poll(0)}
            for descriptor, _ in now:
                poll.unregister(descriptor)
            if not ready:
                break
            taken += self.advance(ready)
        return taken

    def close(self) -> None:
        """Close everything."""
        self._listener.close()
        for descriptor in list(self._clients):
            self._drop(descriptor)

    def _accept(self) -> list[int]:
        try:
            connection, _ = self._listener.accept()
        except OSError:
            return []
        connection.setblocking(False)
        client = _Client(connection)
        if len(self._clients) >= MAX_CONNECTIONS and not self._drop_idle():
            self._refuse(client, RequestError(503, f"over {MAX_CONNECTIONS} connections"))
            connection.close()
            return []
        self._clients[connection.fileno()] = client
        return [connection.fileno()]

    def _drop_idle(self) -> bool:
        """Close the connection that has been silent longest; False where all are in use."""
        found = next((one for one, client in self._clients.items() if client.is_idle), None)
        if found is not None:
            self._drop(found)
        return found is not None

    def _advance_one(self, descriptor: int, taken: list[Spans]) -> None:
        client = self._clients.pop(descriptor, None)
        if client is None:
            return
        self._clients[descriptor] = client
        try:
            if client.outgoing:
                client.send(b"")
                return
            data = client.socket.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._count(_BAD_ENDING, not client.is_idle)
            self._drop(descriptor)
        elif client.discarding is not None:
            client.discarding -= len(data)
            if client.discarding <= 0:
                self._drop(descriptor)
        else:
            client.parser.feed(data)
            self._serve(descriptor, client, taken)

    def _serve(self, descriptor: int, client: _Client, taken: list[Spans]) -> None:
        try:
            while client.discarding is None:
                request = client.parser.next()
                if request is None:
                    break
                self._answer(client, request, taken)
            else:
                return
            if client.parser.take_continue():
                client.send(CONTINUE)
            held = sum(one.parser.held_bytes for one in self._clients.values())
            if held > MAX_HELD_BYTES:
                raise RequestError(503, f"over {MAX_HELD_BYTES} bytes of unfinished requests")
        except RequestError as error:
            self._refuse(client, error)
        except OSError:
            self._drop(descriptor)

    def _answer(self, client: _Client, request: Request, taken: list[Spans]) -> None:
        try:
            spans = otlp_requests.spans_of(request)
            in_hand = sum(len(one.data) for one in taken)
            if spans.count and not self._has_room(in_hand + len(spans.data)):
                raise RequestError(503, "no room for more spans; the collector is behind")
        except RequestError as error:
            if not request.keep_alive or request.method == "HEAD":
                self._refuse(client, error, with_body=request.method != "HEAD")
                return
            self._count(otlp_requests.reason_of(error))
            client.send(otlp_requests.refused(error, keep_alive=True))
            return
        if spans.count:
            taken.append(spans)
        if not request.keep_alive:
            self._finish(client)
        client.send(otlp_requests.accepted(keep_alive=request.keep_alive))

    def _refuse(self, client: _Client, error: RequestError, *, with_body: bool = True) -> None:
        """Answer, and take no more from this connection."""
        self._count(otlp_requests.reason_of(error))
        self._finish(client)
        try:
            client.send(otlp_requests.refused(error, keep_alive=False, with_body=with_body))
        except OSError:
            client.discarding = 0

    @staticmethod
    def _finish(client: _Client) -> None:
        client.discarding = MAX_DISCARDED_BYTES
        client.parser = RequestParser(MAX_BODY_BYTES)

    def _drop(self, descriptor: int) -> None:
        self._clients.pop(descriptor).socket.close()

    def _count(self, reason: str, count: int = 1) -> None:
        if count:
            self.counts[reason] = self.counts.get(reason, 0) + count
