"""What the bodies of frames, lines and files mean: typed messages, no I/O.

Every body opens with the invocation that it belongs to, big-endian::

    | length u8 | request ID (ASCII) | invocation span ID, 8 bytes | the kind's fields … |

The span ID is the one drawn for START, so two attempts under one request ID are told
apart; eight zero bytes stand for "not known". Texts are tagged fields, repeated to the end
of the body (an unknown tag is skipped): ``| tag u8 | length u16 | UTF-8 |``.

Parsing raises `ProtocolError` and nothing else.
"""

import struct

from fifo.errors import ProtocolError

START = 1
RESULT = 2
ERROR = 3
SPAN = 4
EVENT = 5
PARTIAL = 6
FILE = 7

JSON = 0
TEXT = 1
BINARY = 2
NO_BODY = 255
"""There was a result, and its body was not captured."""

CONTENT_KINDS = {JSON: "json", TEXT: "text", BINARY: "binary", NO_BODY: "none"}

TAG_INVOKED_ARN = 1
TAG_LOG_GROUP = 2
TAG_LOG_STREAM = 3
TAG_XRAY_HEADER = 4

TAG_ERROR_TYPE = 1
TAG_ERROR_MESSAGE = 2
TAG_STACK_TRACE = 3
TAG_NAME = 4
TAG_ATTRIBUTES = 5
"""A JSON object: text, number, true or false, or a list of texts for each key."""

MAX_REQUEST_ID_BYTES = 128
MAX_FIELD_BYTES = 0xFFFF
NO_SPAN = bytes(8)
UNKNOWN_SIZE = 0xFFFF_FFFF_FFFF_FFFF

FLAG_COLD_START = 0x01
FLAG_TRUNCATED = 0x01
FLAG_FAILED = 0x01

_START = struct.Struct(">B16sQQII")
_RESULT = struct.Struct(">QQBB")
_ERROR = struct.Struct(">Q")
_SPAN = struct.Struct(">8s8sQQB")
_EVENT = struct.Struct(">Q8s")
_PARTIAL = struct.Struct(">QQBB")
_FIELD = struct.Struct(">BH")


def valid_request_id(request_id: str) -> bool:
    """Whether it may be credited and, above all, become a file name.

    Lambda's are UUIDs; letters, digits, ``-`` and ``_`` are let through.
    """
    return (
        0 < len(request_id) <= MAX_REQUEST_ID_BYTES
        and request_id.isascii()
        and request_id.replace("-", "a").replace("_", "a").isalnum()
    )


class Message:
    """Base of all: `request_id`, and `invocation_span_id` (8 bytes, or None)."""

    __slots__ = ("invocation_span_id", "request_id")

    def __init__(self, request_id: str, invocation_span_id: bytes | None) -> None:
        self.request_id = request_id
        self.invocation_span_id = invocation_span_id

    def _values(self) -> tuple[object, ...]:
        return tuple(
            getattr(self, name)
            for base in type(self).__mro__
            for name in getattr(base, "__slots__", ())
        )

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self._values() == other._values()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"{type(self).__name__}{self._values()!r}"


class Start(Message):
    """The handler is about to be called."""

    __slots__ = (
        "cold_start",
        "deadline_unix_ms",
        "invoked_function_arn",
        "log_group",
        "log_stream",
        "memory_mb",
        "pid",
        "start_unix_ns",
        "trace_id",
        "xray_header",
    )

    def __init__(
        self,
        request_id: str,
        invocation_span_id: bytes | None,
        *,
        trace_id: bytes,
        start_unix_ns: int,
        deadline_unix_ms: int,
        memory_mb: int,
        pid: int,
        cold_start: bool,
        invoked_function_arn: str = "",
        log_group: str = "",
        log_stream: str = "",
        xray_header: str = "",
    ) -> None:
        super().__init__(request_id, invocation_span_id)
        self.trace_id = trace_id
        self.start_unix_ns = start_unix_ns
        self.deadline_unix_ms = deadline_unix_ms
        self.memory_mb = memory_mb
        self.pid = pid
        self.cold_start = cold_start
        self.invoked_function_arn = invoked_function_arn
        self.log_group = log_group
        self.log_stream = log_stream
        self.xray_header = xray_header


