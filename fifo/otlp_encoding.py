"""An SDK's finished spans as OTLP: bytes out, no I/O, no protobuf library in the function.

What the SDK's own encoder writes, in a fifth of its time: that hashes the resource for each span
by a dump of it as JSON, and makes a message of every value. Here the resource and the scope are
encoded once and kept, and a span is joined from parts. Source: protobuf's "Encoding";
``opentelemetry/proto/trace/v1/trace.proto``, ``common.proto`` and ``resource.proto`` 1.
"""

import logging
import struct
from collections.abc import Mapping, Sequence

from fifo.otlp_fields import ONE_BYTE, message, varint

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    # Of the SDK, which is the function's: nothing here imports it.
    Event = Any
    InstrumentationScope = Any
    Link = Any
    ReadableSpan = Any
    Resource = Any
    SpanContext = Any

MAX_KEPT = 64
"""Resources and scopes of which the bytes are kept. A tracer that is made anew for each
invocation has a scope of its own each time."""
MAX_KEYS = 1_024
"""Attribute names of which the bytes are kept; and whole attributes, most of which come again
and again, as ``db.system``."""
LARGE_BYTES = 65_536
"""A span of so many is joined with the others alone: a copy of it costs more than its parts do."""
MAX_KEPT_TEXT = 64
"""Characters of an attribute that is kept."""

_IS_REMOTE_IS_KNOWN = 0x100
_IS_REMOTE = 0x200
"""SpanFlags, as the SDK's own encoder sets them."""
_MIN_INTEGER, _MAX_INTEGER = -(2**63), 2**63 - 1
_TRUE, _FALSE = b"\x12\x02\x10\x01", b"\x12\x02\x10\x00"
"""As the value of an attribute."""

# A field's tag: its number × 8, and 0 for a varint, 1 for 8 bytes, 2 for a length, 5 for 4 bytes.
_TIMES = struct.Struct("<BQBQ").pack  # Span: 7 and 8
_EVENT_TIME = struct.Struct("<BQ").pack  # Event: 1
_DOUBLE = struct.Struct("<Bd").pack  # AnyValue: 4
_SPAN_FLAGS = struct.Struct("<BBI").pack  # Span: 16, whose tag has two bytes
_LINK_FLAGS = struct.Struct("<BI").pack  # Link: 6

_logger = logging.getLogger(__name__)


