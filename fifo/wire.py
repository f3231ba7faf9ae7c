"""Frames and lines: bytes in, units out, no I/O. PROTOCOL.md draws what is here.

A frame, big-endian, at most `MAX_FRAME_BYTES` in a pipe so that the kernel makes the
write atomic (POSIX write(2), PIPE_BUF)::

    0       2        3     4          6       8           12       16       20     24
    | FF 53 | version| kind| sequence | count | writer ID | counter| length | CRC32| body …

`sequence` of `count` is the frame's place in its message; the message's ID is writer ID
(32 random bits for each process) and counter (from 1, so that gaps can be counted). The
CRC-32 (ISO 3309, as in zlib) covers the 20 bytes before it and the body. Byte FF never
occurs in UTF-8, so no line can hold the start of a frame.

A line is one JSON object and a newline, at most `MAX_LINE_BYTES` together; its first
byte is ``{``.
"""

import struct
from zlib import crc32

MAGIC = b"\xff\x53"
VERSION = 1

MAX_FRAME_BYTES = 4096
"""PIPE_BUF on Linux (pipe(7))."""
HEADER_BYTES = 24
MAX_BODY_BYTES = MAX_FRAME_BYTES - HEADER_BYTES
MAX_FRAGMENTS = 17
"""A body of 64 KiB with the fields before it."""
MAX_FRAMED_MESSAGE_BYTES = MAX_FRAGMENTS * MAX_BODY_BYTES
MAX_LINE_BYTES = 4096
MAX_FILE_BODY_BYTES = 8 * 1024 * 1024
"""Lambda's largest response is 6 MiB (20 MiB streamed); JSON of it may be escaped."""
MAX_REFUTED_BYTES = 4 * MAX_FILE_BODY_BYTES
"""Long bodies with a wrong checksum that one decoder reads through, about 20 ms: every byte of a
hostile file may claim that one begins there."""

_HEADER = struct.Struct(">2sBBHHIII")
_OPENING = struct.Struct(">2sBBHHI")
_REST = struct.Struct(">12sII")
"""The same header: what is alike in all messages of one kind and writer, and what is not."""
_CRC = struct.Struct(">I")
_pack_rest = _REST.pack
_pack_crc = _CRC.pack
_CHECKED_BYTES = _HEADER.size
_unpack_whole_header = struct.Struct(">2sBBHHIIII").unpack_from
_FRAME_START = MAGIC[0]
_LINE_START = ord("{")
_BLANK = b"\n\r\t "
_SEARCHED_BYTES = 256
"""How far a search looks at once: one to the end, at each newline, would be quadratic."""


class Frame:
    """One checked frame; `body` is its own bytes."""

    __slots__ = ("body", "count", "counter", "kind", "sequence", "version", "writer_id")

    def __init__(
        self,
        kind: int,
        writer_id: int,
        counter: int,
        body: bytes,
        sequence: int = 0,
        count: int = 1,
        version: int = VERSION,
    ) -> None:
        self.kind = kind
        self.writer_id = writer_id
        self.counter = counter
        self.body = body
        self.sequence = sequence
        self.count = count
        self.version = version

    def _values(self) -> tuple[object, ...]:
        return tuple(getattr(self, name) for name in self.__slots__)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Frame) and self._values() == other._values()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return (
            f"Frame(kind={self.kind}, writer_id={self.writer_id:#x}, counter={self.counter}, "
            f"{self.sequence}/{self.count}, {len(self.body)} bytes)"
        )


def encode_frame(
    kind: int, writer_id: int, counter: int, body: bytes, sequence: int = 0, count: int = 1
) -> bytes:
    """One frame; a body of more than `MAX_BODY_BYTES` is for a file, never for a pipe."""
    opening = _OPENING.pack(MAGIC, VERSION, kind, sequence, count, writer_id)
    return encode_after(opening, counter, body)


def opening_of(kind: int, writer_id: int) -> bytes:
    """How the frame of each message of one frame begins: 12 bytes, for `encode_after`."""
    return _OPENING.pack(MAGIC, VERSION, kind, 0, 1, writer_id)


def encode_after(opening: bytes, counter: int, body: bytes) -> bytes:
    """One frame that begins with `opening`."""
    head = _pack_rest(opening, counter & 0xFFFFFFFF, len(body))
    return head + _pack_crc(crc32(body, crc32(head))) + body


def encode_parts(
    kind: int, writer_id: int, counter: int, head: bytes, data: bytes
) -> "tuple[bytes, bytes, bytes, bytes]":
    """As `encode_frame` of ``head + data``, in parts, so that long `data` is not copied."""
    opening = _HEADER.pack(
        MAGIC, VERSION, kind, 0, 1, writer_id, counter & 0xFFFFFFFF, len(head) + len(data)
    )
    checksum = crc32(data, crc32(head, crc32(opening)))
    return opening, _CRC.pack(checksum), head, data


