"""``spanpipe run --functions``: functions that call one another, and their traces as trees."""

from __future__ import annotations

import argparse
import itertools
import os
from pathlib import Path
from typing import Any

from extension.config import text_of
from extension.problems import SourceError
from sandbox.application import Application, Deployed
from sandbox.environment import CRASH, EXTENSION_CRASH, Function
from sandbox.faults import FaultPlan
from spanpipe.errors import CommandError
from spanpipe.functions_file import Entry, FunctionsFileError, parse
from spanpipe.report import Row
from spanpipe.run import Session, check_handler, environ_of
from spanpipe.waterfall import trees_of


class FunctionsSession(Session):
    """The functions of a file; the first, or the one that the user names, is invoked."""

    def __init__(self, options: argparse.Namespace) -> None:
        super().__init__(options, FaultPlan())
        for name in ("directory", "faults"):
            if getattr(options, name) is not None:
                raise CommandError(f"--{name} is for one function; leave it or --functions out")
        self._entries = _entries(options.functions)
        names = [entry.name for entry in self._entries]
        self._first = options.handler or names[0]
        if self._first not in names:
            raise CommandError(
                f"{options.functions} has no function {self._first}: {', '.join(names)}"
            )
        for entry in self._entries:
            try:
                check_handler(entry.handler, entry.directory.resolve())
            except CommandError as error:
                raise CommandError(f"{options.functions}: {entry.name}: {error}") from error
        self._received: list[Any] = []
        self._invoked_count = 0

    def run(self, events: list[bytes], count: int, folder: Path) -> int:  # type: ignore[override]
        """Invoke the first function `count` times, and wait for what that sets off."""
        from sandbox.launcher import write_extensions
        from sandbox.receiver import Receiver

        extensions = str(write_extensions(folder))
        with Receiver(self._requests.put) as receiver:
            deployed = [self._deployed(entry, receiver.http_endpoint) for entry in self._entries]
            with Application(
                deployed,
                extensions,
                on_line=self._on_line,
                on_invoked=self._on_invoked,
                telemetry=True,
            ) as application:
                for event in itertools.islice(itertools.cycle(events), count):
                    result = application.invoke(self._first, event)
                    if (
                        result is not None
                        and result.status == CRASH
                        and EXTENSION_CRASH.encode() in result.payload
                    ):
                        # The function's log does not tell it, and no span can.
                        self._on_line("sandbox", result.payload.decode())
                application.wait_idle()
                application.shutdown()
                given_up = application.queues.given_up_count
            if self._options.endpoint is None:
                self._await_spans()
                for tree in trees_of(self._received):
                    self._printer.tree(tree)
            if given_up:
                self._printer.note(f"hint: {given_up} messages failed too often, and were dropped")
            return self._summary(self._invoked_count, receiver.request_count)

    def _deployed(self, entry: Entry, receiver_endpoint: str) -> Deployed:
        directory = entry.directory.resolve()
        environ = environ_of(self._options, directory)
        environ.update(entry.environ)
        self._send_to(receiver_endpoint, environ)
        function = Function(
            handler=entry.handler,
            code_directory=str(directory),
            timeout_s=entry.timeout_s or self._options.timeout,
            memory_mb=entry.memory_mb or self._options.memory,
            name=entry.name,
            environ=environ,
        )
        return Deployed(function, entry.references, entry.source)

    def _on_invoked(self, request_id: str, began_unix_s: float) -> None:
        with self._lock:
            self._invoked_count += 1
            self._tally.invoked(self._invoked_count, request_id, began_unix_s)

    def _show(self, request: Any) -> None:
        super()._show(request)
        self._received.append(request)

    def _show_row(self, row: Row, ordinal: int) -> None:
        """It has its line in a tree."""


def _entries(file: str) -> list[Entry]:
    """What the file says. Raises CommandError with every mistake."""
    try:
        return parse(text_of(file), file, os.environ)
    except (SourceError, FunctionsFileError) as error:
        raise CommandError(f"{error}") from error
