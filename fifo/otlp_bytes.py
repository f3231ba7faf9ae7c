"""Whether bytes are an OTLP trace request, and of how many spans: no I/O, no protobuf library.

Down to the IDs of each span; what is inside of attributes, events and links is left to those
who read it. Source: protobuf's "Encoding", and ``opentelemetry/proto/trace/v1/trace.proto``.
"""

from fifo.errors import ProtocolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_SPANS = 1_024
"""In one message; an SDK exports 512 at once."""
MAX_FIELDS = 65_536
"""Walked through in one message, some 20 ms: a stranger's may be of two bytes each."""

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_LONGEST_VARINT = 10
_MAX_FIELD_NUMBER = 2**29 - 1
_RESOURCE_SPANS = 1  # of ExportTraceServiceRequest
_SCOPE_SPANS = 2  # of ResourceSpans
_SPANS = 2  # of ScopeSpans
_TRACE_ID = 1
_ID_BYTES = {_TRACE_ID: 16, 2: 8}
"""Of Span: field number of trace ID and span ID → their sizes."""


class TooManyError(ProtocolError):
    """More in one message than is taken."""


def span_count(data: bytes) -> int:
    """How many spans are in `data`, an ExportTraceServiceRequest; at least one.

    Raises ProtocolError.
    """
    count, _ = spans_in(data)
    if not count:
        raise ProtocolError("OTLP without a span")
    return count


def spans_in(data: bytes) -> "tuple[int, frozenset[bytes]]":
    """How many spans are in `data`, none perhaps, and the IDs of their traces.

    Raises ProtocolError.
    """
    walk = _Walk(data)
    count = 0
    trace_ids: set[bytes] = set()
    for _, start, end in walk.messages(0, len(data), _RESOURCE_SPANS):
        for _, scope_start, scope_end in walk.messages(start, end, _SCOPE_SPANS):
            for _, span_start, span_end in walk.messages(scope_start, scope_end, _SPANS):
                count += 1
                if count > MAX_SPANS:
                    raise TooManyError(f"OTLP of over {MAX_SPANS} spans")
                trace_ids.add(walk.trace_id(span_start, span_end))
    return count, frozenset(trace_ids)


class _Walk:
    """Over the fields of `data`, counted over all of it."""

    __slots__ = ("_data", "_left")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._left = MAX_FIELDS

    def messages(self, start: int, end: int, number: int) -> "Iterator[tuple[int, int, int]]":
        """Those fields between `start` and `end` that have `number`: each is a message."""
        for field in self.fields(start, end):
            if field[0] == number:
                if field[1] < 0:
                    raise ProtocolError(f"OTLP field {number} is no message")
                yield field

    def trace_id(self, start: int, end: int) -> bytes:
        """A span's, which has a trace ID and a span ID, neither all zero."""
        data = self._data
        found = {}
        for number, first, last in self.fields(start, end):
            if number in _ID_BYTES:
                found[number] = data[first:last] if first >= 0 else b""
        for number, size in _ID_BYTES.items():
            given = found.get(number, b"")
            if len(given) != size or not any(given):
                raise ProtocolError(f"OTLP span without an ID of {size} bytes")
        return found[_TRACE_ID]

    def fields(self, start: int, end: int) -> "Iterator[tuple[int, int, int]]":
        """(Number, where its content starts, where it ends) of each; -1 where it is a number."""
        position = start
        while position < end:
            self._left -= 1
            if self._left < 0:
                raise TooManyError(f"OTLP of over {MAX_FIELDS} fields")
            key, position = self._varint(position, end)
            number, kind = key >> 3, key & 7
            if not 0 < number <= _MAX_FIELD_NUMBER:
                raise ProtocolError(f"OTLP field number {number}")
            content = -1
            if kind == _BYTES:
                length, content = self._varint(position, end)
                position = content + length
            elif kind == _VARINT:
                _, position = self._varint(position, end)
            elif kind == _FIXED64:
                position += 8
            elif kind == _FIXED32:
                position += 4
            else:
                raise ProtocolError(f"OTLP wire type {kind}")
            if position > end:
                raise ProtocolError(f"OTLP field {number} goes past its end")
            yield number, content, position

    def _varint(self, position: int, end: int) -> "tuple[int, int]":
        data = self._data
        value = 0
        for index in range(_LONGEST_VARINT):
            if position >= end:
                raise ProtocolError("OTLP ends inside a number")
            byte = data[position]
            position += 1
            value |= (byte & 0x7F) << (7 * index)
            if byte < 0x80:
                return value, position
        raise ProtocolError("OTLP has a number of over ten bytes")
