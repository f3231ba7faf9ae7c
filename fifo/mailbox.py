"""The record in the control FIFO: policy from extension to function; bytes in, value out.

The pipe holds exactly one record of `RECORD_BYTES`, big-endian, zeros to the end::

    0       2        3      4            8                 12     16
    | FF 43 | version| flags| generation | max_body_bytes  | CRC32| 0 …

Bit 0 of `flags`: enabled. Bit 1: capture responses. Bit 2: the exporter is down. Bit 3: capture
requests. The CRC-32 covers the 12 bytes before it. Whoever reads the record has taken it; the
extension then puts the newest back.
"""

import struct
import zlib

RECORD_BYTES = 4096
MAGIC = b"\xff\x43"
VERSION = 1

_FLAG_ENABLED = 0x01
_FLAG_RESPONSE = 0x02
_FLAG_EXPORTER_DOWN = 0x04
_FLAG_REQUEST = 0x08

_RECORD = struct.Struct(">2sBBII")
_CRC = struct.Struct(">I")


class Policy:
    """What the function may leave out; a hint, since the extension enforces it again.

    Until one is known responses are captured and requests are not.
    """

    __slots__ = ("enabled", "exporter_down", "generation", "max_body_bytes", "request", "response")

    def __init__(
        self,
        generation: int = 0,
        *,
        enabled: bool = True,
        response: bool = True,
        request: bool = False,
        exporter_down: bool = False,
        max_body_bytes: int = 65_536,
    ) -> None:
        self.generation = generation
        self.enabled = enabled
        self.response = response
        self.request = request
        self.exporter_down = exporter_down
        self.max_body_bytes = max_body_bytes

    def _values(self) -> tuple[object, ...]:
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
    return (head + _CRC.pack(zlib.crc32(head))).ljust(RECORD_BYTES, b"\0")


def decode_policy(record: bytes) -> Policy | None:
    """None for anything that is not a record of this version: keep what you know."""
    if len(record) != RECORD_BYTES:
        return None
    magic, version, flags, generation, max_body_bytes = _RECORD.unpack_from(record)
    (crc,) = _CRC.unpack_from(record, _RECORD.size)
    if magic != MAGIC or version != VERSION or zlib.crc32(record[: _RECORD.size]) != crc:
        return None
    return Policy(
        generation,
        enabled=bool(flags & _FLAG_ENABLED),
        response=bool(flags & _FLAG_RESPONSE),
        request=bool(flags & _FLAG_REQUEST),
        exporter_down=bool(flags & _FLAG_EXPORTER_DOWN),
        max_body_bytes=max_body_bytes,
    )
