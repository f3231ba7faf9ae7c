"""From events and messages to finished invocations: one table, no I/O, no clock.

An *attempt* is one INVOKE delivery. It moves through four states::

    INVOKED   INVOKE came; nobody in the function has said anything
    RUNNING   START came: its IDs are adopted
    ENDED     a result or an error came; it is kept open for what is still in the pipe
    CLOSED    its one record is out; whatever comes now is late

`TRANSITIONS` says for every state and input what happens. Inputs are the messages that
concern an attempt and the boundaries: the next INVOKE, SHUTDOWN, and SETTLE (everything
written before its end has been read, and the caller wants the record now).

A message finds its attempt by request ID and, where it carries one, by the span ID that
START told: two attempts under one request ID stay apart, and order of arrival credits
nothing. What comes before its INVOKE waits, bounded; what comes after the record is counted.
"""

from __future__ import annotations

import enum
import json
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TypeVar

from exporter.record import (
    AttributeValue,
    ChildSpan,
    Environment,
    Event,
    Failure,
    Fate,
    Invocation,
    Partial,
    Payload,
)
from extension import telemetry
from extension.events import InvokeEvent
from fifo import encoding, messages

MAX_EARLY_MESSAGES = 256
MAX_EARLY_BYTES = 1_048_576
"""Messages that wait for their INVOKE: it is on its way over another socket."""
MAX_EARLY_EVENTS = 16
"""Ends that came before their INVOKE; the oldest go first."""
MAX_CHILDREN = 10_000
MAX_EVENTS = 1_000
MAX_PARTIALS = 1_000
"""For each invocation; what is over it is counted, and the invocation's span stays."""
MAX_ATTEMPT_BYTES = 8 * 1024 * 1024
"""Bodies, names and attributes kept for one invocation; Lambda's largest response is 6 MiB."""
REMEMBERED_REQUESTS = 256
"""Closed requests whose late messages are told from messages for unknown requests."""


_Detail = TypeVar("_Detail")


class State(enum.Enum):
    """Where an attempt is."""

    INVOKED = "invoked"
    RUNNING = "running"
    ENDED = "ended"
    CLOSED = "closed"


class Input(enum.Enum):
    """What can happen to an attempt."""

    START = "start"
    RESULT = "result"
    ERROR = "error"
    DETAIL = "span, event or partial result"
    RUNTIME_DONE = "runtimeDone"
    SETTLE = "settle"
    NEXT_INVOKE = "next INVOKE"
    SHUTDOWN = "SHUTDOWN"


class Action(enum.Enum):
    """What is done about it."""

    ADOPT = "adopt START's IDs"
    RETURN = "note the result"
    RAISE = "note the error"
    ADD = "add the detail"
    END = "note the platform's end"
    EMIT = "emit the record"
    EMIT_UNREPORTED = "emit, end unknown"
    EMIT_BY_REASON = "emit, end by SHUTDOWN's reason"
    DUPLICATE = "count as duplicate"
    LATE = "count as late"
    NONE = "nothing"


_S, _I, _A = State, Input, Action

