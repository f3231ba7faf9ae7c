"""Rows and trees as lines of text that fit a width; no I/O.

A width is in terminal cells; None, as in a pipe, is without end: nothing is cut or folded then.
"""

from __future__ import annotations

from collections.abc import Iterator

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

from spanpipe.run.report import Row, duration_text
from spanpipe.run.waterfall import Branch, Tree
from spanpipe.wording import counted

STYLES = {"returned": "green", "unreported": "yellow"}
"""By fate; every other is a failure, and red."""
_COLUMNS = (
    f"{'#':>4}  {'fate':<13}  {'duration':>10}  {'start':<5}  {'children':>8}  result or error"
)
_MAX_LABEL = 48
"""Cells for a name and what it is indented by; in a pipe a longer one pushes its line on."""
_MIN_LABEL = 12
_BAR_CELLS = 32
_MIN_BAR_CELLS = 8
"""Fewer say nothing: there is no bar then."""
_BELOW = 8
"""What stands under a row is indented by so many cells."""
_MIN_FOLDED = 24
"""A text with fewer cells left in its line goes into lines of its own."""
MAX_BRANCHES = 40
"""Drawn of one invocation; the rest is counted."""


def header(width: int | None) -> Text:
    """The columns' names."""
    return fitted(Text(_COLUMNS, style="bold"), width)


def row_lines(row: Row, ordinal: int, console: Console, width: int | None) -> Iterator[Text]:
    """The span of invocation `ordinal`, 0 where that is not known; a long text is folded."""
    line = Text(f"{ordinal or '?':>4}  ")
    line.append(f"{row.fate:<13}", style=STYLES.get(row.fate, "red"))
    line.append(
        f"  {duration_text(row.duration_s):>10}  {'cold' if row.cold_start else 'warm':<5}"
        f"  {row.child_count:>8}  "
    )
    text = Text(row.text)
    if width is None:
        yield line + text
        return
    left = width - line.cell_len
    if left >= text.cell_len:
        yield line + text
    elif left >= _MIN_FOLDED:
        indent = line.cell_len
        for folded in text.wrap(console, left, overflow="fold"):
            folded.rstrip()
            yield (line if line.plain else Text(" " * indent)) + folded
            line = Text()
    else:
        line.rstrip()
        yield fitted(line, width)
        indent = _BELOW if width > 2 * _BELOW else 0
        for folded in text.wrap(console, width - indent, overflow="fold"):
            folded.rstrip()
            yield Text(" " * indent) + folded


def branch_lines(tree: Tree, full: str, width: int | None) -> Iterator[Text]:
    """What is below an invocation span, the span itself left out: it has its row.

    What has no length, as some of the platform's spans, is counted in the row and not drawn.
    `full` is what a bar is made of.
    """
    below = [one for one in tree.branches[1:] if one.duration_s or one.outcome or one.links]
    drawn = below[:MAX_BRANCHES]
    yield from _lines(drawn, full, width, indent=_BELOW - 2, with_function=False)
    if len(below) > len(drawn):
        text = f"{' ' * _BELOW}… and {counted(len(below) - len(drawn), 'span')} more"
        yield fitted(Text(text, style="dim"), width)


def tree_lines(tree: Tree, full: str, width: int | None) -> Iterator[Text]:
    """A trace as a waterfall: name, function, outcome, duration, and a bar on its time."""
    several = f"{counted(tree.span_count, 'span')}, {counted(tree.function_count, 'function')}"
    head = f"trace {tree.trace_id}  {duration_text(tree.duration_s)}, {several}"
    yield fitted(Text(head, style="bold"), width)
    yield from _lines(list(tree.branches), full, width, indent=2, with_function=True)


def fitted(line: Text, width: int | None) -> Text:
    """`line`, cut where it is wider than `width`."""
    if width is not None and line.cell_len > width:
        line.truncate(width, overflow="ellipsis")
    return line


def _lines(
    branches: list[Branch], full: str, width: int | None, *, indent: int, with_function: bool
) -> Iterator[Text]:
    labels = [" " * indent + "  " * one.depth + one.name for one in branches]
    label_width = min(_MAX_LABEL, max(map(cell_len, labels), default=0))
    functions = [cell_len(one.function) for one in branches] if with_function else []
    function_width = max(functions, default=0)
    outcome_width = 13 if with_function or any(one.outcome for one in branches) else 0
    bar_width = _BAR_CELLS
    if width is not None:
        cells = sum(2 + one for one in (function_width, outcome_width, 10) if one)
        left = width - cells - 2
        bar_width = min(_BAR_CELLS, left - label_width)
        if bar_width < _MIN_BAR_CELLS:
            # A shorter bar, then shorter names, then no bar.
            bar_width = _MIN_BAR_CELLS if left - _MIN_BAR_CELLS >= _MIN_LABEL + indent else 0
            label_width = min(label_width, max(1, left + 2 * (not bar_width) - bar_width))
    for label, one in zip(labels, branches, strict=True):
        line = Text(label if width is None else fitted(Text(label), label_width).plain)
        line.pad_right(label_width - line.cell_len)
        if function_width:
            line.append("  " + set_cell_size(one.function, function_width))
        if outcome_width:
            line.append("  ")
            line.append(f"{one.outcome:<{outcome_width}}", style=STYLES.get(one.outcome, "red"))
        line.append(f"  {duration_text(one.duration_s):>10}  ")
        if bar_width >= _MIN_BAR_CELLS:
            line.append(_bar(one.start, one.width, full, bar_width), style="cyan")
        line.rstrip()
        yield fitted(line, width)
        below = [f"error: {one.error}"] if one.error else []
        below += [f"link: {link}" for link in one.links]
        below += [f"link: {one.links_cut} more"] if one.links_cut else []
        for text in below:
            indented = " " * (indent + 2) + "  " * one.depth + text
            yield fitted(Text(indented, style="dim"), width)


def _bar(start: float, width: float, full: str, cells: int) -> str:
    """A bar of one cell at least, where it stands on the tree's time."""
    first = min(cells - 1, int(start * cells))
    return " " * first + full * max(1, min(cells - first, round(width * cells)))
