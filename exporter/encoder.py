"""Our own spans as an OTLP request."""

from __future__ import annotations

from collections.abc import Sequence

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import TraceFlags

from exporter import attributes as names
from fifo.otlp_encoding import SpanEncoder

MANY_CHARACTERS = 262_144
"""Of captured bodies in one request: from there on copying them costs more than objects do."""

_encoder = SpanEncoder(TraceFlags.SAMPLED)


def encoded(spans: Sequence[ReadableSpan]) -> ExportTraceServiceRequest:
    """`spans` as OpenTelemetry's encoder has them, and the trace flags, which it leaves out.

    What leaves was sampled, whatever its caller thought of it. Source: OTLP, ``trace.proto``,
    ``Span.flags``, bits 0 to 7. The bytes are those that a function's exporter makes, which costs a
    third of what the library's encoder does; but each message around a text is a copy of it, so
    large bodies are the library's.
    """
    if _characters(spans) <= MANY_CHARACTERS:
        return ExportTraceServiceRequest.FromString(_encoder.encode(spans))
    request = encode_spans(spans)
    for of_resource in request.resource_spans:
        for of_scope in of_resource.scope_spans:
            for span in of_scope.spans:
                span.flags |= TraceFlags.SAMPLED
    return request


def _characters(spans: Sequence[ReadableSpan]) -> int:
    """Of the captured bodies."""
    count = 0
    for span in spans:
        attributes = span.attributes or {}
        for body in (names.RESULT.body, names.REQUEST.body):
            count += len(str(attributes.get(body, "")))
    return count
