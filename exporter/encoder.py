"""Our own spans as an OTLP request."""

from __future__ import annotations

from collections.abc import Sequence

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import TraceFlags

from fifo.otlp_encoding import SpanEncoder

_encoder = SpanEncoder(TraceFlags.SAMPLED)


def encode(spans: Sequence[ReadableSpan]) -> bytes:
    """An ExportTraceServiceRequest of `spans` as OpenTelemetry's encoder has them, and the trace
    flags, which it leaves out.

    What leaves was sampled, whatever its caller thought of it. Source: OTLP, ``trace.proto``,
    ``Span.flags``, bits 0 to 7. The bytes are those that a function's exporter makes, which costs a
    third of what the library's encoder does.
    """
    return _encoder.encode(spans)


def encoded(spans: Sequence[ReadableSpan]) -> ExportTraceServiceRequest:
    """The same as a message, for who changes it."""
    return ExportTraceServiceRequest.FromString(encode(spans))
