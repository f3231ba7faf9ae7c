"""From events and messages to finished invocations: no I/O, no clock.

What happens to an attempt is `extension.transitions`' table. Here is whose it is: a message
finds its attempt by request ID and, where it carries one, by the span ID that START told; a
platform event by request ID, the oldest attempt that has not heard one of its kind. Two
attempts under one request ID stay apart, and order of arrival credits nothing. What comes
before its INVOKE waits, bounded; what the function says after the record is counted; what the
platform says after it is sent behind.
"""

from __future__ import annotations

from collections import deque

from exporter.record import (
    AttributeValue,
    Environment,
    Event,
    Failure,
    Fate,
    Invocation,
    Partial,
    Passed,
    Record,
    Supplement,
)
from extension import details, fates
from extension import platform_events as events
from extension.api import MANAGED_INSTANCES
from extension.attempt import Attempt, Closed, Details, Draw, EndEvent
from extension.events import InvokeEvent
from extension.initialization import INIT_LIMIT_NS, ON_DEMAND, Initialization
from extension.open_attempts import OpenAttempts
from extension.remembered import Remembered
from extension.transitions import TRANSITIONS, Action, Input, State
from fifo import messages
from fifo.errors import ProtocolError
from fifo.otlp_bytes import InvocationSpan, invocation_spans

_MILLISECOND_NS = 1_000_000
MAX_LATE_NS = 1_000_000_000
"""An INVOKE is heard of so much later at most, of what is believed."""
MAX_OPEN = 1_024
"""Attempts at once, on Managed Instances; the oldest are closed first, their end unknown."""
MAX_OPEN_BYTES = 32 * 1024 * 1024
"""Messages of all open attempts together; what is over it has no body and no details."""
MAX_EARLY_MESSAGES = 16_384
MAX_EARLY_BYTES = 8 * 1024 * 1024
EARLY_MESSAGE_BYTES = 256
"""Messages that wait for their INVOKE, which is on its way over another socket: as many as a full
pipe holds. Each takes so much beside its body."""
MAX_EARLY_EVENTS = 64
"""Platform events that wait for theirs; the oldest go first."""
REMEMBERED_REQUESTS = 256
"""Closed requests whose late messages are told from messages for unknown requests."""
LINGER_NS = 1_000_000_000
"""On Managed Instances: how long an ended attempt waits for the platform's report."""

_INPUT_OF: dict[type, Input] = {
    messages.Start: Input.START,
    messages.Result: Input.RESULT,
    messages.Error: Input.ERROR,
    messages.Span: Input.DETAIL,
    messages.Event: Input.DETAIL,
    messages.Partial: Input.DETAIL,
    messages.Request: Input.DETAIL,
    events.RuntimeDone: Input.RUNTIME_DONE,
    events.Reported: Input.REPORT,
}
_DESCRIBED = (messages.Span, messages.Event)
"""Messages with attributes."""


