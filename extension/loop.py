"""The one loop that owns every descriptor: FIFO, API connection, worker, runtime process.

It only carries: what happened goes to the lifecycle and the schedule, which decide without
I/O; what they decide is done here. Order at a boundary: read what the FIFO holds, then
files, then apply the event, so that what was written before the handler returned is seen
before its invocation is closed.
"""

from __future__ import annotations

import gc
import os
import re
import select
import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from exporter.record import Environment, Fate, Invocation, Passed, Record
from extension import api
from extension.blackbox import BlackBox
from extension.delivery import SPINDOWN, Delivery
from extension.events import (
    EventError,
    InvokeEvent,
    Registration,
    ShutdownEvent,
    parse_event,
    parse_registration,
)
from extension.http1 import Response
from extension.inbox import Inbox, Received
from extension.initialization import ON_DEMAND
from extension.instant import instant
from extension.lifecycle import Lifecycle
from extension.log import Log
from extension.log_delivery import LogDelivery
from extension.pipeline import Exported, Failed, Loaded, Pipeline, Result
from extension.platform_events import LoggedLine, Started
from extension.ready import Registered
from extension.runtime_watch import RuntimeWatch
from extension.schedule import Schedule
from extension.settings import OFF, Settings
from extension.telemetry_listener import TelemetryEvent, TelemetryListener
from extension.transitions import State
from extension.worker import Worker
from fifo import propagation
from fifo.mailbox import Policy
from fifo.sampling import text_of

if TYPE_CHECKING:
    from extension.key_delivery import KeyDelivery
    from extension.otlp_receiver import OtlpReceiver
    from extension.otlp_requests import Spans

SHUTDOWN_WINDOW_S = 2.0
"""Lambda's own; a deadline farther away than that is not believed."""
SHORTEST_SHUTDOWN_S = 0.3
"""A deadline in the past is a clock that jumped, and something can still be saved."""
REPORT_WAIT_S = 0.100
"""At SHUTDOWN: how long the platform's last word is waited for; it comes within 40 ms."""
LOOK_FOR_FILES_FIRST_S = 0.020
LOOK_FOR_FILES_LAST_S = 0.250
"""A result that went by file without a frame wakes nobody: it is looked for while held."""
MANAGED_LOOK_S = 0.100
"""Between two looks at all that is open on a Managed Instance: there may be hundreds, and each
message of each wakes the loop."""

NAP_S = 0.005
"""After something has come the results FIFO is not waited at for so long, where no end is held for.
A write that wakes somebody costs the function two to three times one that does not, and each of ten
child spans woke the loop. What a function may write in the meantime the pipe has room for."""

SWITCH_S = 0.000_5
"""Between threads that both want to run, in place of CPython's 5 ms."""
FREEZE_LOOK_S = 0.250
FROZEN_S = 0.500
"""While an export is on its way the loop wakes that often; later by so much, it was frozen."""


class ApiRefusedError(Exception):
    """The Extensions API answered something that this extension cannot go on from."""


