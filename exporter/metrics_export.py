"""Metrics on their way: aggregated, sent, and kept while the collector does not take them."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

from exporter.delivery import open_sender
from exporter.measures import Measure
from exporter.metrics import FaasMetrics
from exporter.outcome import MIN_EXPORT_S, Verdict
from exporter.settings import ExporterSettings
from exporter.signals import METRICS
from exporter.spans import SpanBuilder, spanpipe_version

if TYPE_CHECKING:
    from exporter.keys import KeySource

MAX_UNSENT = 16
"""Sums that wait for the collector, of a flush each; the oldest go first, and are counted."""


class MetricsExport:
    """For one thread, `abort` apart. `unsent_count` counts measures that nobody has received."""

    def __init__(
        self, settings: ExporterSettings, builder: SpanBuilder, source: KeySource | None = None
    ) -> None:
        self._sender = open_sender(settings, METRICS, source)
        self._metrics = FaasMetrics(builder.resource, spanpipe_version())
        self._unsent: deque[tuple[object, int]] = deque()
        self._dropped_count = 0

    @property
    def unsent_count(self) -> int:
        """Measures in sums that wait, or were dropped."""
        return self._dropped_count + sum(count for _, count in self._unsent)

    def export(self, measures: Sequence[Measure], until_s: float) -> str:
        """Add `measures` and send what there is by `until_s`; a line for the log, or ""."""
        self._metrics.add(measures)
        data = self._metrics.take()
        if data is not None:
            self._unsent.append((data, len(measures)))
        while len(self._unsent) > MAX_UNSENT:
            self._dropped_count += self._unsent.popleft()[1]
        while self._unsent:
            left_s = until_s - time.monotonic()
            if left_s < MIN_EXPORT_S:
                return ""
            sums, count = self._unsent[0]
            outcome = self._sender.send(sums, count, left_s)
            if outcome.verdict is Verdict.RETRYABLE:
                return f"metrics: {outcome.detail}; kept for the next try"
            self._unsent.popleft()
            if outcome.verdict is not Verdict.ACCEPTED:
                self._dropped_count += count
                return f"metrics: {outcome.detail}; measures dropped: {count}"
        return ""

    def abort(self) -> None:
        """End the request in flight."""
        self._sender.abort()
