"""The socket that Lambda sends platform events to: descriptors for the loop."""

from __future__ import annotations

import select
import socket

from extension import platform_events, telemetry
from extension.connection import ApiGoneError, Connection
from extension.log import Log
from extension.subscription import MAX_CONNECTIONS, Subscription

_READ_BYTES = 65_536
TelemetryEvent = platform_events.PlatformEvent | platform_events.LoggedLine


class TelemetryListener:
    """Accepts and reads; without a Telemetry API it closes and is never heard of again.

    `subscribed`: the API has said that events will come, `with_logs`: the function's lines were
    asked for. `counts` has what was left out.
    """

    def __init__(self, subscription: Subscription | None, log: Log) -> None:
        self.subscribed = False
        self.with_logs = subscription is not None and subscription.logs
        self.counts: dict[str, int] = {}
        self._log = log
        self._request: Connection | None = None
        self._listener: socket.socket | None = None
        self._connections: dict[int, tuple[socket.socket, telemetry.Lines]] = {}
        if subscription is not None:
            self._listener = socket.socket(fileno=subscription.listener.detach())
            self._request = subscription.request

    @property
    def hopeful(self) -> bool:
        """Whether events may come: subscribed, or the answer to that is on its way."""
        return self._listener is not None

    def descriptors(self) -> list[tuple[int, int]]:
        """(descriptor, events) to poll."""
        found = [(descriptor, select.POLLIN) for descriptor in self._connections]
        if self._listener is not None:
            found.append((self._listener.fileno(), select.POLLIN))
        if self._request is not None and self._request.fileno() >= 0:
            found.append((self._request.fileno(), self._request.poll_events))
        return found

    def advance(self, ready: set[int]) -> list[TelemetryEvent]:
        """Do what the `ready` descriptors allow; the events that came."""
        request = self._request
        if request is not None and request.fileno() in ready:
            self._answer(request)
        readable = ready & self._connections.keys()
        if self._listener is not None and self._listener.fileno() in ready:
            # What it has sent already was sent before the event that may be ready as well.
            readable |= self._accept(self._listener)
        done: list[TelemetryEvent] = []
        for descriptor in readable:
            done += self._read(descriptor)
        return done

    def close(self) -> None:
        """Close everything."""
        for connection, _ in self._connections.values():
            connection.close()
        self._connections.clear()
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        if self._request is not None:
            self._request.close()
            self._request = None

    def _answer(self, request: Connection) -> None:
        try:
            response = request.advance()
        except ApiGoneError as error:
            self._give_up(str(error))
            return
        if response is None:
            return
        # 202 is a local environment's word for "not supported here".
        if response.status != 200:
            self._give_up(f"answered {response.status}")
            return
        request.close()
        self._request = None
        self.subscribed = True

    def _give_up(self, reason: str) -> None:
        self._log.debug(f"no Telemetry API: {reason}")
        self.close()

    def _accept(self, listener: socket.socket) -> set[int]:
        try:
            connection, _ = listener.accept()
        except OSError:
            return set()
        if len(self._connections) >= MAX_CONNECTIONS:
            self._count("telemetry_refused", 1)
            connection.close()
            return set()
        connection.setblocking(False)
        self._connections[connection.fileno()] = (connection, telemetry.Lines())
        return {connection.fileno()}

    def _read(self, descriptor: int) -> list[TelemetryEvent]:
        connection, lines = self._connections[descriptor]
        try:
            data = connection.recv(_READ_BYTES)
        except BlockingIOError:
            return []
        except OSError:
            data = b""
        if not data:
            connection.close()
            del self._connections[descriptor]
            return []
        cut = lines.cut_count
        parsed = [platform_events.parse(line) for line in lines.feed(data)]
        self._count("telemetry_cut", lines.cut_count - cut)
        return [event for event in parsed if event is not None]

    def _count(self, reason: str, count: int) -> None:
        if count:
            self.counts[reason] = self.counts.get(reason, 0) + count
