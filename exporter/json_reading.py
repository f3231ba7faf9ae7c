"""JSON that may have been cut anywhere: where the values of secret keys and pairs stand; no I/O.

It is read once from its beginning, never recursively, and nothing depends on what comes after.
"""

from __future__ import annotations

import enum
import json
import re
from typing import Protocol

from exporter.edits import REDACTED, STRING, Edit, end_of, nested_end

_QUOTED = f'"{REDACTED}"'
_LITERAL = r"(?:-?[0-9][0-9.eE+-]*|true|false|null|NaN|-?Infinity)(?![^ \t\r\n,\]}])"
_TOKEN = re.compile(
    rf'[ \t\r\n,]*(?:"(?P<string>{STRING})(?:"(?P<colon>[ \t\r\n]*:)|(?P<close>"))?'
    rf"|(?P<open>[{{\[])|(?P<end>[}}\]])|(?P<literal>{_LITERAL}))",
    re.DOTALL,
)
BLANKS = re.compile(r"[ \t\r\n\ufeff]*")
_BETWEEN = re.compile(r"[ \t\r\n,]*")
_BARE = re.compile(_LITERAL)
_BEGUN = re.compile(r"(?:t(?:ru?)?|f(?:a(?:ls?)?)?|n(?:ul?)?|Na?|-?I[a-z]{0,6}|-)\Z")
"""A literal that the text's end has cut."""
_NESTED = re.compile(rf'"{STRING}"?|([{{\[])|([}}\]])', re.DOTALL)
MAX_DEPTH = 1_000
"""Containers in each other; one that is deeper goes whole. `json` gives up there as well."""

_ESCAPE = re.compile(
    r"\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})"
    r"|\\u([0-9a-fA-F]{4})|\\u[0-9a-fA-F]{0,3}\Z|\\(.)|\\\Z",
    re.DOTALL,
)
_IN_C = json.JSONDecoder(strict=False)
_SHORT_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f"}


class Role(enum.Enum):
    """What a key says of its value."""

    PLAIN = enum.auto()
    SECRET = enum.auto()
    NAME = enum.auto()
    """It is the name in a pair,"""
    VALUE = enum.auto()
    """and this the value."""


class Rules(Protocol):
    """What a reading asks for; raw names and texts are as they are written, escapes and all."""

    def role(self, raw_name: str) -> Role:
        """What the key `raw_name` says of its value."""

    def is_secret(self, raw_name: str) -> bool:
        """Whether what is called `raw_name` is a secret."""

    def string_edits(self, text: str, start: int, end: int, depth: int, *, cut: bool) -> list[Edit]:
        """What goes of the string whose content is `text` from `start` to `end`."""


class _Frame:
    """A container that is open, or the text itself."""

    __slots__ = (
        "count",
        "in_list",
        "is_list",
        "is_named",
        "is_secret",
        "plain",
        "role",
        "second",
        "start",
        "values",
    )

    def __init__(self, start: int, *, is_list: bool, in_list: bool) -> None:
        self.start = start
        self.is_list = is_list
        self.in_list = in_list
        self.role = Role.PLAIN
        """Of the key that was read last."""
        self.is_named = self.is_secret = False
        """Whether it is a pair whose name is known, and whether that is a secret's."""
        self.values: list[tuple[int, int, bool]] = []
        """Values of a pair: from, to, and whether it may go while the name is not known."""
        self.count = 0
        self.second: tuple[int, int] | None = None
        self.plain = True
        """A list that holds no container."""


class JsonReading:
    """One reading of a text as JSON, from its beginning to where it is none any more."""

    def __init__(self, rules: Rules, text: str, depth: int, edits: list[Edit]) -> None:
        self._rules = rules
        self._text = text
        self._depth = depth
        self._edits = edits
        self._frames = [_Frame(0, is_list=False, in_list=False)]

    def read(self, position: int) -> int:
        """From `position`; where plain text begins, the text's length where none does."""
        text, size = self._text, len(self._text)
        while True:
            token = _TOKEN.match(text, position)
            if token is None:
                return self._finish(position)
            kind, position = token.lastgroup, token.end()
            frame = self._frames[-1]
            if kind == "colon":
                frame.role = self._rules.role(token["string"])
                if frame.role is Role.VALUE and frame.is_secret:
                    frame.role = Role.SECRET
                if frame.role is Role.SECRET:
                    end = self._redact_value(position)
                    if end is None:
                        self._finish(position)
                        return token.start("string") - 1
                    position = end
            elif kind == "open":
                start = token.start("open")
                if len(self._frames) > MAX_DEPTH:
                    position = nested_end(_NESTED, text, start)
                    self._edits.append((start, position, _QUOTED))
                    self._note_value(start, position, plain=False)
                else:
                    self._open(start)
            elif kind == "end":
                if len(self._frames) == 1:
                    return self._finish(token.start("end"))
                self._close(position)
            elif kind == "literal":
                self._note_value(token.start("literal"), position, plain=True)
            else:
                position = self._take_string(token, position if kind == "close" else size)

    def _take_string(self, token: re.Match[str], end: int) -> int:
        start = token.start("string")
        closed = token["close"] is not None
        frame = self._frames[-1]
        if closed and frame.role is Role.NAME:
            frame.is_named = True
            if self._rules.is_secret(token["string"]):
                frame.is_secret = True
                self._edits += [(first, last, _QUOTED) for first, last, _ in frame.values]
        first_of_pair = frame.is_list and frame.in_list and frame.count == 0
        if closed and first_of_pair and self._rules.is_secret(token["string"]):
            frame.is_secret = True
        self._note_value(start - 1, end, plain=True)
        self._edits += self._rules.string_edits(
            self._text, start, end - closed, self._depth, cut=not closed
        )
        return end

    def _note_value(self, start: int, end: int, *, plain: bool) -> None:
        """A value of the container that is open has ended."""
        frame = self._frames[-1]
        if frame.is_list:
            frame.count += 1
            frame.plain = frame.plain and plain
            if frame.count == 2:
                frame.second = (start, end)
        elif frame.role is Role.VALUE:
            frame.values.append((start, end, plain))
        frame.role = Role.PLAIN

    def _open(self, start: int) -> None:
        parent = self._frames[-1]
        if parent.is_list:
            parent.plain = False
        child = _Frame(start, is_list=self._text[start] == "[", in_list=parent.is_list)
        self._frames.append(child)

    def _close(self, end: int) -> None:
        frame = self._frames.pop()
        if frame.is_list and frame.is_secret and frame.count == 2 and frame.second is not None:
            self._edits.append((*frame.second, _QUOTED))
        self._note_value(frame.start, end, plain=frame.is_list and frame.plain)

    def _redact_value(self, position: int) -> int | None:
        """The value at `position` goes; its end, None where it is no JSON."""
        span = json_value(self._text, position)
        if span is None:
            return None
        self._edits += [(*span, _QUOTED)] if span[1] > span[0] else []
        self._frames[-1].role = Role.PLAIN
        return span[1]

    def _finish(self, position: int) -> int:
        """The text is over, or JSON is; what a cut leaves open goes where it may be a secret."""
        text = self._text
        end = end_of(_BETWEEN, text, position)
        if _BEGUN.match(text, end):
            self._note_value(end, len(text), plain=True)
            end = len(text)
        for index, frame in enumerate(self._frames[1:], 1):
            child = self._frames[index + 1] if index + 1 < len(self._frames) else None
            if frame.is_list:
                if frame.is_secret and frame.count == 2 and frame.second is not None:
                    self._edits.append((*frame.second, _QUOTED))
                elif frame.is_secret and frame.count == 1 and child is not None:
                    self._edits.append((child.start, end, _QUOTED))
            elif not frame.is_named:
                self._edits += [
                    (start, stop, _QUOTED) for start, stop, plain in frame.values if plain
                ]
                if frame.role is Role.VALUE and child is not None and child.is_list and child.plain:
                    self._edits.append((child.start, end, _QUOTED))
        return end


def json_value(text: str, position: int) -> tuple[int, int] | None:
    """From, to: the value after a key, of no length for null; None where it is no JSON."""
    start = end_of(BLANKS, text, position)
    first = text[start : start + 1]
    if first == '"':
        token = _TOKEN.match(text, start)
        closed = token is not None and token.lastgroup != "string"
        return start, token.end("string") + 1 if closed and token is not None else len(text)
    if first in ("{", "["):
        is_done = text.startswith(REDACTED, start)  # as plain text leaves it
        return None if is_done else (start, nested_end(_NESTED, text, start))
    literal = _BARE.match(text, start) or _BEGUN.match(text, start)
    if literal is None:
        return (start, start) if not first else None
    end = literal.end()
    return (end, end) if "null".startswith(literal[0]) else (start, end)


def edits_after(keys: list[str], text: str) -> list[Edit] | None:
    """The values of `keys`, one at least, in JSON; None where it is none after all."""
    edits: list[Edit] = []
    key = re.compile(f'"(?:{"|".join(map(re.escape, keys))})"[ \\t\\r\\n]*:')
    found = key.search(text)
    while found is not None:
        end = found.end()
        # A key that holds a quote only ends like one of these.
        if text[max(0, found.start() - 1)] != "\\":
            span = json_value(text, end)
            if span is None:
                return None
            edits.append((*span, _QUOTED))
            end = max(end, span[1])
        found = key.search(text, end)
    return [edit for edit in edits if edit[1] > edit[0]]


def _unescaped(escape: re.Match[str]) -> str:
    high, low, code, letter = escape.groups()
    if high is not None:
        return chr(0x10000 + ((int(high, 16) & 0x3FF) << 10) + (int(low, 16) & 0x3FF))
    if code is not None:
        return chr(int(code, 16))
    # A part of an escape, at a cut, is nothing yet.
    return _SHORT_ESCAPES.get(letter, letter) if letter is not None else ""


def decoded_text(raw: str) -> str:
    """The text that a JSON string's content stands for, also of a part of one."""
    if "\\" not in raw:
        return raw
    try:
        decoded: str = _IN_C.decode(f'"{raw}"')
    except ValueError:  # a part of an escape at a cut, or what is no escape
        return _ESCAPE.sub(_unescaped, raw)
    return decoded


def on_raw(raw: str, decoded_size: int, edits: list[Edit]) -> list[Edit]:
    """`edits` on the decoded text as those on the string's content, `raw`."""
    places = iter([place for edit in edits for place in edit[:2]])
    found: list[int] = []
    decoded = at = 0
    place = next(places, None)
    for escape in _ESCAPE.finditer(raw):
        plain = escape.start() - at
        while place is not None and place <= decoded + plain:
            found.append(at + place - decoded)
            place = next(places, None)
        # One character each; a part of one, at a cut, is none.
        decoded += plain + (escape.lastindex is not None)
        at = escape.end()
    while place is not None:
        found.append(at + place - decoded)
        place = next(places, None)
    pairs = zip(found[::2], found[1::2], strict=True)
    return [
        (start, len(raw) if edit[1] == decoded_size else end, edit[2])
        for (start, end), edit in zip(pairs, edits, strict=True)
    ]


def escaped(instead: str) -> str:
    """As it stands in a JSON string."""
    return instead.replace("\\", "\\\\").replace('"', '\\"')
