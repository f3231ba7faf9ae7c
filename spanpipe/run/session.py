"""One run: invocations in, spans out, and the account of both. Of what is run others know."""

from __future__ import annotations

import argparse
import queue
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from exporter.otlp_json import to_json
from spanpipe.configured import ENDPOINT_VARIABLE
from spanpipe.run.report import Row, rows_of
from spanpipe.run.screen import JSON, WATERFALL, Screen
from spanpipe.run.shutdown_lines import ShutdownLines, figures
from spanpipe.run.summary import Summary
from spanpipe.run.tally import Tally
from spanpipe.run.variables import OPT, WRAPPER
from spanpipe.run.waterfall import Tree, invocation_trees

if TYPE_CHECKING:
    from sandbox.opt import Opt
    from sandbox.state import Invocation
    from spanpipe.view.server import Page

OK_STATUS = 0
LOST_STATUS = 1
LAST_SPANS_S = 1.0
"""How long spans are waited for after the extension has left: they are on loopback."""
KILL_EVERY_S = 0.05
"""A run that is to stop: an init that failed is tried once more, and ended again."""


class Session(ABC):
    """What every run has: the receipt of spans, the tally, the log, the summary."""

    def __init__(self, options: argparse.Namespace, screen: Screen) -> None:
        self.page: Page | None = None
        """Told of all that comes."""
        self.stopped = threading.Event()
        """Set where the run was ended from outside: there is no summary then."""
        self._options = options
        self._screen = screen
        self._requests: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._tally = Tally()
        self._summary = Summary()
        self._shutdowns = ShutdownLines()
        self._uncaptured = False
        self._received_count = 0
        self._over = threading.Event()

    @property
    @abstractmethod
    def folders(self) -> list[Path]:
        """Of the functions' code and layers: a change in them asks for a new run."""

    @abstractmethod
    def run(self, events: list[bytes], count: int, folder: Path) -> int:
        """Invoke `count` times, with files of our own in `folder`; the exit status."""

    @abstractmethod
    def _kill(self) -> None:
        """End what runs in the environments now."""

    def stop(self) -> None:
        """End the run, from another thread; back when `finished` was called."""
        self.stopped.set()
        while not self._over.wait(KILL_EVERY_S):
            self._kill()

    def finished(self) -> None:
        """Nothing runs any more."""
        self._over.set()

    @property
    def _sends_elsewhere(self) -> bool:
        return self._options.endpoint is not None

    def _take(self, request: Any) -> None:
        """A request has come; from the receiver's threads."""
        if self.page is not None:
            self.page.take(request)
        self._requests.put(request)

    def _send_to(self, receiver_endpoint: str, environ: dict[str, str]) -> None:
        """Where the spans go: to our receiver, unless the user has one."""
        if self._sends_elsewhere:
            environ[ENDPOINT_VARIABLE] = self._options.endpoint
        else:
            environ.setdefault("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/protobuf")
            environ[ENDPOINT_VARIABLE] = receiver_endpoint

    def _with_wrapper(self, environ: Mapping[str, str], opt: Opt | None) -> dict[str, str]:
        """With a layer's wrapper where the processes find it."""
        wrapper = environ.get(WRAPPER, "")
        if opt is None or not wrapper.startswith(OPT):
            return dict(environ)
        return {**environ, WRAPPER: str(opt.seen_as / wrapper.removeprefix(OPT))}

    def _tell_layers(self, why_not_mounted: str | None) -> None:
        if why_not_mounted is not None:
            self._screen.note(
                f"note: --layer: nothing is at /opt itself: {why_not_mounted}; what the layers "
                "have in python, bin and lib is found all the same",
                "yellow",
            )

    def _on_line(self, function: str, name: str, line: str) -> None:
        if self._shutdowns.take(function, line) and self.page is not None:
            self.page.tell_ledger(function, figures(self._shutdowns.account(function)))
        self._screen.log(name, line)

    def _answered(self, function: str, status: str, duration_s: float) -> None:
        """An invocation is over. Its span tells more, but goes elsewhere with an endpoint."""
        if self._sends_elsewhere:
            self._summary.over(function, status, duration_s)

    def _held(self, function: str, invocations: Iterable[Invocation]) -> None:
        """What the sandbox has measured of the extension."""
        for invocation in invocations:
            held_s = invocation.post_runtime_extensions_s
            if held_s is not None:
                self._summary.held(function, held_s)

    def _advance(self, done: int) -> None:
        self._drain()
        self._screen.advance(done, self._received_count)

    def _drain(self) -> None:
        while True:
            try:
                self._show(self._requests.get_nowait())
            except queue.Empty:
                return

    def _await_spans(self) -> None:
        """What the receiver has taken but not handed over yet."""
        self._tally.sampled_count = self._shutdowns.sampled_count
        self._drain()
        while self._tally.lost_count:
            try:
                self._show(self._requests.get(timeout=LAST_SPANS_S))
            except queue.Empty:
                return

    def _show(self, request: Any) -> None:
        if self._screen.output == JSON:
            self._screen.data(to_json(request))
        trees = invocation_trees(request) if self._screen.output == WATERFALL else {}
        for row in rows_of(request):
            ordinal = self._tally.received(row.request_id, row.span_id, row.start_unix_s)
            if ordinal is None:
                continue
            self._received_count += 1
            self._summary.over(row.function, row.fate, row.duration_s, row.cold_start)
            silent = row.fate in ("returned", "unreported") and not row.captured
            self._uncaptured = self._uncaptured or silent
            self._show_row(row, ordinal, trees.get(row.span_id))

    def _show_row(self, row: Row, ordinal: int, tree: Tree | None) -> None:
        self._screen.row(row, ordinal, tree)

    def _conclude(self, invoked: int, hints: Iterable[str] = ()) -> int:
        """Print the summary; the exit status."""
        note = self._screen.note
        functions = self._summary.functions
        for function in functions:
            head = function if len(functions) > 1 else ""
            self._screen.figures(self._summary.rows(function), head)
        account = self._shutdowns.whole
        if not self._sends_elsewhere:
            self._screen.figures([("ledger", account.text())])
        for hint in hints:
            note(f"hint: {hint}", "yellow")
        if self._sends_elsewhere:
            note(f"{invoked} invoked; what was received is the collector's to say")
            for line in self._shutdowns.lines:
                note(f"the extension says: {line}")
            settled = account.exported + self._shutdowns.sampled_count
            return OK_STATUS if settled == invoked else LOST_STATUS
        if self._uncaptured:
            note(
                "hint: some invocations told no result; decorate the handler:"
                "  from fifo import capture",
                "yellow",
            )
        even = self._tally.is_even
        note(str(self._tally), "bold green" if even else "bold red")
        return OK_STATUS if even else LOST_STATUS
