"""What ``config.yaml`` says of each key: its comments are the reference's text as well."""

from __future__ import annotations

import re
from pathlib import Path

import extension

FILE = Path(extension.__file__).with_name("config.yaml")

_KEY = re.compile(r"^( *)([a-z0-9_]+):(?: +(.*))?$")
_COMMENT = re.compile(r"^ *# (\S.*)$")
"""An example is a comment with more blanks."""
_TRAILING = re.compile(r"(?:^|.* )# (.*)$")


def comments(file: Path = FILE) -> dict[str, str]:
    """Path of a key → the comment above it, and the one behind it."""
    found: dict[str, str] = {}
    above: list[str] = []
    within: list[tuple[int, str]] = []
    for line in file.read_text(encoding="utf-8").splitlines():
        comment, key = _COMMENT.match(line), _KEY.match(line)
        if comment:
            above.append(comment[1])
        elif not line.strip():
            above = []
        elif key:
            indent = len(key[1])
            while within and within[-1][0] >= indent:
                within.pop()
            within.append((indent, key[2]))
            path = ".".join(name for _, name in within)
            trailing = _TRAILING.match(key[3] or "")
            text = " ".join([*above, *([trailing[1]] if trailing else [])])
            if text:
                found[path] = text
            above = []
    return found
