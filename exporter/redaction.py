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
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from exporter import patterns
from exporter.edits import REDACTED, Edit, applied, end_of, resolved
from exporter.json_reading import (
    BLANKS,
    JsonReading,
    Role,
    decoded_text,
    edits_after,
    escaped,
    on_raw,
)
from exporter.secret_names import SecretNames, normalized
from exporter.settings import RedactSettings
from exporter.text_reading import IN_NAME, NAME, value_in_text

MAX_EMBEDDED = 8
"""Levels of JSON as text in JSON: each is decoded once more."""

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
_MAY_HOLD = re.compile(r"[=:\[]|\\u00[2-7]")
"""Without one of these a text has neither a name and its value, nor a list."""

# Backwards, so that each begins with a sign and ends where its name begins; one sign each, for
# which `re` searches as fast as memory allows. The usual key of JSON is tried first.
_BLANKS_BACK = r"[ \t\r\n]*(?:[nrt]\\+[ \t\r\n]*)*"
_BEFORE_SIGN = rf"{_BLANKS_BACK}(?:\"\\*[^\"\\]*\\?|(?:\]?[\"']\\*)?[{IN_NAME}]+)"
_BACK_FROM_COLON = re.compile(rf':("[^"\\]*(?=")|{_BEFORE_SIGN})')
_BACK_FROM_EQUALS = re.compile(rf"=({_BEFORE_SIGN})")
_BLANKS_BEFORE_SIGN = re.compile(_BLANKS_BACK)
_WORD_BEFORE_SIGN = re.compile(rf"(?<![{IN_NAME}])[{IN_NAME}]+(?=\\*[\"']?\]?[ \t]*(?:[=:]|\Z))")
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
        self._roles: dict[str, Role] = {}
        self._kinds: dict[str, tuple[_Kind, str]] = {}

    def text(self, text: str, *, cut: bool = False) -> tuple[str, int]:
        """`text` without what is to go, and how many places that were.

        `cut`: it is the beginning of a longer one. Where patterns are in force, the string or
        line at its end goes whole: one of them might have matched the rest.
        """
        if not self._patterns and _MAY_HOLD.search(text) is None:
            return text, 0
        edits = self._edits(text, 0, cut=cut, whole=True)
        return applied(text, edits) if edits else (text, 0)

    def attributes(self, attributes: Mapping[str, Any]) -> dict[str, Any]:
        """Those of a span or an event: keys by the rules of keys, texts by those of texts."""
        return {
            key: REDACTED if self._names.match(key) else self._value(value)
            for key, value in attributes.items()
        }

    def _value(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.text(value)[0]
        if isinstance(value, Mapping):
            return self.attributes(value)
        if isinstance(value, list | tuple):
            return [self._value(one) for one in value]
        return value

    def _edits(self, text: str, depth: int, *, cut: bool, whole: bool) -> list[Edit]:
        """Those of a text, `whole` or the value of a string in it."""
        if not self._patterns and (whole or len(text) >= _LOOK_CHARS):
            keys = self._look(text, cut=cut)
            if keys == []:
                return []
            if keys is not None:
                edits = edits_after(keys, text)
                if edits is not None:
                    return resolved(text, edits)
        return self.read_edits(text, depth, cut=cut, whole=whole)

    def read_edits(self, text: str, depth: int, *, cut: bool, whole: bool) -> list[Edit]:
        """The same by reading `text` to its end."""
        edits: list[Edit] = []
        end = end_of(BLANKS, text, 0)
        if text[end : end + 1] in ("{", "[", '"') and not text.startswith(REDACTED, end):
            end = JsonReading(self, text, depth, edits).read(end)
        self._add_text_edits(text, end, edits)
        if self._patterns and whole:
            self._add_matches_by_line(text, end, edits, cut=cut)
        elif self._patterns:
            self._add_matches(text, 0, len(text), edits)
        return resolved(text, edits)

    def string_edits(self, text: str, start: int, end: int, depth: int, *, cut: bool) -> list[Edit]:
        """Those of the JSON string whose content is `text` from `start` to `end`."""
        raw = text[start:end]
        if cut and self._patterns:
            return [(start, end, REDACTED)]
        if not self._patterns and _MAY_HOLD.search(raw) is None:
            return []
        if depth >= MAX_EMBEDDED:
            return [(start, end, REDACTED)]
        decoded = decoded_text(raw)
        edits = self._edits(decoded, depth + 1, cut=cut, whole=False)
        if not edits:
            return []
        if decoded != raw:
            edits = on_raw(raw, len(decoded), edits)
        return [(start + first, start + last, escaped(instead)) for first, last, instead in edits]

    def role(self, raw_name: str) -> Role:
        """Of a JSON key as it is written; bodies repeat their keys, so it is remembered."""
        role = self._roles.get(raw_name)
        if role is None:
            name = decoded_text(raw_name)
            role = Role.SECRET if self._names.match(name) else Role.PLAIN
            if role is Role.PLAIN:
                plain = normalized(name) if len(name) <= _MAX_KNOWN_CHARS else ""
                if plain in _PAIR_NAMES:
                    role = Role.NAME
                elif plain in _PAIR_VALUES:
                    role = Role.VALUE
            if len(raw_name) <= _MAX_KNOWN_CHARS:
                if len(self._roles) >= _MAX_KNOWN:
                    self._roles.clear()
                self._roles[raw_name] = role
        return role

    def is_secret(self, raw_name: str) -> bool:
        """Whether what a JSON string calls something is a secret."""
        return self._names.match(decoded_text(raw_name))

    # Text

    def _add_text_edits(self, text: str, position: int, edits: list[Edit]) -> None:
        while True:
            found = NAME.search(text, position)
            if found is None:
                return
            position = found.end()
            if self._is_name_of_secret(text, found):
                start, end = value_in_text(text, found)
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
            kind, name = self._kinds.get(backwards) or self._kind(backwards)
            if kind is _Kind.OTHER:
                continue
            if kind is _Kind.UNCLEAR:
                return None
            if kind is _Kind.KEY:
                keys.append(name)
            has_values = has_values or kind is _Kind.VALUE
        for backwards in set(_BACK_FROM_EQUALS.findall(reversed_text)):
            kind, _ = self._kinds.get(backwards) or self._kind(backwards)
            if kind in (_Kind.UNCLEAR, _Kind.KEY):
                return None
        for first, behind in set(_FIRST_IN_LIST.findall(text)):
            if _goes_on(behind) or self._names.match(first):
                return None
        if len(keys) > _MAX_LOOKED_KEYS or (has_values and (cut or self._has_secret_name(text))):
            return None
        return keys

    def _kind(self, backwards: str) -> tuple[_Kind, str]:
        """What stands before a sign, and the key that it is; remembered."""
        begin = end_of(_BLANKS_BEFORE_SIGN, backwards, 0)
        is_key = backwards[begin] == '"' and "\\" not in backwards
        name = backwards[begin:][::-1]
        name = name[:-1] if is_key else name.rstrip("\\\"']")
        kind = _Kind.OTHER
        if backwards[-1] == "\\":
            kind = _Kind.UNCLEAR
        elif self._matches(name):
            kind = _Kind.KEY if is_key else _Kind.UNCLEAR
        elif any(map(self._matches, _words_before_signs(name))):
            kind = _Kind.UNCLEAR
        elif self.role(name) is Role.VALUE:
            kind = _Kind.VALUE
        if len(backwards) <= _MAX_KNOWN_CHARS:
            if len(self._kinds) >= _MAX_KNOWN:
                self._kinds.clear()
            self._kinds[backwards] = kind, name
        return kind, name

    def _has_secret_name(self, text: str) -> bool:
        return any(
            _goes_on(behind) or self._names.match(value)
            for key, value, behind in set(_TEXT_MEMBER.findall(text))
            if self.role(key) is Role.NAME
        )


def _words_before_signs(name: str) -> list[str]:
    """What plain text would take for names in `name`, after which a sign comes."""
    found: list[str] = _WORD_BEFORE_SIGN.findall(name)
    return found


def _goes_on(behind: str) -> bool:
    """Whether a string has an escape where it seemed to end."""
    return behind[-1:] != '"'
