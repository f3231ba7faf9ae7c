"""Target `frames`: the decoder, reassembly, messages and the mailbox's record."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

from fifo import mailbox, messages, parsing, wire
from fifo.errors import ProtocolError
from fifo.reassembly import MAX_PARTIAL_BYTES, Reassembler
from fuzz.draw import Draw, split

REPAIR, AS_FILE, AMPLIFY = 1, 2, 0xE4
"""The last wants several bits, since it is dear."""
_SPLIT_SHIFT = 3
MAX_STREAM_BYTES = 262_144
"""What the extension reads at once."""

_BODY = b"{\n\xff\x53 sentinel"
_WRITER = 0xFEEDFACE
_BLANKS = b"\n\r\t "


def check(data: bytes) -> None:
    """`feed`, `add` and `parse` raise ProtocolError or nothing, and besides:

    - however a stream is split, the same units come out, and every byte is in a unit, in
      garbage that was counted, or a blank between two lines;
    - between two calls less than one unit is held of a pipe, and never more than the bounds of
      unfinished messages;
    - a frame after the stream, whatever that was, is found, and so is a message in fragments.
    """
    draw = Draw(data)
    flags, seed = draw.byte(), draw.byte()
    stream = bytearray(draw.rest())
    if flags & REPAIR:
        repair(stream)
    if flags & AMPLIFY == AMPLIFY:
        stream = (stream * (1 + seed))[:MAX_STREAM_BYTES]
    max_body_bytes = wire.MAX_FILE_BODY_BYTES if flags & AS_FILE else wire.MAX_BODY_BYTES
    how = flags >> _SPLIT_SHIFT & 3
    units, decoder = _decoded([bytes(stream)], max_body_bytes)
    again, other = _decoded(split(bytes(stream), how, seed), max_body_bytes)
    assert units == again
    assert (decoder.garbage_count, decoder.garbage_bytes) == (
        other.garbage_count,
        other.garbage_bytes,
    )
    assert decoder.pending_bytes == 0
    taken = decoder.garbage_bytes + sum(
        len(unit) + 1 if isinstance(unit, bytes) else wire.HEADER_BYTES + len(unit.body)
        for unit in units
    )
    whole = len(stream) + wire.HEADER_BYTES + len(_BODY)
    assert taken <= whole <= taken + sum(stream.count(blank) for blank in _BLANKS)
    frames = [unit for unit in units if isinstance(unit, wire.Frame)]
    assert frames[-1] == wire.Frame(messages.EVENT, _WRITER, 1, _BODY)
    _reassemble(frames)
    record = bytes(stream[: mailbox.RECORD_BYTES])
    assert mailbox.decode_policy(record.ljust(mailbox.RECORD_BYTES, b"\0")) is None or record


def _decoded(
    parts: list[bytes], max_body_bytes: int
) -> tuple[list[wire.Frame | bytes], wire.Decoder]:
    decoder = wire.Decoder(max_body_bytes)
    units: list[wire.Frame | bytes] = []
    for part in parts:
        units += decoder.feed(part)
        if max_body_bytes == wire.MAX_BODY_BYTES:
            assert decoder.pending_bytes < max(wire.MAX_FRAME_BYTES, wire.MAX_LINE_BYTES)
    units += decoder.feed(wire.encode_frame(messages.EVENT, _WRITER, 1, _BODY), settle=True)
    return units, decoder


def _reassemble(frames: list[wire.Frame]) -> None:
    reassembler = Reassembler()
    for frame in frames:
        message = reassembler.add(frame)
        assert reassembler.partial_bytes <= MAX_PARTIAL_BYTES
        if message is not None:
            _parse(message)
    counter = 1 + max(frame.counter for frame in frames)
    body = bytes(2 * wire.MAX_BODY_BYTES + 1)
    last = None
    for index in (2, 0, 1):
        part = body[index * wire.MAX_BODY_BYTES : (index + 1) * wire.MAX_BODY_BYTES]
        last = reassembler.add(wire.Frame(messages.RESULT, _WRITER, counter, part, index, 3))
    assert last == wire.Frame(messages.RESULT, _WRITER, counter, body)
    assert reassembler.missing_count >= 0


def _parse(message: wire.Frame) -> None:
    try:
        parsed = parsing.parse(message.kind, message.body)
    except ProtocolError as error:
        assert len(str(error)) < 1_000
        return
    nobodys = isinstance(parsed, messages.Otlp) and not parsed.request_id
    assert nobodys or messages.valid_request_id(parsed.request_id)
    assert parsed.invocation_span_id is None or len(parsed.invocation_span_id) == len(
        messages.NO_SPAN
    )


def repair(stream: bytearray) -> None:
    """Right checksums for all that looks like a frame: no fuzzer guesses them."""
    position = stream.find(wire.MAGIC)
    while 0 <= position <= len(stream) - wire.HEADER_BYTES:
        (length,) = struct.unpack_from(">I", stream, position + 16)
        start = position + wire.HEADER_BYTES
        end = start + length
        if end <= len(stream):
            crc = zlib.crc32(stream[start:end], zlib.crc32(stream[position : position + 20]))
            stream[position + 20 : start] = crc.to_bytes(4, "big")
            position = end - 1
        position = stream.find(wire.MAGIC, position + 1)


def seeds() -> Iterator[tuple[str, bytes]]:
    """Every stream and message of the vectors, in each way of reading."""
    from tests.vectors import generate

    for flags in (REPAIR, REPAIR | AS_FILE | 1 << 3, 2 << 3, REPAIR | 3 << 3):
        for vector in generate.STREAMS:
            yield f"stream-{flags}", bytes((flags, 3)) + bytes.fromhex(vector["hex"])
        for number, vector in enumerate(generate.MESSAGES):
            body = bytes.fromhex(vector["body_hex"])
            frame = generate.frame(vector["kind"], body, counter=number)
            yield "message", bytes((flags, 9)) + frame + frame[:30]
    for flags in (AMPLIFY, AMPLIFY | AS_FILE):
        claim = generate.frame(2, b"")[:16] + (32_000).to_bytes(4, "big") + b"nope"
        yield "claims", bytes((flags, 255)) + claim * 40
        yield "newlines", bytes((flags, 255)) + b"x\n" * 500
    yield "mailbox", bytes((0, 0)) + bytes.fromhex(str(generate.MAILBOX[0]["first_16_bytes_hex"]))