class Loop:
    """Runs from the first `/next`, already asked, to the end of the environment."""

    def __init__(self, registered: Registered, log: Log, environ: Mapping[str, str]) -> None:
        channel = registered.channel
        self._registered = registered
        self._connection = registered.connection
        self._channel = channel
        self._log = log
        self._inbox = Inbox(channel.directory, channel.results, log.warning)
        self._managed = api.is_managed(environ)
        self._lifecycle = Lifecycle(
            _environment(registered.body, environ, log),
            os.urandom,
            initialization_type=environ.get("AWS_LAMBDA_INITIALIZATION_TYPE", ON_DEMAND),
            ready_unix_ns=time.time_ns(),
        )
        self._schedule = Schedule(_random_unit, managed=self._managed)
        self._pipeline = Pipeline(environ)
        self._worker: Worker[Result] = Worker(self._pipeline.failed)
        self._delivery = Delivery(channel.directory, log, self._pipeline, self._worker)
        self._watch = RuntimeWatch()
        self._telemetry = TelemetryListener(registered.subscription, log)
        self._logs = LogDelivery(self._pipeline, self._lifecycle, log, managed=self._managed)
        self._receiver: OtlpReceiver | None = None
        self._keys: KeyDelivery | None = None
        self._environ = environ
        self._policy = Policy()
        self._thawed = False
        self._blackbox = BlackBox(channel.directory, log.warning)
        self._shutdown: ShutdownEvent | None = None
        self._shutdown_s: float | None = None
        self._look_s = LOOK_FOR_FILES_FIRST_S
        self._look_again_s = 0.0
        self._nap_until_s = 0.0
        self._polls = {naps: (dict[int, int](), select.poll()) for naps in (False, True)}

    def run(self) -> int:
        """Until SHUTDOWN; the process's exit status. Raises ApiGoneError, ApiRefusedError."""
        # The worker's conversion must not keep the loop from what is promised in milliseconds.
        sys.setswitchinterval(SWITCH_S)
        self._channel.publish(self._policy)
        if self._blackbox.remains is not None:
            self._delivery.mourn(self._blackbox.remains, instant())
        self._worker.submit(self._pipeline.load)
        self._worker.submit(self._pipeline.prepare)
        self._worker.start()
        while True:
            wake_at_s = self._carry_out()
            if wake_at_s is None:
                self._say_farewell()
                return os.EX_OK
            self._wait(wake_at_s)

    # What happens

    def _wait(self, wake_at_s: float) -> None:
        self._note_at_stake()
        now_s = time.monotonic()
        naps = now_s < self._nap_until_s and not self._schedule.awaits_end(now_s)
        if naps:
            wake_at_s = min(wake_at_s, self._nap_until_s)
        if self._managed and self._lifecycle.open_count:
            wake_at_s = min(wake_at_s, self._look_again_s)
        poll = self._poll(naps=naps)
        if self._keys is not None:
            wake_at_s = min(wake_at_s, self._keys.wake_at_s(instant()))
        if self._delivery.is_exporting:
            asleep = instant()
            ready = _ready(poll, min(wake_at_s, now_s + FREEZE_LOOK_S))
            if instant().since(asleep) > FREEZE_LOOK_S + FROZEN_S:
                self._thawed = True
        else:
            ready = _ready(poll, wake_at_s)
        if self._worker.fileno() in ready:
            for result in self._worker.take():
                self._on_result(result)
        if self._logs.fileno() in ready:
            self._logs.advance()
        if self._channel.results in ready or (naps and time.monotonic() >= self._nap_until_s):
            self._read_some()
        elif not ready and self._schedule.awaits_end(time.monotonic()):
            self._read_boundary()
            self._look_s = min(2 * self._look_s, LOOK_FOR_FILES_LAST_S)
        for pid in self._watch.gone(ready):
            self._on_process_gone(pid)
        events_told = self._telemetry.advance(ready)
        if events_told:
            self._on_telemetry(events_told)
        if self._connection.fileno() in ready:
            response = self._connection.advance()
            if response is not None:
                self._on_response(response)
        if self._receiver is not None:
            # Last: its spans say themselves whose they are, and an INVOKE does not wait for them.
            self._take_spans(self._receiver.advance(ready))
        if self._managed and time.monotonic() >= self._look_again_s:
            # What was written before an end was told goes before the record.
            self._read_boundary(whole=False)
            self._lifecycle.platform_tells_ends = self._telemetry.hopeful
            self._accept(self._lifecycle.tick(time.time_ns()))
            self._look_again_s = time.monotonic() + MANAGED_LOOK_S
        self._channel.refill()

    def _poll(self, *, naps: bool) -> select.poll:
        """For all that may have something to say: as a rule what it was the last time."""
        watched = {
            self._worker.fileno(): select.POLLIN,
            self._logs.fileno(): select.POLLIN,
            self._connection.fileno(): self._connection.poll_events,
        }
        if not naps:
            watched[self._channel.results] = select.POLLIN
        if self._keys is not None:
            watched[self._keys.fileno()] = select.POLLIN
        for descriptor in self._watch.descriptors():
            watched[descriptor] = select.POLLIN
        watched.update(self._telemetry.descriptors())
        if self._receiver is not None:
            watched.update(self._receiver.descriptors())
        watched.pop(-1, None)  # what is not open
        known, poll = self._polls[naps]
        if watched != known:
            poll = select.poll()
            for descriptor, events in watched.items():
                poll.register(descriptor, events)
            self._polls[naps] = watched, poll
        return poll

    def _on_telemetry(self, told: list[TelemetryEvent]) -> None:
        of_platform = [event for event in told if not isinstance(event, LoggedLine)]
        if of_platform:
            # What the function wrote before its end goes before the platform's word.
            self._read_boundary()
        for event in told:
            if isinstance(event, LoggedLine):
                self._logs.lines.add(event)
                continue
            if isinstance(event, Started):
                self._logs.lines.note_started(event)
            self._accept(self._lifecycle.on_platform_event(event, time.time_ns()))
        if of_platform:
            self._note_progress()

    def _on_process_gone(self, pid: int) -> None:
        self._read_boundary()
        if self._managed:
            self._lifecycle.on_process_gone(pid, time.time_ns())
        elif pid in self._lifecycle.runtime_pids:
            self._schedule.on_runtime_gone()

    def _on_response(self, response: Response) -> None:
        if response.status != 200:
            raise ApiRefusedError(
                f"/event/next answered {response.status}: {response.body[:200]!r}"
            )
        try:
            event = parse_event(response.body)
        except EventError as error:
            raise ApiRefusedError(f"/event/next answered an event with {error}") from error
        self._read_boundary()
        if isinstance(event, InvokeEvent):
            self._on_invoke(event)
        else:
            self._on_shutdown(event)

    def _on_invoke(self, event: InvokeEvent) -> None:
        self._log.refill()
        now = instant()
        self._lifecycle.platform_tells_ends = self._telemetry.hopeful
        self._accept(self._lifecycle.on_invoke(event, time.time_ns()))
        self._look_s = LOOK_FOR_FILES_FIRST_S
        first = self._lifecycle.invoked_count == 1
        self._schedule.on_invoke(
            now,
            now.monotonic_s + event.deadline_unix_ms / 1000 - now.wall_s,
            first=first,
            writer_expected=self._lifecycle.writer_speaks or (first and self._channel.reader_seen),
            platform_tells=self._telemetry.subscribed,
        )
        self._nap_until_s = now.monotonic_s + NAP_S  # START is on its way
        self._note_progress()

    def _on_shutdown(self, event: ShutdownEvent) -> None:
        """The platform's last word may be a moment behind: `_carry_out` waits for it."""
        self._shutdown = event
        self._shutdown_s = time.monotonic()

    def _begin_shutdown(self, event: ShutdownEvent, told_s: float) -> None:
        self._shutdown_s = None
        left_s = event.deadline_unix_ms / 1000 - time.time() + time.monotonic() - told_s
        left_s = min(max(left_s, SHORTEST_SHUTDOWN_S), SHUTDOWN_WINDOW_S)
        self._lifecycle.platform_tells_ends = self._telemetry.subscribed
        if self._receiver is not None:
            self._take_spans(self._receiver.drain())
        self._read_boundary()
        self._accept(self._lifecycle.on_shutdown(event.reason, time.time_ns()))
        self._schedule.on_shutdown(told_s, told_s + left_s, last=event.reason == SPINDOWN)
        self._logs.leave()
        if self._keys is not None:
            self._keys.leave()

    def _listen(self, settings: Settings) -> None:
        """Open the receiver where it is asked for: `/next` has been asked before."""
        if not settings.receiver.enabled or settings.exporter is None:
            return
        from extension.otlp_receiver import OtlpReceiver

        try:
            self._receiver = OtlpReceiver(settings.receiver.port, self._has_room_for_spans)
        except OSError as error:
            port = settings.receiver.port
            self._log.error(f"receiver.otlp_http: cannot listen at port {port}: {error.strerror}")

    def _fetch_keys(self, settings: Settings) -> None:
        """Begin to fetch what the configuration names and does not hold."""
        if self._pipeline.keys is None or settings.exporter is None:
            return
        from extension.key_delivery import KeyDelivery

        self._keys = KeyDelivery(
            self._pipeline.keys,
            settings.exporter,
            settings.secret_max_age_s,
            self._environ,
            self._log,
            _random_unit,
        )

    def _has_room_for_spans(self, size_bytes: int) -> bool:
        return self._delivery.has_room(self._lifecycle.kept_bytes + size_bytes)

    def _take_spans(self, taken: list[Spans]) -> None:
        now_ns = time.time_ns()
        for spans in taken:
            passed = Passed(spans.data, spans.count)
            self._accept(self._lifecycle.on_otlp(passed, spans.trace_ids, now_ns))

    def _read_boundary(self, *, whole: bool = True) -> None:
        open_ids = self._lifecycle.open_request_ids
        self._receive(self._inbox.read_boundary(open_ids, whole=whole))

    def _read_some(self) -> None:
        """A part of what the results FIFO holds, where there is room for it.

        On a Managed Instance the worker may be slower than the functions: what waits in the pipe
        need not go through the spool. A quarter of the pipe is kept free for whoever writes.
        """
        lifecycle = self._lifecycle
        if (
            self._managed
            and self._delivery.is_exporting
            and self._delivery.is_half_full(lifecycle.open_count, lifecycle.kept_bytes)
            and not self._inbox.is_nearly_full
        ):
            self._nap_until_s = time.monotonic() + NAP_S
            return
        self._receive(self._inbox.read())

    def _receive(self, received: list[Received]) -> None:
        if not received:
            return
        self._nap_until_s = time.monotonic() + NAP_S if self._inbox.is_drained else 0.0
        now_ns = time.time_ns()
        finished: list[Record] = []
        for message, size_bytes in received:
            finished += self._lifecycle.on_message(message, size_bytes, now_ns)
        self._accept(finished)
        self._note_progress()

    def _note_progress(self) -> None:
        """Tell the schedule what the messages since the last call mean for it."""
        missing = self._watch.follow(self._lifecycle.runtime_pids)
        if self._managed:
            return
        if missing:
            # A runtime that died before we came to look for it. Where its PIDs are not ours to
            # see, the first invocation alone is not held for its end.
            self._schedule.on_runtime_gone()
        if self._lifecycle.state is State.RUNNING:
            self._schedule.on_start()
        if self._lifecycle.state is State.ENDED:
            now_s = time.monotonic()
            holding = self._schedule.awaits_end(now_s)
            ago_s = max(0.0, time.time() - self._lifecycle.ended_unix_ns / 1e9)
            failed = self._lifecycle.fate is Fate.RAISED
            self._schedule.on_end(now_s - ago_s, failed=failed)
            if holding:
                self._accept(self._lifecycle.settle(time.time_ns()))

    def _accept(self, finished: list[Record]) -> None:
        if not finished:
            return
        for record in finished:
            if isinstance(record, Invocation):
                self._logs.lines.note_record(record)
        self._delivery.accept(finished, instant())

    def _on_result(self, result: Result) -> None:
        if isinstance(result, Exported):
            self._on_exported(result)
        elif isinstance(result, Loaded):
            self._on_loaded(result)
        elif isinstance(result, Failed):
            self._log.error(f"internal: {type(result.error).__name__}: {result.error}")
            self._delivery.fail()
        else:
            # It stays: to search all of it for garbage held both threads up for 10 to 40 ms.
            gc.freeze()
            self._logs.start()
            self._schedule.on_prepared()
            self._log.debug(f"ready to export after {result.seconds * 1000:.0f} ms of importing")

    def _on_loaded(self, loaded: Loaded) -> None:
        settings = loaded.config.settings
        self._log.set_level(settings.log_level)
        for error in loaded.config.errors:
            self._log.error(str(error))
        self._delivery.configure(settings)
        self._fetch_keys(settings)
        self._listen(settings)
        self._logs.configure(settings)
        if settings.signals.logs and self._telemetry.hopeful and not self._telemetry.with_logs:
            self._log.warning("signals.logs: no lines were asked for; write the key in one line")
        timeout_ms = settings.exporter.timeout_ms if settings.exporter is not None else 0
        self._schedule.configure(settings.flush, timeout_ms / 1000)
        # What is not to leave need not be kept either; that it does not, the conversion decides.
        capture = settings.capture
        response, request = capture.response != OFF, capture.request != OFF
        self._lifecycle.max_body_bytes = capture.max_body_bytes if response else 0
        self._lifecycle.max_request_bytes = capture.max_body_bytes if request else 0
        self._publish(
            enabled=settings.enabled,
            response=response,
            request=request,
            max_body_bytes=capture.max_body_bytes,
            propagators=",".join(settings.propagator.composite) or propagation.NONE,
            event_path=settings.propagator.event_path,
            sampler=text_of(settings.sample.sampler),
        )

    def _on_exported(self, exported: Exported) -> None:
        settled = self._delivery.on_exported(exported)
        self._logs.on_exported(exported.logs)
        self._schedule.on_export_done(
            instant(),
            answered=settled.answered,
            failed=settled.failed,
            late=settled.late,
            retry_after_s=settled.retry_after_s,
            thawed=self._thawed,
        )
        if self._schedule.exporter_down != self._policy.exporter_down:
            self._publish(exporter_down=self._schedule.exporter_down)

    # What is done about it

    def _carry_out(self) -> float | None:
        """Do what the schedule decides; when to wake (monotonic), None: the end."""
        while True:
            now = instant()
            now_s = now.monotonic_s
            if self._shutdown is not None and self._shutdown_s is not None:
                last_word_s = self._shutdown_s + REPORT_WAIT_S
                expected = self._telemetry.hopeful and self._lifecycle.expects_report
                if expected and now_s < last_word_s:
                    return last_word_s
                self._begin_shutdown(self._shutdown, self._shutdown_s)
            can_export = self._delivery.can_export
            if self._keys is not None:
                if self._keys.advance(now):
                    self._schedule.on_key_renewed()
                self._delivery.has_keys = self._keys.may_export(now)
                can_export = can_export and not self._keys.is_hopeless(now)
            decision = self._schedule.decide(
                now,
                self._delivery.waiting(now, has_logs=self._logs.lines.presses),
                can_export=can_export,
                has_keys=self._delivery.has_keys,
            )
            if decision.abort:
                self._pipeline.abort(now_s)
                self._logs.abort(now_s)
            if decision.exit:
                return None
            if decision.export_for_s is not None:
                self._note_at_stake()
                self._thawed = False
                # What nobody is held for may carry them; else they go beside the function.
                logs = self._logs.ride(now_s) if self._managed or self._shutdown else []
                self._delivery.begin_export(
                    decision.max_count,
                    self._schedule.settings,
                    now_s,
                    now_s + decision.export_for_s,
                    logs,
                )
            if decision.ask:
                self._registered.ask()
                if not self._delivery.is_exporting:
                    if self._delivery.has_keys:
                        self._logs.send(now_s)
                    return float("inf")  # until something happens
            elif decision.export_for_s is None and not decision.abort:
                wake_at_s = float("inf") if decision.wake_at_s is None else decision.wake_at_s
                if self._schedule.awaits_end(now_s):
                    wake_at_s = min(wake_at_s, now_s + self._look_s)
                return wake_at_s

    def _note_at_stake(self) -> None:
        """Before anything leaves and before any wait: what the next extension would miss.

        After `/next` has been asked, so that no invocation is held for it.
        """
        lifecycle = self._lifecycle
        self._blackbox.note(
            self._delivery.at_stake,
            self._delivery.lent,
            lifecycle.open_count,
            lifecycle.if_killed,
            lifecycle.newest_key,
        )

    def _publish(self, **changes: Any) -> None:
        self._policy = self._policy.renewed(**changes)
        self._channel.publish(self._policy)

    def _say_farewell(self) -> None:
        """Keep what is left elsewhere; one line with the ledger."""
        ledger = self._delivery.ledger
        missing = self._keys.why_missing(instant()) if self._keys is not None else ""
        self._delivery.has_keys = not missing
        if missing:
            self._log.warning(f"keys: {missing}; nothing could be sent without them")
        for counts in (
            self._inbox.counts,
            self._inbox.gaps(),
            self._lifecycle.counts,
            self._telemetry.counts,
            self._receiver.counts if self._receiver is not None else {},
            self._logs.lines.unsent(),
        ):
            for reason, count in counts.items():
                ledger.note(reason, count)
        ledger.note("processes_unwatched", self._watch.left_out_count)
        ledger.note("metrics_unsent", self._pipeline.unsent_measures)
        ledger.note("log_lines", self._log.suppressed_count)
        reason = self._shutdown.reason if self._shutdown else "unknown"
        line = self._delivery.leave(reason, self._schedule.leave_until_s)
        self._log.always(f"shutdown {reason}: {line}")
        self._blackbox.close()


