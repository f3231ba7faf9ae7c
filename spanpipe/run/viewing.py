"""The page of ``spanpipe view`` beside a run."""

from __future__ import annotations

import argparse
import os
import sys
import threading
import webbrowser
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Any

from spanpipe.errors import CommandError
from spanpipe.run.screen import Screen
from spanpipe.view.command import PAGE_PORT, open_page


@contextmanager
def opened_page(options: argparse.Namespace, screen: Screen) -> Iterator[Any]:
    """The page, served while this is open, its address told. Raises CommandError."""
    with closing(_page(options.page_port)) as page:
        screen.note(f"page  {page.url}")
        if screen.is_terminal and has_browser(os.environ, sys.platform):
            webbrowser.open(page.url)
        yield page


def stay(page: Any, screen: Screen) -> None:
    """Keep the page until Ctrl-C or a signal."""
    try:
        screen.note(f"page  {page.url}   (Ctrl-C ends it)")
        threading.Event().wait()
    except KeyboardInterrupt:
        return


def has_browser(environ: Mapping[str, str], platform: str) -> bool:
    """Whether a window can be opened here; a browser of texts would take the terminal."""
    if not (environ.get("BROWSER") or platform in ("darwin", "win32", "cygwin")) and not (
        environ.get("DISPLAY") or environ.get("WAYLAND_DISPLAY")
    ):
        return False
    try:
        webbrowser.get()
    except webbrowser.Error:
        return False
    return True


def _page(port: int | None) -> Any:
    if port is not None:
        return open_page(port)
    try:
        return open_page(PAGE_PORT)
    except CommandError:
        # Another page is open there: nobody has asked for that port.
        return open_page(0)
