"""OTLP's JSON form, written: one line a request (OTLP specification 1.x, "JSON Protobuf Encoding").

It differs from protobuf's own JSON mapping in one thing that matters here: trace and span
IDs are lower-case hex, not base64. Enum values are numbers.
"""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
        ExportTraceServiceRequest,
    )

_IDS = ("traceId", "spanId", "parentSpanId")


def to_value(request: ExportTraceServiceRequest) -> dict[str, Any]:
    """The request as JSON's values."""
    from google.protobuf.json_format import MessageToDict

    value: dict[str, Any] = MessageToDict(request, use_integers_for_enums=True)
    _hex_ids(value)
    return value


def to_json(request: ExportTraceServiceRequest) -> str:
    """The request in one line, without the newline."""
    return json.dumps(to_value(request), ensure_ascii=False, separators=(",", ":"))


def _hex_ids(value: dict[str, Any]) -> None:
    for resource_spans in value.get("resourceSpans", ()):
        for scope_spans in resource_spans.get("scopeSpans", ()):
            for span in scope_spans.get("spans", ()):
                for holder in (span, *span.get("links", ())):
                    for key in _IDS:
                        if key in holder:
                            holder[key] = base64.b64decode(holder[key]).hex()
