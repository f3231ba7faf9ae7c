"""``spanpipe send``: what an extension has printed, from a saved log to a collector."""

from __future__ import annotations

import argparse
import gzip
import io
import os
import sys
import time
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TextIO, cast

from exporter.outcome import Outcome, Sender, Verdict, shown_endpoint
from exporter.settings import ExporterSettings
from extension.problems import shown
from spanpipe.configured import exporter_settings, open_with_keys
from spanpipe.errors import CommandError
from spanpipe.otlp_log import Damaged, LogReader
from spanpipe.patience import Patience
from spanpipe.wording import counted

if TYPE_CHECKING:
    from spanpipe.batches import Batch

OK_STATUS = 0
UNDELIVERED_STATUS = 1
INPUT_STATUS = 2

DEFAULT_REQUEST_BYTES = 4 * 1024 * 1024
"""What a gRPC server takes unless it is told otherwise."""
MIN_REQUEST_BYTES = 1024
MAX_NAMED = 20
"""Damaged lines that are named; all are counted."""
_GZIP_MAGIC = b"\x1f\x8b"
_PEEK_BYTES = 512


def add_parser(commands: Any) -> None:
    """Add the sub-command to the parser."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "send",
        help="send the spans that a saved log holds to a collector",
        description="Find OTLP JSON trace requests in saved logs, such as `fallback: stdout` "
        "prints, and send them to the endpoint in force. Other lines are ignored; the same log "
        "may be sent again. Exit status 0: all delivered, 1: not all, 2: wrong input.",
        epilog="Example: aws logs tail /aws/lambda/shop --since 1h | spanpipe send -",
    )
    parser.add_argument("files", nargs="+", metavar="FILE", help="a log, plain or gzip; - is stdin")
    parser.add_argument("--config", help="a configuration file; else the one that is found")
    parser.add_argument("--endpoint", help="send to this OTLP endpoint instead")
    parser.add_argument(
        "--timeout", type=float, default=30.0, help="seconds to keep trying for each request (30)"
    )
    parser.add_argument(
        "--max-request-bytes",
        type=int,
        default=DEFAULT_REQUEST_BYTES,
        metavar="N",
        help="the longest request, before compression (4194304)",
    )
    parser.add_argument("--dry-run", action="store_true", help="show what would be sent")
    parser.set_defaults(main=send)


def send(options: argparse.Namespace) -> int:
    """Send; 0 where all that was found is delivered, 1 where not, 2 for input of no use."""
    if options.timeout <= 0:
        raise CommandError("--timeout must be above 0")
    if options.max_request_bytes < MIN_REQUEST_BYTES:
        raise CommandError(f"--max-request-bytes must be at least {MIN_REQUEST_BYTES}")
    for path in options.files:
        if path != "-" and (not Path(path).exists() or Path(path).is_dir()):
            what = "is a folder" if Path(path).is_dir() else "there is no such file"
            raise CommandError(f"{path}: {what}")
    settings = exporter_settings(os.environ, options.config, options.endpoint)
    if options.dry_run:
        return _Sending(options, settings, None).run()
    with closing(open_with_keys(settings, os.environ)) as sender:
        return _Sending(options, settings, sender).run()


class _Sending:
    """One run over all files; without a `sender` it only counts."""

    def __init__(
        self, options: argparse.Namespace, settings: ExporterSettings, sender: Sender | None
    ) -> None:
        self._options = options
        self._settings = settings
        self._sender = sender
        self._patience = Patience(
            settings.timeout_ms / 1000, options.timeout, time.monotonic, time.sleep
        )
        # Protobuf is for this command, not for every one.
        from spanpipe.batches import Batches

        self._batches = Batches(options.max_request_bytes)
        self._lines = self._ignored = self._damaged = 0
        self._requests = self._spans = self._invocations = self._undelivered = 0
        self._gave_up = False
        self._is_input_bad = False

    def run(self) -> int:
        for path in self._options.files:
            if not self._gave_up:
                self._read(path, "standard input" if path == "-" else path)
        last = None if self._gave_up else self._batches.take()
        if last is not None:
            self._deliver(last)
        print(self._summary())
        if self._is_input_bad:
            return INPUT_STATUS
        is_whole = not (self._undelivered or self._damaged or self._gave_up)
        return OK_STATUS if is_whole else UNDELIVERED_STATUS

    def _read(self, path: str, name: str) -> None:
        try:
            with opened(path) as stream:
                reader = LogReader(stream)
                try:
                    self._take_all(reader, name)
                finally:
                    self._lines += reader.line_count
                    self._ignored += reader.ignored_count
            if not reader.line_count:
                self._bad_input(f"{name}: is empty")
        except CommandError as error:
            self._bad_input(f"{name}: {error}")
        except (OSError, EOFError, zlib.error) as error:
            self._bad_input(f"{name}: cannot be read on: {error}")

    def _take_all(self, reader: LogReader, name: str) -> None:
        for found in reader.requests():
            if isinstance(found, Damaged):
                self._name_damaged(found, name)
                continue
            for batch in self._batches.add(found.request, f"line {found.line_number} of {name}"):
                self._deliver(batch)
                if self._gave_up:
                    return

    def _deliver(self, batch: Batch) -> None:
        self._requests += 1
        if self._sender is None:
            self._count(batch, 0)
            return
        outcome = self._patience.send(
            self._sender, batch.request.SerializeToString(), batch.span_count, _tell
        )
        if outcome.verdict is Verdict.ACCEPTED:
            self._count(batch, 0)
        elif outcome.verdict is Verdict.PARTIAL:
            self._count(batch, min(outcome.rejected_count, batch.span_count))
            _tell(outcome.detail)
        else:
            self._not_delivered(batch, outcome)

    def _count(self, batch: Batch, rejected_count: int) -> None:
        delivered = batch.span_count - rejected_count
        self._spans += delivered
        self._invocations += min(batch.invocation_count, delivered)
        self._undelivered += rejected_count

    def _not_delivered(self, batch: Batch, outcome: Outcome) -> None:
        self._undelivered += batch.span_count
        spans = counted(batch.span_count, "span")
        what = f"{outcome.detail}; not delivered: {spans} from {batch.place} on"
        if outcome.status == "413":
            what += "; try a smaller --max-request-bytes"
        if outcome.verdict is Verdict.RETRYABLE:
            self._gave_up = True
            what += ", and what follows; run the same again later: what was sent does no harm twice"
        _tell(what)

    def _name_damaged(self, damaged: Damaged, name: str) -> None:
        self._damaged += 1
        if self._damaged <= MAX_NAMED:
            _tell(f"{name}: line {damaged.line_number}: {shown(damaged.reason, 200)}")
        elif self._damaged == MAX_NAMED + 1:
            _tell("further damaged lines are counted only")

    def _bad_input(self, text: str) -> None:
        self._is_input_bad = True
        _tell(text)

    def _summary(self) -> str:
        spans = f"{counted(self._spans, 'span')} ({counted(self._invocations, 'invocation')})"
        done = f"sent {spans}"
        if self._sender is None:
            to = shown_endpoint(self._settings.endpoint)
            done = f"would send {spans} in {counted(self._requests, 'request')} to {to}"
        parts = [f"{counted(self._ignored, 'line')} ignored"]
        if self._damaged:
            parts.append(f"{self._damaged} damaged")
        if self._batches.again_count:
            parts.append(f"{counted(self._batches.again_count, 'span')} there again left out")
        if self._undelivered:
            parts.append(f"{counted(self._undelivered, 'span')} not delivered")
        return f"{done} of {counted(self._lines, 'line')}; {', '.join(parts)}"


def _tell(text: str) -> None:
    print(f"spanpipe send: {text}", file=sys.stderr, flush=True)


@contextmanager
def opened(path: str) -> Iterator[TextIO]:
    """A log as text, whose broken characters are kept to be found. Raises OSError, CommandError."""
    raw = sys.stdin.buffer if path == "-" else open(path, "rb")  # noqa: SIM115 - closed below
    with raw:
        data: Any = cast(io.BufferedReader, raw)
        if data.peek(len(_GZIP_MAGIC)).startswith(_GZIP_MAGIC):
            data = gzip.GzipFile(fileobj=cast(BinaryIO, raw))
        if b"\0" in data.peek(_PEEK_BYTES)[:_PEEK_BYTES]:
            raise CommandError("is no log: neither UTF-8 text nor gzip")
        yield io.TextIOWrapper(data, "utf-8", errors="surrogateescape", newline="\n")
