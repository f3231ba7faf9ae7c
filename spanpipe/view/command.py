"""``spanpipe view``: an OTLP receiver and a page, or a page of what a log holds."""

from __future__ import annotations

import argparse
import sys
import threading
import webbrowser
import zlib
from contextlib import ExitStack, closing
from typing import Any

from spanpipe.errors import CommandError
from spanpipe.wording import counted

OK_STATUS = 0
HTTP_PORT, GRPC_PORT, PAGE_PORT = 4318, 4317, 4380
MAX_NAMED = 20
"""Damaged lines that are named; all are counted."""


def add_parser(commands: Any) -> None:
    """Add the sub-command to the parser."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "view",
        help="show spans in the browser as they arrive, or those that a log holds",
        description="Receive OTLP on the standard ports of this machine alone, and show what "
        "arrives in a page; with FILE, show the OTLP JSON lines in it, such as `fallback: stdout` "
        "prints. Runs until it is interrupted.",
        epilog="Example: spanpipe view --open; aws logs tail /aws/lambda/shop | spanpipe view -",
    )
    parser.add_argument("file", nargs="?", help="a log, plain or gzip; - is standard input")
    for name, port in (("http", HTTP_PORT), ("grpc", GRPC_PORT), ("page", PAGE_PORT)):
        parser.add_argument(
            f"--{name}-port", type=int, default=port, help=f"({port}); 0 is any that is free"
        )
    parser.add_argument("--open", action="store_true", help="open the page in the browser")
    parser.set_defaults(main=view)


def view(options: argparse.Namespace) -> int:
    """Serve until interrupted."""
    with ExitStack() as stack:
        page = stack.enter_context(closing(open_page(options.page_port)))
        if options.file is not None:
            _read(options.file, page)
        else:
            receiver = stack.enter_context(_receiver(options, page))
            print(f"OTLP/HTTP  {receiver.http_endpoint}")
            print(f"OTLP/gRPC  {receiver.grpc_endpoint}")
        show(page, options.open)
        threading.Event().wait()
    return OK_STATUS


def open_page(port: int) -> Any:
    """The page, served. Raises CommandError."""
    try:
        from spanpipe.view.server import Page
    except ModuleNotFoundError as error:
        raise CommandError(
            f"{error.name} is not installed: pip install 'spanpipe[local]'"
        ) from error
    try:
        return Page(port)
    except (OSError, OverflowError) as error:
        raise CommandError(_taken("--page-port", port, error)) from error


def show(page: Any, opens: bool) -> None:
    """Say where it is, and open it where that is wanted."""
    print(f"page       {page.url}   (Ctrl-C ends it)", flush=True)
    if opens and not webbrowser.open(page.url):
        print("no browser was found to open it with", file=sys.stderr)


def _receiver(options: argparse.Namespace, page: Any) -> Any:
    from sandbox.receiver import Receiver

    try:
        return Receiver(
            page.take,
            grpc=True,
            keeps=False,
            http_port=options.http_port,
            grpc_port=options.grpc_port,
        )
    except (OSError, OverflowError) as error:
        raise CommandError(_taken("--http-port", options.http_port, error)) from error
    except RuntimeError as error:
        raise CommandError(_taken("--grpc-port", options.grpc_port, error)) from error


def _taken(option: str, port: int, error: Exception) -> str:
    return f"{option} {port}: {error}; another one, or 0 for any that is free"


def _read(path: str, page: Any) -> None:
    from spanpipe.otlp_log import Damaged, LogReader
    from spanpipe.send import opened

    found = damaged = 0
    try:
        with opened(path) as stream:
            for one in LogReader(stream).requests():
                if isinstance(one, Damaged):
                    damaged += 1
                    if damaged <= MAX_NAMED:
                        print(f"{path}:{one.line_number}: {one.reason}", file=sys.stderr)
                else:
                    found += 1
                    page.take(one.request)
    except (OSError, EOFError, zlib.error) as error:
        raise CommandError(f"{path}: cannot be read: {error}") from error
    print(f"{path}: {counted(found, 'request')}, {damaged} damaged")
    if not found:
        raise CommandError(f"{path}: no OTLP JSON line in it")
