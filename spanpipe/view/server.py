"""The page and its data over HTTP, on loopback alone: a thread of its own.

``/`` and its files; ``/changes`` as server-sent events; ``/traces/ID``. A page of another site
cannot read them: requests whose Host is not loopback's are refused (DNS rebinding), and no
header lets another origin in.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from spanpipe.view.store import Store

PAGE = Path(__file__).parent / "page"
FILES = {"": "index.html", "view.js": "view.js", "list.js": "list.js", "view.css": "view.css"}
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "connect-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
HOSTS = ["localhost", "127.0.0.1"]
BATCH_S = 0.1
"""Changes are told that often at most."""


class Page:
    """Serves until `close`. `take` and `tell_ledger` may be called from any thread."""

    def __init__(self, port: int, store: Store | None = None) -> None:
        """Raises OSError where `port` is taken; 0: any."""
        self.store = Store() if store is None else store
        self._lock = threading.Lock()
        self._changed: asyncio.Event = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        routes = [Route(f"/{path}", self._file) for path in FILES]
        routes.append(Route("/favicon.ico", _nothing))
        routes += [Route("/changes", self._changes), Route("/traces/{trace}", self._trace)]
        app = Starlette(
            routes=routes, middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=HOSTS)]
        )
        config = uvicorn.Config(
            app, host="127.0.0.1", port=port, log_config=None, timeout_graceful_shutdown=1
        )
        self._socket = _listening(config.host, port)
        self._server = uvicorn.Server(config)
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="spanpipe-view", daemon=True)
        self._thread.start()
        self._started.wait()

    @property
    def url(self) -> str:
        """What to open."""
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}/"

    def take(self, request: Any) -> None:
        """An ``ExportTraceServiceRequest`` has come."""
        with self._lock:
            self.store.add(request)
        self._tell_soon()

    def tell_ledger(self, instance: str, counts: Mapping[str, int]) -> None:
        """The extension of `instance` has told what became of what it accepted."""
        with self._lock:
            self.store.note_ledger(instance, counts)
        self._tell_soon()

    def close(self) -> None:
        """Stop serving."""
        self._server.should_exit = True
        self._tell_soon()
        self._thread.join()
        self._socket.close()

    def _serve(self) -> None:
        async def main() -> None:
            self._loop = asyncio.get_running_loop()
            self._started.set()
            await self._server.serve(sockets=[self._socket])

        asyncio.run(main())

    def _tell_soon(self) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._tell)

    def _tell(self) -> None:
        # Those who wait hold this one; whoever comes later waits for the next.
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def _file(self, request: Request) -> Response:
        return FileResponse(PAGE / FILES[request.url.path[1:]], headers=HEADERS)

    async def _trace(self, request: Request) -> Response:
        with self._lock:
            spans = self.store.trace(request.path_params["trace"])
        return JSONResponse(spans, headers=HEADERS)

    async def _changes(self, request: Request) -> Response:
        headers = {**HEADERS, "X-Accel-Buffering": "no"}
        return StreamingResponse(self._events(), headers=headers, media_type="text/event-stream")

    async def _events(self) -> AsyncIterator[str]:
        version = -1
        while not self._server.should_exit:
            changed = self._changed
            with self._lock:
                found = self.store.changes(version)
            if found["version"] != version:
                version = found["version"]
                yield f"data: {json.dumps(found)}\n\n"
                await asyncio.sleep(BATCH_S)
            else:
                await changed.wait()


async def _nothing(request: Request) -> Response:
    return Response(status_code=204, headers=HEADERS)


def _listening(host: str, port: int) -> Any:
    import socket

    found = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind((host, port))
        # From here on a browser is let in, and waits where the server is not there yet.
        found.listen()
    except OSError:
        found.close()
        raise
    return found
