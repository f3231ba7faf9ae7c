"""OTLP/HTTP on loopback, for OpenTelemetry SDKs in other languages: descriptors for the loop.

A request is answered as soon as it is whole and its spans are in memory, so the function's
exporter waits for no collector. Where there is no room it is told to come again. JSON is converted
in a thread, for it takes long enough to be felt by who waits for `/next`.
"""

from __future__ import annotations

import select
import socket
import time
from collections import deque
from collections.abc import Callable
from functools import partial

from extension import otlp_requests
from extension.http1_request import CONTINUE, Request, RequestError, RequestParser
from extension.otlp_requests import JSON, MAX_BODY_BYTES, PROTOBUF, Spans
from extension.worker import Worker

HOST = "127.0.0.1"
MAX_CONNECTIONS = 16
"""One for each exporter; Node's agents hold several."""
MAX_HELD_BYTES = 8 * 1024 * 1024
"""Of requests that are not whole yet, all connections together; as much of JSON that waits."""
MAX_DISCARDED_BYTES = 2 * MAX_BODY_BYTES
"""Read after a refusal, so that its answer is not lost to a reset."""
MAX_CONVERSION_WAIT_S = 0.3
"""At SHUTDOWN, for JSON that has come: a part of its window, which is for sending."""
_READ_BYTES = 65_536
_BAD_ENDING = "otlp_cut_off"


class _Client:
    """One connection. `discarding` None, or what may still be read and thrown away.

    `converting` is the request whose JSON is being converted: meanwhile nothing is read.
    """

    __slots__ = ("converting", "discarding", "outgoing", "parser", "socket")

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self.parser = RequestParser(MAX_BODY_BYTES)
        self.outgoing = b""
        self.discarding: int | None = None
        self.converting: Request | None = None

    @property
    def is_idle(self) -> bool:
        if self.outgoing or self.converting is not None:
            return False
        return self.discarding is not None or self.parser.is_idle

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
        self._converter: Worker[Spans | RequestError] | None = None
        self._converting: deque[tuple[_Client, int]] = deque()
        """Each with its body's size, in the order of what comes out of the converter."""
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
            if client.converting is None
        ]
        if self._converter is not None:
            found.append((self._converter.fileno(), select.POLLIN))
        return [*found, (self._listener.fileno(), select.POLLIN)]

    def advance(self, ready: set[int]) -> list[Spans]:
        """Do what the `ready` descriptors allow; the spans that came."""
        readable = [descriptor for descriptor in self._clients if descriptor in ready]
        if self._listener.fileno() in ready:
            readable += self._accept()
        taken: list[Spans] = []
        for descriptor in readable:
            self._advance_one(descriptor, taken)
        if self._converter is not None and self._converter.fileno() in ready:
            for worth in self._converter.take():
                client, _ = self._converting.popleft()
                self._converted(client, worth, taken)
        return taken

    def drain(self) -> list[Spans]:
        """All that the sockets hold now: nobody sends any more."""
        taken: list[Spans] = []
        poll = select.poll()
        until_s = time.monotonic() + MAX_CONVERSION_WAIT_S
        for _ in range(MAX_HELD_BYTES // _READ_BYTES):
            now: list[tuple[int, int]] = self.descriptors()
            for descriptor, events in now:
                poll.register(descriptor, events)
            left_s = max(0.0, until_s - time.monotonic()) if self._converting else 0.0
            ready = {descriptor for descriptor, _ in poll.poll(left_s * 1000)}
            for descriptor, _ in now:
                poll.unregister(descriptor)
            if not ready:
                break
            taken += self.advance(ready)
        self._count(_BAD_ENDING, len(self._converting))
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
            while client.discarding is None and client.converting is None:
                request = client.parser.next()
                if request is None:
                    break
                if otlp_requests.encoding_of(request) == JSON:
                    self._convert(client, request, taken)
                else:
                    self._answer(client, request, _worth(request), taken)
            if client.discarding is not None:
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

    def _convert(self, client: _Client, request: Request, taken: list[Spans]) -> None:
        """Have its JSON read in the thread, which begins with the first one."""
        size = len(request.body)
        if sum(waiting for _, waiting in self._converting) + size > MAX_HELD_BYTES:
            error = RequestError(503, f"over {MAX_HELD_BYTES} bytes of JSON that is not read yet")
            self._answer(client, request, error, taken)
            return
        if self._converter is None:
            self._converter = Worker(_told)
            self._converter.start()
        client.converting = request
        self._converting.append((client, size))
        self._converter.submit(partial(_worth, request))

    def _converted(self, client: _Client, worth: Spans | RequestError, taken: list[Spans]) -> None:
        request, client.converting = client.converting, None
        if request is None:
            return  # it was refused in the meantime
        descriptor = client.socket.fileno()
        try:
            self._answer(client, request, worth, taken)
        except OSError:
            self._drop(descriptor)
            return
        self._serve(descriptor, client, taken)

    def _answer(
        self, client: _Client, request: Request, worth: Spans | RequestError, taken: list[Spans]
    ) -> None:
        encoding = otlp_requests.encoding_of(request)
        if isinstance(worth, Spans) and worth.count:
            in_hand = sum(len(one.data) for one in taken)
            if not self._has_room(in_hand + len(worth.data)):
                worth = RequestError(503, "no room for more spans; the collector is behind")
        if isinstance(worth, RequestError):
            if not request.keep_alive or request.method == "HEAD":
                self._refuse(client, worth, encoding, with_body=request.method != "HEAD")
                return
            self._count(otlp_requests.reason_of(worth))
            client.send(otlp_requests.refused(worth, encoding, keep_alive=True))
            return
        if worth.count:
            taken.append(worth)
        if not request.keep_alive:
            self._finish(client)
        client.send(otlp_requests.accepted(encoding, keep_alive=request.keep_alive))

    def _refuse(
        self,
        client: _Client,
        error: RequestError,
        encoding: str = PROTOBUF,
        *,
        with_body: bool = True,
    ) -> None:
        """Answer, and take no more from this connection."""
        self._count(otlp_requests.reason_of(error))
        self._finish(client)
        try:
            client.send(
                otlp_requests.refused(error, encoding, keep_alive=False, with_body=with_body)
            )
        except OSError:
            client.discarding = 0

    @staticmethod
    def _finish(client: _Client) -> None:
        client.discarding = MAX_DISCARDED_BYTES
        client.converting = None
        client.parser = RequestParser(MAX_BODY_BYTES)

    def _drop(self, descriptor: int) -> None:
        self._clients.pop(descriptor).socket.close()

    def _count(self, reason: str, count: int = 1) -> None:
        if count:
            self.counts[reason] = self.counts.get(reason, 0) + count


def _worth(request: Request) -> Spans | RequestError:
    try:
        return otlp_requests.spans_of(request)
    except RequestError as error:
        return error


def _told(error: Exception) -> RequestError:
    """What the thread ran into, memory say, told to whoever sent it."""
    return RequestError(400, f"its JSON could not be read: {type(error).__name__}")
