"""One attempt being put together: what was said of it, and the record that it becomes."""

from __future__ import annotations

from collections.abc import Callable

from exporter.record import (
    AttributeValue,
    ChildSpan,
    Environment,
    Event,
    Failure,
    Fate,
    Invocation,
    Partial,
    Passed,
    Payload,
    RemoteSpan,
    Report,
    Supplement,
)
from exporter.status import error_type
from exporter.values import replace
from exporter.weight import without_body
from extension import details, fates
from extension.platform_events import Reported, RuntimeDone, Started
from extension.transitions import State
from fifo import messages
from fifo.otlp_bytes import InvocationSpan

MAX_CHILDREN = 10_000
MAX_EVENTS = 1_000
MAX_PARTIALS = 1_000
"""For each invocation; what is over it is counted, and the invocation's span stays."""
MAX_ATTEMPT_BYTES = 8 * 1024 * 1024
"""Bodies, names and attributes kept for one invocation; Lambda's largest response is 6 MiB."""

SAME_DEADLINE_MS = 2
"""A writer that is told the time left computes its deadline, and rounds."""

Draw = Callable[[int], bytes]
EndEvent = RuntimeDone | Reported
_Context = tuple[bytes, bytes, bytes | None, int, str, tuple[RemoteSpan, ...]]
"""Trace ID, span ID, parent's, flags, tracestate, links."""
Details = list[Event] | list[Partial] | list[ChildSpan] | list[Passed]


class Heard:
    """Which platform events have been heard of one attempt: each counts once."""

    __slots__ = ("_events",)

    def __init__(self) -> None:
        self._events: dict[type, object] = {}

    def note(self, event: object) -> None:
        """It counts for this attempt."""
        self._events[type(event)] = event

    def has(self, kind: type) -> bool:
        """Whether an event of `kind` has come."""
        return kind in self._events

    def repeats(self, event: object) -> bool:
        """Whether exactly `event` has come before."""
        return self._events.get(type(event)) == event


