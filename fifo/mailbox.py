"""The record in the control FIFO: policy from extension to function; bytes in, value out.

The pipe holds exactly one record of `RECORD_BYTES`, big-endian, zeros to the end::

    0       2        3      4            8                 12     16
    | FF 43 | version| flags| generation | max_body_bytes  | CRC32| 0 …

Bit 0 of `flags`: enabled. Bit 1: capture responses. Bit 2: the exporter is down. Bit 3: capture
requests. The CRC-32 covers the 12 bytes before it. Behind it come texts, tagged as in
`fifo.fields`; a reader that does not know them takes them for zeros::

    16            18                 22
    | length u16  | CRC-32 of texts  | tag u8 | length u16 | UTF-8 | … 0 …

Tag 1: the propagators, with commas between. Tag 2: where in the event a carrier is. Tag 3: the
sampler, as `fifo.sampling` writes it. Whoever reads the record has taken it; the extension then
puts the newest back.
"""

import struct
import zlib

from fifo.fields import FIELD_LAYOUT, encode_field

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

RECORD_BYTES = 4096
MAGIC = b"\xff\x43"
VERSION = 1

_FLAG_ENABLED = 0x01
_FLAG_RESPONSE = 0x02
_FLAG_EXPORTER_DOWN = 0x04
_FLAG_REQUEST = 0x08

_RECORD = struct.Struct(">2sBBII")
_CRC = struct.Struct(">I")
_TEXTS = struct.Struct(">HI")
_TEXTS_AT = _RECORD.size + _CRC.size
IDENTITY_BYTES = _TEXTS_AT + _TEXTS.size
"""Of the opening, in which one record differs from another: both checksums are in it."""
_TAG_PROPAGATORS = 1
_TAG_EVENT_PATH = 2
_TAG_SAMPLER = 3
MAX_TEXT_BYTES = 256
"""Of each text."""


class Policy:
    """What the function may leave out; a hint, since the extension enforces it again.

    Until one is known responses are captured and requests are not. `propagators` are names as in
    ``OTEL_PROPAGATORS``, "" for the default; `event_path` is where the event holds a carrier of
    the user's own. `sampler` says what others are told, "" for the caller's own word.
    """

    __slots__ = (
        "enabled",
        "event_path",
        "exporter_down",
        "generation",
        "max_body_bytes",
        "propagators",
        "request",
        "response",
        "sampler",
    )

    def __init__(
        self,
        generation: int = 0,
        *,
        enabled: bool = True,
        response: bool = True,
        request: bool = False,
        exporter_down: bool = False,
        max_body_bytes: int = 65_536,
        propagators: str = "",
        event_path: str = "",
        sampler: str = "",
    ) -> None:
        self.generation = generation
        self.enabled = enabled
        self.response = response
        self.request = request
        self.exporter_down = exporter_down
        self.max_body_bytes = max_body_bytes
        self.propagators = propagators
        self.event_path = event_path
        self.sampler = sampler

    def renewed(self, **changes: "Any") -> "Policy":
        """The next generation, with `changes` by name. Raises TypeError for one that is none."""
        values = dict(zip(self.__slots__, self._values(), strict=True))
        values["generation"] = self.generation + 1
        return Policy(**{**values, **changes})

    def _values(self) -> "tuple[Any, ...]":
        return tuple(getattr(self, name) for name in self.__slots__)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Policy) and self._values() == other._values()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        values = ", ".join(f"{name}={getattr(self, name)}" for name in self.__slots__)
        return f"Policy({values})"


def encode_policy(policy: Policy) -> bytes:
    """Exactly `RECORD_BYTES`, so that the write is atomic and fills the slot."""
    flags = (
        (_FLAG_ENABLED if policy.enabled else 0)
        | (_FLAG_RESPONSE if policy.response else 0)
        | (_FLAG_EXPORTER_DOWN if policy.exporter_down else 0)
        | (_FLAG_REQUEST if policy.request else 0)
    )
    head = _RECORD.pack(MAGIC, VERSION, flags, policy.generation, policy.max_body_bytes)
    texts = encode_field(_TAG_PROPAGATORS, policy.propagators, MAX_TEXT_BYTES)
    texts += encode_field(_TAG_EVENT_PATH, policy.event_path, MAX_TEXT_BYTES)
    texts += encode_field(_TAG_SAMPLER, policy.sampler, MAX_TEXT_BYTES)
    if texts:
        texts = _TEXTS.pack(len(texts), zlib.crc32(texts)) + texts
    return (head + _CRC.pack(zlib.crc32(head)) + texts).ljust(RECORD_BYTES, b"\0")


def decode_policy(record: bytes) -> Policy | None:
    """None for anything that is not a record of this version: keep what you know."""
    if len(record) != RECORD_BYTES:
        return None
    magic, version, flags, generation, max_body_bytes = _RECORD.unpack_from(record)
    (crc,) = _CRC.unpack_from(record, _RECORD.size)
    if magic != MAGIC or version != VERSION or zlib.crc32(record[: _RECORD.size]) != crc:
        return None
    texts = _texts(record)
    return Policy(
        generation,
        enabled=bool(flags & _FLAG_ENABLED),
        response=bool(flags & _FLAG_RESPONSE),
        request=bool(flags & _FLAG_REQUEST),
        exporter_down=bool(flags & _FLAG_EXPORTER_DOWN),
        max_body_bytes=max_body_bytes,
        propagators=texts.get(_TAG_PROPAGATORS, ""),
        event_path=texts.get(_TAG_EVENT_PATH, ""),
        sampler=texts.get(_TAG_SAMPLER, ""),
    )


def _texts(record: bytes) -> dict[int, str]:
    """The texts behind the first CRC; none where they are not whole."""
    length, crc = _TEXTS.unpack_from(record, _TEXTS_AT)
    position = _TEXTS_AT + _TEXTS.size
    data = record[position : position + length]
    if not length or zlib.crc32(data) != crc:
        return {}
    found: dict[int, str] = {}
    position = 0
    try:
        while position < length:
            tag, size = FIELD_LAYOUT.unpack_from(data, position)
            position += FIELD_LAYOUT.size
            found[tag] = data[position : position + size].decode("utf-8")
            position += size
    except (struct.error, UnicodeDecodeError):
        return {}
    return found
