"""When to export and when to ask for the next event: decisions, no I/O, no clock.

`/next` means "you may freeze me". The one rule: ask as soon as no export is in flight and
the mode awaits no end; never later than 100 ms before the invocation's deadline, nor after
the runtime process is gone.

Once the breaker is open no export holds `/next` any more: what is tried runs beside the
function, and `/next` is asked at once. A batch is as large as the last ones say will be in time.

Deadlines are seconds of a monotonic clock, since what is waited for is short and renewed at each
INVOKE; ages are measured on both clocks (`Instant`), since a batch also ages while frozen.
"""

from __future__ import annotations

from collections.abc import Callable

from exporter.values import dataclass
from extension.breaker import Breaker
from extension.instant import Instant
from extension.settings import FLUSH_AUTO, FLUSH_END, MAX_WAITING, FlushSettings

ASK_BEFORE_DEADLINE_S = 0.100
START_GRACE_S = 0.250
"""How long after INVOKE an expected START may take before no end is waited for any more.

A handler that is decorated but is not the one invoked announces a writer that never speaks.
"""
LATE_S = 1.0
"""How long before we read of its INVOKE an invocation may have ended, as the function's clock
says: a hold is counted from there, and the function is not believed any further."""
EXIT_BEFORE_DEADLINE_S = 0.100
SHUTDOWN_LIMIT_S = 1.900
"""design: SHUTDOWN to exit, 100 ms before its own deadline, at most 1,900 ms."""
FAREWELL_S = 0.100
"""Kept back from the shutdown window for the ledger's line and the exit itself."""
DEFAULT_TIMEOUT_S = 10.0
MIN_EXPORT_S = 0.005
"""With less time than this no export is begun."""
HOLD_PART_OF_TIME_LEFT = 0.1
"""In `end` and `auto` an export holds `/next` for a tenth of the time left at most."""
ABORT_S = 0.020
ABORT_PART = 0.1
"""Kept back from a hold, a tenth of it at most: what it takes to end an export and to ask."""
LONGEST_INVOCATION_S = 900.0
"""Lambda's own; a deadline farther away than that is a clock that was stepped."""
PROBE_S = 1.0
"""How long a request may take that nobody waits for, with the breaker open."""
LONGEST_FAREWELL_S = 1.2
"""Of the shutdown window, at the most, is kept back for what is spooled and printed."""
MANAGED_TICK_S = 1.0
"""On Managed Instances: how often files, deadlines and the batch's age are looked at."""
SHUTDOWN_FAILURES = 2
SHUTDOWN_FIRST_PART = 0.6
"""A kept connection may have died in a freeze, and say nothing: one failure at SHUTDOWN is tried
again, so the first try gets that part of the time."""
SHUTDOWN_SECOND_S = 0.5
"""Kept for the second try, where nobody comes for what is left. When it begins is drawn from the
time before that: a fleet ends as one, and who has refused it needs a moment (`bench.fleet`)."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """What there is to export, and whether measures wait for metrics.

    `farewell_s` is what keeping the records elsewhere would take.
    """

    count: int
    size_bytes: int
    oldest_age_s: float
    has_failure: bool = False
    has_measures: bool = False
    has_spooled: bool = False
    farewell_s: float = 0.0
    has_logs: bool = False
    """Log lines that no boundary comes for any more: of SHUTDOWN alone."""

    @property
    def any(self) -> bool:
        """Whether there is anything to export."""
        return bool(self.count) or self.has_measures or self.has_spooled or self.has_logs


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do now. `export_for_s` None: begin no export. `wake_at_s` None: no timer.

    An export takes at most `max_count` records; with `ask`, `/next` is not held for it.
    """

    export_for_s: float | None = None
    max_count: int = 0
    abort: bool = False
    ask: bool = False
    exit: bool = False
    wake_at_s: float | None = None