class Body:
    """A captured body: of `size_bytes` (None: not known), `data` is what was sent."""

    __slots__ = ("content_kind", "data", "size_bytes", "truncated")

    def __init__(
        self, data: bytes, size_bytes: int | None, *, truncated: bool, content_kind: int
    ) -> None:
        self.data = data
        self.size_bytes = size_bytes
        self.truncated = truncated
        self.content_kind = content_kind

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Body) and (
            (self.data, self.size_bytes, self.truncated, self.content_kind)
            == (other.data, other.size_bytes, other.truncated, other.content_kind)
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        kind = CONTENT_KINDS.get(self.content_kind, "?")
        cut = ", truncated" if self.truncated else ""
        return f"Body({self.data[:40]!r}, size_bytes={self.size_bytes}, {kind}{cut})"


class Result(Message):
    """The handler returned. `end_unix_ns` None: the form it came in tells no time."""

    __slots__ = ("body", "end_unix_ns")

    def __init__(
        self,
        request_id: str,
        invocation_span_id: bytes | None,
        *,
        end_unix_ns: int | None,
        body: Body,
    ) -> None:
        super().__init__(request_id, invocation_span_id)
        self.end_unix_ns = end_unix_ns
        self.body = body


class Error(Message):
    """The handler raised."""

    __slots__ = ("end_unix_ns", "error_type", "message", "stack_trace")

    def __init__(
        self,
        request_id: str,
        invocation_span_id: bytes | None,
        *,
        end_unix_ns: int,
        error_type: str,
        message: str = "",
        stack_trace: str = "",
    ) -> None:
        super().__init__(request_id, invocation_span_id)
        self.end_unix_ns = end_unix_ns
        self.error_type = error_type
        self.message = message
        self.stack_trace = stack_trace


class Span(Message):
    """A finished child span; `parent_span_id` None: the invocation span."""

    __slots__ = (
        "attributes_json",
        "end_unix_ns",
        "error_message",
        "error_type",
        "name",
        "parent_span_id",
        "span_id",
        "stack_trace",
        "start_unix_ns",
    )

    def __init__(
        self,
        request_id: str,
        invocation_span_id: bytes | None,
        *,
        span_id: bytes,
        parent_span_id: bytes | None,
        start_unix_ns: int,
        end_unix_ns: int,
        name: str,
        attributes_json: str = "",
        error_type: str | None = None,
        error_message: str = "",
        stack_trace: str = "",
    ) -> None:
        super().__init__(request_id, invocation_span_id)
        self.span_id = span_id
        self.parent_span_id = parent_span_id
        self.start_unix_ns = start_unix_ns
        self.end_unix_ns = end_unix_ns
        self.name = name
        self.attributes_json = attributes_json
        self.error_type = error_type
        self.error_message = error_message
        self.stack_trace = stack_trace


class Event(Message):
    """A moment; `span_id` None: in the invocation span itself."""

    __slots__ = ("attributes_json", "name", "span_id", "time_unix_ns")

    def __init__(
        self,
        request_id: str,
        invocation_span_id: bytes | None,
        *,
        time_unix_ns: int,
        span_id: bytes | None,
        name: str,
        attributes_json: str = "",
    ) -> None:
        super().__init__(request_id, invocation_span_id)
        self.time_unix_ns = time_unix_ns
        self.span_id = span_id
        self.name = name
        self.attributes_json = attributes_json


class Partial(Message):
    """A partial result, sent while the handler runs."""

    __slots__ = ("body", "time_unix_ns")

    def __init__(
        self,
        request_id: str,
        invocation_span_id: bytes | None,
        *,
        time_unix_ns: int,
        body: Body,
    ) -> None:
        super().__init__(request_id, invocation_span_id)
        self.time_unix_ns = time_unix_ns
        self.body = body


class File(Message):
    """A file beside the FIFO holds messages; `name` has no folder in it."""

    __slots__ = ("name",)

    def __init__(self, request_id: str, invocation_span_id: bytes | None, *, name: str) -> None:
        super().__init__(request_id, invocation_span_id)
        self.name = name


# Encoding: functions over bytes, because the function pays for them.


def encode_prefix(request_id: str, invocation_span_id: bytes | None) -> bytes:
    """The opening of every body of one invocation; made once and kept.

    Raises ProtocolError where `request_id` is not `valid_request_id`.
    """
    if not valid_request_id(request_id):
        raise ProtocolError(f"{request_id[:40]!r} is no request ID")
    data = request_id.encode("ascii")
    return bytes((len(data),)) + data + (invocation_span_id or NO_SPAN)


def encode_field(tag: int, text: str, limit: int = MAX_FIELD_BYTES) -> bytes:
    """One tagged text, cut at `limit` bytes between characters; empty text is no field."""
    if not text:
        return b""
    data = text.encode("utf-8", "backslashreplace")
    if len(data) > limit:
        data = cut_utf8(data, limit)
    return _FIELD.pack(tag, len(data)) + data


def cut_utf8(data: bytes, limit: int) -> bytes:
    """At most `limit` bytes of UTF-8 `data`, never a part of a character."""
    if len(data) <= limit:
        return data
    while limit > 0 and data[limit] & 0xC0 == 0x80:
        limit -= 1
    return data[:limit]


def encode_start(
    prefix: bytes,
    trace_id: bytes,
    start_unix_ns: int,
    deadline_unix_ms: int,
    memory_mb: int,
    pid: int,
    fields: bytes,
    *,
    cold_start: bool,
) -> bytes:
    """START's body; `fields` are tagged texts, the same for a process's whole life."""
    flags = FLAG_COLD_START if cold_start else 0
    return (
        prefix
        + _START.pack(flags, trace_id, start_unix_ns, deadline_unix_ms, memory_mb, pid)
        + fields
    )


def _encode_body(time_unix_ns: int, body: Body) -> bytes:
    size = UNKNOWN_SIZE if body.size_bytes is None else body.size_bytes
    flags = FLAG_TRUNCATED if body.truncated else 0
    return _RESULT.pack(time_unix_ns, size, flags, body.content_kind)


def encode_result(prefix: bytes, end_unix_ns: int, body: Body) -> bytes:
    """RESULT's body, `body.data` last."""
    return b"".join((prefix, _encode_body(end_unix_ns, body), body.data))


def encode_partial(prefix: bytes, time_unix_ns: int, body: Body) -> bytes:
    """PARTIAL's body: as RESULT's, and the time is when it was emitted."""
    return b"".join((prefix, _encode_body(time_unix_ns, body), body.data))


MAX_ERROR_TYPE_BYTES = 256
MAX_ERROR_MESSAGE_BYTES = 4096
MAX_STACK_TRACE_BYTES = 16_384
MAX_NAME_BYTES = 1024
MAX_ATTRIBUTES_BYTES = 32_768


def encode_failure(error_type: str, message: str, stack_trace: str) -> bytes:
    """The tagged texts of a failure, each within its bound."""
    return (
        encode_field(TAG_ERROR_TYPE, error_type, MAX_ERROR_TYPE_BYTES)
        + encode_field(TAG_ERROR_MESSAGE, message, MAX_ERROR_MESSAGE_BYTES)
        + encode_field(TAG_STACK_TRACE, stack_trace, MAX_STACK_TRACE_BYTES)
    )


def encode_error(prefix: bytes, end_unix_ns: int, failure: bytes) -> bytes:
    """ERROR's body; `failure` from `encode_failure`."""
    return prefix + _ERROR.pack(end_unix_ns) + failure


def encode_span(
    prefix: bytes,
    span_id: bytes,
    parent_span_id: bytes | None,
    start_unix_ns: int,
    end_unix_ns: int,
    name: str,
    attributes_json: str = "",
    failure: bytes = b"",
) -> bytes:
    """SPAN's body; `failure` from `encode_failure`, empty where it went well."""
    flags = FLAG_FAILED if failure else 0
    return b"".join(
        (
            prefix,
            _SPAN.pack(span_id, parent_span_id or NO_SPAN, start_unix_ns, end_unix_ns, flags),
            encode_field(TAG_NAME, name, MAX_NAME_BYTES),
            encode_field(TAG_ATTRIBUTES, attributes_json),
            failure,
        )
    )


def encode_event(
    prefix: bytes,
    time_unix_ns: int,
    span_id: bytes | None,
    name: str,
    attributes_json: str = "",
) -> bytes:
    """EVENT's body."""
    return b"".join(
        (
            prefix,
            _EVENT.pack(time_unix_ns, span_id or NO_SPAN),
            encode_field(TAG_NAME, name, MAX_NAME_BYTES),
            encode_field(TAG_ATTRIBUTES, attributes_json),
        )
    )


def encode_file(prefix: bytes, name: str) -> bytes:
    """FILE's body."""
    return prefix + encode_field(TAG_NAME, name)


# Parsing


def parse(kind: int, body: bytes) -> Message:
    """The message in a whole body. Raises ProtocolError."""
    parser = _PARSERS.get(kind)
    if parser is None:
        raise ProtocolError(f"unknown message kind {kind}")
    try:
        length = body[0]
        request_id = body[1 : 1 + length].decode("ascii")
        span_id = body[1 + length : 9 + length]
        if len(span_id) != len(NO_SPAN):
            raise ProtocolError(f"message kind {kind}: {len(body)} bytes end before its fields")
        if not valid_request_id(request_id):
            raise ProtocolError(f"message kind {kind}: {request_id[:40]!r} is no request ID")
        return parser(request_id, _span_id(span_id), body, 9 + length)
    except (struct.error, IndexError, UnicodeDecodeError) as error:
        raise ProtocolError(f"message kind {kind}: malformed body: {error}") from error


def parse_line(line: bytes) -> Result:
    """The line form: a result. Raises ProtocolError."""
    import json

    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"line is no JSON: {error}") from error
    request_id = value.get("request_id") if isinstance(value, dict) else None
    if not isinstance(request_id, str) or not valid_request_id(request_id):
        raise ProtocolError('line has no "request_id" that could be one')
    if "payload" not in value:
        raise ProtocolError('line has no "payload"')
    return Result(request_id, None, end_unix_ns=None, body=_payload_body(value["payload"]))


