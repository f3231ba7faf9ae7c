"""What the environment's two APIs know: who registered, who waits, what is being invoked.

One object under one condition, with no HTTP and no process in it. Sources: AWS Lambda
developer guide, "Runtime API" (2018-06-01) and "Extensions API" (2020-01-01).
"""

from __future__ import annotations

import threading
import time
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sandbox import schema
from sandbox.telemetry import SubscriptionError, Telemetry

EVENTS = ("INVOKE", "SHUTDOWN")


class ApiError(Exception):
    """A call that the API refuses: HTTP status, error type and message."""

    def __init__(self, status: int, error_type: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.error_type = error_type
        self.message = message


class GoneError(Exception):
    """The environment is being reset; the connection of this call is of no more use."""


@dataclass(slots=True)
class Extension:
    """A registered extension and the events it has not fetched."""

    identifier: str
    name: str
    events: tuple[str, ...]
    pending: deque[dict[str, Any]] = field(default_factory=deque)
    waiting: bool = False
    asked: bool = False
    """Whether it asked for an event since the last one was handed to it."""
    ready_s: float | None = None
    """When it first asked (monotonic)."""


@dataclass(slots=True)
class Invocation:
    """One invocation as the platform sees it; times are seconds on the monotonic clock."""

    ordinal: int
    request_id: str
    payload: bytes
    deadline_unix_ms: int
    invoked_function_arn: str
    trace_header: str | None
    began_s: float
    began_unix_s: float
    tenant_id: str | None = None
    response: bytes | None = None
    failed: bool = False
    timed_out: bool = False
    responded_s: float | None = None
    runtime_idle_s: float | None = None
    """When the runtime asked for the next one."""
    idle_s: float | None = None
    """When every extension had asked as well."""

    @property
    def done(self) -> bool:
        """Whether the runtime has answered."""
        return self.response is not None

    @property
    def post_runtime_extensions_s(self) -> float | None:
        """What extensions took after the function, as Lambda's PostRuntimeExtensionsDuration.

        None: it has not come to that. Source: developer guide, "Extension metrics".
        """
        if self.runtime_idle_s is None or self.idle_s is None:
            return None
        return max(0.0, self.idle_s - self.runtime_idle_s)

    @property
    def tracing(self) -> dict[str, str] | None:
        """The trace header as events carry it."""
        if self.trace_header is None:
            return None
        return {"type": "X-Amzn-Trace-Id", "value": self.trace_header}


class ApiState:
    """One generation of processes: from their start to the environment's reset.

    `on_runtime_done` is told of an answered invocation when the runtime asks for the next,
    `on_idle` once when everything waits; the latter under the lock.
    """

    def __init__(
        self,
        file_names: frozenset[str],
        registration: dict[str, str],
        telemetry: Telemetry | None = None,
        *,
        managed: bool = False,
        on_runtime_done: Callable[[Invocation], None] = lambda invocation: None,
        on_idle: Callable[[], None] = lambda: None,
    ) -> None:
        self.changed = threading.Condition()
        self.extensions: dict[str, Extension] = {}
        self.init_error: bytes | None = None
        self.gone = False
        self.snapshot_taken = False
        self._managed = managed
        self._restored = False
        self._waiting_runtimes = 0
        self._pending: deque[Invocation] = deque()
        self._active: dict[str, Invocation] = {}
        self._last: Invocation | None = None
        self._file_names = file_names
        self._telemetry = telemetry
        self._on_runtime_done = on_runtime_done
        self._on_idle = on_idle
        self._registration = registration

    # The platform's side

    @property
    def registered_names(self) -> frozenset[str]:
        """Of the extensions, internal ones included."""
        return frozenset(one.name for one in self.extensions.values())

    @property
    def waiting_runtimes(self) -> int:
        """Calls that wait for an invocation."""
        return self._waiting_runtimes

    @property
    def idle(self) -> bool:
        """The runtime and every extension wait: now it could be frozen."""
        return (
            (self._waiting_runtimes > 0 or (self.snapshot_taken and not self._restored))
            and not self._pending
            and all(one.waiting and not one.pending for one in self.extensions.values())
        )

    def begin(self, invocation: Invocation) -> None:
        """Hand `invocation` to the runtime and to the extensions that want it."""
        with self.changed:
            self._pending.append(invocation)
            self._active[invocation.request_id] = invocation
            self._last = invocation
            event: dict[str, Any] = {
                "eventType": "INVOKE",
                "deadlineMs": invocation.deadline_unix_ms,
                "requestId": invocation.request_id,
                "invokedFunctionArn": invocation.invoked_function_arn,
            }
            if invocation.tracing is not None:
                event["tracing"] = invocation.tracing
            self._post("INVOKE", event)

    def give_up(self, invocation: Invocation) -> None:
        """Nobody waits for its answer any more."""
        with self.changed:
            invocation.timed_out = True
            self._active.pop(invocation.request_id, None)

    def restore(self) -> None:
        """The snapshot is resumed."""
        with self.changed:
            self._restored = True
            self.changed.notify_all()

    def post_shutdown(self, reason: str, deadline_unix_ms: int) -> None:
        """Tell the extensions."""
        with self.changed:
            self._post(
                "SHUTDOWN",
                {
                    "eventType": "SHUTDOWN",
                    "shutdownReason": reason,
                    "deadlineMs": deadline_unix_ms,
                },
            )

    def end(self) -> None:
        """End every call that waits."""
        with self.changed:
            self.gone = True
            self.changed.notify_all()

    # The Extensions API

    def register(
        self, name: str | None, events: object, account_id: bool
    ) -> tuple[str, dict[str, str]]:
        """``POST /register``: (identifier, body)."""
        if not name:
            raise ApiError(
                403, "Extension.InvalidExtensionName", "Lambda-Extension-Name is missing"
            )
        if not isinstance(events, list) or any(one not in EVENTS for one in events):
            raise ApiError(
                403, "Extension.InvalidEventType", f"events must be of {', '.join(EVENTS)}"
            )
        if "INVOKE" in events and self._managed:
            raise ApiError(
                403, "Extension.InvalidEventType", "Managed Instances send no INVOKE event"
            )
        if "SHUTDOWN" in events and name not in self._file_names:
            raise ApiError(
                403,
                "ShutdownEventNotSupportedForInternalExtension",
                f"{name} is no file in the extensions folder, and so an internal extension",
            )
        with self.changed:
            if name in self.registered_names:
                raise ApiError(403, "Extension.InvalidExtensionState", f"{name} has registered")
            identifier = str(uuid.uuid4())
            self.extensions[identifier] = Extension(identifier, name, tuple(events))
            self.changed.notify_all()
        body = dict(self._registration)
        if not account_id:
            body.pop("accountId", None)
        return identifier, body

    def next_event(self, identifier: str | None) -> dict[str, Any]:
        """``GET /event/next``: waits as long as it takes. Raises GoneError at the end."""
        extension = self._extension(identifier)
        with self.changed:
            extension.waiting = True
            if extension.ready_s is None:
                extension.ready_s = time.monotonic()
            self._note_idle()
            self.changed.notify_all()
            while not extension.pending:
                if self.gone:
                    raise GoneError
                self.changed.wait()
            extension.waiting = False
            return extension.pending.popleft()

    def extension_error(self, identifier: str | None, error_type: str | None) -> None:
        """``POST /init/error`` and ``/exit/error``."""
        self._extension(identifier)
        if not error_type:
            raise ApiError(400, "InvalidRequest", "Lambda-Extension-Function-Error-Type is missing")

    def subscribe(self, identifier: str | None, value: object) -> bool:
        """``PUT /telemetry``; whether there is a Telemetry API here."""
        extension = self._extension(identifier)
        if self._telemetry is None:
            return False
        try:
            self._telemetry.subscribe(extension.name, value)
        except SubscriptionError as error:
            raise ApiError(400, "ValidationError", str(error)) from error
        return True

    # The Runtime API

    def next_invocation(self) -> Invocation:
        """``GET /runtime/invocation/next``. Raises GoneError at the end."""
        last = self._last
        if last is not None and last.done and not self._managed:
            self._on_runtime_done(last)
        with self.changed:
            if last is not None and last.done and last.runtime_idle_s is None:
                last.runtime_idle_s = time.monotonic()
            self._waiting_runtimes += 1
            self._note_idle()
            self.changed.notify_all()
            try:
                while not self._pending:
                    if self.gone:
                        raise GoneError
                    self.changed.wait()
            finally:
                self._waiting_runtimes -= 1
            return self._pending.popleft()

    def restore_next(self) -> None:
        """``GET /runtime/restore/next``: the snapshot is taken while this waits."""
        with self.changed:
            self.snapshot_taken = True
            self._note_idle()
            self.changed.notify_all()
            while not self._restored:
                if self.gone:
                    raise GoneError
                self.changed.wait()

    def respond(self, request_id: str, payload: bytes, *, failed: bool) -> None:
        """``POST …/response`` or ``…/error``."""
        with self.changed:
            invocation = self._active.pop(request_id, None)
            if invocation is None or invocation.done:
                raise ApiError(400, "InvalidRequestID", f"{request_id} is not being invoked")
            invocation.response = payload
            invocation.failed = failed
            invocation.responded_s = time.monotonic()
            self.changed.notify_all()

    def fail_init(self, payload: bytes) -> None:
        """``POST /runtime/init/error``."""
        with self.changed:
            self.init_error = payload
            self.changed.notify_all()

    def _extension(self, identifier: str | None) -> Extension:
        if not identifier:
            raise ApiError(
                403,
                "Extension.MissingExtensionIdentifier",
                "Lambda-Extension-Identifier is missing",
            )
        extension = self.extensions.get(identifier)
        if extension is None:
            raise ApiError(
                403, "Extension.UnknownExtensionIdentifier", f"unknown extension {identifier[:64]}"
            )
        return extension

    def _post(self, kind: str, event: dict[str, Any]) -> None:
        schema.check(kind, event)
        for extension in self.extensions.values():
            if kind in extension.events:
                extension.pending.append(event)
        self.changed.notify_all()

    def _note_idle(self) -> None:
        if not self.idle:
            return
        last = self._last
        if last is not None and last.idle_s is None and last.done:
            last.idle_s = time.monotonic()
        self._on_idle()
