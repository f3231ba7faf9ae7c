"""What differs between OpenTelemetry's signals on the wire; each imported when it is asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from exporter.settings import ExporterSettings
from exporter.values import dataclass

TRACES = "traces"
METRICS = "metrics"
LOGS = "logs"


@dataclass(frozen=True, slots=True)
class HttpSignal:
    """`encode` makes the request's message, `exporter` is the library's class, `answer` the
    response's message."""

    encode: Callable[[Any], Any]
    exporter: Callable[..., Any]
    answer: Any
    rejected: str
    unit: str


@dataclass(frozen=True, slots=True)
class GrpcSignal:
    """`encode` makes the request's message, `stub` the service's."""

    encode: Callable[[Any], Any]
    stub: Callable[[Any], Any]
    rejected: str
    unit: str


def http_signal(signal: str) -> HttpSignal:
    """For OTLP/HTTP."""
    if signal == METRICS:
        from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
        from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
            ExportMetricsServiceResponse,
        )

        return HttpSignal(
            encode_metrics,
            OTLPMetricExporter,
            ExportMetricsServiceResponse,
            "rejected_data_points",
            "data points",
        )
    if signal == LOGS:
        from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
        from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
        from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
            ExportLogsServiceResponse,
        )

        return HttpSignal(
            encode_logs,
            OTLPLogExporter,
            ExportLogsServiceResponse,
            "rejected_log_records",
            "log records",
        )
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

    from exporter.encoder import encoded

    return HttpSignal(
        encoded, OTLPSpanExporter, ExportTraceServiceResponse, "rejected_spans", "spans"
    )


def grpc_signal(signal: str) -> GrpcSignal:
    """For OTLP/gRPC."""
    if signal == METRICS:
        from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
        from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2_grpc import (
            MetricsServiceStub,
        )

        return GrpcSignal(encode_metrics, MetricsServiceStub, "rejected_data_points", "data points")
    if signal == LOGS:
        from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
        from opentelemetry.proto.collector.logs.v1.logs_service_pb2_grpc import LogsServiceStub

        return GrpcSignal(encode_logs, LogsServiceStub, "rejected_log_records", "log records")
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import TraceServiceStub

    from exporter.encoder import encoded

    return GrpcSignal(encoded, TraceServiceStub, "rejected_spans", "spans")


def endpoint_of(settings: ExporterSettings, signal: str) -> str:
    """Where `signal` goes."""
    return settings.endpoints.get(signal, settings.endpoint)