def parse_payload_file(request_id: str, data: bytes) -> Result:
    """The file form, ``{"payload": …}``: a result. Raises ProtocolError."""
    import json

    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"file of {request_id} is no JSON: {error}") from error
    if not isinstance(value, dict) or "payload" not in value:
        raise ProtocolError(f'file of {request_id} has no "payload"')
    return Result(request_id, None, end_unix_ns=None, body=_payload_body(value["payload"]))


def _payload_body(payload: object) -> Body:
    import json

    text = json.dumps(payload, ensure_ascii=False, separators=(",", ":"))
    data = text.encode("utf-8", "backslashreplace")
    return Body(data, len(data), truncated=False, content_kind=JSON)


def _span_id(data: bytes) -> bytes | None:
    return None if data == NO_SPAN else data


def _fields(body: bytes, position: int) -> dict[int, str]:
    texts: dict[int, str] = {}
    end = len(body)
    while position < end:
        tag, length = _FIELD.unpack_from(body, position)
        position += _FIELD.size
        if position + length > end:
            raise ProtocolError(f"field {tag} of {length} bytes goes past the end")
        texts[tag] = body[position : position + length].decode("utf-8")
        position += length
    return texts


def _parse_start(request_id: str, span_id: bytes | None, body: bytes, position: int) -> Start:
    flags, trace_id, start_ns, deadline_ms, memory_mb, pid = _START.unpack_from(body, position)
    texts = _fields(body, position + _START.size)
    if span_id is None or not any(trace_id):
        raise ProtocolError("START without trace ID or span ID")
    return Start(
        request_id,
        span_id,
        trace_id=trace_id,
        start_unix_ns=start_ns,
        deadline_unix_ms=deadline_ms,
        memory_mb=memory_mb,
        pid=pid,
        cold_start=bool(flags & FLAG_COLD_START),
        invoked_function_arn=texts.get(TAG_INVOKED_ARN, ""),
        log_group=texts.get(TAG_LOG_GROUP, ""),
        log_stream=texts.get(TAG_LOG_STREAM, ""),
        xray_header=texts.get(TAG_XRAY_HEADER, ""),
    )


