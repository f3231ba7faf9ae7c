"""Our own spans as an OTLP request."""

from __future__ import annotations

from collections.abc import Sequence

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import TraceFlags


def encoded(spans: Sequence[ReadableSpan]) -> ExportTraceServiceRequest:
    """`spans` as OpenTelemetry's encoder has them, and the trace flags, which it leaves out.

    What leaves was sampled, whatever its caller thought of it. Source: OTLP, ``trace.proto``,
    ``Span.flags``, bits 0 to 7.
    """
    request = encode_spans(spans)
    for of_resource in request.resource_spans:
        for of_scope in of_resource.scope_spans:
            for span in of_scope.spans:
                span.flags |= TraceFlags.SAMPLED
    return request
