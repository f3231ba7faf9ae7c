"""OTLP's fields as protobuf writes them: a number, and a field that has a length; no I/O.

Source: protobuf's "Encoding". A tag is a field's number × 8 and its kind: 0 for a varint, 1 for
8 bytes, 2 for a length, 5 for 4 bytes.
"""

ONE_BYTE = [bytes((number,)) for number in range(0x80)]
"""The varints of one byte."""


def message(tag: bytes, data: bytes) -> bytes:
    """A field with a length: a message, a text or bytes."""
    size = len(data)
    return tag + (ONE_BYTE[size] if size < 0x80 else varint(size)) + data


def varint(number: int) -> bytes:
    """A number of at least 0; a negative one is given as its 64 bits."""
    if number < 0x80:
        return ONE_BYTE[number]
    if number < 0x4000:
        return bytes((number & 0x7F | 0x80, number >> 7))
    groups = []
    while number >= 0x80:
        groups.append(number & 0x7F | 0x80)
        number >>= 7
    groups.append(number)
    return bytes(groups)
