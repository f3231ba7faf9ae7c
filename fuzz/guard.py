"""Which paths were opened, removed or renamed: told by the interpreter itself (PEP 578)."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_WATCHED = frozenset({"open", "os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.link"})
_INTERPRETER = (sys.base_prefix, sys.prefix)
"""Modules and codecs that are imported when they are needed."""

_told: list[tuple[str, str]] | None = None
_hooked = False


def _hook(event: str, arguments: tuple[object, ...]) -> None:
    if _told is not None and event in _WATCHED and isinstance(arguments[0], str | bytes):
        path = os.fsdecode(arguments[0])
        if not path.startswith(_INTERPRETER):
            _told.append((event, path))


@contextmanager
def watched() -> Iterator[list[tuple[str, str]]]:
    """A list that fills with (event, path) of this process while the context lasts."""
    global _told, _hooked  # noqa: PLW0603 - a hook cannot be removed, so there is one
    if not _hooked:
        sys.addaudithook(_hook)
        _hooked = True
    told: list[tuple[str, str]] = []
    _told = told
    try:
        yield told
    finally:
        _told = None
