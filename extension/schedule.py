"""When to export and when to ask for the next event: decisions, no I/O, no clock.

`/next` means "you may freeze me". The one rule: ask as soon as no export is in flight and
the mode awaits no end; never later than 100 ms before the invocation's deadline, nor after
the runtime process is gone.

All times are seconds: ``now_s`` on a monotonic clock, since what is waited for is short and
renewed at each INVOKE; ``wall_s`` on the wall clock, since a batch also ages while frozen.
"""

from __future__ import annotations

from dataclasses import dataclass

from extension.settings import FLUSH_AUTO, FLUSH_END, FlushSettings

ASK_BEFORE_DEADLINE_S = 0.100
START_GRACE_S = 0.250
"""How long after INVOKE an expected START may take before no end is waited for any more.

A handler that is decorated but is not the one invoked announces a writer that never speaks.
"""
EXIT_BEFORE_DEADLINE_S = 0.100
SHUTDOWN_LIMIT_S = 1.900
"""design: SHUTDOWN to exit, 100 ms before its own deadline, at most 1,900 ms."""
FAREWELL_S = 0.050
"""Kept back from the shutdown window for the ledger's line and the exit itself."""
DEFAULT_TIMEOUT_S = 10.0
MIN_EXPORT_S = 0.005
"""With less time than this no export is begun."""
HOLD_PART_OF_TIME_LEFT = 0.1
"""In `end` and `auto` an export holds `/next` for a tenth of the time left at most."""
RETRY_FIRST_S = 1.0
RETRY_LAST_S = 60.0
"""After n failures in a row nothing is tried for 2^(n-1) seconds, a minute at most."""
MANAGED_TICK_S = 1.0
"""On Managed Instances: how often files, deadlines and the batch's age are looked at."""
SHUTDOWN_FAILURES = 2
"""A kept connection may have died in a freeze: one failure at SHUTDOWN is tried again."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """What the backlog holds."""

    count: int
    size_bytes: int
    oldest_age_s: float
    has_failure: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do now. `export_for_s` None: begin no export. `wake_at_s` None: no timer."""

    export_for_s: float | None = None
    abort: bool = False
    ask: bool = False
    exit: bool = False
    wake_at_s: float | None = None