def _parse_body(body: bytes, position: int) -> tuple[int, Body]:
    time_ns, size, flags, kind = _RESULT.unpack_from(body, position)
    if kind not in CONTENT_KINDS:
        raise ProtocolError(f"unknown content kind {kind}")
    return time_ns, Body(
        body[position + _RESULT.size :],
        None if size == UNKNOWN_SIZE else size,
        truncated=bool(flags & FLAG_TRUNCATED),
        content_kind=kind,
    )


def _parse_result(request_id: str, span_id: bytes | None, body: bytes, position: int) -> Result:
    time_ns, payload = _parse_body(body, position)
    return Result(request_id, span_id, end_unix_ns=time_ns, body=payload)


def _parse_partial(request_id: str, span_id: bytes | None, body: bytes, position: int) -> Partial:
    time_ns, payload = _parse_body(body, position)
    return Partial(request_id, span_id, time_unix_ns=time_ns, body=payload)


def _parse_error(request_id: str, span_id: bytes | None, body: bytes, position: int) -> Error:
    (end_ns,) = _ERROR.unpack_from(body, position)
    texts = _fields(body, position + _ERROR.size)
    return Error(
        request_id,
        span_id,
        end_unix_ns=end_ns,
        error_type=texts.get(TAG_ERROR_TYPE, "Unknown"),
        message=texts.get(TAG_ERROR_MESSAGE, ""),
        stack_trace=texts.get(TAG_STACK_TRACE, ""),
    )


