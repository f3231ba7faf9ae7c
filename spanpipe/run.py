"""``spanpipe run``: the user's own function in the sandbox, with the real extension."""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import queue
import re
import signal
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

from spanpipe.configured import ENDPOINT_VARIABLE, checked_file
from spanpipe.errors import CommandError
from spanpipe.report import TablePrinter, rows_of

OK_STATUS = 0
LOST_STATUS = 1
MAX_EVENT_BYTES = 6 * 1024 * 1024
"""Lambda's own bound for a synchronous invocation."""
LAST_SPANS_S = 1.0
"""How long spans are waited for after the extension has left: they are on loopback."""


def add_parser(commands: Any) -> None:
    """Add the sub-command to the parser."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "run",
        help="run a function here, as Lambda would, and show its spans",
        description="Run a Python handler in a local execution environment with the real "
        "extension, and show each invocation's span as it arrives.",
        epilog="Example: spanpipe run app.handler --event '{\"id\": 1}' --count 3",
    )
    parser.add_argument("handler", help="module.function, as in Lambda")
    parser.add_argument(
        "--event",
        action="append",
        metavar="JSON|@FILE|-",
        help="an event; @FILE reads it, @FILE.jsonl one a line, - standard input; may be repeated",
    )
    parser.add_argument("--count", type=int, help="invocations in all; the events are repeated")
    parser.add_argument("--timeout", type=float, default=3.0, help="the function's, seconds (3)")
    parser.add_argument("--memory", type=int, default=128, help="the function's, MB (128)")
    parser.add_argument("--directory", default=".", help="the folder of the function's code")
    parser.add_argument("--config", help="a configuration file for the extension")
    parser.add_argument("--env", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--endpoint", help="send the spans to this OTLP endpoint instead")
    parser.add_argument(
        "--output", choices=("table", "json"), default="table", help="json: OTLP JSON lines"
    )
    parser.set_defaults(main=run)


def run(options: argparse.Namespace) -> int:
    """Run; 0 where every invocation gave exactly one invocation span, 1 where not."""
    events = _events(options.event or ["{}"])
    count = len(events) if options.count is None else options.count
    if count < 1 or options.timeout <= 0 or options.memory < 1:
        raise CommandError("--count, --timeout and --memory must be above 0")
    directory = Path(options.directory).resolve()
    _check_handler(options.handler, directory)
    environ = _environ(options, directory)
    printer = TablePrinter(sys.stdout, options.output == "table")
    session = _Session(options, printer)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    with tempfile.TemporaryDirectory(prefix="spanpipe-run-") as folder:
        return session.run(events, count, directory, environ, Path(folder))


class _Session:
    def __init__(self, options: argparse.Namespace, printer: TablePrinter) -> None:
        self._options = options
        self._printer = printer
        self._requests: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._seen: dict[str, set[str]] = {}
        self._resent = 0
        self._uncaptured = False
        self._ledger_lines: list[str] = []
        self._lock = threading.Lock()

    def run(
        self,
        events: list[bytes],
        count: int,
        directory: Path,
        environ: dict[str, str],
        folder: Path,
    ) -> int:
        from sandbox.environment import Function, LambdaEnvironment
        from sandbox.launcher import write_extensions
        from sandbox.receiver import Receiver

        options = self._options
        extensions = write_extensions(folder)
        with Receiver(self._requests.put) as receiver:
            if options.endpoint is None:
                environ.setdefault("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/protobuf")
                environ[ENDPOINT_VARIABLE] = receiver.http_endpoint
            else:
                environ[ENDPOINT_VARIABLE] = options.endpoint
            function = Function(
                handler=options.handler,
                code_directory=str(directory),
                timeout_s=options.timeout,
                memory_mb=options.memory,
                name=options.handler.replace("/", ".").partition(".")[0],
                environ=environ,
            )
            with LambdaEnvironment(
                function, str(extensions), on_line=self._on_line, telemetry=True
            ) as environment:
                if options.endpoint is None:
                    self._printer.header()
                for index in range(count):
                    result = environment.invoke(events[index % len(events)])
                    self._printer.expect(result.request_id, result.ordinal)
                    self._drain()
                environment.shutdown()
                invoked = len(environment.invocations)
            if options.endpoint is None:
                expected = {one.request_id for one in environment.invocations}
                self._await(expected)
        return self._summary(invoked)

    def _on_line(self, name: str, line: str) -> None:
        if line.startswith("spanpipe: shutdown "):
            self._ledger_lines.append(line.removeprefix("spanpipe: "))
        # Lambda's Python runtime writes one event's lines with carriage returns between them.
        shown = line.replace("\r", "\n").rstrip().replace("\n", f"\n[{name}] ")
        with self._lock:
            print(f"[{name}] {shown}", file=sys.stderr, flush=True)

    def _drain(self) -> None:
        while True:
            try:
                self._show(self._requests.get_nowait())
            except queue.Empty:
                return

    def _await(self, expected: set[str]) -> None:
        """What the receiver has taken but not handed over yet."""
        self._drain()
        while expected - set(self._seen):
            try:
                self._show(self._requests.get(timeout=LAST_SPANS_S))
            except queue.Empty:
                return

    def _show(self, request: Any) -> None:
        if self._options.output == "json":
            from exporter.otlp_json import to_json

            print(to_json(request), flush=True)
        for row in rows_of(request):
            span_ids = self._seen.setdefault(row.request_id, set())
            if row.span_id in span_ids:
                # An export that was cut off was sent again, span ID and all: backends know it.
                self._resent += 1
                continue
            span_ids.add(row.span_id)
            silent = row.fate in ("returned", "unreported") and not row.captured
            self._uncaptured = self._uncaptured or silent
            self._printer.row(row)

    def _summary(self, invoked: int) -> int:
        out = self._printer.note
        if self._options.endpoint is not None:
            out(f"{invoked} invoked; what was received is the collector's to say")
            for line in self._ledger_lines:
                out(f"the extension says: {line}")
            exported = sum(map(_exported, self._ledger_lines))
            return OK_STATUS if exported == invoked else LOST_STATUS
        received = len(self._seen)
        again = sum(map(len, self._seen.values())) - received
        lost = invoked - received
        if self._uncaptured:
            out(
                "hint: some invocations told no result; decorate the handler:"
                "  from fifo import capture"
            )
        out(
            f"{invoked} invoked, {received} received, {lost} lost"
            + (f", {again} with a second span" if again else "")
            + (f", {self._resent} sent twice" if self._resent else "")
        )
        return LOST_STATUS if lost or again else OK_STATUS


def _exported(ledger_line: str) -> int:
    found = re.search(r" = exported (\d+) ", ledger_line)
    return int(found.group(1)) if found else 0


def _events(given: list[str]) -> list[bytes]:
    """Every event as JSON bytes. Raises CommandError."""
    events: list[bytes] = []
    for text in given:
        if text == "-":
            events.append(_event(sys.stdin.read(), "standard input"))
        elif text.startswith("@"):
            path = text[1:]
            try:
                content = Path(path).read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as error:
                raise CommandError(f"--event {text}: cannot be read: {error}") from error
            if path.endswith(".jsonl"):
                lines = enumerate(content.splitlines(), 1)
                events += [_event(line, f"{path}:{n}") for n, line in lines if line.strip()]
            else:
                events.append(_event(content, path))
        else:
            events.append(_event(text, "--event"))
    if not events:
        raise CommandError("--event: the file holds no event")
    return events


def _event(text: str, where: str) -> bytes:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise CommandError(f"{where}: no JSON: {error}") from error
    data = json.dumps(value).encode()
    if len(data) > MAX_EVENT_BYTES:
        raise CommandError(f"{where}: {len(data)} bytes, over Lambda's {MAX_EVENT_BYTES}")
    return data


def _check_handler(handler: str, directory: Path) -> None:
    """One clear error before anything starts; what the module itself raises is Lambda's to say."""
    if importlib.util.find_spec("awslambdaric") is None:
        raise CommandError(
            "awslambdaric, Lambda's own Python runtime, is not installed: "
            "pip install 'spanpipe[local]'"
        )
    module, dot, function = handler.rpartition(".")
    if not dot or not module or not function:
        raise CommandError(f"{handler!r} is no handler: write module.function, such as app.handler")
    path = directory / module.replace(".", "/")
    if not path.with_suffix(".py").is_file() and not (path / "__init__.py").is_file():
        raise CommandError(f"there is no module {module} in {directory} ({path}.py)")


def _environ(options: argparse.Namespace, directory: Path) -> dict[str, str]:
    # Variables that a deployed function would have been given for spanpipe.
    environ = {
        name: value
        for name, value in os.environ.items()
        if name.startswith(("OTEL_", "SPANPIPE_")) and name != "SPANPIPE_DIR"
    }
    for pair in options.env:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise CommandError(f"--env {pair}: write NAME=VALUE")
        environ[name] = value
    config = options.config
    own = directory / "spanpipe.yaml"
    if config is None and "SPANPIPE_CONFIG" not in environ and own.is_file():
        config = str(own)
    if config is not None:
        environ["SPANPIPE_CONFIG"] = str(checked_file(config).resolve())
    return environ


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt
