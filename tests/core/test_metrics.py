"""Records to the faas.* metrics."""

from __future__ import annotations

from typing import Any

from google.protobuf.json_format import MessageToDict
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics

from exporter.measures import Measure, measure_of
from exporter.metrics import FaasMetrics
from exporter.record import Environment, Failure, Fate, Invocation, Report, Supplement
from exporter.spans import SpanBuilder
from exporter.values import replace

ENVIRONMENT = Environment("shop", "7", region="eu-west-1")
RETURNED = Invocation(
    ordinal=1,
    request_id="r-1",
    invoked_function_arn="",
    environment=ENVIRONMENT,
    trace_id=bytes(16),
    span_id=bytes(8),
    start_unix_ns=1_000_000_000,
    end_unix_ns=1_250_000_000,
    fate=Fate.RETURNED,
    deadline_unix_ms=0,
    cold_start=True,
)
REPORT = Report(init_duration_ms=80.0, memory_used_mb=64)


def test_a_record_is_measured_once_and_a_late_report_apart() -> None:
    """Whole measures: of a returned, a failed, an unreported invocation, and what came late."""
    failed = replace(
        RETURNED,
        fate=Fate.TIMED_OUT,
        failure=Failure("Sandbox.Timedout"),
        cold_start=None,
        report=REPORT,
    )
    late = Supplement(bytes(16), bytes(8), ENVIRONMENT, 0, report=REPORT)
    assert [
        measure_of(record)
        for record in (
            RETURNED,
            failed,
            replace(RETURNED, fate=Fate.UNREPORTED),
            replace(RETURNED, attributes={"faas.trigger": "http"}),
            replace(RETURNED, attributes={"faas.trigger": "a stranger's"}),
            late,
            replace(late, report=None),
        )
    ] == [
        Measure(ENVIRONMENT, invoked=True, duration_s=0.25, cold_start=True),
        Measure(
            ENVIRONMENT,
            invoked=True,
            duration_s=0.25,
            failed=True,
            timed_out=True,
            init_duration_s=0.08,
            memory_used_bytes=64 * 1024 * 1024,
        ),
        Measure(ENVIRONMENT, invoked=True, cold_start=True),
        Measure(ENVIRONMENT, invoked=True, trigger="http", duration_s=0.25, cold_start=True),
        Measure(ENVIRONMENT, invoked=True, duration_s=0.25, cold_start=True),
        Measure(
            ENVIRONMENT,
            invoked=False,
            trigger=None,
            init_duration_s=0.08,
            memory_used_bytes=64 * 1024 * 1024,
        ),
        None,
    ]


def points(metrics: FaasMetrics) -> dict[str, Any]:
    """Name → (unit, temporality, the values of its one data point)."""
    data = metrics.take()
    assert data is not None
    (resource_metrics,) = MessageToDict(encode_metrics(data))["resourceMetrics"]
    attributes = {one["key"]: one["value"] for one in resource_metrics["resource"]["attributes"]}
    assert attributes["faas.name"] == {"stringValue": "shop"}
    (scope,) = resource_metrics["scopeMetrics"]
    assert scope["scope"] == {"name": "spanpipe", "version": "1"}
    found = {}
    for metric in scope["metrics"]:
        kind = "histogram" if "histogram" in metric else "sum"
        (point,) = metric[kind]["dataPoints"]
        assert point["attributes"] == [{"key": "faas.trigger", "value": {"stringValue": "other"}}]
        values = {name: point[name] for name in ("asInt", "count", "sum") if name in point}
        temporality = metric[kind]["aggregationTemporality"]
        found[metric["name"]] = (metric["unit"], temporality, values)
    return found


def test_each_trigger_has_a_point_of_its_own() -> None:
    """And what came behind the invocation, whose trigger nobody knows, one without."""
    metrics = FaasMetrics(SpanBuilder().resource, "1")
    metrics.add(
        Measure(ENVIRONMENT, invoked=False, trigger=trigger, memory_used_bytes=1)
        for trigger in ("http", "http", None)
    )
    data = metrics.take()
    assert data is not None
    request = MessageToDict(encode_metrics(data))
    (metric,) = request["resourceMetrics"][0]["scopeMetrics"][0]["metrics"]
    assert [
        (point.get("attributes", []), point["count"]) for point in metric["histogram"]["dataPoints"]
    ] == [
        ([{"key": "faas.trigger", "value": {"stringValue": "http"}}], "2"),
        ([], "1"),
    ]


def test_the_metrics_are_the_conventions_and_deltas() -> None:
    """Names, units, temporality and values; what was taken is not told again."""
    metrics = FaasMetrics(SpanBuilder().resource, "1")
    ok = Measure(ENVIRONMENT, invoked=True, duration_s=0.25, cold_start=True)
    bad = Measure(ENVIRONMENT, invoked=True, duration_s=0.75, failed=True, timed_out=True)
    late = Measure(ENVIRONMENT, invoked=False, init_duration_s=0.5, memory_used_bytes=1 << 26)
    metrics.add([ok, bad, late])
    delta = "AGGREGATION_TEMPORALITY_DELTA"
    assert points(metrics) == {
        "faas.invoke_duration": ("s", delta, {"count": "2", "sum": 1.0}),
        "faas.init_duration": ("s", delta, {"count": "1", "sum": 0.5}),
        "faas.mem_usage": ("By", delta, {"count": "1", "sum": float(1 << 26)}),
        "faas.coldstarts": ("{coldstart}", delta, {"asInt": "1"}),
        "faas.errors": ("{error}", delta, {"asInt": "1"}),
        "faas.invocations": ("{invocation}", delta, {"asInt": "1"}),
        "faas.timeouts": ("{timeout}", delta, {"asInt": "1"}),
    }
    assert metrics.take() is None
    metrics.add([ok])
    assert points(metrics)["faas.invocations"] == ("{invocation}", delta, {"asInt": "1"})
