"""Spans made to fit into a line: the longest texts are cut, the identity is never touched.

Pure. It is for the rare span that is too long alone, so it takes its JSON apart again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from opentelemetry.sdk.trace import Event, ReadableSpan

from exporter import attributes as names
from exporter.span_text import quoted
from exporter.values import dataclass

MAX_NAME_BYTES = 1_024
"""Of a span's name, in one that is too long; longer ones are no names."""
KEPT_ATTRIBUTES = frozenset(
    {
        names.FAAS_INVOCATION_ID,
        names.FATE,
        names.ERROR_TYPE,
        names.SERVICE_NAME,
        names.FAAS_NAME,
        names.RESULT.truncated,
    }
)
"""Who and how, where they are one value: never left out, and cut to `MAX_NAME_BYTES` alone."""
MARK_BYTES = 96
"""For ``spanpipe.result.truncated: true`` where it was not there, escaped."""
_BASE64_UNIT = 4
_BINARY = {"key": names.RESULT.content_kind, "value": {"stringValue": "binary"}}


@dataclass(frozen=True, slots=True)
class _Text:
    """A text that may be cut: `holder`'s `key`, in the attribute `name` of `attributes`.

    It is cut to a multiple of `unit` characters.
    """

    holder: dict[str, Any]
    key: str
    name: str
    attributes: list[dict[str, Any]]
    whole: str
    unit: int = 1

    @property
    def is_body(self) -> bool:
        """Whether it is a result's, whose cut is told."""
        return self.name == names.RESULT.body


def logged_bytes(text: str) -> int:
    """How long `text`, a piece of JSON, may become in a log that wraps it into a JSON string.

    As UTF-8, where a lone surrogate is a question mark. Go's encoder escapes three characters
    that no other does.
    """
    size_bytes = _utf_8_bytes(text) + text.count('"') + text.count("\\")
    return size_bytes + 5 * (text.count("<") + text.count(">") + text.count("&"))


def clipped(span: ReadableSpan, max_characters: int) -> ReadableSpan:
    """`span` without what is beyond `max_characters` of its attributes' and events' texts.

    To encode 6 MiB that cannot stay takes longer than an extension may have. `span` itself where
    nothing is that long. What an SDK has counted as dropped before is not kept.
    """
    mappings = _mappings(span)
    if not any(_is_long(one, max_characters) for mapping in mappings for one in mapping.values()):
        return span
    attributes, *of_events = (
        {
            key: one[:max_characters] if _is_long(one, max_characters) else one
            for key, one in mapping.items()
        }
        for mapping in mappings
    )
    return ReadableSpan(
        span.name,
        span.get_span_context(),
        parent=span.parent,
        resource=span.resource,
        attributes=attributes,
        events=[
            Event(event.name, own, event.timestamp)
            for event, own in zip(span.events, of_events, strict=True)
        ],
        links=span.links,
        kind=span.kind,
        status=span.status,
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


def text_bytes(span: ReadableSpan) -> int:
    """The UTF-8 bytes of `span`'s attributes' and events' texts, those in lists left aside."""
    texts = (one for mapping in _mappings(span) for one in mapping.values() if isinstance(one, str))
    return sum(map(_utf_8_bytes, texts))


def _mappings(span: ReadableSpan) -> list[Mapping[str, Any]]:
    return [span.attributes or {}, *(event.attributes or {} for event in span.events)]


def _is_long(value: Any, max_characters: int) -> bool:
    return isinstance(value, str) and len(value) > max_characters


def fitted(text: str, room_bytes: int) -> tuple[str, int]:
    """The Span, Resource or scope `text`, which is longer, in at most `room_bytes` of a log; and
    how many bytes of its texts are gone.

    Its longest texts (attributes, those of events and links, the status) are cut to one length.
    Where that is not enough, events, links and attributes are left out and counted as dropped:
    the middle ones first, since the last event is the exception.
    """
    value: dict[str, Any] = json.loads(text)
    whole_bytes = _all_text_bytes(value)
    if "name" in value:
        value["name"] = _prefix(value["name"], MAX_NAME_BYTES)
    value.pop("traceState", None)
    texts = list(_texts(value))
    for one in texts:
        one.holder[one.key] = ""
    left_bytes = _left_bytes(value, texts, room_bytes)
    while left_bytes < 0 and _left_out(value):
        there = {id(one.holder) for one in _texts(value)}
        texts = [one for one in texts if id(one.holder) in there]
        left_bytes = _left_bytes(value, texts, room_bytes)
    # No more of a text will stay than the room has bytes, so no more is measured.
    sizes = [_string_bytes(one.whole[:room_bytes]) for one in texts]
    level_bytes = level(sizes, max(0, left_bytes))
    for one, size_bytes in zip(texts, sizes, strict=True):
        _set(one, size_bytes, level_bytes)
    return _dumped(value), whole_bytes - _all_text_bytes(value)


def _all_text_bytes(value: dict[str, Any]) -> int:
    """The UTF-8 bytes of all texts in it that may be cut or left out."""
    owners = (value, *value.get("events", ()), *value.get("links", ()))
    return sum(
        _utf_8_bytes(holder[key])
        for owner in owners
        for attribute in owner.get("attributes", ())
        for holder, key in _strings(attribute["value"])
    ) + sum(
        _utf_8_bytes(text)
        for text in (value.get("name"), value.get("status", {}).get("message"))
        if text
    )


def _utf_8_bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "replace"))