class Schedule:
    """Tell it what happened, then ask `decide` until it has nothing more to do.

    It begins before the configuration has been read: until `configure` an invocation may be
    held as the defaults say, but nothing is exported. `managed`: on Managed Instances no
    INVOKE comes and nothing freezes, so what is due leaves on time.
    """

    def __init__(self, *, managed: bool = False) -> None:
        self.settings = FlushSettings()
        self._managed = managed
        self._timeout_s = DEFAULT_TIMEOUT_S
        self._configured = False
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
        self._hold_until_s: float | None = None
        self._export_until_s: float | None = None
        self._shutdown_until_s: float | None = None
        self._shutdown_failures = 0
        self._invoked_wall_s: float | None = None
        self._after_error = False
        self._failures = 0
        self._retry_wall_s = 0.0

    @property
    def exporter_down(self) -> bool:
        """Several exports in a row have failed: the function may send less."""
        return self._failures >= 3

    def awaits_end(self, now_s: float) -> bool:
        """Whether `/next` is held for the end of this invocation."""
        return (
            self._await_end
            and not (self._ended or self._runtime_gone or self._asked)
            and now_s < self._await_until_s
        )

    def on_invoke(
        self,
        now_s: float,
        wall_s: float,
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
        before = self._invoked_wall_s
        rare = before is not None and (wall_s - before) * 1000 > self.settings.max_age_ms
        self._special = first or rare or self._after_error
        self._writer_expected = writer_expected
        self._platform_tells = platform_tells
        self._invoked_wall_s = wall_s
        self._asked = False
        self._started = False
        self._ended = False
        self._runtime_gone = False
        self._after_error = False
        self._hold_until_s = None
        self._deadline_s = max(deadline_s, now_s)
        self._invoked_s = now_s
        self._decide_waiting()

    def configure(self, settings: FlushSettings, timeout_s: float) -> None:
        """The configuration has been read; an invocation may have begun before."""
        self.settings = settings
        self._timeout_s = timeout_s
        self._configured = True
        self._decide_waiting()

    def on_start(self) -> None:
        """The function has said that its handler runs: now an end will be told."""
        self._started = True
        self._decide_waiting()

    def on_end(self, *, failed: bool) -> None:
        """The invocation's end is known."""
        self._ended = True
        self._after_error = failed

    def on_runtime_gone(self) -> None:
        """The process that ran the handler has gone: no end will be told."""
        self._runtime_gone = True

    def on_export_done(self, wall_s: float, *, arrived: bool) -> None:
        """An export came back; `arrived` False: it is to be tried again."""
        self._export_until_s = None
        if arrived:
            self._failures = 0
            self._retry_wall_s = 0.0
            return
        self._failures += 1
        if self._shutdown_until_s is not None:
            self._shutdown_failures += 1
        pause = min(RETRY_LAST_S, RETRY_FIRST_S * 2.0 ** min(self._failures - 1, 16))
        self._retry_wall_s = wall_s + pause

    def on_shutdown(self, now_s: float, deadline_s: float) -> None:
        """SHUTDOWN came; everything that can leave leaves now."""
        until = min(deadline_s - EXIT_BEFORE_DEADLINE_S, now_s + SHUTDOWN_LIMIT_S) - FAREWELL_S
        self._shutdown_until_s = max(until, now_s)
        self._asked = True

    def decide(  # noqa: PLR0911 - one return for each rule, in the order they hold
        self, now_s: float, wall_s: float, waiting: Waiting, *, can_export: bool
    ) -> Decision:
        """What to do at this moment; call it again after doing it, until it only waits.

        `can_export` False: there is nowhere to send to.
        """
        if self._shutdown_until_s is not None:
            return self._decide_shutdown(now_s, waiting, self._shutdown_until_s, can_export)
        if self._export_until_s is not None:
            if now_s < self._export_until_s:
                return Decision(wake_at_s=self._export_until_s)
            # The export is over its time. Its outcome is still to come, from a thread that
            # may be stuck in name resolution: nothing is held for that.
            if not self._asked:
                self._asked = True
                return Decision(abort=True, ask=True)
            if self._managed:
                self._export_until_s = float("inf")
                return Decision(abort=True)
            return Decision()
        if self._managed:
            return self._decide_managed(now_s, wall_s, waiting, can_export)
        if self._asked:
            return Decision()
        awaits_end = self.awaits_end(now_s)
        if can_export and wall_s >= self._retry_wall_s and waiting.count:
            leave_all = self._await_end and not awaits_end
            if leave_all or self._due(waiting):
                export_for_s = self._hold_left_s(now_s)
                if export_for_s >= MIN_EXPORT_S and not self._configured:
                    return Decision(wake_at_s=now_s + export_for_s)
                if export_for_s >= MIN_EXPORT_S:
                    self._export_until_s = now_s + export_for_s
                    return Decision(export_for_s=export_for_s)
        if awaits_end:
            return Decision(wake_at_s=self._await_until_s)
        self._asked = True
        return Decision(ask=True)

    def _decide_managed(
        self, now_s: float, wall_s: float, waiting: Waiting, can_export: bool
    ) -> Decision:
        due = waiting.count and self._due(waiting)
        if due and can_export and self._configured and wall_s >= self._retry_wall_s:
            self._export_until_s = now_s + self._timeout_s
            return Decision(export_for_s=self._timeout_s)
        return Decision(wake_at_s=now_s + MANAGED_TICK_S)

    def _decide_shutdown(
        self, now_s: float, waiting: Waiting, until_s: float, can_export: bool
    ) -> Decision:
        if now_s >= until_s:
            return Decision(abort=self._export_until_s is not None, exit=True)
        if self._export_until_s is not None:
            return Decision(wake_at_s=until_s)
        if (
            waiting.count
            and can_export
            and self._shutdown_failures < SHUTDOWN_FAILURES
            and until_s - now_s >= MIN_EXPORT_S
        ):
            self._export_until_s = until_s
            return Decision(export_for_s=until_s - now_s)
        return Decision(exit=True)

    def _decide_waiting(self) -> None:
        """Whether this invocation's end is awaited, and until when.

        A function without a writer is held in `end` alone, where the user asks for it: Lambda
        tells its end no sooner than 25 ms after it.
        """
        mode = self.settings.mode
        by_platform = mode == FLUSH_END and self._platform_tells
        by_writer = self._writer_expected and (
            mode == FLUSH_END or (mode == FLUSH_AUTO and self._special)
        )
        self._await_end = by_platform or by_writer
        latest_s = self._deadline_s - ASK_BEFORE_DEADLINE_S
        if not (self._started or by_platform):
            latest_s = min(self._invoked_s + START_GRACE_S, latest_s)
        self._await_until_s = latest_s

    def _due(self, waiting: Waiting) -> bool:
        settings = self.settings
        return (
            waiting.oldest_age_s * 1000 >= settings.max_age_ms
            or waiting.count >= settings.max_spans
            or waiting.size_bytes >= settings.max_bytes
            or (settings.mode == FLUSH_AUTO and waiting.has_failure)
        )

    def _hold_left_s(self, now_s: float) -> float:
        """How long an export may still hold `/next`, all exports of this invocation together."""
        if self._hold_until_s is None:
            left = max(0.0, self._deadline_s - now_s)
            longest = (
                left * HOLD_PART_OF_TIME_LEFT if self._await_end else self.settings.hold_ms / 1000
            )
            self._hold_until_s = now_s + min(longest, self._timeout_s, left)
        return min(self._hold_until_s, self._deadline_s - ASK_BEFORE_DEADLINE_S) - now_s
