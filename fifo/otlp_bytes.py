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
_SCOPE = 1  # of ScopeSpans
_NAME, _KEY, _STRING = 1, 1, 1  # of InstrumentationScope, KeyValue and AnyValue
_VALUE = 2  # of KeyValue
_ATTRIBUTES = 9  # of Span
_TRACE_ID, _SPAN_ID, _TRACE_STATE, _PARENT_SPAN_ID = 1, 2, 3, 4  # of Span
_ID_BYTES = {1: 16, 2: 8}
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


LAMBDA_SCOPE = b"opentelemetry.instrumentation.aws_lambda"
"""Of the instrumentation that makes an invocation's span itself."""
INVOCATION_ID = b"faas.invocation_id"
"""The attribute by which its span of an invocation is told from its others."""


class InvocationSpan:
    """The IDs of a span that stands for the invocation `request_id`; `parent_span_id` or None."""

    __slots__ = ("parent_span_id", "request_id", "span_id", "trace_id", "tracestate")

    def __init__(
        self,
        request_id: str,
        trace_id: bytes,
        span_id: bytes,
        parent_span_id: "bytes | None",
        tracestate: str,
    ) -> None:
        self.request_id = request_id
        self.trace_id = trace_id
        self.span_id = span_id
        self.parent_span_id = parent_span_id
        self.tracestate = tracestate


def invocation_spans(data: bytes) -> "list[InvocationSpan]":
    """The spans in `data` that OpenTelemetry's instrumentation made of an invocation.

    Raises ProtocolError.
    """
    if LAMBDA_SCOPE not in data:
        return []
    walk = _Walk(data)
    found = []
    for _, start, end in walk.messages(0, len(data), _RESOURCE_SPANS):
        for _, scope_start, scope_end in walk.messages(start, end, _SCOPE_SPANS):
            scope = walk.last(scope_start, scope_end, _SCOPE)
            if scope is None or walk.content(*scope, _NAME) != LAMBDA_SCOPE:
                continue
            for _, span_start, span_end in walk.messages(scope_start, scope_end, _SPANS):
                found += _of_invocation(walk, span_start, span_end)
    return found


def _of_invocation(walk: "_Walk", start: int, end: int) -> "list[InvocationSpan]":
    for _, first, last in walk.messages(start, end, _ATTRIBUTES):
        if walk.content(first, last, _KEY) == INVOCATION_ID:
            value = walk.last(first, last, _VALUE)
            request_id = b"" if value is None else walk.content(*value, _STRING)
            parent = walk.content(start, end, _PARENT_SPAN_ID)
            return [
                InvocationSpan(
                    request_id.decode("utf-8", "replace"),
                    walk.content(start, end, _TRACE_ID),
                    walk.content(start, end, _SPAN_ID),
                    parent if len(parent) == _ID_BYTES[_SPAN_ID] and any(parent) else None,
                    walk.content(start, end, _TRACE_STATE).decode("utf-8", "replace"),
                )
            ]
    return []


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

    def last(self, start: int, end: int, number: int) -> "tuple[int, int] | None":
        """Where the field `number` between `start` and `end` has its content; the last counts."""
        found = None
        for _, first, last in self.messages(start, end, number):
            found = first, last
        return found

    def content(self, start: int, end: int, number: int) -> bytes:
        """The bytes of the field `number`; none where it is not there."""
        found = self.last(start, end, number)
        return b"" if found is None else self._data[found[0] : found[1]]

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
