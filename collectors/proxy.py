"""What may stand between a function and a collector."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from types import TracebackType
from urllib.parse import urlsplit


class Proxy:
    """A forward and CONNECT proxy; it goes where it is told, on loopback alone."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Proxy:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for one in list(self._open):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    @property
    def url(self) -> str:
        """What HTTP_PROXY and HTTPS_PROXY are set to."""
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        self._open.add(client)
        try:
            data = b""
            while b"\r\n\r\n" not in data:
                more = client.recv(65536)
                if not more:
                    return
                data += more
            upstream = self._forward(client, data)
            if upstream is not None:
                back = threading.Thread(target=_pump, args=(upstream, client), daemon=True)
                back.start()
                _pump(client, upstream)
                back.join()
                self._close(upstream)
        except OSError:
            pass
        finally:
            self._close(client)

    def _forward(self, client: socket.socket, data: bytes) -> socket.socket | None:
        """The connection that `data`, the first request, asks for."""
        line, _, rest = data.partition(b"\r\n")
        method, target, version = line.split(b" ")
        parts = urlsplit(f"//{target.decode()}" if method == b"CONNECT" else target.decode())
        if parts.hostname != "127.0.0.1" or parts.port is None:
            return None
        upstream = socket.create_connection((parts.hostname, parts.port))
        self._open.add(upstream)
        if method == b"CONNECT":
            client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        else:
            # One host is behind it: what follows on this connection goes there as it is.
            upstream.sendall(b" ".join((method, parts.path.encode(), version)) + b"\r\n" + rest)
        return upstream

    def _close(self, one: socket.socket) -> None:
        self._open.discard(one)
        one.close()


def _pump(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass
