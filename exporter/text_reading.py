"""Plain text: names, the sign behind them, and how far their values go; no I/O."""

from __future__ import annotations

import re

from exporter.edits import STRING, end_of, nested_end
from exporter.secret_names import normalized

IN_NAME = r"\w.\-\[\]%$+@"
"""Characters of a name, in a class of a regular expression."""
NAME = re.compile(
    rf"(?<![{IN_NAME}])(?P<name>[{IN_NAME}]+)(?P<quote>\\*[\"']\]?)?[ \t]*(?P<sign>[=:])[ \t]*"
)
_IN_QUOTES = re.compile(
    r"[bBuU]?(?P<escape>\\*)(?P<quote>[\"'])(?P<value>.*?)(?:(?<!\\)(?P=escape)(?P=quote)|\Z)",
    re.DOTALL,
)
_SCHEME = r"(?:(?:[Bb]earer|[Bb]asic|[Dd]igest|[Nn]egotiate|AWS4-HMAC-SHA256)[ +]+)?"
_TO_AMPERSAND = re.compile(rf"{_SCHEME}[^\s&]*")
_TO_BLANK = re.compile(rf"{_SCHEME}\S*")
_TO_LINE_END = re.compile(r"[^\r\n]*")
_HEADERS_WITH_BLANKS = ("cookie", "authorization")
_MAX_INDENT_CHARS = 64
_NESTED_IN_TEXT = re.compile(
    rf"""(?:"{STRING}"?|'[^'\\]*(?:\\.[^'\\]*)*'?)|([{{\[])|([}}\]])""", re.DOTALL
)


def value_in_text(text: str, found: re.Match[str]) -> tuple[int, int]:
    """From, to: the value of the name that was `found`."""
    start = found.end()
    run = _TO_BLANK if found["sign"] == ":" else _TO_AMPERSAND
    quoted = _IN_QUOTES.match(text, start)
    if quoted is not None:
        end = quoted.end()
        if found["sign"] == "=" and text[end : end + 1].isalnum():
            return start, end_of(run, text, end)
        return quoted.span("value")
    to_line_end = found["sign"] == ":" and not found["quote"] and _begins_line(text, found)
    if to_line_end:
        run = _TO_LINE_END
    if text[start : start + 1] in ("{", "["):
        end = nested_end(_NESTED_IN_TEXT, text, start)
        return start, end if found["quote"] else end_of(run, text, end)
    return start, end_of(run, text, start)


def _begins_line(text: str, found: re.Match[str]) -> bool:
    """Whether the name is a header's: the first in its line, or one that is known for blanks."""
    if normalized(found["name"]).endswith(_HEADERS_WITH_BLANKS):
        return True
    start = max(0, found.start() - _MAX_INDENT_CHARS)
    before = text[start : found.start()].rstrip(" \t>*-")
    return before[-1:] in ("\r", "\n") if before else start == 0