def encode_message(kind: int, writer_id: int, counter: int, body: bytes) -> list[bytes]:
    """The frames of one message for a pipe, in order.

    Raises ValueError where the body is over `MAX_FRAMED_MESSAGE_BYTES`: it goes by file.
    """
    length = len(body)
    if length <= MAX_BODY_BYTES:
        return [encode_frame(kind, writer_id, counter, body)]
    if length > MAX_FRAMED_MESSAGE_BYTES:
        raise ValueError(f"{length} bytes do not fit into {MAX_FRAGMENTS} frames")
    count = -(-length // MAX_BODY_BYTES)
    return [
        encode_frame(
            kind,
            writer_id,
            counter,
            body[sequence * MAX_BODY_BYTES : (sequence + 1) * MAX_BODY_BYTES],
            sequence,
            count,
        )
        for sequence in range(count)
    ]


class Decoder:
    """Frames and lines out of a stream of bytes that anybody may have written.

    `feed` never raises. After bytes that are neither frame nor line it looks for the next
    valid frame or the byte after the next newline; no line is taken before that, so a
    damaged frame's body cannot forge one. What it holds between two calls is at most one
    unfinished unit. Time is in proportion to the bytes; for that, after `MAX_REFUTED_BYTES`
    of bodies longer than a pipe's whose checksum was wrong, no more of those are looked for.

    Counters, from the start: `garbage_count` runs of `garbage_bytes` bytes in all.
    """

    __slots__ = (
        "_buffer",
        "_lost",
        "_max_body_bytes",
        "_refuted_bytes",
        "garbage_bytes",
        "garbage_count",
    )

    def __init__(self, max_body_bytes: int = MAX_BODY_BYTES) -> None:
        self._buffer = b""
        self._lost = False
        self._max_body_bytes = max_body_bytes
        self._refuted_bytes = 0
        self.garbage_bytes = 0
        self.garbage_count = 0

    @property
    def pending_bytes(self) -> int:
        """How many bytes wait for the rest of their unit."""
        return len(self._buffer)

    def feed(self, data: bytes, *, settle: bool = False) -> list[Frame | bytes]:
        """Take `data`; give the units it completed: a `Frame`, or a line's bytes without newline.

        `settle` says that everything written so far is in `data`: writes being atomic, what
        is unfinished then never will be finished, and is looked through as garbage.
        """
        buffer = self._buffer + data if self._buffer else data
        end = len(buffer)
        units: list[Frame | bytes] = []
        position = 0
        while position < end:
            first = buffer[position]
            if first == _FRAME_START:
                frame, size = self._frame_at(buffer, position, end)
                if frame is not None:
                    units.append(frame)
                    self._lost = False
                    position += size
                elif size and not settle:
                    break
                else:
                    position = self._skip(position, position + 1)
            elif self._lost:
                position = self._resynchronise(buffer, position, end)
            elif first == _LINE_START:
                stop = self._line_end(buffer, position, end)
                if stop > 0:
                    units.append(buffer[position:stop])
                    position = stop + 1
                elif stop == 0 and not settle:
                    break
                else:
                    position = self._skip(position, position + 1)
            elif first in _BLANK:
                position += 1
            else:
                position = self._skip(position, position + 1)
        self._buffer = buffer[position:]
        if settle:
            self._lost = False
        return units

    def _frame_at(self, buffer: bytes, position: int, end: int) -> tuple[Frame | None, int]:
        """(frame, its size); (None, 1) where bytes are wanting; (None, 0) where it is none."""
        if end - position < HEADER_BYTES:
            magic = buffer[position : position + len(MAGIC)]
            return None, int(magic == MAGIC[: len(magic)])
        magic, version, kind, sequence, count, writer_id, counter, length, crc = (
            _unpack_whole_header(buffer, position)
        )
        if (
            magic != MAGIC
            or length > self._max_body_bytes
            or sequence >= count
            or count > MAX_FRAGMENTS
        ):
            return None, 0
        body_start = position + HEADER_BYTES
        body_end = body_start + length
        if body_end > end:
            return None, 1
        body = buffer[body_start:body_end]
        if crc32(body, crc32(buffer[position : position + _CHECKED_BYTES])) != crc:
            if length > MAX_BODY_BYTES:
                self._refuted_bytes += length
                if self._refuted_bytes > MAX_REFUTED_BYTES:
                    self._max_body_bytes = MAX_BODY_BYTES
            return None, 0
        frame = Frame(kind, writer_id, counter, body, sequence, count, version)
        return frame, HEADER_BYTES + length

    @staticmethod
    def _line_end(buffer: bytes, position: int, end: int) -> int:
        """Where the newline is; 0 where it may still come; -1 where this is no line."""
        limit = min(end, position + MAX_LINE_BYTES)
        newline = buffer.find(b"\n", position, limit)
        if buffer.find(MAGIC[:1], position, newline if newline >= 0 else limit) >= 0:
            return -1
        if newline >= 0:
            return newline
        return 0 if limit - position < MAX_LINE_BYTES else -1

    def _skip(self, position: int, to: int) -> int:
        if not self._lost:
            self._lost = True
            self.garbage_count += 1
        self.garbage_bytes += to - position
        return to

    def _resynchronise(self, buffer: bytes, position: int, end: int) -> int:
        """Skip to the next possible frame, or behind the next newline, whichever is first."""
        stop = position
        while stop < end:
            start, stop = stop, min(end, stop + _SEARCHED_BYTES)
            frame = buffer.find(MAGIC[:1], start, stop)
            newline = buffer.find(b"\n", start, frame if frame >= 0 else stop)
            if newline >= 0:
                position = self._skip(position, newline + 1)
                self._lost = False
                return position
            if frame >= 0:
                return self._skip(position, frame)
        return self._skip(position, end)
