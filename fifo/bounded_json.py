"""Any value as JSON text of bounded size: a handler's result, attributes; no I/O.

`json.dumps` runs in C and cannot be interrupted, so its time is bounded by size: once a
value has been over the limit, later ones are encoded piece by piece, and encoding stops at
the limit. What JSON cannot hold is described, never fatal: NaN and the infinities as text,
bytes and other objects as ``{"__type__": …, "repr": …}``, keys that are no text by their own
JSON or their description.
"""

try:
    # What `json.encoder` has from there; `json` itself imports `re`: half of this package's import.
    from _json import encode_basestring
    from _json import make_encoder as _make_encoder
except ImportError:
    from json.encoder import encode_basestring

    _make_encoder = None  # type: ignore[misc,assignment]

from fifo import encoding, messages
from fifo.fields import FIELD_LAYOUT, cut_utf8, encode_field

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Encoded = tuple[bytes, int | None, bool, int]
    """As `messages.Body` has them: data, size in bytes, whether it is cut, kind of content."""

MAX_REPR_CHARACTERS = 200
MAX_DEPTH = 64
_pack_field = FIELD_LAYOUT.pack
_NOT_JSON = ("nan", "inf", "-inf")
_BINARY = (bytes, bytearray, memoryview)


class Encoder:
    """Encodes results; remembers whether one has been over its limit."""

    __slots__ = ("_careful",)

    def __init__(self) -> None:
        self._careful = False

    def body(self, value: object, max_bytes: int) -> "Encoded":
        """`value` within `max_bytes`; the size is None where it was never encoded whole."""
        if isinstance(value, _BINARY):
            if type(value) is memoryview:
                value = value.tobytes()  # whatever its items and its shape
            size = len(value)
            if size <= max_bytes:
                return bytes(value), size, False, messages.BINARY
            return bytes(value[:max_bytes]), size, True, messages.BINARY
        if not self._careful:
            try:
                data = _whole_text(value).encode("utf-8", "backslashreplace")
            except Exception:  # noqa: BLE001, S110 - the value's own code may raise anything
                pass  # a key that is no text, NaN, a cycle: the careful way describes them
            else:
                size = len(data)
                if size <= max_bytes:
                    return data, size, False, messages.JSON
                self._careful = True
                return cut_utf8(data, max_bytes), size, True, messages.JSON
        text, whole = bounded_text(value, max_bytes)
        data = text.encode("utf-8", "backslashreplace")
        cut = cut_utf8(data, max_bytes)
        whole = whole and len(cut) == len(data)
        return cut, len(data) if whole else None, not whole, messages.JSON


_made: "list[Any]" = []
"""The standard library's encoders in C that nobody uses now; each has the containers that it is in,
so that two threads never share one, nor is one used again that was left within some."""


def _whole_text(value: object) -> str:
    """JSON text of `value`; raises what its own code raises, or ValueError and RecursionError."""
    try:
        encode = _made.pop()
    except IndexError:
        if _make_encoder is None:
            import json

            return json.JSONEncoder(
                ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_describe
            ).encode(value)
        # As `json.JSONEncoder` calls it, less what it does for each call anew.
        encode = _make_encoder(
            {}, _describe, encode_basestring, None, ":", ",", False, False, False
        )
    text = "".join(encode(value, 0))
    _made.append(encode)
    return text


def bounded_text(value: object, max_characters: int) -> "tuple[str, bool]":
    """JSON text of `value`, stopped soon after `max_characters`; (text, whether it is whole)."""
    writer = _Writer(max_characters)
    try:
        writer.write(value, 0)
    except _FullError:
        return "".join(writer.parts), False
    except Exception as error:  # noqa: BLE001 - the value's own code may raise anything
        return f'"<not encodable: {type(error).__name__}>"', True
    return "".join(writer.parts), True


_PLAIN_CHARACTERS = 1024
_PLAIN_COUNT = 32
_KEPT_OPENINGS = 256
_KEPT_CHARACTERS = 128
_openings: "dict[str, str]" = {}
"""Attributes' names as JSON, which come again and again; `_KEPT_OPENINGS` at most."""


