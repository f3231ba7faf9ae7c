"""HTTP around `sandbox.state`: the Runtime API and the Extensions API on one loopback port."""

from __future__ import annotations

import json
from collections.abc import Callable

from sandbox import schema
from sandbox.http_server import LoopbackServer, QuietHandler
from sandbox.state import ApiError, ApiState, GoneError

_RUNTIME = "/2018-06-01/runtime"
_EXTENSION = "/2020-01-01/extension"
_TELEMETRY = "/2022-07-01/telemetry"
MAX_BODY_BYTES = 32 * 1024 * 1024


class ApiServer:
    """Serves the state that `use` set last; one thread for each connection."""

    def __init__(self) -> None:
        self.state: ApiState | None = None
        server = self

        class Handler(_Handler):
            def state(self) -> ApiState:
                if server.state is None:
                    raise GoneError
                return server.state

        self._http = LoopbackServer(Handler)

    @property
    def address(self) -> str:
        """``AWS_LAMBDA_RUNTIME_API``."""
        return self._http.address

    def use(self, state: ApiState) -> None:
        """Serve a new generation; the calls of the one before end."""
        if self.state is not None:
            self.state.end()
        self.state = state

    def close(self) -> None:
        """End every call and stop listening."""
        if self.state is not None:
            self.state.end()
        self._http.close()


class _Handler(QuietHandler):
    def state(self) -> ApiState:
        raise NotImplementedError

    def do_GET(self) -> None:
        self._serve(
            {
                f"{_RUNTIME}/invocation/next": self._next_invocation,
                f"{_RUNTIME}/restore/next": self._restore_next,
                f"{_EXTENSION}/event/next": self._next_event,
            }
        )

    def do_POST(self) -> None:
        routes: dict[str, Callable[[], None]] = {
            f"{_RUNTIME}/init/error": self._init_error,
            f"{_RUNTIME}/restore/error": self._init_error,
            f"{_EXTENSION}/register": self._register,
            f"{_EXTENSION}/init/error": self._extension_error,
            f"{_EXTENSION}/exit/error": self._extension_error,
        }
        parts = self.path.split("/")
        if self.path.startswith(f"{_RUNTIME}/invocation/") and len(parts) == 6:
            routes[self.path] = self._answer
        self._serve(routes)

    def do_PUT(self) -> None:
        self._serve({_TELEMETRY: self._subscribe})

    def _serve(self, routes: dict[str, Callable[[], None]]) -> None:
        route = routes.get(self.path)
        try:
            if route is None:
                self._body()
                raise ApiError(404, "NotFound", f"{self.command} {self.path}")
            route()
        except ApiError as error:
            value = {"errorType": error.error_type, "errorMessage": error.message}
            self.reply(error.status, json.dumps(value).encode())
        except (GoneError, ConnectionError, ValueError):
            self.close_connection = True

    def _next_invocation(self) -> None:
        invocation = self.state().next_invocation()
        headers = {
            "Lambda-Runtime-Aws-Request-Id": invocation.request_id,
            "Lambda-Runtime-Deadline-Ms": str(invocation.deadline_unix_ms),
            "Lambda-Runtime-Invoked-Function-Arn": invocation.invoked_function_arn,
            "Content-Type": "application/json",
        }
        if invocation.trace_header is not None:
            headers["Lambda-Runtime-Trace-Id"] = invocation.trace_header
        if invocation.tenant_id is not None:
            headers["Lambda-Runtime-Aws-Tenant-Id"] = invocation.tenant_id
        self.reply(200, invocation.payload, headers.items())

    def _restore_next(self) -> None:
        self.state().restore_next()
        self.reply(200, b"{}")

    def _answer(self) -> None:
        *_, request_id, kind = self.path.split("/")
        if kind not in ("response", "error"):
            self._body()
            raise ApiError(404, "NotFound", self.path)
        self.state().respond(request_id, self._body(), failed=kind == "error")
        self.reply(202, b'{"status":"OK"}')

    def _init_error(self) -> None:
        self.state().fail_init(self._body())
        self.reply(202, b'{"status":"OK"}')

    def _register(self) -> None:
        try:
            value = json.loads(self._body())
        except ValueError as error:
            raise ApiError(400, "InvalidRequestFormat", "the body is no JSON") from error
        problem = schema.problem(schema.REGISTER, value)
        if problem:
            raise ApiError(403, "Extension.InvalidEventType", problem)
        features = self.headers.get("Lambda-Extension-Accept-Feature", "")
        identifier, body = self.state().register(
            self.headers.get("Lambda-Extension-Name"), value["events"], "accountId" in features
        )
        self.reply(200, json.dumps(body).encode(), [("Lambda-Extension-Identifier", identifier)])

    def _next_event(self) -> None:
        event = self.state().next_event(self.headers.get("Lambda-Extension-Identifier"))
        self.reply(200, json.dumps(event).encode(), [("Content-Type", "application/json")])

    def _subscribe(self) -> None:
        body = self._body()
        try:
            served = self.state().subscribe(
                self.headers.get("Lambda-Extension-Identifier"), json.loads(body)
            )
        except ValueError as error:
            raise ApiError(400, "ValidationError", f"the body is no JSON: {error}") from error
        # 202 is the emulator's word for a Telemetry API that is not there.
        self.reply(*((200, b"OK") if served else (202, b"Telemetry API is not supported")))

    def _extension_error(self) -> None:
        self._body()
        self.state().extension_error(
            self.headers.get("Lambda-Extension-Identifier"),
            self.headers.get("Lambda-Extension-Function-Error-Type"),
        )
        self.reply(202, b'{"status":"OK"}')

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            return self._chunked_body()
        length = int(self.headers.get("Content-Length") or 0)
        if length > MAX_BODY_BYTES:
            self.close_connection = True
            raise ApiError(413, "RequestEntityTooLarge", f"{length} bytes")
        return self.rfile.read(length)

    def _chunked_body(self) -> bytes:
        """A streamed response."""
        parts: list[bytes] = []
        while True:
            size = int(self.rfile.readline(64).split(b";")[0], 16)
            if size == 0:
                break
            parts.append(self.rfile.read(size))
            self.rfile.readline(8)
            if sum(map(len, parts)) > MAX_BODY_BYTES:
                self.close_connection = True
                raise ApiError(413, "RequestEntityTooLarge", f"over {MAX_BODY_BYTES} bytes")
        while self.rfile.readline(8192).strip():
            pass
        return b"".join(parts)