def _left_bytes(value: dict[str, Any], texts: list[_Text], room_bytes: int) -> int:
    marks_bytes = sum(MARK_BYTES for one in texts if one.is_body)
    return room_bytes - marks_bytes - logged_bytes(_dumped(value))


def _texts(value: dict[str, Any]) -> Iterator[_Text]:
    for owner in (value, *value.get("events", ()), *value.get("links", ())):
        attributes = owner.get("attributes", [])
        is_binary = _BINARY in attributes
        for attribute in attributes:
            name = attribute.get("key", "")
            for holder, key in _strings(attribute["value"]):
                if _is_kept(attribute):
                    holder[key] = _prefix(holder[key], MAX_NAME_BYTES)
                else:
                    base64 = key == "bytesValue" or (is_binary and name == names.RESULT.body)
                    unit = _BASE64_UNIT if base64 else 1
                    yield _Text(holder, key, name, attributes, holder[key], unit)
    if "message" in value.get("status", {}):
        yield _Text(value["status"], "message", "", [], value["status"]["message"])


def _strings(value: dict[str, Any]) -> Iterator[tuple[dict[str, Any], str]]:
    """Where the texts and bytes of an AnyValue are, at any depth."""
    for key, item in value.items():
        if key in ("stringValue", "bytesValue"):
            yield value, key
        elif key == "arrayValue":
            for one in item.get("values", ()):
                yield from _strings(one)
        elif key == "kvlistValue":
            for one in item.get("values", ()):
                yield from _strings(one["value"])


def _is_kept(attribute: dict[str, Any]) -> bool:
    value = attribute["value"] if attribute.get("key") in KEPT_ATTRIBUTES else {}
    return "stringValue" in value or "boolValue" in value


def _set(one: _Text, size_bytes: int, level_bytes: int) -> None:
    if size_bytes <= level_bytes:
        one.holder[one.key] = one.whole
        return
    cut = _prefix(one.whole, level_bytes)
    one.holder[one.key] = cut[: len(cut) // one.unit * one.unit]
    if one.is_body:
        _mark(one.attributes)


def _mark(attributes: list[dict[str, Any]]) -> None:
    for attribute in attributes:
        if attribute.get("key") == names.RESULT.truncated:
            attribute["value"] = {"boolValue": True}
            return
    attributes.append({"key": names.RESULT.truncated, "value": {"boolValue": True}})


def level(sizes: list[int], room_bytes: int) -> int:
    """The length that all longer ones are cut to, so that they take `room_bytes` together."""
    for index, size in enumerate(sorted(sizes)):
        share = room_bytes // (len(sizes) - index)
        if size > share:
            return share
        room_bytes -= size
    return max(sizes, default=0)


def _prefix(text: str, room_bytes: int) -> str:
    """As much of `text` as takes `room_bytes` in a JSON string; whole characters."""
    text = text[:room_bytes]
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        if _string_bytes(text[:middle]) <= room_bytes:
            low = middle
        else:
            high = middle - 1
    return text[:low]


def _string_bytes(text: str) -> int:
    """What `text` adds to a JSON string in a log."""
    return logged_bytes(quoted(text)) - logged_bytes('""')


def _left_out(value: dict[str, Any]) -> bool:
    """Leave out about half of the events, else of the links, else of the attributes."""
    for key, dropped in (
        ("events", "droppedEventsCount"),
        ("links", "droppedLinksCount"),
        ("attributes", "droppedAttributesCount"),
    ):
        items = value.get(key, [])
        is_kept = _is_kept if key == "attributes" else _never
        kept = [one for one in items if is_kept(one)]
        others = [one for one in items if not is_kept(one)]
        if not others:
            continue
        first = (len(others) - 1) // 2
        last = max(len(others) - 1, first + 1)
        value[dropped] = value.get(dropped, 0) + last - first
        value[key] = kept + others[:first] + others[last:]
        return True
    return False


def _never(item: dict[str, Any]) -> bool:
    return False


def _dumped(value: dict[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
