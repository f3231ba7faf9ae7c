"""Spans as lines of OTLP JSON for a log: packed, and each short enough to stay whole there.

A log's record is cut at 256 KiB, and what is cut is lost: so a span that is longer alone is
cut here, where its identity is known (`exporter.fitting`). Lambda's JSON log format wraps a line
into a JSON string, which escapes quotation marks and backslashes: each counts as two bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from opentelemetry.sdk.trace import ReadableSpan

from exporter.fitting import clipped, fitted, logged_bytes, text_bytes
from exporter.span_text import quoted, resource_text, scope_text, span_text
from exporter.values import dataclass, field

MAX_LINE_BYTES = 262_143
"""Below 256 KiB: CloudWatch Logs' quota for an event, and Lambda's for a line."""
WRAPPER_BYTES = 512
"""For what a log puts around a line: time, type, request ID."""
MIN_LINE_BYTES = 32_768
"""Enough for an identity whose names and IDs are all of the longest kind."""

_OPEN = '{"resourceSpans":['
_CLOSE = "]}\n"


@dataclass(frozen=True, slots=True)
class Line:
    """One ExportTraceServiceRequest: UTF-8, its newline included.

    `span_count` spans are in it, the next ones in the order given. `cut_bytes` of the texts in
    them (attributes, events, links, status, name, resource) are not there any more.
    """

    data: bytes
    span_count: int
    cut_bytes: int = 0


def lines_of(spans: Sequence[ReadableSpan], max_line_bytes: int = MAX_LINE_BYTES) -> Iterator[Line]:
    """`spans` in as few lines as their order allows, each made when it is asked for.

    A line is at most `max_line_bytes` long, also when it is wrapped into a JSON string; at least
    `MIN_LINE_BYTES`, else ValueError.
    """
    if max_line_bytes < MIN_LINE_BYTES:
        raise ValueError(f"max_line_bytes is {max_line_bytes}, must be at least {MIN_LINE_BYTES}")
    room_bytes = max_line_bytes - WRAPPER_BYTES
    heads = _Heads(room_bytes)
    draft = _Draft()
    for span in spans:
        head = heads.of(span)
        short = clipped(span, room_bytes)
        cut_bytes = 0 if short is span else text_bytes(span) - text_bytes(short)
        text, size_bytes, more_bytes = _short(span_text(short), room_bytes - head.size_bytes)
        cut_bytes += more_bytes
        if draft.span_count and draft.size_with(head, size_bytes) > room_bytes:
            yield draft.line()
            draft = _Draft()
        draft.add(head, text, size_bytes, cut_bytes)
    if draft.span_count:
        yield draft.line()


def _short(text: str, room_bytes: int) -> tuple[str, int, int]:
    """`text` in the room that it has, its size there, and how many bytes are gone."""
    size_bytes = logged_bytes(text)
    if size_bytes <= room_bytes:
        return text, size_bytes, 0
    text, cut_bytes = fitted(text, room_bytes)
    return text, logged_bytes(text), cut_bytes


@dataclass(frozen=True, slots=True)
class _Head:
    """What stands around the spans of one resource and scope.

    `size_bytes` is for both and for the request around them; `cut_bytes` as in `Line`.
    """

    resource: str
    scope: str
    size_bytes: int
    cut_bytes: int


class _Heads:
    """Each resource and scope is encoded once: nearly all spans share them."""

    def __init__(self, room_bytes: int) -> None:
        self._room_bytes = room_bytes
        # By identity, since a resource's hash encodes it; the spans keep both alive.
        self._found: dict[tuple[int, int], _Head] = {}

    def of(self, span: ReadableSpan) -> _Head:
        resource, scope = span.resource, span.instrumentation_scope
        key = (id(resource), id(scope))
        head = self._found.get(key)
        if head is None:
            url = scope.schema_url if scope is not None else ""
            head = self._found[key] = self._head(
                (resource_text(resource), resource.schema_url), (scope_text(scope), url or "")
            )
        return head

    def _head(self, resource: tuple[str, str], scope: tuple[str, str]) -> _Head:
        room_bytes = self._room_bytes // 4
        resource_json, _, resource_cut_bytes = _short(resource[0], room_bytes)
        scope_json, _, scope_cut_bytes = _short(scope[0], room_bytes)
        resource_open = f'{{"resource":{resource_json}{_schema_url(resource[1])},"scopeSpans":['
        scope_open = f'{{"scope":{scope_json}{_schema_url(scope[1])},"spans":['
        around = f"{_OPEN}{resource_open}{scope_open}]}}]}}{_CLOSE}"
        cut_bytes = resource_cut_bytes + scope_cut_bytes
        return _Head(resource_open, scope_open, logged_bytes(around), cut_bytes)


def _schema_url(url: str) -> str:
    return f',"schemaUrl":{quoted(url)}' if url else ""


@dataclass(slots=True)
class _Draft:
    """A line that is being filled; `size_bytes` is never below what it will have in the log."""

    groups: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    span_count: int = 0
    size_bytes: int = 0
    cut_bytes: int = 0

    def size_with(self, head: _Head, size_bytes: int) -> int:
        """The size with one span more."""
        known = head.scope in self.groups.get(head.resource, ())
        return self.size_bytes + size_bytes + (1 if known else head.size_bytes)

    def add(self, head: _Head, text: str, size_bytes: int, cut_bytes: int) -> None:
        """Put in one span more, after those of its resource and scope."""
        self.size_bytes = self.size_with(head, size_bytes)
        scopes = self.groups.setdefault(head.resource, {})
        if head.scope not in scopes:
            cut_bytes += head.cut_bytes
        scopes.setdefault(head.scope, []).append(text)
        self.span_count += 1
        self.cut_bytes += cut_bytes

    def line(self) -> Line:
        """The line as it is now."""
        resources = ",".join(
            f"{resource}{','.join(_scope_spans(scopes))}]}}"
            for resource, scopes in self.groups.items()
        )
        text = f"{_OPEN}{resources}{_CLOSE}"
        return Line(text.encode("utf-8", "replace"), self.span_count, self.cut_bytes)


def _scope_spans(scopes: dict[str, list[str]]) -> Iterator[str]:
    for scope, spans in scopes.items():
        yield f"{scope}{','.join(spans)}]}}"
