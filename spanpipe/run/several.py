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
from spanpipe.run.report import Row
from spanpipe.run.screen import JSON, Screen
from spanpipe.run.session import OK_STATUS, Session
from spanpipe.run.variables import check_handler, environ_of
from spanpipe.run.waterfall import Tree, trees_of

if TYPE_CHECKING:
    from sandbox.application import Application, Deployed


class SeveralSession(Session):
    """`entries`, as `file` has them; the first, or the one that the user names, is invoked."""

    def __init__(
        self, options: argparse.Namespace, screen: Screen, file: str, entries: list[Entry]
    ) -> None:
        super().__init__(options, screen)
        self._entries = entries
        names = [entry.name for entry in entries]
        self._first = options.handler or names[0]
        if self._first not in names:
            raise CommandError(f"{file} has no function {self._first}: {', '.join(names)}")
        for entry in entries:
            try:
                check_handler(entry.handler, entry.directory.resolve())
            except CommandError as error:
                raise CommandError(f"{file}: {entry.name}: {error}") from error
        self._environs = {
            entry.name: environ_of(options, entry.directory.resolve(), entry.environ)
            for entry in entries
        }
        self._lock = threading.Lock()
        self._received: list[Any] = []
        self._invoked_count = 0
        self._application: Application | None = None

    @property
    def folders(self) -> list[Path]:
        """Of every function's code."""
        return list(dict.fromkeys(entry.directory.resolve() for entry in self._entries))

    def run(self, events: list[bytes], count: int, folder: Path) -> int:
        """Invoke the first function `count` times, and wait for what that sets off."""
        from sandbox.application import Application
        from sandbox.environment import EXTENSION_CRASH
        from sandbox.launcher import write_extensions
        from sandbox.receiver import Receiver

        extensions = str(write_extensions(folder))
        with Receiver(self._take) as receiver:
            deployed = [self._deployed(entry, receiver.http_endpoint) for entry in self._entries]
            with (
                self._screen.progress(count),
                Application(
                    deployed,
                    extensions,
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
        hints = [f"{given_up} messages failed too often, and were dropped"] if given_up else []
        return self._conclude(self._invoked_count, hints)

    def _deployed(self, entry: Entry, receiver_endpoint: str) -> Deployed:
        from sandbox.application import Deployed

        environ = dict(self._environs[entry.name])
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
        return Deployed(function, references, entry.source)

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


def entries_of(file: str) -> list[Entry]:
    """What a functions file says. Raises CommandError with every mistake."""
    try:
        return parse(text_of(file), file, os.environ)
    except (SourceError, FunctionsFileError) as error:
        raise CommandError(f"{error}") from error
