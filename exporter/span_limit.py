"""Spans made to fit where a collector limits each of them: the longest texts lose their ends.

On protobuf, so that spans of ours and of an SDK are measured and cut alike. Pure. What names a
span and its invocation is never touched.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from exporter import attributes as names
from exporter.batch import Item
from exporter.encoder import encoded
from exporter.fitting import KEPT_ATTRIBUTES, MAX_NAME_BYTES, level, text_bytes
from exporter.record import Passed
from exporter.values import dataclass
from fifo.fields import cut_utf8

_ATTRIBUTE_BYTES = 64
"""What an attribute, an event or a link takes beside its texts, roughly."""
MARK_BYTES = 48
"""For ``spanpipe.result.truncated: true`` where it was not there."""
LENGTHS_BYTES = 16
"""A text that is shorter needs no longer length before it, nor do the messages around it."""
_BODIES = {
    names.RESULT.body: (names.RESULT.truncated, names.RESULT.content_kind),
    names.REQUEST.body: (names.REQUEST.truncated, names.REQUEST.content_kind),
}
_BASE64_UNIT = 4


@dataclass(frozen=True, slots=True)
class SpanCut:
    """What was left out: bytes of captured bodies, of other texts, and details."""

    body_bytes: int = 0
    text_bytes: int = 0
    details: int = 0

    def __add__(self, other: SpanCut) -> SpanCut:
        return SpanCut(
            self.body_bytes + other.body_bytes,
            self.text_bytes + other.text_bytes,
            self.details + other.details,
        )


def limited(items: Sequence[Item], max_span_bytes: int) -> tuple[list[Item], SpanCut | None]:
    """`items` with each span in at most `max_span_bytes` of protobuf, and what that took.

    Those that fit are the same objects, and None where all do. Bytes that are no OTLP stay as
    they are.
    """
    kept: list[Item] = []
    cut: SpanCut | None = None
    for item in items:
        if not _may_be_heavy(item, max_span_bytes):
            kept.append(item)
            continue
        try:
            request = (
                ExportTraceServiceRequest.FromString(item.data)
                if isinstance(item, Passed)
                else encoded([item])
            )
        except Exception:  # noqa: BLE001 - it fails again where it is sent, and is told of there
            kept.append(item)
            continue
        lost = [_fit(span, max_span_bytes) for span in _spans(request)]
        if not any(lost):
            kept.append(item)
            continue
        cut = sum((one for one in lost if one is not None), cut or SpanCut())
        count = item.span_count if isinstance(item, Passed) else 1
        kept.append(Passed(request.SerializeToString(), count))
    return kept, cut


def _may_be_heavy(item: Item, max_span_bytes: int) -> bool:
    """Reckoned, since to encode a span costs as much as to send it."""
    if isinstance(item, Passed):
        return len(item.data) > max_span_bytes
    things = len(item.attributes or ()) + len(item.links or ())
    things += sum(1 + len(event.attributes or ()) for event in item.events)
    return text_bytes(item) + things * _ATTRIBUTE_BYTES > max_span_bytes // 2


def _spans(request: ExportTraceServiceRequest) -> Iterator[Any]:
    for of_resource in request.resource_spans:
        for of_scope in of_resource.scope_spans:
            yield from of_scope.spans


@dataclass(frozen=True, slots=True)
class _Text:
    """`value`'s `field`, in the attribute `name` of `attributes`, as UTF-8 or bytes."""

    value: Any
    field: str
    name: str
    attributes: Any
    data: bytes

    def shorten(self, size_bytes: int) -> int:
        """Cut it to `size_bytes` at most; how many bytes that took."""
        if len(self.data) <= size_bytes:
            return 0
        kept = self.data[:size_bytes]
        if self.name in _BODIES:
            truncated, kind = _BODIES[self.name]
            if _has(self.attributes, kind, "binary"):
                kept = kept[: len(kept) // _BASE64_UNIT * _BASE64_UNIT]
            _mark(self.attributes, truncated)
        if self.field == "bytes_value":
            setattr(self.value, self.field, kept)
        else:
            kept = cut_utf8(self.data, size_bytes)
            setattr(self.value, self.field, kept.decode())
        return len(self.data) - len(kept)


def _fit(span: Any, max_span_bytes: int) -> SpanCut | None:
    """Make `span` fit; None where it did."""
    if span.ByteSize() <= max_span_bytes:
        return None
    cut = SpanCut()
    span.name = _prefix(span.name)
    span.trace_state = ""
    for attribute in span.attributes:
        if attribute.key in KEPT_ATTRIBUTES and attribute.value.HasField("string_value"):
            attribute.value.string_value = _prefix(attribute.value.string_value)
    while True:
        texts = list(_texts(span))
        sizes = [len(one.data) for one in texts]
        marks = MARK_BYTES * sum(one.name in _BODIES for one in texts)
        room = sum(sizes) - (span.ByteSize() - max_span_bytes) - marks - LENGTHS_BYTES
        if room >= 0:
            break
        details = _leave_out(span)
        if not details:
            room = 0
            break
        cut += SpanCut(details=details)
    longest = level(sizes, room)
    for one in texts:
        lost = one.shorten(longest)
        cut += SpanCut(body_bytes=lost) if one.name in _BODIES else SpanCut(text_bytes=lost)
    return cut


def _prefix(text: str) -> str:
    return text.encode()[:MAX_NAME_BYTES].decode("utf-8", "ignore")


def _texts(span: Any) -> Iterator[_Text]:
    for owner in (span, *span.events, *span.links):
        for attribute in owner.attributes:
            if attribute.key in KEPT_ATTRIBUTES:
                continue
            for value, field in _strings(attribute.value):
                text = getattr(value, field)
                data = text if isinstance(text, bytes) else text.encode()
                yield _Text(value, field, attribute.key, owner.attributes, data)
    if span.status.message:
        yield _Text(span.status, "message", "", span.attributes, span.status.message.encode())


def _strings(value: Any) -> Iterator[tuple[Any, str]]:
    """Where the texts and bytes of an AnyValue are, at any depth."""
    kind = value.WhichOneof("value")
    if kind in ("string_value", "bytes_value"):
        yield value, kind
    elif kind == "array_value":
        for one in value.array_value.values:
            yield from _strings(one)
    elif kind == "kvlist_value":
        for pair in value.kvlist_value.values:
            yield from _strings(pair.value)


def _leave_out(span: Any) -> int:
    """Leave out about half of the events, else of the links, else of the attributes.

    Of events the first go: the last one is the exception. 0 where nothing is left to go.
    """
    for items, dropped in (
        (span.events, "dropped_events_count"),
        (span.links, "dropped_links_count"),
        (span.attributes, "dropped_attributes_count"),
    ):
        others = [
            index
            for index, one in enumerate(items)
            if items is not span.attributes or one.key not in KEPT_ATTRIBUTES
        ]
        if others:
            going = others[: (len(others) + 1) // 2]
            for index in reversed(going):
                del items[index]
            setattr(span, dropped, getattr(span, dropped) + len(going))
            return len(going)
    return 0


def _has(attributes: Iterable[Any], key: str, text: str) -> bool:
    return any(one.key == key and one.value.string_value == text for one in attributes)


def _mark(attributes: Any, key: str) -> None:
    for attribute in attributes:
        if attribute.key == key:
            attribute.value.bool_value = True
            return
    attribute = attributes.add()
    attribute.key = key
    attribute.value.bool_value = True