def _random_unit() -> float:
    return int.from_bytes(os.urandom(4), "big") / 2**32


def _ready(poll: select.poll, wake_at_s: float) -> set[int]:
    """The descriptors that have something to say, at `wake_at_s` at the latest."""
    timeout_ms = None if wake_at_s == float("inf") else _milliseconds_until(wake_at_s)
    return {descriptor for descriptor, _ in poll.poll(timeout_ms)}


def _milliseconds_until(wake_at_s: float) -> float:
    # poll(2) counts whole milliseconds: rounded up, so that it does not wake too early.
    return max(0.0, (wake_at_s - time.monotonic()) * 1000 + 1)


_MEMORY_MB = re.compile("[0-9]{1,9}")


def _environment(body: bytes, environ: Mapping[str, str], log: Log) -> Environment:
    """What is known of the function before it has said anything."""
    try:
        registration = parse_registration(body)
    except EventError as error:
        log.warning(f"/register answered {error}; the environment's names are used")
        registration = Registration("", "", "", None)
    memory = environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "")
    return Environment(
        function_name=registration.function_name
        or environ.get("AWS_LAMBDA_FUNCTION_NAME", "unknown"),
        function_version=registration.function_version
        or environ.get("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
        region=environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or None,
        account_id=registration.account_id,
        memory_mb=int(memory) if _MEMORY_MB.fullmatch(memory) else None,
    )
