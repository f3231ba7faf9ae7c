"""A loopback server for as long as it is open: what stand-ins over HTTP have in common."""

from __future__ import annotations

import ssl
from http.server import BaseHTTPRequestHandler
from types import TracebackType
from typing import Any

from sandbox.http_server import LoopbackServer


class Served:
    """`address` is where it listens, by HTTPS with `tls`; closed at the end of the block."""

    def __init__(
        self, handler: type[BaseHTTPRequestHandler], tls: ssl.SSLContext | None = None
    ) -> None:
        self._http = LoopbackServer(handler, tls=tls)

    def __enter__(self) -> Any:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def port(self) -> int:
        return self._http.port

    @property
    def address(self) -> str:
        return self._http.address

    def close(self) -> None:
        """Stop listening."""
        self._http.close()
