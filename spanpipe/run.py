"""``spanpipe run``: the user's own function in the sandbox, with the real extension."""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import json
import os
import queue
import random
import re
import signal
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from extension.config import text_of
from extension.problems import SourceError
from sandbox.fault_file import FaultFileError, parse
from sandbox.faults import (
    ACCEPTED,
    NO_FAULTS,
    Answer,
    FaultPlan,
    TelemetryPlan,
    not_reached,
)
from sandbox.telemetry import TelemetryFaults
from spanpipe.configured import ENDPOINT_VARIABLE, checked_file
from spanpipe.errors import CommandError
from spanpipe.report import Row, TablePrinter, rows_of
from spanpipe.tally import Tally

if TYPE_CHECKING:
    from sandbox.environment import LambdaEnvironment

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
    parser.add_argument(
        "handler",
        nargs="?",
        help="module.function, as in Lambda; with --functions the name of the one to invoke",
    )
    parser.add_argument(
        "--functions",
        metavar="FILE",
        help="several functions that call one another, as YAML (see examples/shop): "
        "the first is invoked, and the traces are shown as trees",
    )
    parser.add_argument(
        "--event",
        action="append",
        metavar="JSON|@FILE|-",
        help="an event; @FILE reads it, @FILE.jsonl one a line, - standard input; may be repeated",
    )
    parser.add_argument("--count", type=int, help="invocations in all; the events are repeated")
    parser.add_argument("--timeout", type=float, default=3.0, help="the function's, seconds (3)")
    parser.add_argument("--memory", type=int, default=128, help="the function's, MB (128)")
    parser.add_argument("--directory", help="the folder of the function's code (.)")
    parser.add_argument("--config", help="a configuration file for the extension")
    parser.add_argument("--env", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument(
        "--wrap", action="store_true", help="capture an undecorated handler, by the layer's wrapper"
    )
    parser.add_argument("--endpoint", help="send the spans to this OTLP endpoint instead")
    parser.add_argument(
        "--faults", metavar="FILE", help="what is to go wrong, as YAML (see examples/faults.yaml)"
    )
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
    if options.functions is not None:
        from spanpipe.run_functions import FunctionsSession

        several = FunctionsSession(options)
        return _in_folder(lambda folder: several.run(events, count, folder))
    if options.handler is None:
        raise CommandError("name a handler, such as app.handler, or --functions FILE")
    directory = Path(options.directory or ".").resolve()
    check_handler(options.handler, directory)
    plan = _fault_plan(options)
    environ = environ_of(options, directory)
    session = Session(options, plan)
    return _in_folder(lambda folder: session.run(events, count, directory, environ, folder))


def _in_folder(body: Callable[[Path], int]) -> int:
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    with tempfile.TemporaryDirectory(prefix="spanpipe-run-") as folder:
        return body(Path(folder))


class Session:
    """One function's run, and what every run has: the tally, the log, the summary."""

    def __init__(self, options: argparse.Namespace, plan: FaultPlan) -> None:
        self._options = options
        self._plan = plan
        self._printer = TablePrinter(sys.stdout, options.output == "table")
        self._requests: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._tally = Tally()
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
        """Invoke `count` times; the exit status."""
        from sandbox.environment import Function, LambdaEnvironment
        from sandbox.launcher import write_extensions
        from sandbox.receiver import Receiver

        options, plan = self._options, self._plan
        extensions = write_extensions(folder)
        with Receiver(self._requests.put, answer_to=self._answer_to) as receiver:
            self._send_to(receiver.http_endpoint, environ)
            function = Function(
                handler=options.handler,
                code_directory=str(directory),
                timeout_s=options.timeout,
                memory_mb=options.memory,
                name=options.handler.replace("/", ".").partition(".")[0],
                environ=environ,
                enforce_memory=plan.enforce_memory,
            )
            with LambdaEnvironment(
                function,
                str(extensions),
                on_line=self._on_line,
                telemetry=plan.telemetry.enabled,
                faults=_telemetry_faults(plan.telemetry),
                freeze_when_idle=plan.freeze_when_idle,
            ) as environment:
                if options.endpoint is None:
                    self._printer.header()
                self._invoke_all(environment, events, count)
                environment.shutdown()
            if options.endpoint is None:
                self._await_spans()
            reached = (count, receiver.request_count)
        return self._summary(*reached)

    def _send_to(self, receiver_endpoint: str, environ: dict[str, str]) -> None:
        """Where the spans go: to our receiver, unless the user has one."""
        if self._options.endpoint is None:
            environ.setdefault("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/protobuf")
            environ[ENDPOINT_VARIABLE] = receiver_endpoint
        else:
            environ[ENDPOINT_VARIABLE] = self._options.endpoint

    def _invoke_all(self, environment: LambdaEnvironment, events: list[bytes], count: int) -> None:
        from sandbox.environment import CRASH, EXTENSION_CRASH
        from sandbox.injection import Injection

        fresh = itertools.cycle(events)
        event, request_id = events[0], None
        for number in range(1, count + 1):
            faults = self._plan.of_invocation(number)
            if not faults.retry:
                event, request_id = next(fresh), None
            if faults != NO_FAULTS:
                self._on_line("faults", f"invocation {number}: {faults}")
            injection = Injection(environment, faults)
            result = environment.invoke(
                event,
                faults.trace_header,
                request_id=request_id,
                tenant_id=faults.tenant_id,
                on_begin=injection.begin,
            )
            request_id = result.request_id
            invocation = environment.invocations[-1]
            self._tally.invoked(number, request_id, invocation.began_unix_s)
            if result.status == CRASH and EXTENSION_CRASH.encode() in result.payload:
                # The function's log does not tell it, and no span can.
                self._on_line("sandbox", f"invocation {number}: {result.payload.decode()}")
            injection.wait()
            if injection.wanted and not injection.struck:
                self._on_line("faults", f"invocation {number}: nothing was left to strike by then")
            if faults.shutdown_after is not None:
                environment.shutdown(faults.shutdown_after)
            self._drain()

    def _answer_to(self, number: int) -> Answer:
        answer = self._plan.answer(number)
        if answer != ACCEPTED:
            self._on_line("faults", f"request {number} to the collector: {answer}")
        return answer

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

    def _await_spans(self) -> None:
        """What the receiver has taken but not handed over yet."""
        self._tally.sampled_count = sum(map(_sampled, self._ledger_lines))
        self._drain()
        while self._tally.lost_count:
            try:
                self._show(self._requests.get(timeout=LAST_SPANS_S))
            except queue.Empty:
                return

    def _show(self, request: Any) -> None:
        if self._options.output == "json":
            from exporter.otlp_json import to_json

            print(to_json(request), flush=True)
        for row in rows_of(request):
            ordinal = self._tally.received(row.request_id, row.span_id, row.start_unix_s)
            if ordinal is None:
                continue
            silent = row.fate in ("returned", "unreported") and not row.captured
            self._uncaptured = self._uncaptured or silent
            self._show_row(row, ordinal)

    def _show_row(self, row: Row, ordinal: int) -> None:
        self._printer.row(row, ordinal)

    def _summary(self, invoked: int, requests: int) -> int:
        out = self._printer.note
        for entry in not_reached(self._plan.invocations, invoked):
            out(f"hint: {entry.place}: {entry.path}: not reached, {invoked} invoked")
        for entry in not_reached(self._plan.collector, requests):
            out(f"hint: {entry.place}: {entry.path}: not reached, {requests} requests came")
        if self._options.endpoint is not None:
            out(f"{invoked} invoked; what was received is the collector's to say")
            for line in self._ledger_lines:
                out(f"the extension says: {line}")
            settled = sum(_exported(line) + _sampled(line) for line in self._ledger_lines)
            return OK_STATUS if settled == invoked else LOST_STATUS
        if self._uncaptured:
            out(
                "hint: some invocations told no result; decorate the handler:"
                "  from fifo import capture"
            )
        out(str(self._tally))
        return OK_STATUS if self._tally.is_even else LOST_STATUS


def _exported(ledger_line: str) -> int:
    found = re.search(r" = exported (\d+) ", ledger_line)
    return int(found.group(1)) if found else 0


def _sampled(ledger_line: str) -> int:
    """Of invocations; the account of bytes comes behind."""
    found = re.search(r"[( ]sampled (\d+)[,)]", ledger_line.partition("; ")[0])
    return int(found.group(1)) if found else 0


def _fault_plan(options: argparse.Namespace) -> FaultPlan:
    """The plan in the file, an empty one without. Raises CommandError with every mistake."""
    if options.faults is None:
        return FaultPlan()
    try:
        plan = parse(text_of(options.faults), options.faults, os.environ)
    except (SourceError, FaultFileError) as error:
        raise CommandError(f"{error}") from error
    if plan.collector and options.endpoint is not None:
        entry = plan.collector[0]
        raise CommandError(
            f"{entry.place}: {entry.path}: with --endpoint the collector is your own, "
            "and answers as it likes; leave the section collector or --endpoint out"
        )
    return plan


def _telemetry_faults(plan: TelemetryPlan) -> TelemetryFaults:
    drawn = random.Random(plan.seed)  # noqa: S311
    return TelemetryFaults(plan.drop, plan.duplicate, plan.swap, random=drawn)


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


def check_handler(handler: str, directory: Path) -> None:
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


def environ_of(options: argparse.Namespace, directory: Path) -> dict[str, str]:
    """The variables that a deployed function would have been given for spanpipe."""
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
    if options.wrap:
        environ["AWS_LAMBDA_EXEC_WRAPPER"] = _wrapper()
    return environ


def _wrapper() -> str:
    """The layer's file in a checkout; the wheel does not carry it. Raises CommandError."""
    path = Path(__file__).resolve().parent.parent / "deploy" / "wrap"
    if not path.is_file():
        raise CommandError(f"--wrap needs a checkout of spanpipe: there is no {path}")
    return str(path)


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt
