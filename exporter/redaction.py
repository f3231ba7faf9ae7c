"""What is left out of captured texts: secrets by the name they stand under, and patterns.

Text and rules in, text out; no I/O. A body may have been cut anywhere, so nothing depends on
what comes after: a text is read once from its beginning, as JSON while it is JSON, and from
there on as plain text. What is to go is noted as edits on the text as it was, so the rest
stays as it is, to the byte.

JSON: the whole value of a secret key goes, at any depth, also in JSON that is text in JSON
(`MAX_EMBEDDED` levels; deeper ones go whole). null stays: it holds nothing. So go the values
of pairs, ``{"name": "password", "value": …}`` in either order, and the second of two in a list
of lists, ``[["authorization", …]]``. Where a cut leaves open what a ``value`` is called, a
text, a number or a list of these goes.

Text: what follows a secret name and ``=``, up to a blank or ``&``; what follows one and ``:``,
to the line's end where the name begins the line, else one word. A value in quotes or brackets
goes whole.
"""

from __future__ import annotations

import enum
import json
import re
from collections.abc import Mapping
from urllib.parse import unquote

from exporter import patterns
from exporter.record import AttributeValue
from exporter.secret_names import SecretNames, normalized
from exporter.settings import RedactSettings

REDACTED = "[REDACTED]"
MAX_EMBEDDED = 8
"""Levels of JSON as text in JSON: each is decoded once more."""

Edit = tuple[int, int, str]
"""From, to (characters) and what stands there instead."""

_QUOTED = f'"{REDACTED}"'
_PAIR_NAMES = frozenset(
    (
        *("name", "key", "header", "headername", "field", "fieldname", "parametername"),
        *("parameterkey", "attributename", "propertyname", "variable"),
    )
)
_PAIR_VALUES = frozenset(
    (
        *("value", "values", "val", "headervalue", "fieldvalue", "parametervalue"),
        *("attributevalue", "propertyvalue", "defaultvalue"),
    )
)

_STRING = r'[^"\\]*(?:\\.[^"\\]*)*'
_LITERAL = r"(?:-?[0-9][0-9.eE+-]*|true|false|null|NaN|-?Infinity)(?![^ \t\r\n,\]}])"
_TOKEN = re.compile(
    rf'[ \t\r\n,]*(?:"(?P<string>{_STRING})(?:"(?P<colon>[ \t\r\n]*:)|(?P<close>"))?'
    rf"|(?P<open>[{{\[])|(?P<end>[}}\]])|(?P<literal>{_LITERAL}))",
    re.DOTALL,
)
_BLANKS = re.compile(r"[ \t\r\n\ufeff]*")
_BETWEEN = re.compile(r"[ \t\r\n,]*")
_BARE = re.compile(_LITERAL)
_BEGUN = re.compile(r"(?:t(?:ru?)?|f(?:a(?:ls?)?)?|n(?:ul?)?|Na?|-?I[a-z]{0,6}|-)\Z")
"""A literal that the text's end has cut."""
_NESTED = re.compile(rf'"{_STRING}"?|([{{\[])|([}}\]])', re.DOTALL)
_NESTED_IN_TEXT = re.compile(
    rf"""(?:"{_STRING}"?|'[^'\\]*(?:\\.[^'\\]*)*'?)|([{{\[])|([}}\]])""", re.DOTALL
)
MAX_DEPTH = 1_000
"""Containers in each other; one that is deeper goes whole. `json` gives up there as well."""
_MAY_HOLD = re.compile(r"[=:\[]|\\u00[2-7]")
"""Without one of these a text has neither a name and its value, nor a list."""

_ESCAPE = re.compile(
    r"\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})"
    r"|\\u([0-9a-fA-F]{4})|\\u[0-9a-fA-F]{0,3}\Z|\\(.)|\\\Z",
    re.DOTALL,
)
_IN_C = json.JSONDecoder(strict=False)
_SHORT_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f"}