TRANSITIONS: Mapping[tuple[State, Input], tuple[State, Action]] = {
    (_S.INVOKED, _I.START): (_S.RUNNING, _A.ADOPT),
    (_S.INVOKED, _I.RESULT): (_S.ENDED, _A.RETURN),
    (_S.INVOKED, _I.ERROR): (_S.ENDED, _A.RAISE),
    (_S.INVOKED, _I.DETAIL): (_S.INVOKED, _A.ADD),
    (_S.INVOKED, _I.RUNTIME_DONE): (_S.ENDED, _A.END),
    (_S.INVOKED, _I.SETTLE): (_S.INVOKED, _A.NONE),
    (_S.INVOKED, _I.NEXT_INVOKE): (_S.CLOSED, _A.EMIT_UNREPORTED),
    (_S.INVOKED, _I.SHUTDOWN): (_S.CLOSED, _A.EMIT_BY_REASON),
    (_S.RUNNING, _I.START): (_S.RUNNING, _A.DUPLICATE),
    (_S.RUNNING, _I.RESULT): (_S.ENDED, _A.RETURN),
    (_S.RUNNING, _I.ERROR): (_S.ENDED, _A.RAISE),
    (_S.RUNNING, _I.DETAIL): (_S.RUNNING, _A.ADD),
    (_S.RUNNING, _I.RUNTIME_DONE): (_S.ENDED, _A.END),
    (_S.RUNNING, _I.SETTLE): (_S.RUNNING, _A.NONE),
    (_S.RUNNING, _I.NEXT_INVOKE): (_S.CLOSED, _A.EMIT_UNREPORTED),
    (_S.RUNNING, _I.SHUTDOWN): (_S.CLOSED, _A.EMIT_BY_REASON),
    # A result by line or file may be read before the START that went another way.
    (_S.ENDED, _I.START): (_S.ENDED, _A.ADOPT),
    (_S.ENDED, _I.RESULT): (_S.ENDED, _A.DUPLICATE),
    (_S.ENDED, _I.ERROR): (_S.ENDED, _A.DUPLICATE),
    (_S.ENDED, _I.DETAIL): (_S.ENDED, _A.ADD),
    (_S.ENDED, _I.RUNTIME_DONE): (_S.ENDED, _A.NONE),
    (_S.ENDED, _I.SETTLE): (_S.CLOSED, _A.EMIT),
    (_S.ENDED, _I.NEXT_INVOKE): (_S.CLOSED, _A.EMIT),
    (_S.ENDED, _I.SHUTDOWN): (_S.CLOSED, _A.EMIT),
    (_S.CLOSED, _I.START): (_S.CLOSED, _A.LATE),
    (_S.CLOSED, _I.RESULT): (_S.CLOSED, _A.LATE),
    (_S.CLOSED, _I.ERROR): (_S.CLOSED, _A.LATE),
    (_S.CLOSED, _I.DETAIL): (_S.CLOSED, _A.LATE),
    (_S.CLOSED, _I.RUNTIME_DONE): (_S.CLOSED, _A.NONE),
    (_S.CLOSED, _I.SETTLE): (_S.CLOSED, _A.NONE),
    (_S.CLOSED, _I.NEXT_INVOKE): (_S.CLOSED, _A.NONE),
    (_S.CLOSED, _I.SHUTDOWN): (_S.CLOSED, _A.NONE),
}

_INPUT_OF: Mapping[type[messages.Message], Input] = {
    messages.Start: Input.START,
    messages.Result: Input.RESULT,
    messages.Error: Input.ERROR,
    messages.Span: Input.DETAIL,
    messages.Event: Input.DETAIL,
    messages.Partial: Input.DETAIL,
}

SHUTDOWN_FATES: Mapping[str, tuple[Fate, Failure | None]] = {
    "timeout": (Fate.TIMED_OUT, Failure("Sandbox.Timedout", "the function reached its timeout")),
    "failure": (Fate.CRASHED, Failure("Runtime.ExitError", "the runtime exited")),
    # The emulator's name for a runtime that went away.
    "releasefail": (Fate.CRASHED, Failure("Runtime.ExitError", "the runtime exited")),
}
"""How an open attempt ended, by SHUTDOWN's reason in lower case; any other says nothing."""


RUNTIME_DONE_FATES: Mapping[str, tuple[Fate, Failure | None]] = {
    telemetry.SUCCESS: (Fate.RETURNED, None),
    telemetry.ERROR: (Fate.RAISED, Failure("Function.Error", "the handler raised")),
    telemetry.FAILURE: SHUTDOWN_FATES["failure"],
    telemetry.TIMEOUT: SHUTDOWN_FATES["timeout"],
}
"""How an open attempt ended, by runtimeDone's status; its errorType goes before ours."""