class Schedule:
    """Tell it what happened, then ask `decide` until it has nothing more to do.

    It begins before the configuration has been read: until `configure` and `on_prepared` an
    invocation may be held as the defaults say, but nothing is exported. `managed`: on Managed
    Instances no INVOKE comes and nothing freezes, so what is due leaves on time. `draw_unit` gives
    a random number from 0 to 1.
    """

    def __init__(self, draw_unit: Callable[[], float], *, managed: bool = False) -> None:
        self.settings = FlushSettings()
        self._draw_unit = draw_unit
        self._breaker = Breaker(draw_unit)
        self._managed = managed
        self._timeout_s = DEFAULT_TIMEOUT_S
        self._configured = False
        self._prepared = False
        self._special = False
        self._writer_expected = False
        self._platform_tells = False
        self._started = False
        self._asked = True
        self._await_end = False
        self._await_until_s = 0.0
        self._ended = False
        self._runtime_gone = False
        self._deadline_s = 0.0
        self._invoked_s = 0.0
        self._hold_from_s: float | None = None
        self._export_until_s: float | None = None
        self._shutdown_until_s: float | None = None
        self._shutdown_failures = 0
        self._shutdown_again_s = 0.0
        self._is_last = True
        self._export_holds = True
        self._export_began_s = 0.0
        self._left_s: float | None = None
        self._given_up_at = Instant(0.0, 0.0)
        self._max_count = self._most
        self._invoked_at: Instant | None = None
        self._after_error = False

    @property
    def exporter_down(self) -> bool:
        """Several exports in a row have failed: the function may send less."""
        return self._breaker.is_open

    @property
    def leave_until_s(self) -> float:
        """By when nothing more is begun, after SHUTDOWN; what is left is for the exit itself."""
        return (self._shutdown_until_s or 0.0) + FAREWELL_S / 2

    @property
    def _most(self) -> int:
        """Records of one export. Where none is held for it, all that wait, within
        `flush.max_bytes`: while it is on its way as many come, and memory may run out for them.
        """
        return MAX_WAITING if self._managed else self.settings.max_spans

    def awaits_end(self, now_s: float) -> bool:
        """Whether `/next` is held for the end of this invocation."""
        return (
            self._await_end
            and not self._breaker.is_open
            and not (self._ended or self._runtime_gone or self._asked)
            and now_s < self._await_until_s
        )

    def on_invoke(
        self,
        now: Instant,
        deadline_s: float,
        *,
        first: bool,
        writer_expected: bool,
        platform_tells: bool = False,
    ) -> None:
        """An invocation began.

        `writer_expected`: START, and then its end, may be expected; `platform_tells`: the
        platform will tell the end, some time after it.
        """
        if self._export_until_s == float("inf") and now.since(self._given_up_at) >= PROBE_S:
            # It has not come back since: it is stuck, in name resolution say.
            self._given_up_at = now
            self._breaker.on_failed(now)
        before, now_s = self._invoked_at, now.monotonic_s
        rare = before is not None and now.since(before) * 1000 > self.settings.max_age_ms
        self._special = first or rare or self._after_error
        self._writer_expected = writer_expected
        self._platform_tells = platform_tells
        self._invoked_at = now
        self._asked = False
        self._started = False
        self._ended = False
        self._runtime_gone = False
        self._after_error = False
        self._hold_from_s = None
        self._left_s = None
        self._deadline_s = min(max(deadline_s, now_s), now_s + LONGEST_INVOCATION_S)
        self._invoked_s = now_s
        self._decide_waiting()

    def configure(self, settings: FlushSettings, timeout_s: float) -> None:
        """The configuration has been read; an invocation may have begun before."""
        self.settings = settings
        self._max_count = self._most
        self._timeout_s = timeout_s
        self._configured = True
        self._decide_waiting()

    def on_prepared(self) -> None:
        """What exporting needs has been imported: from now on one may begin."""
        self._prepared = True

    def on_start(self) -> None:
        """The function has said that its handler runs: now an end will be told."""
        self._started = True
        self._decide_waiting()

    def on_end(self, ended_s: float, *, failed: bool) -> None:
        """The invocation's end is known: it was at `ended_s`, from which a hold counts."""
        if self._hold_from_s is None:
            self._hold_from_s = max(ended_s, self._invoked_s - LATE_S)
        self._ended = True
        self._after_error = failed

    def on_runtime_gone(self) -> None:
        """The process that ran the handler has gone: no end will be told."""
        self._runtime_gone = True

    def on_export_done(
        self,
        now: Instant,
        *,
        answered: bool,
        failed: bool,
        late: bool = False,
        retry_after_s: float | None = None,
        thawed: bool = False,
    ) -> None:
        """An export came back: answered for good, failed at its end, both or neither.

        `late`: there was not time enough for it, which will be so again for as many.
        `thawed`: the environment was frozen while it was on its way, which is no fault of the
        collector's.
        """
        self._export_until_s = None
        longest_s = self._timeout_s if self._managed else self.settings.hold_ms / 1000
        took_s = now.monotonic_s - self._export_began_s
        if answered:
            # Half of it: what only just fits is late the next time.
            self._breaker.on_arrived(in_time=2 * took_s <= longest_s)
        if (failed or late) and not thawed:
            self._breaker.on_failed(now, retry_after_s)
            self._max_count = 1 if self._breaker.is_open else max(1, self._max_count // 2)
        elif answered and 2 * took_s <= (PROBE_S if self._breaker.is_open else longest_s):
            # Twice as many would have been in time too.
            self._max_count = min(2 * self._max_count, self._most)
        if failed and self._shutdown_until_s is not None:
            self._shutdown_failures += 1
            spare_s = self._shutdown_until_s - now.monotonic_s - SHUTDOWN_SECOND_S
            if self._is_last and spare_s > 0:
                self._shutdown_again_s = now.monotonic_s + spare_s * self._draw_unit()

    def on_key_renewed(self) -> None:
        """A secret or credentials have come, or are others: what was refused is tried again."""
        self._breaker.on_key_renewed()
        self._shutdown_failures = 0
        self._shutdown_again_s = 0.0

    def on_shutdown(self, now_s: float, deadline_s: float, *, last: bool = True) -> None:
        """SHUTDOWN came; everything that can leave leaves now.

        Not `last`: the environment goes on, with what was spooled, and its next invocation waits
        for this one's end.
        """
        self._is_last = last
        until = min(deadline_s - EXIT_BEFORE_DEADLINE_S, now_s + SHUTDOWN_LIMIT_S) - FAREWELL_S
        self._shutdown_until_s = max(until, now_s)
        self._asked = True

    def decide(  # noqa: PLR0911 - one return for each rule, in the order they hold
        self, now: Instant, waiting: Waiting, *, can_export: bool, has_keys: bool = True
    ) -> Decision:
        """What to do at this moment; call it again after doing it, until it only waits.

        `can_export` False: there is nowhere to send to. `has_keys` False: a secret or credentials
        are still to come; nothing is held for them, but at SHUTDOWN they are waited for.
        """
        now_s = now.monotonic_s
        if self._shutdown_until_s is not None:
            leave_s = self._shutdown_until_s
            return self._decide_shutdown(now_s, waiting, leave_s, can_export, has_keys)
        may_begin = can_export and has_keys and waiting.any and self._breaker.may_try(now)
        if self._export_until_s is not None:
            return self._decide_in_flight(now, self._export_until_s)
        if self._managed:
            return self._decide_managed(now_s, waiting, may_begin)
        if self._asked:
            return Decision()
        if self._breaker.is_open:
            return self._decide_open(now_s, may_begin)
        awaits_end = self.awaits_end(now_s)
        if may_begin:
            leave_all = self._await_end and not awaits_end
            if self._left_s is not None and now_s - waiting.oldest_age_s >= self._left_s:
                # It came while this invocation's export was on its way, as `runtimeDone` does
                # where that takes 25 ms: it follows with the next, and is not held for.
                leave_all = False
            if leave_all or self._due(waiting):
                export_for_s = self._hold_left_s(now_s)
                if not self._configured or (leave_all and not self._prepared):
                    if export_for_s >= MIN_EXPORT_S:
                        return Decision(wake_at_s=now_s + export_for_s)
                elif export_for_s >= MIN_EXPORT_S and self._prepared:
                    return self._begin(now_s, export_for_s, holds=True)
        if awaits_end:
            return Decision(wake_at_s=self._await_until_s)
        self._asked = True
        return Decision(ask=True)

    def _begin(self, now_s: float, export_for_s: float, *, holds: bool) -> Decision:
        self._export_began_s = now_s
        self._export_until_s = now_s + export_for_s
        self._export_holds = holds
        self._asked = self._asked or not holds
        if self._ended and self._left_s is None:
            self._left_s = now_s
        in_window = self._shutdown_until_s is not None
        max_count = self._most if in_window else self._max_count
        return Decision(export_for_s=export_for_s, max_count=max_count, ask=not holds)

    def _decide_in_flight(self, now: Instant, until_s: float) -> Decision:
        now_s = now.monotonic_s
        over, given_up = now_s >= until_s, until_s == float("inf")
        if over:
            self._export_until_s = float("inf")
            self._given_up_at = now
        if not self._asked and (over or given_up or not self._export_holds):
            # Its outcome is still to come, from a thread that may be stuck in name resolution,
            # or nobody waits for it: nothing is held for that.
            self._asked = True
            return Decision(abort=over, ask=True)
        if over or given_up:
            return Decision(abort=over)
        return Decision(wake_at_s=until_s)

    def _decide_open(self, now_s: float, may_begin: bool) -> Decision:
        """The breaker is open: a small try beside the function, and nothing is held for it."""
        if may_begin and self._prepared and self._deadline_s - now_s >= MIN_EXPORT_S:
            return self._begin(now_s, min(PROBE_S, self._timeout_s), holds=False)
        self._asked = True
        return Decision(ask=True)

    def _decide_managed(self, now_s: float, waiting: Waiting, may_begin: bool) -> Decision:
        if may_begin and self._prepared and self._due(waiting):
            return self._begin(now_s, self._timeout_s, holds=True)
        return Decision(wake_at_s=now_s + MANAGED_TICK_S)

    def _decide_shutdown(
        self, now_s: float, waiting: Waiting, leave_s: float, can_export: bool, has_keys: bool
    ) -> Decision:
        until_s = leave_s - min(waiting.farewell_s, LONGEST_FAREWELL_S)
        in_flight_s = self._export_until_s
        if now_s >= until_s:
            return Decision(abort=in_flight_s is not None, exit=True)
        if in_flight_s is not None:
            if now_s < in_flight_s:
                return Decision(wake_at_s=min(in_flight_s, until_s))
            # It was begun before SHUTDOWN, for less time than there is now.
            self._export_until_s = float("inf")
            return Decision(abort=True)
        if (
            waiting.any
            and can_export
            and self._shutdown_failures < SHUTDOWN_FAILURES
            and until_s - now_s >= MIN_EXPORT_S
        ):
            again_s = self._shutdown_again_s if has_keys else until_s
            if now_s < again_s <= until_s:
                return Decision(wake_at_s=again_s)
            part = 1.0 if self._shutdown_failures else SHUTDOWN_FIRST_PART
            return self._begin(now_s, min((until_s - now_s) * part, self._timeout_s), holds=True)
        return Decision(exit=True)

    def _decide_waiting(self) -> None:
        """Whether this invocation's end is awaited, and until when.

        A function without a writer is held in `end` alone, where the user asks for it: Lambda
        tells its end no sooner than 25 ms after it. Whether the user does is awaited as START is.
        """
        mode = self.settings.mode
        by_platform = self._platform_tells and (mode == FLUSH_END or not self._configured)
        by_writer = self._writer_expected and (
            mode == FLUSH_END or (mode == FLUSH_AUTO and self._special)
        )
        self._await_end = by_platform or by_writer
        latest_s = self._deadline_s - ASK_BEFORE_DEADLINE_S
        if not (self._started or (by_platform and self._configured)):
            latest_s = min(self._invoked_s + START_GRACE_S, latest_s)
        self._await_until_s = latest_s

    def _due(self, waiting: Waiting) -> bool:
        settings = self.settings
        return (
            waiting.has_spooled
            or waiting.oldest_age_s * 1000 >= settings.max_age_ms
            or waiting.count >= settings.max_spans
            or waiting.size_bytes >= settings.max_bytes
            or (settings.mode == FLUSH_AUTO and waiting.has_failure)
        )

    def _hold_left_s(self, now_s: float) -> float:
        """How long an export may still hold `/next`, all exports of this invocation together."""
        if self._hold_from_s is None:
            self._hold_from_s = now_s
        # By the settings in force now: they may have come since it began.
        left = max(0.0, self._deadline_s - self._hold_from_s)
        longest = left * HOLD_PART_OF_TIME_LEFT if self._await_end else self.settings.hold_ms / 1000
        hold_s = min(longest, self._timeout_s, left)
        until_s = self._hold_from_s + hold_s - min(ABORT_S, hold_s * ABORT_PART)
        return min(until_s, self._deadline_s - ASK_BEFORE_DEADLINE_S) - now_s
