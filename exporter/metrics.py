"""The ``faas.*`` metrics from measures: the SDK aggregates, with delta temporality.

Source: OpenTelemetry semantic conventions 1.44, "FaaS metrics". Delta, since an environment
that comes and goes has no total to keep.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from opentelemetry.sdk.metrics import Counter, Histogram, MeterProvider
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    InMemoryMetricReader,
    MetricsData,
)
from opentelemetry.sdk.metrics.view import ExplicitBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource

from exporter import attributes as names
from exporter.measures import Measure
from exporter.record import Environment
from exporter.values import replace

SECONDS_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
"""The conventions' advice for durations."""
BYTES_BUCKETS = tuple(float(2**power) for power in range(24, 35))
"""16 MiB to 16 GiB: a function has 128 MiB to 10 GiB."""


class FaasMetrics:
    """Takes measures, gives their sums since it was last asked."""

    def __init__(self, resource_of: Callable[[Environment], Resource], version: str) -> None:
        self._resource_of = resource_of
        self._environment: Environment | None = None
        self._reader = InMemoryMetricReader(
            preferred_temporality={
                Counter: AggregationTemporality.DELTA,
                Histogram: AggregationTemporality.DELTA,
            }
        )
        self._provider = MeterProvider(
            metric_readers=[self._reader],
            views=[
                View(
                    instrument_name=name,
                    aggregation=ExplicitBucketHistogramAggregation(boundaries=buckets),
                )
                for name, buckets in (
                    (names.INVOKE_DURATION, SECONDS_BUCKETS),
                    (names.INIT_DURATION, SECONDS_BUCKETS),
                    (names.MEM_USAGE, BYTES_BUCKETS),
                )
            ],
            shutdown_on_exit=False,
        )
        meter = self._provider.get_meter("spanpipe", version)
        self._invoke_duration = meter.create_histogram(names.INVOKE_DURATION, "s")
        self._init_duration = meter.create_histogram(names.INIT_DURATION, "s")
        self._mem_usage = meter.create_histogram(names.MEM_USAGE, "By")
        self._coldstarts = meter.create_counter(names.COLDSTARTS, "{coldstart}")
        self._errors = meter.create_counter(names.ERRORS, "{error}")
        self._invocations = meter.create_counter(names.INVOCATIONS, "{invocation}")
        self._timeouts = meter.create_counter(names.TIMEOUTS, "{timeout}")

    def add(self, measures: Iterable[Measure]) -> None:
        """Count `measures`."""
        for one in measures:
            self._environment = one.environment
            attributes = {} if one.trigger is None else {names.FAAS_TRIGGER: one.trigger}
            if one.invoked:
                self._count(one, attributes)
            if one.init_duration_s is not None:
                self._init_duration.record(one.init_duration_s, attributes)
            if one.memory_used_bytes is not None:
                self._mem_usage.record(one.memory_used_bytes, attributes)

    def take(self) -> MetricsData | None:
        """What was counted since the last call; None where nothing was."""
        data = self._reader.get_metrics_data()
        if data is None or self._environment is None or not data.resource_metrics:
            return None
        # The function's log stream is learned from its first START, after the SDK's resource.
        resource = self._resource_of(self._environment)
        return MetricsData([replace(one, resource=resource) for one in data.resource_metrics])

    def _count(self, one: Measure, attributes: dict[str, str]) -> None:
        if one.duration_s is not None:
            self._invoke_duration.record(one.duration_s, attributes)
        if one.cold_start:
            self._coldstarts.add(1, attributes)
        if one.timed_out:
            self._timeouts.add(1, attributes)
        if one.failed:
            self._errors.add(1, attributes)
        else:
            # The conventions count successful ones here.
            self._invocations.add(1, attributes)
