"""The function's log lines to the collector: their worker thread, and when they may leave.

Beside the function they leave once `/next` has been asked, by a thread of their own, so that
neither an invocation nor a span waits for one. Where nobody is held (at SHUTDOWN, on Managed
Instances) they ride behind an export's spans.
"""

from __future__ import annotations

import time
from functools import partial

from exporter.log_lines import LogLine, SentLogs
from extension.function_logs import FunctionLogs
from extension.lifecycle import Lifecycle
from extension.log import Log
from extension.pipeline import LogsExported, Pipeline
from extension.settings import Settings
from extension.worker import Worker

TIMEOUT_S = 2.0
"""Of one request that nobody is held for."""


class LogDelivery:
    """`lines` keeps them; `lifecycle` tells whose invocations are open."""

    def __init__(
        self, pipeline: Pipeline, lifecycle: Lifecycle, log: Log, *, managed: bool
    ) -> None:
        self.lines = FunctionLogs(managed=managed)
        self._pipeline = pipeline
        self._lifecycle = lifecycle
        self._log = log
        self._worker: Worker[LogsExported] = Worker(pipeline.failed_logs)
        self._is_wanted = self._is_ready = self._rides = False
        self._last_problem = ""

    def fileno(self) -> int:
        """Readable when a request has come back."""
        return self._worker.fileno()

    def configure(self, settings: Settings) -> None:
        """The configuration has been read."""
        self._is_wanted = settings.signals.logs and settings.exporter is not None
        # Half of it: a record has more around it than its event.
        self.lines.switch(on=self._is_wanted, max_request_bytes=settings.limits.max_bytes // 2)

    def start(self) -> None:
        """What sending needs has been imported."""
        if self._is_wanted:
            self._worker.start()
            self._is_ready = True

    def advance(self) -> None:
        """Take what has come back. The same trouble twice in a row is told once."""
        for result in self._worker.take():
            self.lines.settle(result.sent, time.monotonic())
            problem = result.sent.problem if result.sent is not None else ""
            if problem and problem != self._last_problem:
                self._log.warning(problem)
            self._last_problem = problem

    def send(self, now_s: float) -> None:
        """Once for each invocation, after `/next` has been asked, so that nothing waits for it."""
        if not self._is_ready:
            return
        lines = self._lend(now_s)
        if lines:
            asked_s = time.monotonic()
            self._worker.submit(
                partial(self._pipeline.export_logs, lines, asked_s, now_s + TIMEOUT_S)
            )

    def ride(self, now_s: float) -> list[LogLine]:
        """Those that an export takes along which nobody is held for."""
        lines = self._lend(now_s)
        self._rides = bool(lines)
        return lines

    def on_exported(self, sent: SentLogs | None) -> None:
        """An export has come back; those that rode with it are settled."""
        if self._rides:
            self._rides = False
            self.lines.settle(sent, time.monotonic())

    def abort(self, now_s: float) -> None:
        """The export in flight is given up, and with it those that ride."""
        if self._rides:
            self._pipeline.stop_logs(now_s)

    def leave(self) -> None:
        """SHUTDOWN: what is being sent comes back, and goes with what is sent now."""
        self._pipeline.stop_logs(time.monotonic())
        self.lines.leave()

    def _lend(self, now_s: float) -> list[LogLine]:
        lifecycle = self._lifecycle
        return self.lines.lend(lifecycle.open_request_ids, lifecycle.environment, now_s)