class _Attempt:
    """One INVOKE delivery being put together."""

    __slots__ = (
        "bytes_kept",
        "children",
        "end_unix_ns",
        "event",
        "events",
        "failure",
        "fate",
        "invoked_unix_ns",
        "ordinal",
        "partials",
        "result",
        "start",
        "state",
    )

    def __init__(self, ordinal: int, event: InvokeEvent, now_unix_ns: int) -> None:
        self.ordinal = ordinal
        self.event = event
        self.invoked_unix_ns = now_unix_ns
        self.state = State.INVOKED
        self.start: messages.Start | None = None
        self.fate: Fate | None = None
        self.end_unix_ns: int | None = None
        self.failure: Failure | None = None
        self.result: Payload | None = None
        self.children: list[ChildSpan] = []
        self.events: list[Event] = []
        self.partials: list[Partial] = []
        self.bytes_kept = 0

    def is_for(self, message: messages.Message) -> bool:
        if message.request_id != self.event.request_id:
            return False
        span_id = message.invocation_span_id
        if span_id is None or self.start is None:
            return True
        return span_id == self.start.invocation_span_id


class Lifecycle:
    """Feed it events and messages in the order they were read; take finished records.

    `draw` gives that many random bytes from the operating system, for the IDs of an
    invocation whose function sent no START. `max_body_bytes` and `keep_bodies` enforce the
    policy once more: a writer may not have heard of it.

    `writer_speaks`: the newest attempt, or while it has not said anything the one before, had
    a START, so an end may be expected.

    `platform_tells_ends`: runtimeDone will come, perhaps only after the next INVOKE. An attempt
    whose end is not known is then kept until the boundary after that.

    `counts` has one entry for each thing that was left out, by reason.
    """

    def __init__(
        self,
        environment: Environment,
        draw: Callable[[int], bytes],
        *,
        max_body_bytes: int = 65_536,
        keep_bodies: bool = True,
    ) -> None:
        self.environment = environment
        self.max_body_bytes = max_body_bytes
        self.keep_bodies = keep_bodies
        self.counts: dict[str, int] = {}
        self.writer_speaks = False
        self.platform_tells_ends = False
        self._overdue: _Attempt | None = None
        self._early_done: deque[telemetry.RuntimeDone] = deque(maxlen=MAX_EARLY_EVENTS)
        self._draw = draw
        self._ordinal = 0
        self._attempt: _Attempt | None = None
        self._early: deque[tuple[messages.Message, int]] = deque()
        self._early_bytes = 0
        self._closed_request_ids: deque[str] = deque(maxlen=REMEMBERED_REQUESTS)
        self._closed_span_ids: deque[bytes] = deque(maxlen=REMEMBERED_REQUESTS)

    @property
    def invoked_count(self) -> int:
        """INVOKE deliveries so far."""
        return self._ordinal

    @property
    def open_request_id(self) -> str | None:
        """The request whose record is not out yet."""
        attempt = self._attempt
        return attempt.event.request_id if attempt and attempt.state is not State.CLOSED else None

    @property
    def state(self) -> State:
        """Of the newest attempt; CLOSED before the first."""
        return State.CLOSED if self._attempt is None else self._attempt.state

    @property
    def fate(self) -> Fate | None:
        """Of the newest attempt; None while its end is not known."""
        return None if self._attempt is None else self._attempt.fate

    @property
    def runtime_pid(self) -> int | None:
        """The process that sent START for the newest attempt, if one did."""
        attempt = self._attempt
        return attempt.start.pid if attempt is not None and attempt.start is not None else None

    def on_invoke(self, event: InvokeEvent, now_unix_ns: int) -> list[Invocation]:
        """A new attempt begins, which ends the one before. Its record, if it was open."""
        finished = self._end_overdue(now_unix_ns)
        attempt = self._attempt
        if (
            self.platform_tells_ends
            and attempt is not None
            and attempt.state in (State.INVOKED, State.RUNNING)
        ):
            self._overdue = attempt
        else:
            finished += self._step_boundary(attempt, Input.NEXT_INVOKE, now_unix_ns, "")
        self._ordinal += 1
        self._attempt = _Attempt(self._ordinal, event, now_unix_ns)
        early, self._early, self._early_bytes = self._early, deque(), 0
        for message, size in early:
            self.on_message(message, size, now_unix_ns)
        # A function may be over before its INVOKE has been read here.
        early_done = list(self._early_done)
        self._early_done.clear()
        for done in early_done:
            self.on_runtime_done(done, now_unix_ns)
        return finished

    def on_message(self, message: messages.Message, size_bytes: int, now_unix_ns: int) -> None:
        """What the function said; `size_bytes` is what it takes in memory."""
        if isinstance(message, messages.Start):
            self.writer_speaks = True
        attempt = self._attempt
        if message.invocation_span_id in self._closed_span_ids:
            state = State.CLOSED
        elif attempt is not None and attempt.is_for(message):
            state = attempt.state
        elif message.request_id in self._closed_request_ids and not self._announced(message):
            state = State.CLOSED
        else:
            self._keep_early(message, size_bytes)
            return
        state, action = TRANSITIONS[state, _INPUT_OF[type(message)]]
        if action is Action.LATE:
            self._count("late")
            return
        assert attempt is not None  # noqa: S101 - for the type checker
        attempt.state = state
        if action is Action.ADOPT:
            self._adopt(attempt, message)
        elif action is Action.RETURN:
            self._note_result(attempt, message, size_bytes, now_unix_ns)
        elif action is Action.RAISE:
            self._note_error(attempt, message)
        elif action is Action.ADD:
            self._add_detail(attempt, message, size_bytes)
        elif action is Action.DUPLICATE:
            self._count("duplicate")

    def on_runtime_done(self, event: telemetry.RuntimeDone, now_unix_ns: int) -> list[Invocation]:
        """The platform says that an attempt is over: its end, where nobody has told it.

        The record of one that was kept for just this.
        """
        overdue = self._overdue
        if overdue is not None and event.request_id == overdue.event.request_id:
            self._overdue = None
            self._note_runtime_done(overdue, event, now_unix_ns)
            return self._step_boundary(overdue, Input.SETTLE, now_unix_ns, "")
        attempt = self._attempt
        if attempt is not None and event.request_id == attempt.event.request_id:
            self._note_runtime_done(attempt, event, now_unix_ns)
        elif event.request_id not in self._closed_request_ids:
            self._early_done.append(event)
        return []

    def _note_runtime_done(
        self, attempt: _Attempt, event: telemetry.RuntimeDone, now_unix_ns: int
    ) -> None:
        attempt.state, action = TRANSITIONS[attempt.state, Input.RUNTIME_DONE]
        if action is not Action.END:
            return
        fate, failure = RUNTIME_DONE_FATES.get(event.status, (Fate.UNREPORTED, None))
        if failure is not None and event.error_type:
            failure = replace(failure, error_type=event.error_type)
        attempt.fate, attempt.failure = fate, failure
        begin_ns = attempt.start.start_unix_ns if attempt.start else attempt.invoked_unix_ns
        if event.duration_ms is not None and event.duration_ms >= 0:
            attempt.end_unix_ns = begin_ns + int(event.duration_ms * 1_000_000)
        else:
            attempt.end_unix_ns = event.time_unix_ns or now_unix_ns

    def _end_overdue(self, now_unix_ns: int) -> list[Invocation]:
        overdue, self._overdue = self._overdue, None
        return self._step_boundary(overdue, Input.NEXT_INVOKE, now_unix_ns, "")

    def settle(self, now_unix_ns: int) -> list[Invocation]:
        """The record of an attempt whose end is known, all that it wrote having been read."""
        return self._step_boundary(self._attempt, Input.SETTLE, now_unix_ns, "")

    def on_shutdown(self, reason: str, now_unix_ns: int) -> list[Invocation]:
        """The end of everything: the open attempt ends for `reason` (lower case)."""
        finished = self._end_overdue(now_unix_ns)
        finished += self._step_boundary(self._attempt, Input.SHUTDOWN, now_unix_ns, reason)
        for _ in self._early:
            self._count("unknown_request")
        self._early.clear()
        self._early_bytes = 0
        return finished

    def _step_boundary(
        self, attempt: _Attempt | None, boundary: Input, now_unix_ns: int, reason: str
    ) -> list[Invocation]:
        if attempt is None:
            return []
        attempt.state, action = TRANSITIONS[attempt.state, boundary]
        if action is Action.NONE:
            return []
        deadline_ns = attempt.event.deadline_unix_ms * 1_000_000
        if action is Action.EMIT_UNREPORTED:
            attempt.fate = Fate.UNREPORTED
        elif action is Action.EMIT_BY_REASON:
            attempt.fate, attempt.failure = SHUTDOWN_FATES.get(reason, (Fate.UNREPORTED, None))
            if attempt.fate is not Fate.UNREPORTED:
                attempt.end_unix_ns = min(now_unix_ns, deadline_ns)
        if attempt.start is None:
            self.writer_speaks = False
        invocation = self._record(attempt)
        self._closed_request_ids.append(invocation.request_id)
        self._closed_span_ids.append(invocation.span_id)
        return [invocation]

    def _record(self, attempt: _Attempt) -> Invocation:
        start = attempt.start
        fate = attempt.fate or Fate.UNREPORTED
        begin_ns = start.start_unix_ns if start else attempt.invoked_unix_ns
        # Where nobody told the end it is not made up: a freeze may lie in between.
        end_ns = begin_ns if attempt.end_unix_ns is None else max(attempt.end_unix_ns, begin_ns)
        environment = self.environment
        if start is not None:
            environment = replace(
                environment,
                log_group=start.log_group or environment.log_group,
                log_stream=start.log_stream or environment.log_stream,
                memory_mb=start.memory_mb or environment.memory_mb,
            )
            self.environment = environment
        return Invocation(
            ordinal=attempt.ordinal,
            request_id=attempt.event.request_id,
            invoked_function_arn=attempt.event.invoked_function_arn,
            environment=environment,
            trace_id=start.trace_id if start else self._draw(16),
            span_id=(start.invocation_span_id if start else None) or self._draw(8),
            start_unix_ns=begin_ns,
            end_unix_ns=end_ns,
            fate=fate,
            deadline_unix_ms=attempt.event.deadline_unix_ms,
            cold_start=start.cold_start if start else attempt.ordinal == 1,
            xray_header=attempt.event.xray_header or (start.xray_header if start else "") or None,
            failure=attempt.failure,
            result=attempt.result,
            partials=tuple(attempt.partials),
            events=tuple(attempt.events),
            children=tuple(attempt.children),
        )

    def _announced(self, message: messages.Message) -> bool:
        """Whether a closed request's message belongs to a retry whose INVOKE is on its way."""
        return isinstance(message, messages.Start) or any(
            isinstance(early, messages.Start) and early.request_id == message.request_id
            for early, _ in self._early
        )

    def _keep_early(self, message: messages.Message, size_bytes: int) -> None:
        self._early.append((message, size_bytes))
        self._early_bytes += size_bytes
        while len(self._early) > MAX_EARLY_MESSAGES or self._early_bytes > MAX_EARLY_BYTES:
            _, size = self._early.popleft()
            self._early_bytes -= size
            self._count("unknown_request")

    @staticmethod
    def _adopt(attempt: _Attempt, message: messages.Message) -> None:
        assert isinstance(message, messages.Start)  # noqa: S101 - for the type checker
        attempt.start = message

    def _note_result(
        self, attempt: _Attempt, message: messages.Message, size_bytes: int, now_unix_ns: int
    ) -> None:
        assert isinstance(message, messages.Result)  # noqa: S101 - for the type checker
        deadline_ns = attempt.event.deadline_unix_ms * 1_000_000
        attempt.fate = Fate.RETURNED
        attempt.end_unix_ns = message.end_unix_ns or min(now_unix_ns, deadline_ns)
        attempt.result = self._payload(message.body)
        attempt.bytes_kept += size_bytes

    @staticmethod
    def _note_error(attempt: _Attempt, message: messages.Message) -> None:
        assert isinstance(message, messages.Error)  # noqa: S101 - for the type checker
        attempt.fate = Fate.RAISED
        attempt.end_unix_ns = message.end_unix_ns
        attempt.failure = Failure(message.error_type, message.message, message.stack_trace)

    def _add_detail(self, attempt: _Attempt, message: messages.Message, size_bytes: int) -> None:
        if attempt.bytes_kept + size_bytes > MAX_ATTEMPT_BYTES:
            self._count("detail_over_limit")
            return
        attempt.bytes_kept += size_bytes
        if isinstance(message, messages.Span):
            self._add(attempt.children, MAX_CHILDREN, self._child(message))
        elif isinstance(message, messages.Event):
            event = Event(
                message.time_unix_ns,
                message.name,
                self._attributes(message.attributes_json),
                message.span_id,
            )
            self._add(attempt.events, MAX_EVENTS, event)
        elif isinstance(message, messages.Partial):
            partial = Partial(message.time_unix_ns, self._payload(message.body))
            self._add(attempt.partials, MAX_PARTIALS, partial)

    def _add(self, details: list[_Detail], limit: int, detail: _Detail) -> None:
        if len(details) < limit:
            details.append(detail)
        else:
            self._count("detail_over_limit")

    def _child(self, message: messages.Span) -> ChildSpan:
        failure = None
        if message.error_type is not None:
            failure = Failure(message.error_type, message.error_message, message.stack_trace)
        return ChildSpan(
            span_id=message.span_id,
            parent_span_id=message.parent_span_id,
            name=message.name,
            start_unix_ns=message.start_unix_ns,
            end_unix_ns=max(message.end_unix_ns, message.start_unix_ns),
            attributes=self._attributes(message.attributes_json),
            failure=failure,
        )

    def _payload(self, body: messages.Body) -> Payload:
        kind = messages.CONTENT_KINDS[body.content_kind]
        data = body.data if self.keep_bodies else b""
        cut = encoding.cut_utf8(data, self.max_body_bytes)
        if not self.keep_bodies:
            kind = messages.CONTENT_KINDS[messages.NO_BODY]
        return Payload(
            body=cut,
            size_bytes=body.size_bytes,
            truncated=body.truncated or len(cut) < len(data),
            content_kind=kind,
        )

    def _attributes(self, text: str) -> dict[str, AttributeValue]:
        """OpenTelemetry's value types are kept, anything else becomes its JSON text."""
        if not text:
            return {}
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, dict):
            self._count("malformed_attributes")
            return {}
        return {
            _text(key): _attribute_value(item) for key, item in value.items() if item is not None
        }

    def _count(self, reason: str) -> None:
        self.counts[reason] = self.counts.get(reason, 0) + 1


MAX_INTEGER = 2**63 - 1
"""OTLP's int_value is a signed 64-bit integer."""


def _text(text: str) -> str:
    """Without lone surrogates: JSON can name them, protobuf refuses them with the whole batch."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _attribute_value(item: object) -> AttributeValue:
    if isinstance(item, str):
        return _text(item)
    if isinstance(item, bool | float):
        return item
    if isinstance(item, int):
        return item if -MAX_INTEGER <= item <= MAX_INTEGER else str(item)
    if isinstance(item, list) and all(isinstance(part, str) for part in item):
        return [_text(part) for part in item]
    return _text(json.dumps(item, ensure_ascii=False))
