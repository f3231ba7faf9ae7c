"""Log lines on their way: converted and sent, one request at a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from opentelemetry.sdk._logs import ReadableLogRecord

from exporter.delivery import open_sender
from exporter.log_lines import LogLine, SentLogs
from exporter.logs import LogBuilder
from exporter.outcome import MIN_EXPORT_S, Outcome, Verdict
from exporter.redaction import Redactor
from exporter.settings import ExporterSettings
from exporter.signals import LOGS
from exporter.spans import SpanBuilder, spanpipe_version

if TYPE_CHECKING:
    from exporter.keys import KeySource


class LogsExport:
    """For one thread, `abort` apart."""

    def __init__(
        self,
        settings: ExporterSettings,
        builder: SpanBuilder,
        redactor: Redactor,
        source: KeySource | None = None,
    ) -> None:
        self._sender = open_sender(settings, LOGS, source)
        self._builder = LogBuilder(builder.resource, redactor, spanpipe_version())

    def export(
        self, lines: Sequence[LogLine], until_s: float, is_stopped: Callable[[], bool]
    ) -> SentLogs | None:
        """Send `lines` by `until_s` (monotonic), as many as half of the time converts.

        None where it was stopped, or there was no time.
        """
        half_s = (time.monotonic() + until_s) / 2
        records: list[ReadableLogRecord] = []
        done = 0
        for line in lines:
            if is_stopped():
                return None
            if done and time.monotonic() >= half_s:
                break
            done += 1
            try:
                records.append(self._builder.record(line))
            except (ValueError, KeyError, TypeError, RecursionError):
                continue  # it is counted with those that were rejected
        left_s = until_s - time.monotonic()
        if left_s < MIN_EXPORT_S:
            return None
        if not records:
            return SentLogs(done, done)
        outcome = self._sender.send(records, len(records), left_s)
        if is_stopped() and outcome.verdict is Verdict.RETRYABLE:
            return None
        return self._judged(outcome, done, len(records))

    @staticmethod
    def _judged(outcome: Outcome, done: int, sent: int) -> SentLogs:
        bad = done - sent
        if outcome.verdict is Verdict.RETRYABLE:
            return SentLogs(problem=f"logs: {outcome.detail}; kept for the next try")
        if outcome.verdict is Verdict.ACCEPTED:
            return SentLogs(done, bad)
        rejected = outcome.rejected_count if outcome.verdict is Verdict.PARTIAL else sent
        problem = f"logs: {outcome.detail}; lines dropped: {rejected}"
        return SentLogs(done, bad + rejected, problem)

    def abort(self) -> None:
        """End the request in flight."""
        self._sender.abort()
