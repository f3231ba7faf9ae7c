"""Spans as OTLP's JSON text, directly: the same values as `otlp_json.to_value(encoded(…))`.

The way through protobuf takes over ten times as long, and this one is for the last second of an
environment's life. A lone surrogate stays in the text, for whoever encodes it. Source: OTLP
specification 1.x, "JSON Protobuf Encoding", and protobuf's JSON mapping: 64-bit integers and
NaN are strings, bytes are base64, what has its default is left out.
"""

from __future__ import annotations

import base64
import logging
import math
from collections.abc import Mapping, Sequence
from json.encoder import encode_basestring
from typing import Any

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, TraceFlags

_KINDS = {
    SpanKind.INTERNAL: 1,
    SpanKind.SERVER: 2,
    SpanKind.CLIENT: 3,
    SpanKind.PRODUCER: 4,
    SpanKind.CONSUMER: 5,
}
"""``Span.SpanKind`` of OTLP; the API's own numbers begin at 0."""
_HAS_IS_REMOTE = 0x100
_IS_REMOTE = 0x200
"""``SpanFlags`` of OTLP."""
_INT64_LIMIT = 2**63

_log = logging.getLogger(__name__)

quoted = encode_basestring
"""A text as a JSON string, its characters unescaped where JSON allows it."""


class UnknownValueError(Exception):
    """A value that no attribute of OTLP can hold; `value` is it."""

    def __init__(self, value: object) -> None:
        super().__init__(f"no OTLP attribute can hold {type(value).__name__}")
        self.value = value


def span_text(span: ReadableSpan) -> str:
    """One ``Span`` as a JSON object. Attributes of unknown types are left out, as the library's
    encoder leaves them out."""
    context: Any = span.get_span_context()
    parts = [
        f'{{"traceId":"{context.trace_id:032x}","spanId":"{context.span_id:016x}"',
        _trace_state(context),
    ]
    if span.parent:
        parts.append(f',"parentSpanId":"{span.parent.span_id:016x}"')
    # What leaves was sampled: `exporter.encoder`.
    parts.append(f',"flags":{_flags(span.parent) | TraceFlags.SAMPLED}')
    if span.name:
        parts.append(f',"name":{quoted(span.name)}')
    parts.append(f',"kind":{_KINDS[span.kind]}')
    if span.start_time:
        parts.append(f',"startTimeUnixNano":"{span.start_time}"')
    if span.end_time:
        parts.append(f',"endTimeUnixNano":"{span.end_time}"')
    parts.append(_attributes(span.attributes))
    parts.append(_count("Attributes", span.dropped_attributes))
    if span.events:
        parts.append(f',"events":[{",".join(map(_event, span.events))}]')
    parts.append(_count("Events", span.dropped_events))
    if span.links:
        parts.append(f',"links":[{",".join(map(_link, span.links))}]')
    parts.append(_count("Links", span.dropped_links))
    if span.status is not None:
        parts.append(f',"status":{_status(span.status)}')
    parts.append("}")
    return "".join(parts)


def resource_text(resource: Resource) -> str:
    """One ``Resource`` as a JSON object, without its schema's URL."""
    return _object(_attributes(resource.attributes))


def scope_text(scope: InstrumentationScope | None) -> str:
    """One ``InstrumentationScope`` as a JSON object, without its schema's URL."""
    if scope is None:
        return "{}"
    name = f',"name":{quoted(scope.name)}' if scope.name else ""
    version = f',"version":{quoted(scope.version)}' if scope.version else ""
    return _object(name + version + _attributes(scope.attributes))


def _object(members: str) -> str:
    return f"{{{members[1:]}}}"


def _attributes(attributes: Mapping[str, Any] | None) -> str:
    if not attributes:
        return ""
    members = []
    for key, value in attributes.items():
        try:
            members.append(_key_value(key, value))
        except (UnknownValueError, TypeError) as error:
            _log.debug("attribute %r left out: %s", key, error)
    return f',"attributes":[{",".join(members)}]' if members else ""


def _key_value(key: str, value: Any) -> str:
    if key:
        return f'{{"key":{quoted(key)},"value":{_value(value)}}}'
    return f'{{"value":{_value(value)}}}'


def _value(value: Any) -> str:
    if isinstance(value, str):
        return f'{{"stringValue":{quoted(value)}}}'
    if isinstance(value, bool):
        return f'{{"boolValue":{"true" if value else "false"}}}'
    if isinstance(value, int):
        if not -_INT64_LIMIT <= value < _INT64_LIMIT:
            raise UnknownValueError(value)
        return f'{{"intValue":"{value}"}}'
    if isinstance(value, float):
        return f'{{"doubleValue":{_double(value)}}}'
    if value is None:
        return "{}"
    return _rare_value(value)


def _rare_value(value: Any) -> str:
    if isinstance(value, bytes):
        return f'{{"bytesValue":"{base64.b64encode(value).decode("ascii")}"}}'
    if isinstance(value, Sequence):
        return f'{{"arrayValue":{_values(list(map(_value, value)))}}}'
    if isinstance(value, Mapping):
        members = [_key_value(str(key), item) for key, item in value.items()]
        return f'{{"kvlistValue":{_values(members)}}}'
    raise UnknownValueError(value)


def _values(members: list[str]) -> str:
    return f'{{"values":[{",".join(members)}]}}' if members else "{}"


def _double(value: float) -> str:
    if math.isfinite(value):
        return repr(float(value))
    if math.isnan(value):
        return '"NaN"'
    return '"Infinity"' if value > 0 else '"-Infinity"'


def _event(event: Event) -> str:
    time = f',"timeUnixNano":"{event.timestamp}"' if event.timestamp else ""
    name = f',"name":{quoted(event.name)}' if event.name else ""
    dropped = _count("Attributes", event.dropped_attributes)
    return _object(time + name + _attributes(event.attributes) + dropped)


def _link(link: Link) -> str:
    context = link.context
    return (
        f'{{"traceId":"{context.trace_id:032x}","spanId":"{context.span_id:016x}"'
        f"{_attributes(link.attributes)}{_count('Attributes', link.dropped_attributes)}"
        f',"flags":{_flags(context)}}}'
    )


def _status(status: Status) -> str:
    message = f',"message":{quoted(status.description)}' if status.description else ""
    code = f',"code":{status.status_code.value}' if status.status_code.value else ""
    return _object(message + code)


def _trace_state(context: SpanContext) -> str:
    if not context.trace_state:
        return ""
    pairs = ",".join(f"{key}={value}" for key, value in context.trace_state.items())
    return f',"traceState":{quoted(pairs)}'


def _flags(context: SpanContext | None) -> int:
    return _HAS_IS_REMOTE | _IS_REMOTE if context and context.is_remote else _HAS_IS_REMOTE


def _count(what: str, count: int) -> str:
    return f',"dropped{what}Count":{count}' if count else ""
