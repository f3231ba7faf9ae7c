"""A run of functions that call one another, and their traces as trees."""

from __future__ import annotations

import argparse
import itertools
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from extension.config import text_of
from extension.problems import SourceError
from sandbox.function import CRASH, Function, InvocationResult
from spanpipe.errors import CommandError
from spanpipe.run.functions_file import Entry, FunctionsFileError, parse
from spanpipe.run.layers import layer_folders, opt_of, why_not_mounted
from spanpipe.run.report import Row
from spanpipe.run.screen import JSON, Screen
from spanpipe.run.session import OK_STATUS, Session
from spanpipe.run.summary import Summary
from spanpipe.run.template import Functions, functions_of
from spanpipe.run.template_source import MAX_TEMPLATE_BYTES, TemplateError, read_template
from spanpipe.run.variables import check_handler, environ_of, given_variables
from spanpipe.run.waterfall import Tree, trees_of
from spanpipe.wording import counted

if TYPE_CHECKING:
    from sandbox.application import Application, Deployed


class SeveralSession(Session):
    """`functions`, as `file` has them; the first, or the one that the user names, is invoked."""

    def __init__(
        self, options: argparse.Namespace, screen: Screen, file: str, functions: Functions
    ) -> None:
        super().__init__(options, screen)
        self._notes = functions.notes
        entries = functions.entries
        self._entries = entries
        names = [entry.name for entry in entries]
        # In the file's order, not that of arrival.
        self._summary = Summary(names)
        self._first = options.handler or names[0]
        if self._first not in names:
            raise CommandError(f"{file} has no function {self._first}: {', '.join(names)}")
        for entry in entries:
            try:
                check_handler(entry.handler, entry.directory.resolve())
            except CommandError as error:
                raise CommandError(f"{file}: {entry.name}: {error}") from error
        self._layers = layer_folders(options.layer)
        everything = [*self._layers, *(one for entry in entries for one in entry.layers)]
        code = [entry.directory for entry in entries]
        self._why_not_mounted = why_not_mounted(everything, code)
        self._environs = {
            entry.name: environ_of(
                options,
                entry.directory.resolve(),
                [*entry.layers, *self._layers],
                entry.environ,
            )
            for entry in entries
        }
        self._lock = threading.Lock()
        self._received: list[Any] = []
        self._invoked_count = 0
        self._application: Application | None = None

    @property
    def folders(self) -> list[Path]:
        """Of every function's code and layers."""
        folders = [path for entry in self._entries for path in (entry.directory, *entry.layers)]
        return list(dict.fromkeys(path.resolve() for path in [*folders, *self._layers]))

    def run(self, events: list[bytes], count: int, folder: Path) -> int:
        """Invoke the first function `count` times, and wait for what that sets off."""
        from sandbox.application import Application
        from sandbox.environment import EXTENSION_CRASH
        from sandbox.launcher import write_extensions
        from sandbox.receiver import Receiver

        for note in self._notes:
            self._screen.note(f"note: {note}", "yellow")
        self._tell_layers(self._why_not_mounted)
        extensions = write_extensions(folder)
        with Receiver(self._take) as receiver:
            deployed = [
                self._deployed(entry, receiver.http_endpoint, extensions, folder / f"opt-{number}")
                for number, entry in enumerate(self._entries)
            ]
            with (
                self._screen.progress(count),
                Application(
                    deployed,
                    str(extensions),
                    on_line=self._on_named_line,
                    on_invoked=self._on_invoked,
                    telemetry=True,
                ) as application,
            ):
                self._application = application
                several = itertools.islice(itertools.cycle(events), count)
                for number, event in enumerate(several, 1):
                    if self.stopped.is_set():
                        return OK_STATUS
                    result = application.invoke(self._first, event)
                    if (
                        result is not None
                        and result.status == CRASH
                        and EXTENSION_CRASH.encode() in result.payload
                    ):
                        # The function's log does not tell it, and no span can.
                        self._screen.log("sandbox", result.payload.decode())
                    self._advance(number)
                application.wait_idle()
                application.shutdown()
                for entry in self._entries:
                    self._held(entry.name, application.invocations_of(entry.name))
                given_up = application.queues.given_up_count
            if self.stopped.is_set():
                return OK_STATUS
            if not self._sends_elsewhere:
                self._await_spans()
                for tree in trees_of(self._received):
                    self._screen.tree(tree)
        hint = f"failed too often, and dropped: {counted(given_up, 'message')}"
        return self._conclude(self._invoked_count, [hint] if given_up else [])

    def _deployed(
        self, entry: Entry, receiver_endpoint: str, extensions: Path, folder: Path
    ) -> Deployed:
        from sandbox.application import Deployed

        layers = [*(one.resolve() for one in entry.layers), *self._layers]
        opt = opt_of(layers, extensions, folder, self._why_not_mounted is None)
        environ = self._with_wrapper(self._environs[entry.name], opt)
        self._send_to(receiver_endpoint, environ)
        function = Function(
            handler=entry.handler,
            code_directory=str(entry.directory.resolve()),
            timeout_s=entry.timeout_s or self._options.timeout,
            memory_mb=entry.memory_mb or self._options.memory,
            name=entry.name,
            environ=environ,
        )
        references = {name: one for name, one in entry.references.items() if name not in environ}
        return Deployed(function, references, entry.source, opt)

    def _on_named_line(self, name: str, line: str) -> None:
        self._on_line(name.partition(" ")[0], name, line)

    def _on_invoked(self, function: str, result: InvocationResult, began_unix_s: float) -> None:
        with self._lock:
            self._invoked_count += 1
            self._tally.invoked(self._invoked_count, result.request_id, began_unix_s)
            self._answered(function, result.status, result.duration_s)

    def _show(self, request: Any) -> None:
        super()._show(request)
        if self._screen.output != JSON:
            self._received.append(request)

    def _show_row(self, row: Row, ordinal: int, tree: Tree | None) -> None:
        """It has its line in a tree."""

    def _kill(self) -> None:
        application = self._application
        if application is not None:
            application.stop()


def entries_of(file: str) -> Functions:
    """What a functions file says. Raises CommandError with every mistake."""
    try:
        return Functions(parse(text_of(file), file, os.environ), [])
    except (SourceError, FunctionsFileError) as error:
        raise CommandError(f"{error}") from error


def template_entries(options: argparse.Namespace) -> Functions:
    """What a template says. Raises CommandError with every mistake."""
    file = template_file(options.template)
    parameters = {}
    for pair in options.parameter:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise CommandError(f"--parameter {pair}: write NAME=VALUE")
        parameters[name] = value
    try:
        with open(file, encoding="utf-8-sig") as stream:
            text = stream.read(MAX_TEMPLATE_BYTES + 1)
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"--template {file}: cannot be read: {error}") from error
    if len(text) > MAX_TEMPLATE_BYTES:
        raise CommandError(f"--template {file}: is over {MAX_TEMPLATE_BYTES} bytes")
    try:
        return functions_of(read_template(text, file), parameters, given_variables(options))
    except TemplateError as error:
        raise CommandError(f"{error}") from error


def template_file(named: str) -> str:
    """The template itself, where the CDK's folder is named: the one in it. Raises CommandError."""
    if not Path(named).is_dir():
        return named
    found = sorted(map(str, Path(named).glob("*.template.json")))
    if len(found) != 1:
        several = f"there are several templates in it; name one: {', '.join(found)}"
        raise CommandError(
            f"--template {named}: {several if found else 'there is no *.template.json in it'}"
        )
    return found[0]