class SpanEncoder:
    """Spans to bytes; keeps what stays the same from call to call. Threads may share it.

    `trace_flags` are set in each span: the SDK's own encoder leaves them out.
    """

    __slots__ = (
        "_keys",
        "_local_parent",
        "_names",
        "_pairs",
        "_remote_parent",
        "_resources",
        "_scopes",
    )

    def __init__(self, trace_flags: int = 0) -> None:
        known = _IS_REMOTE_IS_KNOWN | trace_flags
        self._local_parent = _SPAN_FLAGS(0x85, 0x01, known)
        self._remote_parent = _SPAN_FLAGS(0x85, 0x01, known | _IS_REMOTE)
        # By identity, since to hash a resource costs more than to encode a span; the object is
        # kept beside the bytes, so that its identity is not another's.
        self._resources: dict[int, tuple[object, bytes]] = {}
        self._scopes: dict[int, tuple[object, bytes]] = {}
        self._keys: dict[str, bytes] = {}
        self._names: dict[str, bytes] = {}
        self._pairs: dict[tuple[bytes, str, str], bytes] = {}

    def encode(self, spans: "Iterable[ReadableSpan]") -> bytes:
        """An ExportTraceServiceRequest of `spans`, grouped by resource and scope.

        An attribute that OTLP cannot carry is left out, and logged, as by the SDK's encoder.
        Raises what a span raises that is none, or has a name that is no UTF-8.
        """
        groups: dict[bytes, dict[bytes, list[bytes]]] = {}
        of_resource: object = None
        of_scope: object = None
        group: list[bytes] = []
        for span in spans:
            resource, scope = span.resource, span.instrumentation_scope
            # As a rule those of the span before.
            if resource is not of_resource or scope is not of_scope:
                of_resource, of_scope = resource, scope
                scopes = groups.setdefault(
                    self._kept(self._resources, resource, self._resource), {}
                )
                group = scopes.setdefault(self._kept(self._scopes, scope, self._scope), [])
            encoded = self._span(span)
            size = sum(map(len, encoded))
            if size < LARGE_BYTES:
                encoded = [b"".join(encoded)]
            group += b"\x12", varint(size), *encoded
        # Joined once, for the same reason as in `_text_pair`.
        parts: list[bytes] = []
        for resource, found in groups.items():
            inner = [resource]
            for scope, spans_of_scope in found.items():
                size = len(scope) + sum(map(len, spans_of_scope))
                inner += b"\x12", varint(size), scope, *spans_of_scope
            parts += b"\x0a", varint(sum(map(len, inner))), *inner
        return b"".join(parts)

    @staticmethod
    def _kept(
        kept: "dict[int, tuple[object, bytes]]", one: object, encode: "Callable[[Any], bytes]"
    ) -> bytes:
        found = kept.get(id(one))
        if found is None:
            if len(kept) >= MAX_KEPT:
                kept.clear()
            found = kept[id(one)] = (one, encode(one))
        return found[1]

    def _resource(self, resource: "Resource") -> bytes:
        """ResourceSpans without the spans."""
        attributes = b"".join(self._attributes(b"\x0a", resource.attributes))
        return message(b"\x0a", attributes) + _text(b"\x1a", resource.schema_url)

    def _scope(self, scope: "InstrumentationScope | None") -> bytes:
        """ScopeSpans without the spans."""
        if scope is None:
            return message(b"\x0a", b"")
        attributes = b"".join(self._attributes(b"\x1a", scope.attributes))
        named = _text(b"\x0a", scope.name) + _text(b"\x12", scope.version)
        return message(b"\x0a", named + attributes) + _text(b"\x1a", scope.schema_url)

    def _span(self, span: "ReadableSpan") -> "list[bytes]":
        context, parent, status = span.context, span.parent, span.status
        parts = [
            b"\x0a\x10",
            context.trace_id.to_bytes(16, "big"),
            b"\x12\x08",
            context.span_id.to_bytes(8, "big"),
            _kept_text(self._names, b"\x2a", span.name),
            b"\x30",
            # `_value_` is Enum's own name for it; `value` costs a call.
            ONE_BYTE[span.kind._value_ + 1],
            _TIMES(0x39, span.start_time or 0, 0x41, span.end_time or 0),
        ]
        if context.trace_state:
            state = ",".join([f"{key}={value}" for key, value in context.trace_state.items()])
            parts.append(_text(b"\x1a", state))
        if parent:
            parts += b"\x22\x08", parent.span_id.to_bytes(8, "big")
        attributes = getattr(span, "_attributes", None)
        parts += self._attributes(b"\x4a", span.attributes if attributes is None else attributes)
        if span.dropped_attributes:
            parts += b"\x50", varint(span.dropped_attributes)
        # The SDK copies its lists for whoever asks; most are empty, which they tell at once.
        if getattr(span, "_events", True):
            parts += [message(b"\x5a", self._event(event)) for event in span.events]
        if span.dropped_events:
            parts += b"\x60", varint(span.dropped_events)
        if getattr(span, "_links", True):
            parts += [message(b"\x6a", self._link(link)) for link in span.links]
        if span.dropped_links:
            parts += b"\x70", varint(span.dropped_links)
        if status is not None:
            number = status.status_code._value_
            if number or status.description:
                code = b"\x18" + ONE_BYTE[number] if number else b""
                parts.append(message(b"\x7a", _text(b"\x12", status.description) + code))
            else:
                parts.append(b"\x7a\x00")
        remote = parent is not None and parent.is_remote
        parts.append(self._remote_parent if remote else self._local_parent)
        return parts

    def _event(self, event: "Event") -> bytes:
        parts = [_EVENT_TIME(0x09, event.timestamp or 0), _text(b"\x12", event.name)]
        parts += self._attributes(b"\x1a", event.attributes)
        if event.dropped_attributes:
            parts += b"\x20", varint(event.dropped_attributes)
        return b"".join(parts)

    def _link(self, link: "Link") -> bytes:
        context = link.context
        parts = [
            b"\x0a\x10",
            context.trace_id.to_bytes(16, "big"),
            b"\x12\x08",
            context.span_id.to_bytes(8, "big"),
        ]
        parts += self._attributes(b"\x22", link.attributes)
        if link.dropped_attributes:
            parts += b"\x28", varint(link.dropped_attributes)
        parts.append(_LINK_FLAGS(0x35, _flags(context)))
        return b"".join(parts)

    def _attributes(self, tag: bytes, attributes: "Mapping[str, Any] | None") -> "list[bytes]":
        """The parts of a KeyValue under `tag` for each."""
        encoded: list[bytes] = []
        for key, value in _pairs_of(attributes) if attributes else ():
            try:
                kind = type(value)
                if kind is str:
                    if len(value) > MAX_KEPT_TEXT:
                        encoded += self._text_pair(tag, key, value)
                    else:
                        pair = self._pairs.get((tag, key, value))
                        encoded.append(self._kept_pair(tag, key, value) if pair is None else pair)
                elif kind is bool:
                    encoded.append(message(tag, self._key(key) + (_TRUE if value else _FALSE)))
                elif kind is int and 0 <= value <= _MAX_INTEGER:
                    number = varint(value)
                    field = b"\x12" + ONE_BYTE[1 + len(number)] + b"\x18" + number
                    encoded.append(message(tag, self._key(key) + field))
                else:
                    encoded.append(message(tag, self._key(key) + _any_value(b"\x12", value)))
            except Exception as error:  # noqa: BLE001 - the others of them are as good as before
                _logger.warning("the attribute %r is left out: %s", key, error)
        return encoded

    def _kept_pair(self, tag: bytes, key: str, value: str) -> bytes:
        encoded = b"".join(self._text_pair(tag, key, value))
        if len(self._pairs) >= MAX_KEYS:
            self._pairs.clear()
        self._pairs[tag, key, value] = encoded
        return encoded

    def _text_pair(self, tag: bytes, key: str, value: str) -> tuple[bytes, bytes]:
        """In two parts, so that a large text is not copied for each message around it."""
        data = value.encode()
        size = len(data)
        head = b"\x0a" + varint(size)
        head = self._key(key) + b"\x12" + varint(len(head) + size) + head
        return tag + varint(len(head) + size) + head, data

    def _key(self, key: str) -> bytes:
        return _kept_text(self._keys, b"\x0a", key)