def _parse_span(request_id: str, span_id: bytes | None, body: bytes, position: int) -> Span:
    child_id, parent_id, start_ns, end_ns, flags = _SPAN.unpack_from(body, position)
    if child_id == NO_SPAN:
        raise ProtocolError("SPAN without a span ID")
    texts = _fields(body, position + _SPAN.size)
    failed = bool(flags & FLAG_FAILED)
    return Span(
        request_id,
        span_id,
        span_id=child_id,
        parent_span_id=_span_id(parent_id),
        start_unix_ns=start_ns,
        end_unix_ns=end_ns,
        name=texts.get(TAG_NAME, ""),
        attributes_json=texts.get(TAG_ATTRIBUTES, ""),
        error_type=texts.get(TAG_ERROR_TYPE, "Unknown") if failed else None,
        error_message=texts.get(TAG_ERROR_MESSAGE, ""),
        stack_trace=texts.get(TAG_STACK_TRACE, ""),
    )


def _parse_event(request_id: str, span_id: bytes | None, body: bytes, position: int) -> Event:
    time_ns, child_id = _EVENT.unpack_from(body, position)
    texts = _fields(body, position + _EVENT.size)
    return Event(
        request_id,
        span_id,
        time_unix_ns=time_ns,
        span_id=_span_id(child_id),
        name=texts.get(TAG_NAME, ""),
        attributes_json=texts.get(TAG_ATTRIBUTES, ""),
    )


def _parse_file(request_id: str, span_id: bytes | None, body: bytes, position: int) -> File:
    return File(request_id, span_id, name=_fields(body, position).get(TAG_NAME, ""))


_PARSERS = {
    START: _parse_start,
    RESULT: _parse_result,
    ERROR: _parse_error,
    SPAN: _parse_span,
    EVENT: _parse_event,
    PARTIAL: _parse_partial,
    FILE: _parse_file,
}