_IN_NAME = r"\w.\-\[\]%$+@"
_NAME = re.compile(
    rf"(?<![{_IN_NAME}])(?P<name>[{_IN_NAME}]+)(?P<quote>\\*[\"']\]?)?[ \t]*(?P<sign>[=:])[ \t]*"
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

# Backwards, so that each begins with a sign and ends where its name begins; one sign each, for
# which `re` searches as fast as memory allows. The usual key of JSON is tried first.
_BLANKS_BACK = r"[ \t\r\n]*(?:[nrt]\\+[ \t\r\n]*)*"
_BEFORE_SIGN = rf"{_BLANKS_BACK}(?:\"\\*[^\"\\]*\\?|(?:\]?[\"']\\*)?[{_IN_NAME}]+)"
_BACK_FROM_COLON = re.compile(rf':("[^"\\]*(?=")|{_BEFORE_SIGN})')
_BACK_FROM_EQUALS = re.compile(rf"=({_BEFORE_SIGN})")
_BLANKS_BEFORE_SIGN = re.compile(_BLANKS_BACK)
_WORD_BEFORE_SIGN = re.compile(rf"(?<![{_IN_NAME}])[{_IN_NAME}]+(?=\\*[\"']?\]?[ \t]*(?:[=:]|\Z))")
# What follows is only looked at: it may hold the next, in JSON that is text in JSON.
_TEXT_MEMBER = re.compile(
    r'"([^"\\]*)\\*"(?:\s|\\+[nrt])*:(?:\s|\\+[nrt])*\\*"(?=([^"\\]*)(\\*.)?)', re.DOTALL
)
_FIRST_IN_LIST = re.compile(r'\[(?=(?:\s|\\+[nrt])*\\*"([^"\\]*)(\\*.)?)', re.DOTALL)
_ESCAPED_ASCII = re.compile(r"\\u00[2-7]")
"""Escaped by choice: quotes, colons or letters of a key may hide behind it."""

_LOOK_CHARS = 256
"""A shorter text in a text is read at once."""
_MAX_LOOKED_KEYS = 64
_MAX_KNOWN = 4_096
_MAX_KNOWN_CHARS = 256


class _Role(enum.Enum):
    """What a key says of its value."""

    PLAIN = enum.auto()
    SECRET = enum.auto()
    NAME = enum.auto()
    """It is the name in a pair,"""
    VALUE = enum.auto()
    """and this the value."""


class _Kind(enum.Enum):
    """What a quick look takes for the name before a sign."""

    OTHER = enum.auto()
    VALUE = enum.auto()
    """The value of a pair."""
    KEY = enum.auto()
    """A key of JSON that is a secret's."""
    UNCLEAR = enum.auto()
    """Escapes hide it, or plain text has a secret's name there."""


class Redactor:
    """The rules of `settings`, made once. Raises PatternError for a pattern not to be taken."""

    def __init__(self, settings: RedactSettings | None = None) -> None:
        settings = settings or RedactSettings()
        self._names = SecretNames(settings.keys, defaults=settings.defaults)
        self._patterns = tuple(map(patterns.compile_pattern, settings.patterns))
        self._roles: dict[str, _Role] = {}
        self._kinds: dict[str, tuple[_Kind, str]] = {}

    def text(self, text: str, *, cut: bool = False) -> tuple[str, int]:
        """`text` without what is to go, and how many places that were.

        `cut`: it is the beginning of a longer one. Where patterns are in force, the string or
        line at its end goes whole: one of them might have matched the rest.
        """
        return _applied(text, self._edits(text, 0, cut=cut, whole=True))

    def attributes(self, attributes: Mapping[str, AttributeValue]) -> dict[str, AttributeValue]:
        """Those of a span or an event: keys by the rules of keys, texts by those of texts."""
        return {
            key: REDACTED if self._names.match(key) else self._value(value)
            for key, value in attributes.items()
        }

    def _value(self, value: AttributeValue) -> AttributeValue:
        if isinstance(value, str):
            return self.text(value)[0]
        if isinstance(value, bool | int | float):
            return value
        return [self.text(one)[0] for one in value]

    def _edits(self, text: str, depth: int, *, cut: bool, whole: bool) -> list[Edit]:
        """Those of a text, `whole` or the value of a string in it."""
        if not self._patterns and (whole or len(text) >= _LOOK_CHARS):
            keys = self._look(text, cut=cut)
            if keys is not None:
                edits = _edits_after(keys, text)
                if edits is not None:
                    return _resolved(text, edits)
        return self.read_edits(text, depth, cut=cut, whole=whole)

    def read_edits(self, text: str, depth: int, *, cut: bool, whole: bool) -> list[Edit]:
        """The same by reading `text` to its end."""
        edits: list[Edit] = []
        end = _end(_BLANKS, text, 0)
        if text[end : end + 1] in ("{", "[", '"') and not text.startswith(REDACTED, end):
            end = _Json(self, text, depth, edits).read(end)
        self._add_text_edits(text, end, edits)
        if self._patterns and whole:
            self._add_matches_by_line(text, end, edits, cut=cut)
        elif self._patterns:
            self._add_matches(text, 0, len(text), edits)
        return _resolved(text, edits)

    def string_edits(self, text: str, start: int, end: int, depth: int, *, cut: bool) -> list[Edit]:
        """Those of the JSON string whose content is `text` from `start` to `end`."""
        raw = text[start:end]
        if cut and self._patterns:
            return [(start, end, REDACTED)]
        if not self._patterns and _MAY_HOLD.search(raw) is None:
            return []
        if depth >= MAX_EMBEDDED:
            return [(start, end, REDACTED)]
        decoded = _decoded(raw)
        edits = self._edits(decoded, depth + 1, cut=cut, whole=False)
        if not edits:
            return []
        if decoded != raw:
            edits = _on_raw(raw, len(decoded), edits)
        return [(start + first, start + last, _escaped(instead)) for first, last, instead in edits]

    def role(self, raw_name: str) -> _Role:
        """Of a JSON key as it is written; bodies repeat their keys, so it is remembered."""
        role = self._roles.get(raw_name)
        if role is None:
            name = _decoded(raw_name)
            role = _Role.SECRET if self._names.match(name) else _Role.PLAIN
            if role is _Role.PLAIN:
                plain = normalized(name) if len(name) <= _MAX_KNOWN_CHARS else ""
                if plain in _PAIR_NAMES:
                    role = _Role.NAME
                elif plain in _PAIR_VALUES:
                    role = _Role.VALUE
            if len(raw_name) <= _MAX_KNOWN_CHARS:
                if len(self._roles) >= _MAX_KNOWN:
                    self._roles.clear()
                self._roles[raw_name] = role
        return role

    def is_secret(self, raw_name: str) -> bool:
        """Whether what a JSON string calls something is a secret."""
        return self._names.match(_decoded(raw_name))

    # Text

    def _add_text_edits(self, text: str, position: int, edits: list[Edit]) -> None:
        while True:
            found = _NAME.search(text, position)
            if found is None:
                return
            position = found.end()
            if self._is_name_of_secret(text, found):
                start, end = _value_in_text(text, found)
                if end > start:
                    edits.append((start, end, REDACTED))
                    position = end

    def _is_name_of_secret(self, text: str, found: re.Match[str]) -> bool:
        before = text[max(0, found.start() - 1) : found.start()]
        if before == ":" and found["sign"] == ":" and not found["quote"]:
            return False  # a part of an ARN: `arn:aws:secretsmanager:…`
        return self._matches(found["name"])

    def _matches(self, name: str) -> bool:
        """Whether `name`, as it is written or without a form's escapes, is a secret's."""
        if self._names.match(name):
            return True
        return "%" in name and self._names.match(unquote(name))

    def _add_matches_by_line(self, text: str, start: int, edits: list[Edit], *, cut: bool) -> None:
        while start < len(text):
            end = text.find("\n", start)
            if end < 0 and cut:
                edits.append((start, len(text), REDACTED))
                return
            end = len(text) if end < 0 else end
            self._add_matches(text, start, end, edits)
            start = end + 1

    def _add_matches(self, text: str, start: int, end: int, edits: list[Edit]) -> None:
        while start < end:
            # What has been left out before is not looked at again.
            stop = text.find(REDACTED, start, end)
            stop = end if stop < 0 else stop
            for first, last in patterns.found(self._patterns, text, start, stop):
                edits.append((first, last, REDACTED))
            start = stop + len(REDACTED)

    # What there is to do

    def _look(self, text: str, *, cut: bool) -> list[str] | None:
        """The keys of `text`, as they are written, whose values are all that has to go.

        None where `text` has to be read to tell. A few searches in C: most bodies hold nothing.
        """
        if _ESCAPED_ASCII.search(text) is not None:
            return None
        reversed_text = text[::-1]
        keys: list[str] = []
        has_values = False
        for backwards in set(_BACK_FROM_COLON.findall(reversed_text)):
            kind, name = self._kind(backwards)
            if kind is _Kind.UNCLEAR:
                return None
            if kind is _Kind.KEY:
                keys.append(name)
            has_values = has_values or kind is _Kind.VALUE
        for backwards in set(_BACK_FROM_EQUALS.findall(reversed_text)):
            if self._kind(backwards)[0] in (_Kind.UNCLEAR, _Kind.KEY):
                return None
        is_unclear = (
            len(keys) > _MAX_LOOKED_KEYS
            or (has_values and (cut or self._has_secret_name(text)))
            or any(
                _goes_on(behind) or self._names.match(first)
                for first, behind in set(_FIRST_IN_LIST.findall(text))
            )
        )
        return None if is_unclear else keys

    def _kind(self, backwards: str) -> tuple[_Kind, str]:
        """What stands before a sign, and the key that it is."""
        known = self._kinds.get(backwards)
        if known is None:
            begin = _end(_BLANKS_BEFORE_SIGN, backwards, 0)
            name = backwards[begin:][::-1].rstrip("\\\"']")
            kind = _Kind.OTHER
            if backwards[-1] == "\\":
                kind = _Kind.UNCLEAR
            elif self._matches(name):
                is_key = backwards[begin] == '"' and "\\" not in backwards
                kind = _Kind.KEY if is_key else _Kind.UNCLEAR
            elif any(map(self._matches, _words_before_signs(name))):
                kind = _Kind.UNCLEAR
            elif self.role(name) is _Role.VALUE:
                kind = _Kind.VALUE
            known = kind, name
            if len(backwards) <= _MAX_KNOWN_CHARS:
                if len(self._kinds) >= _MAX_KNOWN:
                    self._kinds.clear()
                self._kinds[backwards] = known
        return known

    def _has_secret_name(self, text: str) -> bool:
        return any(
            _goes_on(behind) or self._names.match(value)
            for key, value, behind in set(_TEXT_MEMBER.findall(text))
            if self.role(key) is _Role.NAME
        )


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
        self.role = _Role.PLAIN
        """Of the key that was read last."""
        self.is_named = self.is_secret = False
        """Whether it is a pair whose name is known, and whether that is a secret's."""
        self.values: list[tuple[int, int, bool]] = []
        """Values of a pair: from, to, and whether it may go while the name is not known."""
        self.count = 0
        self.second: tuple[int, int] | None = None
        self.plain = True
        """A list that holds no container."""


class _Json:
    """One reading of a text as JSON, from its beginning to where it is none any more."""

    def __init__(self, rules: Redactor, text: str, depth: int, edits: list[Edit]) -> None:
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
                if frame.role is _Role.VALUE and frame.is_secret:
                    frame.role = _Role.SECRET
                if frame.role is _Role.SECRET:
                    end = self._redact_value(position)
                    if end is None:
                        self._finish(position)
                        return token.start("string") - 1
                    position = end
            elif kind == "open":
                start = token.start("open")
                if len(self._frames) > MAX_DEPTH:
                    position = _nested_end(_NESTED, text, start)
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
        if closed and frame.role is _Role.NAME:
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
        elif frame.role is _Role.VALUE:
            frame.values.append((start, end, plain))
        frame.role = _Role.PLAIN

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
        span = _json_value(self._text, position)
        if span is None:
            return None
        self._edits += [(*span, _QUOTED)] if span[1] > span[0] else []
        self._frames[-1].role = _Role.PLAIN
        return span[1]

    def _finish(self, position: int) -> int:
        """The text is over, or JSON is; what a cut leaves open goes where it may be a secret."""
        text = self._text
        end = _end(_BETWEEN, text, position)
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
                if (
                    frame.role is _Role.VALUE
                    and child is not None
                    and child.is_list
                    and child.plain
                ):
                    self._edits.append((child.start, end, _QUOTED))
        return end


def _json_value(text: str, position: int) -> tuple[int, int] | None:
    """From, to: the value after a key, of no length for null; None where it is no JSON."""
    start = _end(_BLANKS, text, position)
    first = text[start : start + 1]
    if first == '"':
        token = _TOKEN.match(text, start)
        closed = token is not None and token.lastgroup != "string"
        return start, token.end("string") + 1 if closed and token is not None else len(text)
    if first in ("{", "["):
        is_done = text.startswith(REDACTED, start)  # as plain text leaves it
        return None if is_done else (start, _nested_end(_NESTED, text, start))
    literal = _BARE.match(text, start) or _BEGUN.match(text, start)
    if literal is None:
        return (start, start) if not first else None
    end = literal.end()
    return (end, end) if "null".startswith(literal[0]) else (start, end)


def _edits_after(keys: list[str], text: str) -> list[Edit] | None:
    """The values of `keys` in JSON; None where it is none after all."""
    if not keys:
        return []
    edits: list[Edit] = []
    key = re.compile(f'"(?:{"|".join(map(re.escape, keys))})"[ \\t\\r\\n]*:')
    found = key.search(text)
    while found is not None:
        end = found.end()
        # A key that holds a quote only ends like one of these.
        if text[max(0, found.start() - 1)] != "\\":
            span = _json_value(text, end)
            if span is None:
                return None
            edits.append((*span, _QUOTED))
            end = max(end, span[1])
        found = key.search(text, end)
    return [edit for edit in edits if edit[1] > edit[0]]


def _value_in_text(text: str, found: re.Match[str]) -> tuple[int, int]:
    """From, to: the value of the name that was `found`."""
    start = found.end()
    run = _TO_BLANK if found["sign"] == ":" else _TO_AMPERSAND
    quoted = _IN_QUOTES.match(text, start)
    if quoted is not None:
        end = quoted.end()
        if found["sign"] == "=" and text[end : end + 1].isalnum():
            return start, _end(run, text, end)
        return quoted.span("value")
    to_line_end = found["sign"] == ":" and not found["quote"] and _begins_line(text, found)
    if to_line_end:
        run = _TO_LINE_END
    if text[start : start + 1] in ("{", "["):
        end = _nested_end(_NESTED_IN_TEXT, text, start)
        return start, end if found["quote"] else _end(run, text, end)
    return start, _end(run, text, start)


def _begins_line(text: str, found: re.Match[str]) -> bool:
    """Whether the name is a header's: the first in its line, or one that is known for blanks."""
    if normalized(found["name"]).endswith(_HEADERS_WITH_BLANKS):
        return True
    start = max(0, found.start() - _MAX_INDENT_CHARS)
    before = text[start : found.start()].rstrip(" \t>*-")
    return before[-1:] in ("\r", "\n") if before else start == 0


def _nested_end(pattern: re.Pattern[str], text: str, start: int) -> int:
    """Where the container that begins at `start` ends."""
    depth = 0
    for found in pattern.finditer(text, start):
        if found.lastindex is not None:
            depth += 1 if found.lastindex == 1 else -1
            if depth == 0:
                return found.end()
    return len(text)


def _end(pattern: re.Pattern[str], text: str, start: int) -> int:
    """Where the match of `pattern`, which is one of nothing at least, ends."""
    found = pattern.match(text, start)
    return start if found is None else found.end()


def _words_before_signs(name: str) -> list[str]:
    """What plain text would take for names in `name`, after which a sign comes."""
    found: list[str] = _WORD_BEFORE_SIGN.findall(name)
    return found


def _goes_on(behind: str) -> bool:
    """Whether a string has an escape where it seemed to end."""
    return behind[-1:] != '"'


def _unescaped(escape: re.Match[str]) -> str:
    high, low, code, letter = escape.groups()
    if high is not None:
        return chr(0x10000 + ((int(high, 16) & 0x3FF) << 10) + (int(low, 16) & 0x3FF))
    if code is not None:
        return chr(int(code, 16))
    # A part of an escape, at a cut, is nothing yet.
    return _SHORT_ESCAPES.get(letter, letter) if letter is not None else ""


def _decoded(raw: str) -> str:
    """The text that a JSON string's content stands for, also of a part of one."""
    if "\\" not in raw:
        return raw
    try:
        decoded: str = _IN_C.decode(f'"{raw}"')
    except ValueError:  # a part of an escape at a cut, or what is no escape
        return _ESCAPE.sub(_unescaped, raw)
    return decoded


def _on_raw(raw: str, decoded_size: int, edits: list[Edit]) -> list[Edit]:
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


def _escaped(instead: str) -> str:
    """As it stands in a JSON string."""
    return instead.replace("\\", "\\\\").replace('"', '\\"')


def _resolved(text: str, edits: list[Edit]) -> list[Edit]:
    """In their order and apart: one within another is part of it; what changes nothing is none."""
    apart: list[Edit] = []
    for edit in sorted(edits, key=lambda one: (one[0], -one[1])):
        if apart and edit[0] < apart[-1][1]:
            start, end, instead = apart[-1]
            apart[-1] = (start, max(end, edit[1]), instead)
        else:
            apart.append(edit)
    return [one for one in apart if text[one[0] : one[1]] != one[2]]


def _applied(text: str, edits: list[Edit]) -> tuple[str, int]:
    parts: list[str] = []
    position = 0
    for start, end, instead in edits:
        parts += (text[position:start], instead)
        position = end
    return "".join((*parts, text[position:])), len(edits)