class Attempt:
    """One INVOKE delivery. Times are Unix epoch nanoseconds.

    `own_end` is the writer's word, `told_end` the platform's or a boundary's.
    """

    __slots__ = (
        "_bytes_kept",
        "adopted",
        "attributes",
        "children",
        "deadline_unix_ms",
        "durable_execution_arn",
        "end_unix_ns",
        "ended_at_unix_ns",
        "events",
        "exception",
        "heard",
        "invoked_function_arn",
        "invoked_unix_ns",
        "ordinal",
        "own_end",
        "partials",
        "passed",
        "presumed",
        "produced_bytes",
        "report",
        "request",
        "request_id",
        "result",
        "start",
        "state",
        "tenant_id",
        "told_end",
        "xray_header",
    )

    def __init__(
        self,
        ordinal: int,
        request_id: str,
        invoked_unix_ns: int,
        *,
        invoked_function_arn: str = "",
        deadline_unix_ms: int = 0,
        xray_header: str | None = None,
    ) -> None:
        self.ordinal = ordinal
        self.request_id = request_id
        self.invoked_unix_ns = invoked_unix_ns
        self.invoked_function_arn = invoked_function_arn
        self.deadline_unix_ms = deadline_unix_ms
        self.xray_header = xray_header
        self.tenant_id: str | None = None
        self.durable_execution_arn: str | None = None
        self.state = State.INVOKED
        self.heard = Heard()
        self.start: messages.Start | None = None
        self.own_end: fates.End | None = None
        self.told_end: fates.End | None = None
        self.presumed = False
        self.end_unix_ns: int | None = None
        self.ended_at_unix_ns = 0
        self.exception: Failure | None = None
        self.request: Payload | None = None
        self.result: Payload | None = None
        self.report: Report | None = None
        self.produced_bytes: int | None = None
        self.attributes: dict[str, AttributeValue] = {}
        self.children: list[ChildSpan] = []
        self.events: list[Event] = []
        self.partials: list[Partial] = []
        self.passed: list[Passed] = []
        self.adopted: InvocationSpan | None = None
        self._bytes_kept = 0

    @property
    def trace_id(self) -> bytes | None:
        """What it has adopted, or START's; None where neither is here: it is drawn at the end."""
        if self.adopted is not None:
            return self.adopted.trace_id
        return self.start.trace_id if self.start is not None else None

    @property
    def kept_bytes(self) -> int:
        """What its messages take in memory."""
        return self._bytes_kept

    @property
    def begin_unix_ns(self) -> int:
        """When the handler was called, or else when INVOKE came."""
        return self.start.start_unix_ns if self.start else self.invoked_unix_ns

    @property
    def end(self) -> fates.End:
        """How it ended, from all that was said."""
        own, told = self.own_end, self.told_end
        end = own or told or fates.UNREPORTED
        if own is not None and told is not None:
            end = fates.with_platforms_word(own, told)
        return fates.with_memory(end, self.report) if self.report is not None else end

    def is_for(self, message: messages.Message) -> bool:
        """By request ID and, where it is known, by the span ID that START told."""
        if message.request_id != self.request_id:
            return False
        span_id = message.invocation_span_id
        if self.start is not None and span_id is not None:
            return span_id == self.start.invocation_span_id
        if isinstance(message, messages.Start) and self.deadline_unix_ms:
            # Of a retry that is not known yet: its deadline is another.
            apart_ms = abs(message.deadline_unix_ms - self.deadline_unix_ms)
            return not message.deadline_unix_ms or apart_ms <= SAME_DEADLINE_MS
        return True

    def adopt(self, start: messages.Start) -> bool:
        """Take START's IDs; False where another START has told some."""
        if self.start is not None:
            return False
        self.start = start
        self.invoked_function_arn = self.invoked_function_arn or start.invoked_function_arn
        self.deadline_unix_ms = self.deadline_unix_ms or start.deadline_unix_ms
        self.xray_header = self.xray_header or start.xray_header or None
        self.tenant_id = self.tenant_id or start.tenant_id or None
        self.durable_execution_arn = start.durable_execution_arn or None
        return True

    def note_trigger(self, attributes: dict[str, AttributeValue]) -> int:
        """What START tells of the trigger; how many attributes are over the bound."""
        return self._keep_attributes({**attributes, **self.attributes})

    def note_outcome(self, attributes: dict[str, AttributeValue], size: int) -> int:
        """What the result says of itself, over what the trigger did; how many are over the bound.

        Of `size` bytes, for which there must be room.
        """
        self._bytes_kept += size
        return self._keep_attributes({**self.attributes, **attributes})

    def _keep_attributes(self, attributes: dict[str, AttributeValue]) -> int:
        self.attributes = dict(list(attributes.items())[: details.MAX_ATTRIBUTES])
        return len(attributes) - len(self.attributes)

    def note_result(
        self, result: Payload, end_unix_ns: int | None, size_bytes: int, now_unix_ns: int
    ) -> bool:
        """The handler returned; False where its end has been told before."""
        if self.own_end is not None:
            return False
        self._note_own_end((Fate.RETURNED, None), end_unix_ns, now_unix_ns)
        self.result = result
        self._bytes_kept += size_bytes
        return True

    def note_error(self, exception: Failure, end_unix_ns: int, now_unix_ns: int) -> bool:
        """The handler raised; False where its end has been told before."""
        if self.own_end is not None:
            return False
        self._note_own_end((Fate.RAISED, exception), end_unix_ns, now_unix_ns)
        self.exception = exception
        return True

    def note_started(self, event: Started) -> None:
        """``platform.start``."""
        self.heard.note(event)
        self.invoked_function_arn = self.invoked_function_arn or event.invoked_function_arn
        self.xray_header = self.xray_header or event.xray_header
        self.tenant_id = self.tenant_id or event.tenant_id

    def note_end_event(self, event: EndEvent, draw: Draw, now_unix_ns: int) -> None:
        """``runtimeDone`` or ``report``: the end, where nobody told it, and what goes with it."""
        self.heard.note(event)
        told = fates.by_status(event.status, event.error_type)
        if self.presumed:
            self.presumed, self.told_end, self.end_unix_ns = False, None, None
        known = self.told_end
        # runtimeDone says why; the report may come first, and may know of the memory.
        if (
            known is None
            or told[0] is Fate.OUT_OF_MEMORY
            or (isinstance(event, RuntimeDone) and known[0] is not Fate.OUT_OF_MEMORY)
        ):
            self.told_end = told
        if self.end_unix_ns is None:
            if event.duration_ms is not None:
                self.end_unix_ns = self.begin_unix_ns + int(event.duration_ms * 1_000_000)
            else:
                self.end_unix_ns = event.time_unix_ns or now_unix_ns
            self.ended_at_unix_ns = now_unix_ns
        late = supplement_of(event, draw)
        self.children += late.children
        self.report = late.report or self.report
        if late.produced_bytes is not None:
            self.produced_bytes = late.produced_bytes

    def close(self, told: fates.End, end_unix_ns: int | None) -> None:
        """A boundary ends it, where nothing else has."""
        self.told_end = told
        if self.end_unix_ns is None:
            self.end_unix_ns = end_unix_ns

    def presume_crash(self, now_unix_ns: int) -> None:
        """The process that ran it is gone; what the platform says of it goes before that.

        Its caller may be left waiting, and be told of a timeout.
        """
        self.presumed = True
        self.ended_at_unix_ns = now_unix_ns
        self.close(fates.CRASHED, now_unix_ns)

    @property
    def last_word_unix_ns(self) -> int:
        """Until when the platform is expected to say something of its end, if it does."""
        if self.presumed:
            return max(self.ended_at_unix_ns, self.deadline_unix_ms * 1_000_000)
        return self.ended_at_unix_ns

    def close_at_shutdown(self, reason: str) -> None:
        """Its end is known, and SHUTDOWN's reason may say more of it."""
        if self.own_end is not None:
            self.own_end = fates.at_shutdown(self.own_end, reason)

    def takes(self, details: Details, size: int) -> bool:
        """Whether one more detail of `size` bytes is within the bounds; then it counts."""
        of_spans = details is self.children or details is self.passed
        limit = MAX_CHILDREN if of_spans else MAX_EVENTS
        if details is self.partials:
            limit = MAX_PARTIALS
        if len(details) >= limit or not self.has_room(size):
            return False
        self._bytes_kept += size
        return True

    def has_room(self, size: int) -> bool:
        """Whether `size` bytes more are within the bound."""
        return self._bytes_kept + size <= MAX_ATTEMPT_BYTES

    def adopt_span(self, found: InvocationSpan) -> bool:
        """Take the IDs of a span that instrumentation made of it: one invocation, one span.

        False where it is another's, or not the first.
        """
        if found.request_id != self.request_id or self.adopted is not None:
            return False
        self.adopted = found
        return True

    def _context(self, draw: Draw) -> _Context:
        """Its place in a trace: an adopted span's, else what START told, else a new one."""
        start, adopted = self.start, self.adopted
        if start is None and adopted is None:
            return draw(16), draw(8), None, 1, "", ()
        links = tuple([RemoteSpan(*link) for link in start.links]) if start is not None else ()
        if adopted is None:
            assert start is not None  # noqa: S101 - for the types
            span_id = start.invocation_span_id or draw(8)
            flags, state = start.trace_flags, start.tracestate
            return start.trace_id, span_id, start.parent_span_id, flags, state, links
        flags = 1
        if start is not None and start.trace_id == adopted.trace_id:
            flags = start.trace_flags
        elif start is not None and start.parent_span_id:
            # The instrumentation has not found this caller, or has taken another.
            links += (RemoteSpan(start.trace_id, start.parent_span_id, start.trace_flags),)
        parent_span_id, state = adopted.parent_span_id, adopted.tracestate
        return adopted.trace_id, adopted.span_id, parent_span_id, flags, state, links

    def environment(self, known: Environment) -> Environment:
        """`known` and what this attempt tells of the environment."""
        start, report = self.start, self.report
        if start is not None:
            group = start.log_group or known.log_group
            stream = start.log_stream or known.log_stream
            memory_mb = start.memory_mb or known.memory_mb
            if (group, stream, memory_mb) != (known.log_group, known.log_stream, known.memory_mb):
                # As a rule once in its life, so that what is made of it can be kept.
                known = replace(known, log_group=group, log_stream=stream, memory_mb=memory_mb)
        if known.memory_mb is None and report is not None and report.memory_size_mb:
            known = replace(known, memory_mb=report.memory_size_mb)
        return known

    def record(
        self,
        environment: Environment,
        draw: Draw,
        *,
        cold_start: bool | None,
        initialization_type: str | None,
        proactive_init: bool,
        unknown: fates.End = fates.UNREPORTED,
        bare: bool = False,
    ) -> Invocation:
        """The finished invocation; `unknown` is its end where nobody has told one.

        `bare`: without bodies and details.
        """
        start = self.start
        begin_ns = self.begin_unix_ns
        # Where nobody told the end it is not made up: a freeze may lie in between.
        end_ns = begin_ns if self.end_unix_ns is None else max(self.end_unix_ns, begin_ns)
        end = self.end
        fate, failure = unknown if end[0] is Fate.UNREPORTED else end
        trace_id, span_id, parent_span_id, trace_flags, tracestate, links = self._context(draw)
        request, result = self.request, self.result
        if bare:
            request = without_body(request) if request is not None else None
            result = without_body(result) if result is not None else None
        # In the order of its fields: by name a call makes a dictionary of all of them.
        return Invocation(
            self.ordinal,
            self.request_id,
            self.invoked_function_arn,
            environment,
            trace_id,
            span_id,
            begin_ns,
            end_ns,
            fate,
            self.deadline_unix_ms,
            cold_start,
            initialization_type,
            proactive_init,
            self.xray_header,
            self.tenant_id,
            self.durable_execution_arn,
            parent_span_id,
            trace_flags,
            tracestate,
            start.span_name if start else "",
            self.attributes,
            links,
            failure,
            self.exception,
            request,
            result,
            self.produced_bytes,
            self.report,
            () if bare else tuple(self.partials),
            () if bare else tuple(self.events),
            () if bare else tuple(self.children),
            () if bare else tuple(self.passed),
        )

    def _note_own_end(self, end: fates.End, end_unix_ns: int | None, now_unix_ns: int) -> None:
        self.own_end = end
        if self.presumed:
            self.presumed, self.told_end, self.end_unix_ns = False, None, None
        if self.end_unix_ns is None or end_unix_ns is not None:
            by_deadline_ns = now_unix_ns
            if self.deadline_unix_ms:
                by_deadline_ns = min(now_unix_ns, self.deadline_unix_ms * 1_000_000)
            self.end_unix_ns = by_deadline_ns if end_unix_ns is None else end_unix_ns
        self.ended_at_unix_ns = self.ended_at_unix_ns or now_unix_ns


