"""Invocation spans as lines for a terminal or a pipe."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TextIO

from rich.console import Console
from rich.text import Text

from exporter import attributes as names

if TYPE_CHECKING:
    from spanpipe.waterfall import Tree

SERVER = 2
"""``Span.SpanKind.SPAN_KIND_SERVER``."""
_COLUMNS = (
    f"{'#':>4}  {'fate':<13}  {'duration':>10}  {'start':<5}  {'children':>8}  result or error"
)
STYLES = {"returned": "green", "unreported": "yellow"}
"""By fate; every other is a failure, and red."""
_MAX_RESULT_CHARACTERS = 48
_MAX_LABEL = 48
"""Characters for a name and what it is indented by; a longer one pushes its line to the right."""
_BAR_CELLS = 32


@dataclass(frozen=True, slots=True)
class Row:
    """What is shown of one invocation span."""

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
        span
        for resource_spans in request.resource_spans
        for scope_spans in resource_spans.scope_spans
        for span in scope_spans.spans
    ]
    children: dict[bytes, int] = {}
    for span in spans:
        if span.parent_span_id:
            children[span.trace_id] = children.get(span.trace_id, 0) + 1
    for span in spans:
        if span.kind != SERVER:
            continue
        found = {one.key: one.value for one in span.attributes}
        yield Row(
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


class TablePrinter:
    """Prints rows as they come; colours on a terminal only. Not `shown`: notes to nobody."""

    def __init__(self, stream: TextIO, shown: bool) -> None:
        self._shown = shown
        self._console = Console(
            file=stream, highlight=False, markup=False, emoji=False, soft_wrap=True
        )

    def header(self) -> None:
        """The columns' names."""
        if self._shown:
            self._console.print(Text(_COLUMNS, style="bold"))

    def row(self, row: Row, ordinal: int) -> None:
        """The span of invocation `ordinal`, 0 where that is not known."""
        if not self._shown:
            return
        line = Text(f"{ordinal or '?':>4}  ")
        line.append(f"{row.fate:<13}", style=STYLES.get(row.fate, "red"))
        line.append(
            f"  {duration_text(row.duration_s):>10}  {'cold' if row.cold_start else 'warm':<5}"
            f"  {row.child_count:>8}  {row.text}"
        )
        self._console.print(line)

    def tree(self, tree: Tree) -> None:
        """A trace as a waterfall: name, function, outcome, duration, and a bar on its time."""
        if not self._shown:
            return
        several = (
            f"{_counted(tree.span_count, 'span')}, {_counted(tree.function_count, 'function')}"
        )
        head = f"trace {tree.trace_id}  {duration_text(tree.duration_s)}, {several}"
        self._console.print(Text(head, style="bold"))
        labels = ["  " * (1 + one.depth) + one.name for one in tree.branches]
        label_width = min(_MAX_LABEL, max(map(len, labels), default=0))
        function_width = max((len(one.function) for one in tree.branches), default=0)
        full = "█" if self._console.encoding.lower().startswith("utf") else "#"
        for label, one in zip(labels, tree.branches, strict=True):
            line = Text(f"{label:<{label_width}}  {one.function:<{function_width}}  ")
            line.append(f"{one.outcome:<13}", style=STYLES.get(one.outcome, "red"))
            line.append(f"  {duration_text(one.duration_s):>10}  ")
            line.append(_bar(one.start, one.width, full), style="cyan")
            line.rstrip()
            self._console.print(line)
            below = [f"error: {one.error}"] if one.error else []
            below += [f"link: {link}" for link in one.links]
            below += [f"link: {one.links_cut} more"] if one.links_cut else []
            for text in below:
                self._console.print(Text("  " * (2 + one.depth) + text, style="dim"))

    def note(self, text: str) -> None:
        """A line of the summary; with JSON on standard output it goes to standard error."""
        if self._shown:
            self._console.print(text)
        else:
            Console(stderr=True, highlight=False, markup=False, soft_wrap=True).print(text)


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" + ("" if count == 1 else "s")


def _bar(start: float, width: float, full: str) -> str:
    """A bar of one cell at least, where it stands on the tree's time."""
    first = min(_BAR_CELLS - 1, int(start * _BAR_CELLS))
    return " " * first + full * max(1, min(_BAR_CELLS - first, round(width * _BAR_CELLS)))


def duration_text(seconds: float) -> str:
    """For a column of ten characters."""
    return f"{seconds * 1000:.1f} ms" if seconds < 10 else f"{seconds:.2f} s"


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
    of = f" … ({size} bytes{', cut' if _cut(found) else ''})" if size is not None else " … (cut)"
    return one_line(body[:_MAX_RESULT_CHARACTERS]) + of


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
