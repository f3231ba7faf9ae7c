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
class Signal:
    """`encode` makes the request's bytes, `answer` is the response's message."""

    encode: Callable[[Any], bytes]
    answer: Any
    rejected: str
    unit: str

    @property
    def grpc_method(self) -> str:
        """Of the only service beside the message."""
        (service,) = self.answer.DESCRIPTOR.file.services_by_name.values()
        return f"/{service.full_name}/Export"


def signal_of(signal: str) -> Signal:
    """For both protocols."""
    if signal == METRICS:
        from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
        from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
            ExportMetricsServiceResponse,
        )

        return Signal(
            _serialized(encode_metrics),
            ExportMetricsServiceResponse,
            "rejected_data_points",
            "data points",
        )
    if signal == LOGS:
        from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
        from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
            ExportLogsServiceResponse,
        )

        return Signal(
            _serialized(encode_logs),
            ExportLogsServiceResponse,
            "rejected_log_records",
            "log records",
        )
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

    from exporter.encoder import encode

    return Signal(encode, ExportTraceServiceResponse, "rejected_spans", "spans")


def http_exporter(signal: str) -> Callable[..., Any]:
    """The library's class for OTLP/HTTP."""
    if signal == METRICS:
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter

        return OTLPMetricExporter
    if signal == LOGS:
        from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter

        return OTLPLogExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return OTLPSpanExporter


def _serialized(encode: Callable[[Any], Any]) -> Callable[[Any], bytes]:
    return lambda items: encode(items).SerializeToString()


def endpoint_of(settings: ExporterSettings, signal: str) -> str:
    """Where `signal` goes."""
    return settings.endpoints.get(signal, settings.endpoint)
