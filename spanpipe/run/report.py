"""What is shown of each invocation span; no I/O."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from exporter import attributes as names
from spanpipe.wording import counted

SERVER = 2
"""``Span.SpanKind.SPAN_KIND_SERVER``."""
_MAX_RESULT_CHARACTERS = 48


@dataclass(frozen=True, slots=True)
class Row:
    """What is shown of one invocation span."""

    function: str
    request_id: str
    span_id: str
    start_unix_s: float
    fate: str
    duration_s: float
    cold_start: bool
    child_count: int
    captured: bool
    """Whether a writer told a result, captured or not."""
    text: str


def rows_of(request: Any) -> Iterator[Row]:
    """The invocation spans in an ``ExportTraceServiceRequest``."""
    spans = [
        (span, resource_spans.resource)
        for resource_spans in request.resource_spans
        for scope_spans in resource_spans.scope_spans
        for span in scope_spans.spans
    ]
    children: dict[bytes, int] = {}
    for span, _ in spans:
        if span.parent_span_id:
            children[span.trace_id] = children.get(span.trace_id, 0) + 1
    for span, resource in spans:
        if span.kind != SERVER:
            continue
        found = {one.key: one.value for one in span.attributes}
        yield Row(
            function=function_of(resource),
            request_id=string_of(found, names.FAAS_INVOCATION_ID),
            span_id=span.span_id.hex(),
            start_unix_s=span.start_time_unix_nano / 1e9,
            fate=string_of(found, names.FATE),
            duration_s=(span.end_time_unix_nano - span.start_time_unix_nano) / 1e9,
            cold_start=names.FAAS_COLDSTART in found and found[names.FAAS_COLDSTART].bool_value,
            child_count=children.get(span.trace_id, 0),
            captured=names.RESULT.content_kind in found,
            text=_text(span, found),
        )


def duration_text(seconds: float) -> str:
    """For a column of ten characters."""
    return f"{seconds * 1000:.1f} ms" if seconds < 10 else f"{seconds:.2f} s"


def function_of(resource: Any) -> str:
    """The name of the function whose `Resource` that is, "" where it has none."""
    return string_of({one.key: one.value for one in resource.attributes}, names.FAAS_NAME)


def string_of(found: dict[str, Any], name: str) -> str:
    """The text under `name`, "" where there is none."""
    value = found.get(name)
    return value.string_value if value is not None else ""


def _text(span: Any, found: dict[str, Any]) -> str:
    error = error_of(span)
    if error:
        return error
    body = string_of(found, names.RESULT.body)
    if len(body) <= _MAX_RESULT_CHARACTERS and not _cut(found):
        return one_line(body)
    size = found[names.RESULT.size_bytes].int_value if names.RESULT.size_bytes in found else None
    told = [] if size is None else [counted(size, "byte")]
    told += ["cut"] if size is None or _cut(found) else []
    return f"{one_line(body[:_MAX_RESULT_CHARACTERS])} … ({', '.join(told)})"


def error_of(span: Any) -> str:
    """Type and message of what went wrong, one line; "" where nothing did."""
    error = string_of({one.key: one.value for one in span.attributes}, names.ERROR_TYPE)
    message = span.status.message
    return one_line(f"{error}: {message}" if error and message not in ("", error) else error)


def _cut(found: dict[str, Any]) -> bool:
    return names.RESULT.truncated in found and bool(found[names.RESULT.truncated].bool_value)


def one_line(text: str) -> str:
    """Control characters of a result must not move the terminal's cursor."""
    return "".join(one if one.isprintable() else "·" for one in text)
