"""OTLP's JSON form, one line a request (OTLP specification 1.x, "JSON Protobuf Encoding").

It differs from protobuf's own JSON mapping in one thing that matters here: trace and span
IDs are lower-case hex, not base64. Enum values are numbers.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
        ExportTraceServiceRequest,
    )

_ID_BYTES = {"traceId": 16, "spanId": 8, "parentSpanId": 8}


class OtlpJsonError(ValueError):
    """A value that is no trace request; the message says what of it."""


def to_value(request: ExportTraceServiceRequest) -> dict[str, Any]:
    """The request as JSON's values."""
    from google.protobuf.json_format import MessageToDict

    value: dict[str, Any] = MessageToDict(request, use_integers_for_enums=True)
    _change_ids(value, lambda text, _: base64.b64decode(text).hex())
    return value


def to_json(request: ExportTraceServiceRequest) -> str:
    """The request in one line, without the newline."""
    return json.dumps(to_value(request), ensure_ascii=False, separators=(",", ":"))


def from_value(value: dict[str, Any]) -> ExportTraceServiceRequest:
    """The request that JSON's values are; `value`'s IDs are changed. Raises OtlpJsonError.

    Unknown fields are ignored, as the specification asks. IDs may be base64 too, as protobuf's
    own mapping writes them; a span without a valid one is no span.
    """
    from google.protobuf.json_format import ParseDict, ParseError
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    try:
        _change_ids(value, _base64_id)
        request = ParseDict(value, ExportTraceServiceRequest(), ignore_unknown_fields=True)
    except OtlpJsonError:
        raise
    except (ParseError, AttributeError, TypeError, ValueError, RecursionError) as error:
        raise OtlpJsonError(str(error) or type(error).__name__) from error
    for resource_spans in request.resource_spans:
        for scope_spans in resource_spans.scope_spans:
            for span in scope_spans.spans:
                if not any(span.trace_id) or not any(span.span_id):
                    raise OtlpJsonError("a span has no ID")
    return request


def _change_ids(value: dict[str, Any], change: Callable[[str, int], str]) -> None:
    for resource_spans in value.get("resourceSpans", ()):
        for scope_spans in resource_spans.get("scopeSpans", ()):
            for span in scope_spans.get("spans", ()):
                for holder in (span, *span.get("links", ())):
                    for key, byte_count in _ID_BYTES.items():
                        if holder.get(key):
                            holder[key] = change(holder[key], byte_count)


def _base64_id(text: str, byte_count: int) -> str:
    """`text`, hex or base64, as base64. Their lengths tell them apart."""
    try:
        if len(text) == 2 * byte_count:
            return base64.b64encode(bytes.fromhex(text)).decode("ascii")
        if len(base64.b64decode(text, validate=True)) == byte_count:
            return text
    except (ValueError, binascii.Error):
        pass
    raise OtlpJsonError(f"{text[:64]!r} is no ID of {byte_count} bytes")
