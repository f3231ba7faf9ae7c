"""Sockets that are accepted on loopback, each served by a thread of its own: below HTTP."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress

from sandbox.closing import Closing

JOIN_S = 5.0
"""What serves a connection is at its end soon after the connection is."""


class Listening(Closing):
    """Listens until the end of its block, and ends what is connected then.

    A subclass has `serve`. With a `listener`, which listens already, it takes that one over.
    """

    def __init__(self, listener: socket.socket | None = None) -> None:
        self._listener = listener or socket.create_server(("127.0.0.1", 0))
        self._connections: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._start(self._accept)

    @property
    def port(self) -> int:
        """Where it listens."""
        port: int = self._listener.getsockname()[1]
        return port

    def serve(self, connection: socket.socket) -> None:
        """As long as it takes; an OSError is the end of it, and it is closed afterwards."""
        raise NotImplementedError

    def close(self) -> None:
        """End it."""
        # A thread in accept() is woken by a shutdown of its socket, not by a close.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in list(self._connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(timeout=JOIN_S)

    def _start(self, target: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._connections.add(connection)
            self._start(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            self.serve(connection)
        self._connections.discard(connection)