def _kept_text(kept: "dict[str, bytes]", tag: bytes, text: str) -> bytes:
    """`text` under `tag`; a short one is kept, since it comes again and again."""
    field = kept.get(text)
    if field is None:
        field = _text(tag, text)
        if len(kept) < MAX_KEYS and len(text) <= MAX_KEPT_TEXT:
            kept[text] = field
    return field


def _pairs_of(attributes: "Mapping[str, Any]") -> "Iterable[tuple[str, Any]]":
    """Its items; the SDK's own mapping takes a lock for each, so its dictionary is copied."""
    if type(attributes) is dict:
        return attributes.items()
    inner = getattr(attributes, "_dict", None)
    if isinstance(inner, dict):
        return inner.copy().items()
    return attributes.items()


def _any_value(tag: bytes, value: "Any") -> bytes:
    """An AnyValue under `tag`; raises ValueError or TypeError where it cannot be one."""
    if isinstance(value, str):
        data = value.encode()
        encoded = b"\x0a" + varint(len(data)) + data
    elif value is None:
        encoded = b""
    elif isinstance(value, bool):
        encoded = b"\x10\x01" if value else b"\x10\x00"
    elif isinstance(value, int):
        if not _MIN_INTEGER <= value <= _MAX_INTEGER:
            raise ValueError(f"{value} has more than 64 bits")
        encoded = b"\x18" + varint(value & 0xFFFF_FFFF_FFFF_FFFF)
    elif isinstance(value, float):
        encoded = _DOUBLE(0x21, value)
    elif isinstance(value, bytes):
        encoded = message(b"\x3a", value)
    elif isinstance(value, Sequence):
        encoded = message(b"\x2a", b"".join([_any_value(b"\x0a", one) for one in value]))
    elif isinstance(value, Mapping):
        pairs = [
            message(b"\x0a", _text(b"\x0a", str(key)) + _any_value(b"\x12", one))
            for key, one in value.items()
        ]
        encoded = message(b"\x32", b"".join(pairs))
    else:
        raise TypeError(f"{type(value).__name__} is no type of OTLP's")
    return message(tag, encoded)


def _text(tag: bytes, text: "str | None") -> bytes:
    return message(tag, text.encode()) if text else b""


def _flags(context: "SpanContext | None") -> int:
    remote = context is not None and context.is_remote
    return _IS_REMOTE_IS_KNOWN | _IS_REMOTE if remote else _IS_REMOTE_IS_KNOWN
