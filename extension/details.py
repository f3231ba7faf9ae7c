"""What a function says, as values that OTLP can carry: bodies cut, attributes typed; no state."""

from __future__ import annotations

import json

from exporter.record import AttributeValue, ChildSpan, Failure, Payload, encodable
from fifo import messages
from fifo.fields import cut_utf8

MAX_ATTRIBUTES = 128
"""Of one span or event, and values of one list: OpenTelemetry's own default limit. As objects
they take ten times what they did as JSON."""
MAX_INTEGER = 2**63 - 1
"""OTLP's int_value is a signed 64-bit integer."""


def payload(body: messages.Body, max_bytes: int) -> Payload:
    """`body`, of which `max_bytes` are kept; text is cut between characters."""
    binary = body.content_kind == messages.BINARY
    cut = body.data[:max_bytes] if binary else cut_utf8(body.data, max_bytes)
    return Payload(
        cut,
        body.size_bytes,
        body.truncated or len(cut) < len(body.data),
        messages.CONTENT_KINDS[body.content_kind],
    )


def child(message: messages.Span, attributes: dict[str, AttributeValue]) -> ChildSpan:
    """A finished child span."""
    failure = None
    if message.error_type is not None:
        failure = Failure(message.error_type, message.error_message, message.stack_trace)
    return ChildSpan(
        message.span_id,
        message.parent_span_id,
        message.name,
        message.start_unix_ns,
        max(message.end_unix_ns, message.start_unix_ns),
        attributes,
        failure,
    )


def attributes_of(text: str) -> dict[str, AttributeValue] | None:
    """The object in `text`; OpenTelemetry's value types are kept, others become JSON text.

    None for what is no JSON object.
    """
    if not text:
        return {}
    try:
        value = json.loads(text)
        if not isinstance(value, dict):
            return None
        return {encodable(key): _attribute_value(v) for key, v in value.items() if v is not None}
    except (ValueError, RecursionError):
        return None


def _attribute_value(item: object) -> AttributeValue:
    if isinstance(item, str):
        return encodable(item)
    if isinstance(item, bool | float):
        return item
    if isinstance(item, int):
        return item if -MAX_INTEGER <= item <= MAX_INTEGER else str(item)
    if isinstance(item, list) and len(item) <= MAX_ATTRIBUTES:
        texts = [encodable(part) for part in item if isinstance(part, str)]
        if len(texts) == len(item):
            return texts
    return encodable(json.dumps(item, ensure_ascii=False))
