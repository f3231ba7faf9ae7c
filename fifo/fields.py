"""Tagged texts, which messages and the mailbox's record have alike."""

import struct

MAX_FIELD_BYTES = 0xFFFF
FIELD_LAYOUT = struct.Struct(">BH")
"""Tag, and how many bytes follow."""
_pack = FIELD_LAYOUT.pack


def encode_field(tag: int, text: str, limit: int = MAX_FIELD_BYTES) -> bytes:
    """One tagged text, cut at `limit` bytes between characters; empty text is no field."""
    if not text:
        return b""
    try:
        data = text.encode()
    except UnicodeEncodeError:
        data = text.encode("utf-8", "backslashreplace")
    if len(data) > limit:
        data = cut_utf8(data, limit)
    return _pack(tag, len(data)) + data


def cut_utf8(data: bytes, limit: int) -> bytes:
    """At most `limit` bytes of UTF-8 `data`, never a part of a character."""
    if len(data) <= limit:
        return data
    while limit > 0 and data[limit] & 0xC0 == 0x80:
        limit -= 1
    return data[:limit]
