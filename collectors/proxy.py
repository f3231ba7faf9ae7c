"""What may stand between a function and a collector."""

from __future__ import annotations

import socket
import threading
from urllib.parse import urlsplit

from collectors.listening import Listening


class Proxy(Listening):
    """A forward and CONNECT proxy; it goes where it is told, on loopback alone."""

    @property
    def url(self) -> str:
        """What HTTP_PROXY and HTTPS_PROXY are set to."""
        return f"http://127.0.0.1:{self.port}"

    def serve(self, connection: socket.socket) -> None:
        """Pass on what comes, both ways."""
        data = b""
        while b"\r\n\r\n" not in data:
            more = connection.recv(65536)
            if not more:
                return
            data += more
        upstream = self._forward(connection, data)
        if upstream is None:
            return
        with upstream:
            self._connections.add(upstream)
            back = threading.Thread(target=_pump, args=(upstream, connection), daemon=True)
            back.start()
            _pump(connection, upstream)
            back.join()
            self._connections.discard(upstream)

    def _forward(self, client: socket.socket, data: bytes) -> socket.socket | None:
        """The connection that `data`, the first request, asks for."""
        line, _, rest = data.partition(b"\r\n")
        method, target, version = line.split(b" ")
        parts = urlsplit(f"//{target.decode()}" if method == b"CONNECT" else target.decode())
        if parts.hostname != "127.0.0.1" or parts.port is None:
            return None
        upstream = socket.create_connection((parts.hostname, parts.port))
        if method == b"CONNECT":
            client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        else:
            # One host is behind it: what follows on this connection goes there as it is.
            upstream.sendall(b" ".join((method, parts.path.encode(), version)) + b"\r\n" + rest)
        return upstream


def _pump(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass
