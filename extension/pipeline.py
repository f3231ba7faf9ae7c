"""What the worker runs: configuration in, then records to spans to the collector.

Everything slow to import is imported here, in that thread, after the first `/next`.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from exporter.log_lines import LogLine, SentLogs
from exporter.measures import Measure, measure_of
from exporter.record import Record
from exporter.values import dataclass
from extension.settings import FALLBACK_STDOUT, Settings

if TYPE_CHECKING:
    from exporter.batch import BatchExport, Sent
    from exporter.logs_export import LogsExport
    from exporter.metrics_export import MetricsExport
    from exporter.outcome import Sender
    from exporter.spans import SpanBuilder
    from extension.config import LoadedConfig
    from extension.key_delivery import KeyStore


MAX_MEASURES = 8_192
"""Measures that wait for a collector; the oldest go first, and are counted."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """The configuration has been read."""

    config: LoadedConfig


@dataclass(frozen=True, slots=True)
class Prepared:
    """What exporting needs has been imported; `seconds` is how long that took."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Exported:
    """An export has come back. What `sent` does not tell of was not begun.

    `metrics_problem` is a line for the log, "" where metrics have left, None where none were tried.
    `logs` None: none were tried.
    """

    sent: tuple[Sent, ...] = ()
    metrics_problem: str | None = None
    logs: SentLogs | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """Loading or preparing raised: nothing can be exported."""

    error: Exception


@dataclass(frozen=True, slots=True)
class LogsExported:
    """Log lines that were sent beside the function have come back; None: not tried."""

    sent: SentLogs | None


Result = Loaded | Prepared | Exported | Failed


class Pipeline:
    """Tasks for one worker thread, and `abort` for the loop's.

    `keys` is there, once the configuration has been read, where requests need more than it holds.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._settings: Settings | None = None
        self._sender: Sender | None = None
        self._batches: BatchExport | None = None
        self.builder: SpanBuilder | None = None
        self.keys: KeyStore | None = None
        self._metrics: MetricsExport | None = None
        self._logs: LogsExport | None = None
        self._logs_stopped_before_s = float("-inf")
        self._lock = threading.Lock()
        self._aborted_before_s = float("-inf")
        # Before the configuration is read nobody knows whether they are wanted.
        self._measures: deque[Measure] = deque(maxlen=MAX_MEASURES)
        self._lost_measures = 0

    def load(self) -> Result:
        """Read the configuration: file, then environment."""
        from extension.config import load

        config = load(self._environ)
        self._settings = config.settings
        if config.settings.exporter is not None and config.settings.exporter.needs_keys:
            from extension.key_delivery import KeyStore

            self.keys = KeyStore()
        return Loaded(config)

    def prepare(self) -> Result:
        """Import what exporting needs, so that the first export does not wait for it."""
        began_s = time.monotonic()
        settings = self._settings
        if settings is not None and settings.exporter is not None:
            from exporter.batch import BatchExport
            from exporter.delivery import open_sender
            from exporter.redaction import Redactor
            from exporter.spans import SpanBuilder

            redactor = Redactor(settings.redact)
            builder = SpanBuilder(
                settings.service_name,
                settings.resource_attributes,
                platform_spans=settings.signals.platform_spans,
                response=settings.capture.response,
                request=settings.capture.request,
                flat=settings.capture.format == "attributes",
                max_body_bytes=settings.capture.max_body_bytes,
                redactor=redactor,
            )
            sender = open_sender(settings.exporter, source=self.keys)
            if settings.fallback == FALLBACK_STDOUT:
                import exporter.passed_lines  # noqa: F401 - SHUTDOWN has no time for it
            metrics = None
            if settings.signals.metrics:
                from exporter.metrics_export import MetricsExport

                metrics = MetricsExport(settings.exporter, builder, self.keys)
            logs = None
            if settings.signals.logs:
                from exporter.logs_export import LogsExport

                logs = LogsExport(settings.exporter, builder, redactor, self.keys)
            self.builder = builder
            self._batches = BatchExport(sender, builder, settings.limits)
            with self._lock:
                self._sender = sender
                self._metrics = metrics
                self._logs = logs
        return Prepared(time.monotonic() - began_s)

    def export(
        self,
        batch: Sequence[Record],
        asked_s: float,
        until_s: float,
        logs: Sequence[LogLine] = (),
    ) -> Result:
        """Send `batch`, metrics, then `logs`, by `until_s` (monotonic).

        `asked_s` is when the loop asked for it.
        """
        with self._lock:
            batches, aborted = self._batches, asked_s <= self._aborted_before_s
        if batches is None or aborted or time.monotonic() >= until_s:
            return Exported()
        sent = tuple(batches.send(batch, until_s, lambda: asked_s <= self._aborted_before_s))
        problem = self._export_metrics(sent, until_s)
        sent_logs = None
        if logs and all(one.goes_on for one in sent):
            sent_logs = self._export_logs(logs, asked_s, until_s)
        return Exported(sent, problem, sent_logs)

    def export_logs(self, lines: Sequence[LogLine], asked_s: float, until_s: float) -> LogsExported:
        """Send `lines` by `until_s` while nobody waits for it; `stop_logs` ends it."""
        return LogsExported(self._export_logs(lines, asked_s, until_s))

    def _export_logs(
        self, lines: Sequence[LogLine], asked_s: float, until_s: float
    ) -> SentLogs | None:
        if self._logs is None:
            return None
        return self._logs.export(lines, until_s, lambda: asked_s <= self._logs_stopped_before_s)

    def stop_logs(self, now_s: float) -> None:
        """End the sending of logs asked for before `now_s`; from the loop's thread."""
        with self._lock:
            self._logs_stopped_before_s = now_s
            logs = self._logs
        if logs is not None:
            logs.abort()

    def measure(self, record: Record) -> bool:
        """Count `record` in the metrics, if they are wanted; from the loop's thread.

        Whether it has anything that is counted.
        """
        settings = self._settings
        if settings is None or settings.signals.metrics:
            measure = measure_of(record)
            if measure is not None:
                if len(self._measures) == self._measures.maxlen:
                    self._lost_measures += 1
                self._measures.append(measure)
                return True
        return False

    @property
    def unsent_measures(self) -> int:
        """Measures that nobody has received."""
        settings = self._settings
        if settings is None or not settings.signals.metrics:
            return 0
        unsent = self._metrics.unsent_count if self._metrics is not None else 0
        return len(self._measures) + self._lost_measures + unsent

    def _export_metrics(self, sent: Sequence[Sent], until_s: float) -> str | None:
        metrics = self._metrics
        if metrics is None or not all(one.goes_on for one in sent):
            return None
        taken = [self._measures.popleft() for _ in range(len(self._measures))]
        return metrics.export(taken, until_s)

    def abort(self, now_s: float) -> None:
        """End the export in flight and those asked for before `now_s`; from the loop's thread."""
        with self._lock:
            self._aborted_before_s = now_s
            sender, metrics = self._sender, self._metrics
        if sender is not None:
            sender.abort()
        if metrics is not None:
            metrics.abort()

    @staticmethod
    def failed_logs(error: Exception) -> LogsExported:
        """The result of a sending of logs that raised: they are kept for the next try."""
        return LogsExported(SentLogs(problem=f"logs: {type(error).__name__}: {error}"))

    @staticmethod
    def failed(error: Exception) -> Result:
        """The result of a task that raised."""
        return Failed(error)