class Lifecycle:
    """Feed it events and messages in the order they were read; take finished records.

    `draw` gives that many random bytes from the operating system, for the IDs of an
    invocation whose function sent no START. `max_body_bytes` is what is kept of a body, for
    memory's sake: a writer may not have heard of the policy.

    `writer_speaks`: the newest attempt, or while it has not said anything the one before, had
    a START, so an end may be expected.

    `platform_tells_ends`: runtimeDone will come, perhaps only after the next INVOKE. An attempt
    whose end is not known is then kept until the boundary after that.

    `counts` has one entry for each thing that was left out, by reason.
    """

    def __init__(
        self,
        environment: Environment,
        draw: Draw,
        *,
        max_body_bytes: int = 65_536,
        initialization_type: str = ON_DEMAND,
        ready_unix_ns: int = 0,
    ) -> None:
        self.environment = environment
        self.max_body_bytes = max_body_bytes
        self.max_request_bytes = 0  # none is captured before the configuration asks for it
        self.counts: dict[str, int] = {}
        self.writer_speaks = False
        self.platform_tells_ends = False
        self._managed = initialization_type == MANAGED_INSTANCES
        self._init = Initialization(initialization_type, ready_unix_ns)
        self._draw = draw
        self._ordinal = 0
        self._open = OpenAttempts()
        self._newest: Attempt | None = None
        self._farthest_ns = 0
        self._first_closed: Closed | None = None
        self._early: deque[tuple[messages.Message, int]] = deque()
        self._early_bytes = 0
        self._early_starts: list[messages.Start] = []
        self._early_events: deque[events.Started | EndEvent] = deque(maxlen=MAX_EARLY_EVENTS)
        self._closed: deque[Closed] = deque(maxlen=REMEMBERED_REQUESTS)
        self._closed_request_ids: Remembered[str] = Remembered(REMEMBERED_REQUESTS)
        self._closed_span_ids: Remembered[bytes | None] = Remembered(REMEMBERED_REQUESTS)

    @property
    def invoked_count(self) -> int:
        """Attempts so far."""
        return self._ordinal

    @property
    def kept_bytes(self) -> int:
        """What the messages of all open attempts take in memory."""
        return self._open.kept_bytes

    @property
    def open_request_ids(self) -> list[str]:
        """The requests whose records are not out yet."""
        return [attempt.request_id for attempt in self._open]

    @property
    def newest_key(self) -> tuple[int, State] | None:
        """What changes whenever `if_killed` does; None where nothing is open."""
        newest = self._newest
        if newest is None or newest.state is State.CLOSED:
            return None
        return newest.ordinal, newest.state

    def if_killed(self) -> Invocation | None:
        """The newest open attempt's record without bodies, were this process killed now."""
        newest = self._newest
        if newest is None or newest.state is State.CLOSED:
            return None
        environment = newest.environment(self.environment)
        return self._record(newest, environment, fates.EXTENSION_KILLED, bare=True)

    @property
    def state(self) -> State:
        """Of the newest attempt; CLOSED before the first."""
        return State.CLOSED if self._newest is None else self._newest.state

    @property
    def fate(self) -> Fate | None:
        """Of the newest attempt; None while its end is not known."""
        newest = self._newest
        if newest is None or newest.state in (State.INVOKED, State.RUNNING):
            return None
        return newest.end[0]

    @property
    def ended_unix_ns(self) -> int:
        """When the newest attempt ended, as far as is known; else the end of time."""
        newest = self._newest
        return messages.MAX_NUMBER if newest is None else newest.end_unix_ns or messages.MAX_NUMBER

    @property
    def open_count(self) -> int:
        """Attempts whose records are not out yet."""
        return len(self._open)

    @property
    def runtime_pids(self) -> list[int]:
        """The processes that sent START for the attempts that are open."""
        return self._open.pids

    @property
    def expects_report(self) -> bool:
        """Whether the last word on the newest attempt may still be on its way."""
        if self._newest is None:
            return not any(isinstance(event, events.Reported) for event in self._early_events)
        return not self._newest.heard.has(events.Reported)

    # The Extensions API

    def on_invoke(self, event: InvokeEvent, now_unix_ns: int) -> list[Record]:
        """A new attempt begins, which ends those before. Their records."""
        finished: list[Record] = []
        for attempt in self._open:
            is_newest = attempt is self._newest
            unknown = attempt.state in (State.INVOKED, State.RUNNING)
            if not (self.platform_tells_ends and is_newest and unknown):
                finished += self._step_boundary(attempt, Input.NEXT_INVOKE, now_unix_ns)
        attempt = self._begin(
            event.request_id, self._invoked_at(event.deadline_unix_ms, now_unix_ns)
        )
        attempt.invoked_function_arn = event.invoked_function_arn
        attempt.deadline_unix_ms = event.deadline_unix_ms
        attempt.xray_header = event.xray_header
        return finished + self._replay(attempt, now_unix_ns)

    def on_shutdown(self, reason: str, now_unix_ns: int) -> list[Record]:
        """The end of everything: open attempts end for `reason` (lower case)."""
        finished: list[Record] = []
        for attempt in self._open:
            boundary = Input.SHUTDOWN
            if attempt is not self._newest and not self._managed:
                boundary = Input.NEXT_INVOKE
            finished += self._step_boundary(attempt, boundary, now_unix_ns, reason)
        if self._newest is None:
            finished += self._failed_init(reason, now_unix_ns)
        early = self._take_early()
        passed = tuple(_passed(one) for one, _ in early if isinstance(one, messages.Otlp))
        if passed:
            # Nothing that was invoked since could take them along.
            trace_id = self._draw(16)
            finished.append(Supplement(trace_id, b"", self.environment, now_unix_ns, passed=passed))
            self._count("late", sum(len(one.invocation_span_ids) for one in passed))
        self._count("unknown_request", len(early) - len(passed))
        return finished

    # The function

    def on_message(
        self, message: messages.Message, size_bytes: int, now_unix_ns: int
    ) -> list[Record]:
        """What the function said; `size_bytes` is what it takes in memory."""
        if isinstance(message, messages.Start):
            self.writer_speaks = True
        if isinstance(message, messages.Otlp):
            self._pass_on(message, size_bytes)
            return []
        if self._is_closed(message):
            self._count("late")
            return []
        attempt = None
        if not self._is_announced(message):
            attempt = self._open.whose(message)
        if attempt is None and self._managed and isinstance(message, messages.Start):
            attempt = self._begin(message.request_id, message.start_unix_ns)
            self._apply(attempt, message, size_bytes, now_unix_ns)
            return self._replay(attempt, now_unix_ns)
        if attempt is not None:
            self._apply(attempt, message, size_bytes, now_unix_ns)
        elif self._is_late(message):
            self._count("late")
        else:
            self._keep_early(message, size_bytes)
        return []

    def on_otlp(
        self, passed: Passed, trace_ids: frozenset[bytes], now_unix_ns: int
    ) -> list[Record]:
        """Spans of an SDK that came by HTTP, of `trace_ids`: nothing says who sent them.

        They leave with the one invocation whose trace they are all of. Else, and where that
        invocation has no room, with none, in a record of their own.
        """
        everyone: list[Attempt | Closed] = [*self._closed, *self._open]
        known = [one for one in everyone if {one.trace_id} == trace_ids]
        if len(known) == 1:
            owner, size = known[0], len(passed.data)
            if isinstance(owner, Closed):
                return [owner.supplement_of_spans(passed, now_unix_ns)]
            if self._has_room(size) and owner.takes(owner.passed, size):
                owner.passed.append(passed)
                self._open.kept_bytes += size
                return []
        return [Supplement(min(trace_ids), b"", self.environment, now_unix_ns, passed=(passed,))]

    # The Telemetry API

    def on_platform_event(self, event: events.PlatformEvent, now_unix_ns: int) -> list[Record]:
        """What the platform says, in any order. The records that were waiting for it."""
        if isinstance(event, events.PhaseStarted | events.PhaseEnded):
            if not self._init.note(event):
                self._count("unknown_event")
            return self._late_init(now_unix_ns)
        if isinstance(event, events.LogsDropped):
            self._count("telemetry_dropped", event.count)
            return []
        target = self._target(event)
        if isinstance(event, events.Started):
            return self._on_started(event, target, now_unix_ns)
        return self._on_end_event(event, target, now_unix_ns)

    # Whoever wants records now

    def settle(self, now_unix_ns: int) -> list[Record]:
        """The record of the newest attempt whose end is known, all it wrote having been read."""
        newest = self._newest
        if newest is None or not fates.is_final(newest.end):
            return []
        return self._step_boundary(newest, Input.SETTLE, now_unix_ns)

    def tick(self, now_unix_ns: int) -> list[Record]:
        """Managed Instances: records of attempts that have ended, or whose deadline is over."""
        finished: list[Record] = []
        for attempt in self._open:
            if attempt.state is State.ENDED:
                waited = now_unix_ns - attempt.last_word_unix_ns >= LINGER_NS
                all_said = attempt.heard.has(events.Reported) or not self.platform_tells_ends
                if waited or all_said:
                    finished += self._step_boundary(attempt, Input.SETTLE, now_unix_ns)
            elif attempt.deadline_unix_ms:
                over_ns = attempt.deadline_unix_ms * 1_000_000 + LINGER_NS
                if now_unix_ns >= over_ns:
                    finished += self._step_boundary(attempt, Input.EXPIRED, now_unix_ns)
        return finished

    def on_process_gone(self, pid: int, now_unix_ns: int) -> None:
        """Managed Instances: what ran in process `pid` has crashed, unless the platform objects."""
        for attempt in self._open:
            if attempt.start is not None and attempt.start.pid == pid:
                attempt.state, action = TRANSITIONS[attempt.state, Input.GONE]
                if action is Action.PRESUME:
                    attempt.presume_crash(now_unix_ns)

    # Whose it is

    def _invoked_at(self, deadline_unix_ms: int, now_unix_ns: int) -> int:
        """When the platform invoked: a stopped or a busy extension hears of it late.

        The deadline is as far away at every INVOKE; the farthest seen comes nearest to that.
        """
        left_ns = deadline_unix_ms * _MILLISECOND_NS - now_unix_ns
        self._farthest_ns = max(self._farthest_ns, left_ns)
        # A deadline is told in milliseconds: so much may be missing of it.
        late_ns = self._farthest_ns - left_ns - _MILLISECOND_NS
        # Over that it is a clock that was stepped.
        return now_unix_ns - late_ns if 0 < late_ns < MAX_LATE_NS else now_unix_ns

    def _begin(self, request_id: str, now_unix_ns: int) -> Attempt:
        self._ordinal += 1
        attempt = Attempt(self._ordinal, request_id, now_unix_ns)
        self._open.add(attempt)
        self._newest = attempt
        return attempt

    def _replay(self, attempt: Attempt, now_unix_ns: int) -> list[Record]:
        """What came before `attempt` did, and concerns it."""
        finished: list[Record] = []
        if self._early:
            for message, size in self._take_early():
                finished += self.on_message(message, size, now_unix_ns)
        if self._early_events:
            early_events = list(self._early_events)
            self._early_events.clear()
            for event in early_events:
                finished += self.on_platform_event(event, now_unix_ns)
        while len(self._open) > MAX_OPEN:
            oldest = self._open.oldest
            if oldest.state is not State.ENDED:
                self._count("open_full")
            finished += self._step_boundary(oldest, Input.NEXT_INVOKE, now_unix_ns)
        return finished

    def _target(self, event: events.Started | EndEvent) -> Attempt | Closed | None:
        """The oldest attempt that has heard no event of this kind; else one that it repeats.

        Of several under one request ID it is the newest, where the event is of a moment after
        that one's INVOKE: those of an older one may have been lost.
        """
        known: list[Attempt | Closed] = [*self._open.of(event.request_id)]
        if event.request_id in self._closed_request_ids:
            known[:0] = [one for one in self._closed if one.request_id == event.request_id]
        if len(known) > 1 and (event.time_unix_ns or 0) >= known[-1].invoked_unix_ns:
            known = known[-1:]
        for one in known:
            if one.heard.repeats(event) or not one.heard.has(type(event)):
                return one
        return None

    def _on_started(
        self, event: events.Started, target: Attempt | Closed | None, now_unix_ns: int
    ) -> list[Record]:
        if isinstance(target, Attempt):
            target.note_started(event)
        elif target is not None:
            target.heard.note(event)
        elif self._managed:
            attempt = self._begin(event.request_id, event.time_unix_ns or now_unix_ns)
            attempt.note_started(event)
            return self._replay(attempt, now_unix_ns)
        else:
            self._keep_early_event(event)
        return []

    def _on_end_event(
        self, event: EndEvent, target: Attempt | Closed | None, now_unix_ns: int
    ) -> list[Record]:
        if target is None:
            self._keep_early_event(event)
            return []
        if target.heard.repeats(event):
            return []
        if isinstance(target, Closed):
            return [target.supplement(event, self._draw, now_unix_ns)]
        target.state, _ = TRANSITIONS[target.state, _INPUT_OF[type(event)]]
        target.note_end_event(event, self._draw, now_unix_ns)
        if target is not self._newest and not self._managed:
            return self._step_boundary(target, Input.SETTLE, now_unix_ns)
        return []

    def _is_closed(self, message: messages.Message) -> bool:
        return message.invocation_span_id in self._closed_span_ids

    def _is_announced(self, message: messages.Message) -> bool:
        """Whether its START waits for an INVOKE that is on its way: a retry's."""
        if not self._early_starts:
            return False
        span_id = message.invocation_span_id
        return any(
            early.request_id == message.request_id
            and (span_id is None or early.invocation_span_id == span_id)
            for early in self._early_starts
        )

    def _is_late(self, message: messages.Message) -> bool:
        """Whether it is for a closed request, and for no retry whose INVOKE is on its way."""
        return (
            message.request_id in self._closed_request_ids
            and not isinstance(message, messages.Start)
            and not self._is_announced(message)
        )

    def _keep_early(self, message: messages.Message, size_bytes: int) -> None:
        if isinstance(message, messages.Start):
            self._early_starts.append(message)
        self._early.append((message, size_bytes))
        self._early_bytes += size_bytes + EARLY_MESSAGE_BYTES
        while len(self._early) > MAX_EARLY_MESSAGES or self._early_bytes > MAX_EARLY_BYTES:
            oldest, size = self._early.popleft()
            self._early_bytes -= size + EARLY_MESSAGE_BYTES
            if isinstance(oldest, messages.Start):
                self._early_starts.remove(oldest)
            self._count("unknown_request")

    def _take_early(self) -> deque[tuple[messages.Message, int]]:
        early, self._early, self._early_bytes = self._early, deque(), 0
        self._early_starts = []
        return early

    def _keep_early_event(self, event: events.Started | EndEvent) -> None:
        if len(self._early_events) == MAX_EARLY_EVENTS:
            self._count("unknown_event")
        self._early_events.append(event)

    # What it does

    def _apply(
        self, attempt: Attempt, message: messages.Message, size_bytes: int, now_unix_ns: int
    ) -> None:
        kept_bytes = attempt.kept_bytes
        attempt.state, action = TRANSITIONS[attempt.state, _INPUT_OF[type(message)]]
        first = True
        if action is Action.DUPLICATE:
            first = False
        elif isinstance(message, messages.Start):
            first = attempt.adopt(message)
            if first:
                self._open.note_started(message.pid)
            if first and message.attributes_json:
                attributes = self._attributes_in(message.attributes_json)
                self._count("attributes_over_limit", attempt.note_trigger(attributes))
        elif isinstance(message, messages.Result):
            most = self.max_body_bytes if self._has_room(size_bytes) else 0
            result = details.payload(message.body, most)
            size_bytes = min(size_bytes, len(result.body))
            first = attempt.note_result(result, message.end_unix_ns, size_bytes, now_unix_ns)
        elif isinstance(message, messages.Error):
            failure = Failure(message.error_type, message.message, message.stack_trace)
            first = attempt.note_error(failure, message.end_unix_ns, now_unix_ns)
        else:
            self._add_detail(attempt, message, size_bytes)
        self._open.kept_bytes += attempt.kept_bytes - kept_bytes
        if not first:
            self._count("duplicate")

    def _add_detail(self, attempt: Attempt, message: messages.Message, size_bytes: int) -> None:
        if isinstance(message, messages.Request):
            if self.max_request_bytes <= 0:
                self._count("request_not_wanted")
            elif attempt.request is not None:
                self._count("duplicate")
            elif self._takes(attempt, attempt.events, size_bytes):
                attempt.request = details.payload(message.body, self.max_request_bytes)
            return
        if isinstance(message, messages.Partial):
            if self._takes(attempt, attempt.partials, size_bytes):
                body = details.payload(message.body, self.max_body_bytes)
                attempt.partials.append(Partial(message.time_unix_ns, body))
            return
        assert isinstance(message, _DESCRIBED)  # noqa: S101 - for the types
        attributes = self._attributes_in(message.attributes_json)
        if isinstance(message, messages.Event) and message.name == messages.OUTCOME:
            if self._has_room(size_bytes) and attempt.has_room(size_bytes):
                self._count("attributes_over_limit", attempt.note_outcome(attributes, size_bytes))
            else:
                self._count("detail_over_limit")
            return
        over = len(attributes) - details.MAX_ATTRIBUTES
        if over > 0:
            self._count("attributes_over_limit", over)
            attributes = dict(list(attributes.items())[: details.MAX_ATTRIBUTES])
        if isinstance(message, messages.Span):
            if self._takes(attempt, attempt.children, size_bytes):
                attempt.children.append(details.child(message, attributes))
        elif self._takes(attempt, attempt.events, size_bytes):
            attempt.events.append(
                Event(message.time_unix_ns, message.name, attributes, message.span_id)
            )

    def _attributes_in(self, text: str) -> dict[str, AttributeValue]:
        attributes = details.attributes_of(text)
        if attributes is None:
            self._count("malformed_attributes")
            return {}
        return attributes

    def _pass_on(self, message: messages.Otlp, size_bytes: int) -> None:
        """Its spans say themselves whose they are, so any record may take them along: the one of
        the invocation in which they were exported, else the newest, else the next.

        Where the INVOKE of theirs is on its way they wait for it: the newest may be sampled out.
        """
        whose = attempt = None
        if self._open and not self._is_announced(message):
            whose = self._open.whose(message)
            attempt = whose or self._open.newest
        if attempt is None:
            self._keep_early(message, size_bytes)
        elif self._takes(attempt, attempt.passed, size_bytes):
            attempt.passed.append(_passed(message))
            self._open.kept_bytes += size_bytes
            for one in _invocation_spans(message):
                # Another is left out when the record is converted: its invocation has a span.
                if whose is None:
                    self._count("late")
                elif not whose.adopt_span(one):
                    self._count("duplicate")

    def _takes(self, attempt: Attempt, kept: Details, size_bytes: int) -> bool:
        if self._has_room(size_bytes) and attempt.takes(kept, size_bytes):
            return True
        self._count("detail_over_limit")
        return False

    def _has_room(self, size_bytes: int) -> bool:
        """Whether all open attempts together are within the bound."""
        return size_bytes + self.kept_bytes <= MAX_OPEN_BYTES

    def _step_boundary(
        self, attempt: Attempt, boundary: Input, now_unix_ns: int, reason: str = ""
    ) -> list[Record]:
        attempt.state, action = TRANSITIONS[attempt.state, boundary]
        by_deadline_ns = now_unix_ns
        if attempt.deadline_unix_ms:
            by_deadline_ns = min(now_unix_ns, attempt.deadline_unix_ms * 1_000_000)
        if action is Action.NONE:
            return []
        if action is Action.EMIT_UNREPORTED:
            attempt.close(fates.UNREPORTED, None)
        elif action is Action.EMIT_TIMED_OUT:
            attempt.close(fates.TIMED_OUT, by_deadline_ns)
        elif action is Action.EMIT_BY_REASON:
            end = fates.by_shutdown_reason(reason)
            attempt.close(end, None if end == fates.UNREPORTED else by_deadline_ns)
        elif boundary is Input.SHUTDOWN:
            attempt.close_at_shutdown(reason)
        if attempt.start is None and attempt is self._newest:
            self.writer_speaks = False
        return [self._closed_record(attempt)]

    def _closed_record(self, attempt: Attempt) -> Invocation:
        """Its record; from here on it is remembered as closed."""
        self._open.remove(attempt)
        self.environment = attempt.environment(self.environment)
        first = attempt.ordinal == 1
        if first:
            attempt.children += self._init.take_children(self._draw)
        invocation = self._record(attempt, self.environment)
        closed = Closed(invocation, attempt)
        self._closed.append(closed)
        self._closed_request_ids.add(closed.request_id)
        told = attempt.start.invocation_span_id if attempt.start else None
        self._closed_span_ids.add(told or closed.span_id)
        if first:
            self._first_closed = closed
        return invocation

    def _record(
        self,
        attempt: Attempt,
        environment: Environment,
        unknown: fates.End = fates.UNREPORTED,
        *,
        bare: bool = False,
    ) -> Invocation:
        first = attempt.ordinal == 1
        # On Managed Instances nobody waits for an init.
        proactive = first and self._init.is_proactive(attempt.invoked_unix_ns)
        said = attempt.start.cold_start if attempt.start else first
        return attempt.record(
            environment,
            self._draw,
            cold_start=self._init.cold_start(said, proactive=proactive),
            initialization_type=self._init.kind if first else None,
            proactive_init=proactive,
            unknown=unknown,
            bare=bare,
        )

    def _late_init(self, now_unix_ns: int) -> list[Record]:
        """The init's spans, where the first invocation's record has not waited for them."""
        first = self._first_closed
        if first is None:
            return []
        children = self._init.take_children(self._draw)
        if not children:
            return []
        return [first.init(children, now_unix_ns)]

    def _failed_init(self, reason: str, now_unix_ns: int) -> list[Record]:
        """SHUTDOWN without an INVOKE: was there an invocation whose init failed?

        With telemetry ``platform.start`` says so. Without, a SHUTDOWN for a failure does, and
        so does one for no reason while an init may still last: nothing else ends it.
        """
        early, self._early_events = list(self._early_events), deque(maxlen=MAX_EARLY_EVENTS)
        started = next((one for one in early if isinstance(one, events.Started)), None)
        begin_ns = self._init.begin_unix_ns or self._init.ready_unix_ns
        if started is None and self.platform_tells_ends:
            children = self._init.take_children(self._draw) if self._init.failed else ()
            if not children:
                return []
            trace_id = self._draw(16)
            return [Supplement(trace_id, b"", self.environment, now_unix_ns, children=children)]
        blamed = fates.by_shutdown_reason(reason) != fates.UNREPORTED
        in_init = reason == "spindown" and now_unix_ns - begin_ns < INIT_LIMIT_NS
        if started is None and not (blamed or in_init):
            return []
        attempt = self._begin(started.request_id if started else "", begin_ns)
        error_type = self._init.error_type
        for event in early:
            if event.request_id == attempt.request_id:
                if isinstance(event, events.Started):
                    attempt.note_started(event)
                else:
                    attempt.note_end_event(event, self._draw, now_unix_ns)
                    error_type = error_type or event.error_type
        attempt.told_end = fates.init_failed(error_type, reason)
        attempt.end_unix_ns = now_unix_ns
        attempt.state = State.ENDED
        return self._step_boundary(attempt, Input.SETTLE, now_unix_ns)

    def _count(self, reason: str, count: int = 1) -> None:
        if count:
            self.counts[reason] = self.counts.get(reason, 0) + count


def _passed(message: messages.Otlp) -> Passed:
    return Passed(
        message.data,
        message.span_count,
        tuple(one.span_id for one in _invocation_spans(message)),
    )


def _invocation_spans(message: messages.Otlp) -> list[InvocationSpan]:
    try:
        return invocation_spans(message.data)
    except ProtocolError:
        return []  # of more fields than are looked at
