"""Where a run is shown: rows and notes on standard output, logs and, on a terminal, progress.

Colours and progress are for terminals alone, and nothing of ours is wider than they are. Rich
knows ``NO_COLOR`` and ``TERM=dumb``. With JSON on standard output notes go to standard error.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from spanpipe.run import drawing
from spanpipe.run.report import Row
from spanpipe.run.waterfall import Tree
from spanpipe.wording import counted

JSON = "json"
WATERFALL = "waterfall"
_LABEL_CELLS = 13


class Screen:
    """Prints for a user; from any thread. `output` is ``json``, ``table`` or ``waterfall``."""

    def __init__(self, output: str) -> None:
        self.output = output
        self._out = _console(stderr=False)
        self._err = _console(stderr=True)
        self._notes = self._err if output == JSON else self._out
        self._progress: Progress | None = None
        self._lock = threading.Lock()

    @property
    def is_terminal(self) -> bool:
        """Whether somebody is likely to look at standard output."""
        return sys.stdout.isatty()

    @contextmanager
    def progress(self, total: int) -> Iterator[None]:
        """Show how far `total` invocations are while this is open; gone afterwards."""
        console = self._live_console()
        if console is None:
            yield
            return
        columns = (
            MofNCompleteColumn(),
            TextColumn("invoked"),
            BarColumn(bar_width=20),
            TimeElapsedColumn(),
            TextColumn("{task.description}"),
        )
        # What others print meanwhile is printed by us, above it.
        progress = Progress(
            *columns,
            console=console,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        progress.add_task("", total=total)
        with progress:
            self._progress = progress
            try:
                yield
            finally:
                self._progress = None

    def advance(self, done: int, spans: int) -> None:
        """So many invocations are over, and so many of their spans here."""
        progress = self._progress
        if progress is not None:
            progress.update(
                progress.task_ids[0], completed=done, description=counted(spans, "span")
            )

    def header(self) -> None:
        """The columns' names."""
        if self.output != JSON:
            self._print(self._out, [drawing.header(_width(self._out))])

    def row(self, row: Row, ordinal: int, tree: Tree | None) -> None:
        """The span of invocation `ordinal`, 0 where that is not known, and what is below it."""
        if self.output == JSON:
            return
        width = _width(self._out)
        lines = list(drawing.row_lines(row, ordinal, self._out, width))
        if self.output == WATERFALL and tree is not None:
            lines += drawing.branch_lines(tree, self._full, width)
        self._print(self._out, lines)

    def tree(self, tree: Tree) -> None:
        """A trace as a waterfall."""
        if self.output != JSON:
            self._print(self._out, drawing.tree_lines(tree, self._full, _width(self._out)))

    def data(self, line: str) -> None:
        """A line of standard output that is for programs."""
        print(line, flush=True)

    def figures(self, rows: Iterable[tuple[str, str]], head: str = "") -> None:
        """Lines of the summary, each with its name; `head` says whose they are."""
        indent = 2 if head else 0
        lines = [Text(head, style="bold")] if head else []
        for name, text in rows:
            first = Text(" " * indent)
            first.append(f"{name:<{_LABEL_CELLS}}", style="bold")
            lines += self._folded(first, text)
        self._print(self._notes, lines)

    def note(self, text: str, style: str = "") -> None:
        """A line for the user."""
        self._print(self._notes, self._folded(Text(), text, style))

    def log(self, name: str, line: str) -> None:
        """What a process printed, as it is: a terminal folds it, we do not."""
        # Lambda's Python runtime writes one event's lines with carriage returns between them.
        shown = line.replace("\r", "\n").rstrip().replace("\n", f"\n[{name}] ")
        progress = self._progress
        if progress is None or not sys.stderr.isatty():
            with self._lock:
                print(f"[{name}] {shown}", file=sys.stderr, flush=True)
        else:
            progress.console.print(Text(f"[{name}] {shown}"))

    def _live_console(self) -> Console | None:
        for console in (self._out, self._err):
            if console.file.isatty() and not console.is_dumb_terminal:
                return console
        return None

    @property
    def _full(self) -> str:
        return "█" if self._out.encoding.lower().startswith("utf") else "#"

    def _folded(self, first: Text, text: str, style: str = "") -> Sequence[Text]:
        width = _width(self._notes)
        if width is None:
            return [first + Text(text, style=style)]
        indent = first.cell_len
        folded = Text(text, style=style).wrap(self._notes, max(1, width - indent), overflow="fold")
        for one in folded:
            one.rstrip()
        return [
            (Text(" " * indent) if number else first) + one for number, one in enumerate(folded)
        ]

    def _print(self, console: Console, lines: Iterable[Text]) -> None:
        # Above the progress, where there is one, and it is on the same terminal.
        progress = self._progress
        if progress is not None and console.file.isatty():
            console = progress.console
        text = Text("\n").join(lines)
        if text:
            # In one piece: with several the progress would be drawn anew for each.
            console.print(text)


def _console(*, stderr: bool) -> Console:
    return Console(stderr=stderr, highlight=False, markup=False, emoji=False, soft_wrap=True)


def _width(console: Console) -> int | None:
    """Cells of a terminal, None of anything else."""
    return console.width if console.file.isatty() else None
