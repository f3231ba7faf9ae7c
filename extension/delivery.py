"""Everything that becomes of finished records: accepted, exported, spooled, printed, dropped.

The backlog owns them until they are settled, the worker borrows, the ledger counts; this puts
them together and says the last word at SHUTDOWN.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING

from exporter.log_lines import LogLine
from exporter.record import Invocation, Record
from extension.backlog import MAX_WAITING_BYTES, Backlog, Entry, files_of
from extension.blackbox import Remains
from extension.fallback import Printer
from extension.instant import Instant
from extension.ledger import (
    NOTHING,
    PRINTED,
    SECRET_MISSING,
    SPOOLED,
    WAITING,
    Amount,
    Ledger,
    total,
)
from extension.log import Log
from extension.outcomes import Settled, settle
from extension.pipeline import Exported, Pipeline, Result
from extension.sampling import leaves
from extension.schedule import Waiting
from extension.settings import FALLBACK_STDOUT, MAX_WAITING, FlushSettings, Settings
from extension.spool import Spool
from extension.worker import Worker

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

SPOOL_S_PER_RECORD = 0.000_3
SPOOL_S_PER_BYTE = 1 / 25e6
"""A child span weighs 273 bytes and takes some 10 µs to be written down; bodies take a tenth."""
PRINT_S_PER_RECORD = 0.000_5
PRINT_S_PER_BYTE = 1 / 20e6
"""What the farewell takes, reckoned for a slow machine."""
SPINDOWN = "spindown"


class Delivery:
    """`directory` is the FIFOs'; `worker` runs `pipeline`'s tasks.

    `lent` is what is being exported and would be gone with this process. `has_keys` False: a
    secret is missing, and nothing is sent without it.
    """

    def __init__(
        self, directory: str, log: Log, pipeline: Pipeline, worker: Worker[Result]
    ) -> None:
        self.ledger = Ledger()
        self._log = log
        self._pipeline = pipeline
        self._worker = worker
        self._spool = Spool(directory, self._lost, log.warning, unix_ns=time.time_ns)
        self._backlog = Backlog(self.ledger, self._spool)
        self._settings: Settings | None = None
        self._has_failure = False
        self._measured_at: Instant | None = None
        self._is_exporting = False
        self._last_lines: tuple[str, ...] = ()
        self.lent = NOTHING
        self.can_export = True
        self.no_export_reason = ""
        self.has_keys = True
        self.ledger.recover(self._spool.scan())

    def mourn(self, remains: Remains, now: Instant) -> None:
        """Count what died with an extension that was killed; the invocation that ran has a span.

        What was being exported then may have arrived: nobody knows.
        """
        lost = remains.waiting - remains.uncertain + Amount(remains.open_count)
        for amount, reason in (
            (lost, "lost_extension_killed"),
            (remains.uncertain, "unknown_extension_killed"),
        ):
            self.ledger.recover(amount)
            self.ledger.drop(amount, SPOOLED, reason)
        if remains.running is not None:
            self.accept([remains.running], now)
        self._log.warning(
            f"the extension before this one was killed: invocations lost {lost.invocations}, "
            f"perhaps exported {remains.uncertain.invocations}"
        )

    def configure(self, settings: Settings) -> None:
        """The configuration has been read."""
        self._settings = settings
        self._spool.settings = settings.spool
        if settings.sample.sampler is not None:
            self._backlog.sample(partial(leaves, settings.sample))
        if settings.exporter is None:
            self.can_export = False
            self.no_export_reason = "no_exporter" if settings.enabled else "disabled"

    def fail(self) -> None:
        """Nothing can be exported by this process; the next one may."""
        self.can_export, self.no_export_reason = False, ""

    def accept(self, records: Sequence[Record], now: Instant) -> None:
        """Finished records enter. Metrics count those that are sampled out, too."""
        for record in records:
            stays = self._backlog.accept(record, now)
            if self._pipeline.measure(record) and self._measured_at is None:
                self._measured_at = now
            if stays and isinstance(record, Invocation) and record.failure is not None:
                self._has_failure = True

    def waiting(self, now: Instant, *, has_logs: bool = False) -> Waiting:
        """What there is to export, for the schedule."""
        count, size = len(self._backlog), self._backlog.waiting_bytes
        oldest_age_s = self._backlog.oldest_age_s(now)
        measured_at = self._measured_at if self._sends_metrics else None
        if measured_at is not None:
            oldest_age_s = max(oldest_age_s, now.since(measured_at))
        farewell_s = count * SPOOL_S_PER_RECORD + size * SPOOL_S_PER_BYTE
        if self._prints:
            spooled = self._spool.amount
            farewell_s += (count + spooled.invocations) * PRINT_S_PER_RECORD
            farewell_s += (size + spooled.body_bytes) * PRINT_S_PER_BYTE
        return Waiting(
            count,
            size,
            oldest_age_s,
            self._has_failure,
            has_measures=measured_at is not None,
            has_spooled=not self._spool.is_empty,
            farewell_s=farewell_s,
            has_logs=has_logs,
        )

    def has_room(self, size_bytes: int) -> bool:
        """Whether so much more may wait in memory without pushing anything out."""
        room = self._backlog.waiting_bytes + size_bytes <= MAX_WAITING_BYTES
        return room and len(self._backlog) < MAX_WAITING

    def is_half_full(self, count: int, size_bytes: int) -> bool:
        """Whether, with so many records more, half of what may wait in memory does."""
        of_bytes = 2 * (self._backlog.waiting_bytes + size_bytes) > MAX_WAITING_BYTES
        return of_bytes or 2 * (len(self._backlog) + count) > MAX_WAITING

    @property
    def at_stake(self) -> Amount:
        """What would be gone with this process."""
        ledger = self.ledger
        return Amount(ledger.invocations.waiting, ledger.body_bytes.waiting)

    @property
    def is_exporting(self) -> bool:
        """Whether an export is on its way."""
        return self._is_exporting

    def begin_export(
        self,
        max_count: int,
        flush: FlushSettings,
        now_s: float,
        until_s: float,
        logs: Sequence[LogLine] = (),
    ) -> None:
        """Lend a batch to the worker, and `logs` behind it."""
        batch = self._backlog.lend(max_count, flush.max_bytes)
        self.lent = self._backlog.lent_in_memory
        self._has_failure = False
        self._measured_at = None
        self._is_exporting = True
        self._worker.submit(partial(self._pipeline.export, batch, now_s, until_s, logs))

    def on_exported(self, exported: Exported) -> Settled:
        """An export has come back. The same trouble twice in a row is told once."""
        self._is_exporting = False
        settled = settle(exported, self._backlog)
        self.lent = NOTHING
        if settled.lines and settled.lines != self._last_lines:
            for line in settled.lines:
                self._log.warning(line)
        self._last_lines = settled.lines
        return settled

    def leave(self, reason: str, until_s: float) -> str:
        """The end, for SHUTDOWN's `reason`, by `until_s` (monotonic); the ledger's line.

        What was being exported may have arrived. What is left is spooled, printed where that
        is asked for, or dropped. Nobody comes for the spool after a spindown.
        """
        if self._backlog.is_lent:
            self._backlog.returned(uncertain=self._backlog.lent_count)
        left = self._backlog.take_all()
        if self.no_export_reason:
            for entry in left:
                self.ledger.drop(entry.amount, WAITING, self.no_export_reason)
            return self.ledger.line()
        if not self.has_keys:
            kept = sum((entry.amount for entry in left), self._spool.amount)
            self.ledger.note(SECRET_MISSING, kept.invocations)
        last = reason == SPINDOWN
        for chunk in files_of(left):
            self._leave_behind(chunk, until_s)
        if self._prints:
            self._print_spooled(until_s, last=last)
        return self.ledger.line()

    def _leave_behind(self, chunk: list[Entry], until_s: float) -> None:
        """Whole into the spool, or the log; else without details; else it is dropped."""
        done_s = time.monotonic() + sum(one.weight_bytes for one in chunk) * SPOOL_S_PER_BYTE
        in_time = done_s < until_s
        if in_time and self._backlog.keep(chunk):
            return
        amount = total(entry.amount for entry in chunk)
        if self._prints and self._print([entry.record for entry in chunk], until_s):
            self.ledger.move(amount, WAITING, PRINTED)
            return
        reason = "spool_full" if in_time else "shutdown"
        if not self.has_keys:
            reason = SECRET_MISSING
        left = [self._backlog.strip(entry, reason) for entry in chunk]
        if time.monotonic() < until_s and self._backlog.keep(left):
            return
        self.ledger.drop(total(entry.amount for entry in left), WAITING, reason)

    @property
    def _sends_metrics(self) -> bool:
        return self._settings is not None and self._settings.signals.metrics

    @property
    def _prints(self) -> bool:
        return self._settings is not None and self._settings.fallback == FALLBACK_STDOUT

    def _print_spooled(self, until_s: float, *, last: bool) -> None:
        """All that lies in the spool; where it may still be delivered from there it stays."""
        for stored in self._spool.unprinted():
            if not self._print(stored.records, until_s):
                return
            if last:
                self.ledger.move(stored.amount, SPOOLED, PRINTED)
                self._spool.remove(stored.name)
            else:
                self.ledger.note("printed", stored.amount.invocations)
                self._spool.mark_printed(stored.name)

    def _print(self, records: Sequence[Record], until_s: float) -> bool:
        builder = self._pipeline.builder
        if builder is None:
            return False
        from exporter.adoption import others
        from exporter.otlp_lines import lines_of
        from exporter.passed_lines import passed_lines

        printer = Printer(sys.stdout.fileno(), until_s)
        spans: list[ReadableSpan] = []
        for record in records:
            # One by one: what is left out of a large body takes its time.
            if time.monotonic() >= until_s:
                return False
            spans += builder.spans([record])
        passed = chain.from_iterable(map(others, records))
        for line in chain(lines_of(spans), passed_lines(passed)):
            if not printer.line(line.data):
                return False
            self.ledger.note("printed_cut_bytes", line.cut_bytes)
        return True

    def _lost(self, amount: Amount, reason: str) -> None:
        self.ledger.drop(amount, SPOOLED, reason)