def attributes_field(attributes: object, tag: int = messages.TAG_ATTRIBUTES) -> bytes:
    """A span's or an event's attributes as a field with a JSON object; empty where there are none.

    One over `encoding.MAX_ATTRIBUTES_BYTES` is described instead, so that what arrives is
    JSON in any case.
    """
    # Few and plain ones, as most are, six times as fast as the careful way writes them.
    if type(attributes) is not dict or len(attributes) > _PLAIN_COUNT:
        return _careful_field(attributes, tag)
    pairs = ""
    try:
        for key, value in attributes.items():
            opening = _openings.get(key) or _opening(key)
            kind = type(value)
            if kind is int:
                pairs = f"{pairs}{opening}{value}"
            elif kind is str and len(value) <= _PLAIN_CHARACTERS:
                pairs = f"{pairs}{opening}{encode_basestring(value)}"
            elif kind is bool:
                pairs = f"{pairs}{opening}{'true' if value else 'false'}"
            else:
                return _careful_field(attributes, tag)
        if not pairs:
            return b""
        data = f"{{{pairs[1:]}}}".encode()
    except (RuntimeError, ValueError):
        # Another thread adds to it; an integer over sys.set_int_max_str_digits; no Unicode; a name
        # that is none.
        return _careful_field(attributes, tag)
    if len(data) > encoding.MAX_ATTRIBUTES_BYTES:
        return _careful_field(attributes, tag)
    return _pack_field(tag, len(data)) + data


def _opening(key: object) -> str:
    """``,"key":``, kept. Raises ValueError for a `key` that is not a short text."""
    if type(key) is not str or len(key) > _PLAIN_CHARACTERS:
        raise ValueError
    opening = f",{encode_basestring(key)}:"
    if len(key) <= _KEPT_CHARACTERS and len(_openings) < _KEPT_OPENINGS:
        _openings[key] = opening
    return opening


def _careful_field(attributes: object, tag: int) -> bytes:
    if not attributes:
        return b""
    text, whole = bounded_text(attributes, encoding.MAX_ATTRIBUTES_BYTES)
    if not whole or len(text.encode("utf-8", "replace")) > encoding.MAX_ATTRIBUTES_BYTES:
        text = '{"spanpipe.attributes":"over 32768 bytes"}'
    return encode_field(tag, text) if text[:1] == "{" else b""


class _FullError(Exception):
    pass


class _Writer:
    __slots__ = ("left", "open", "parts")

    def __init__(self, max_characters: int) -> None:
        self.parts: list[str] = []
        self.left = max_characters
        self.open: set[int] = set()

    def put(self, text: str) -> None:
        self.parts.append(text)
        self.left -= len(text)
        if self.left < 0:
            raise _FullError

    def text(self, value: str) -> None:
        # Only as much as can be sent is escaped: a text may be of many megabytes.
        whole = len(value) <= self.left
        self.put(encode_basestring(value if whole else value[: self.left + 1]))
        if not whole:
            raise _FullError

    def write(self, value: object, depth: int) -> None:
        if value is None or value is True or value is False:
            self.put("null" if value is None else "true" if value else "false")
        elif isinstance(value, str):
            self.text(value)
        elif isinstance(value, int):
            self.put(_int_text(value))
        elif isinstance(value, float):
            text = float.__repr__(value)
            self.put(f'"{text}"' if text in _NOT_JSON else text)
        elif depth >= MAX_DEPTH or id(value) in self.open:
            self.put('"<nested too deep>"' if depth >= MAX_DEPTH else '"<itself>"')
        elif isinstance(value, dict):
            self._container("{", "}", value, depth)
        elif isinstance(value, list | tuple):
            self._container("[", "]", value, depth)
        else:
            self.write(_describe(value), depth + 1)

    def _container(self, opening: str, closing: str, value: object, depth: int) -> None:
        self.open.add(id(value))
        self.put(opening)
        first = True
        if isinstance(value, dict):
            for key, item in value.items():
                self.put("" if first else ",")
                first = False
                self.text(_key(key))
                self.put(":")
                self.write(item, depth + 1)
        elif isinstance(value, list | tuple):
            for item in value:
                self.put("" if first else ",")
                first = False
                self.write(item, depth + 1)
        self.put(closing)
        self.open.discard(id(value))


def _int_text(value: int) -> str:
    try:
        return int.__repr__(value)
    except ValueError:  # over sys.set_int_max_str_digits
        return '"<an integer of over 4300 digits>"'


def _key(key: object) -> str:
    if isinstance(key, str):
        return key
    if key is None or isinstance(key, bool):
        return {None: "null", True: "true", False: "false"}[key]
    if isinstance(key, int | float):
        return _int_text(key) if isinstance(key, int) else float.__repr__(key)
    return _repr(key)


def _describe(value: object) -> "dict[str, str]":
    kind = type(value)
    return {"__type__": f"{kind.__module__}.{kind.__qualname__}", "repr": _repr(value)}


def _repr(value: object) -> str:
    if isinstance(value, bytes | bytearray):
        value = value[:MAX_REPR_CHARACTERS]
    elif isinstance(value, set | frozenset) and len(value) > MAX_REPR_CHARACTERS:
        return f"<{type(value).__name__} of {len(value)}>"
    try:
        return repr(value)[:MAX_REPR_CHARACTERS]
    except Exception as error:  # noqa: BLE001 - a hostile __repr__ is the function's, not ours
        return f"<repr raised {type(error).__name__}>"
