"""Edits on a text as it was: what goes is noted, so that the rest stays to the byte; no I/O."""

from __future__ import annotations

import re

REDACTED = "[REDACTED]"

Edit = tuple[int, int, str]
"""From, to (characters) and what stands there instead."""

STRING = r'[^"\\]*(?:\\.[^"\\]*)*'
"""A JSON string's content, also of one that a cut went through."""


def resolved(text: str, edits: list[Edit]) -> list[Edit]:
    """In their order and apart: one within another is part of it; what changes nothing is none."""
    apart: list[Edit] = []
    for edit in sorted(edits, key=lambda one: (one[0], -one[1])):
        if apart and edit[0] < apart[-1][1]:
            start, end, instead = apart[-1]
            apart[-1] = (start, max(end, edit[1]), instead)
        else:
            apart.append(edit)
    return [one for one in apart if text[one[0] : one[1]] != one[2]]


def applied(text: str, edits: list[Edit]) -> tuple[str, int]:
    """`text` with `edits`, which are in order and apart, and how many they are."""
    parts: list[str] = []
    position = 0
    for start, end, instead in edits:
        parts += (text[position:start], instead)
        position = end
    return "".join((*parts, text[position:])), len(edits)


def end_of(pattern: re.Pattern[str], text: str, start: int) -> int:
    """Where the match of `pattern`, which is one of nothing at least, ends."""
    found = pattern.match(text, start)
    return start if found is None else found.end()


def nested_end(pattern: re.Pattern[str], text: str, start: int) -> int:
    """Where the container that begins at `start` ends."""
    depth = 0
    for found in pattern.finditer(text, start):
        if found.lastindex is not None:
            depth += 1 if found.lastindex == 1 else -1
            if depth == 0:
                return found.end()
    return len(text)