class Closed:
    """What is remembered of an attempt whose record is out: where later events belong."""

    __slots__ = (
        "_caller_sampled",
        "_environment",
        "_failed",
        "heard",
        "invoked_unix_ns",
        "request_id",
        "span_id",
        "trace_id",
    )

    def __init__(self, invocation: Invocation, attempt: Attempt) -> None:
        self.request_id = invocation.request_id
        self.trace_id = invocation.trace_id
        self.span_id = invocation.span_id
        self.heard = attempt.heard
        self.invoked_unix_ns = attempt.invoked_unix_ns
        self._environment = invocation.environment
        self._caller_sampled = invocation.caller_sampled
        self._failed = error_type(invocation) is not None

    def supplement(self, event: EndEvent, draw: Draw, now_unix_ns: int) -> Supplement:
        """What `event` adds."""
        self.heard.note(event)
        told = supplement_of(event, draw, self._supplement(event.time_unix_ns or now_unix_ns))
        return replace(told, report_span_id=draw(8) if told.report is not None else b"")

    def init(self, children: tuple[ChildSpan, ...], now_unix_ns: int) -> Supplement:
        """What is told late of the init before it."""
        return replace(self._supplement(now_unix_ns), children=children)

    def supplement_of_spans(self, passed: Passed, now_unix_ns: int) -> Supplement:
        """An SDK's spans, which came late."""
        return replace(self._supplement(now_unix_ns), passed=(passed,))

    def _supplement(self, time_unix_ns: int) -> Supplement:
        return Supplement(
            self.trace_id,
            self.span_id,
            self._environment,
            time_unix_ns,
            caller_sampled=self._caller_sampled,
            failed=self._failed,
        )


_NOBODY = Supplement(b"", b"", Environment("", ""), 0)


def supplement_of(event: EndEvent, draw: Draw, of: Supplement = _NOBODY) -> Supplement:
    """What `event` tells beside the end; `of` says of whom."""
    children = tuple(
        ChildSpan(draw(8), None, span.name, span.start_unix_ns, span.end_unix_ns, of_platform=True)
        for span in event.spans
    )
    if isinstance(event, Reported):
        return replace(of, report=event.report, children=children)
    return replace(of, produced_bytes=event.produced_bytes, children=children)
