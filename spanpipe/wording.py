"""How a count is said."""

from __future__ import annotations


def counted(count: int, noun: str) -> str:
    """``1 span``, ``2 spans``; `noun` is in the singular and takes an s."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
