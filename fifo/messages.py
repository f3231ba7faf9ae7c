"""What the bodies of frames, lines and files mean: typed messages, no I/O.

Every body opens with the invocation that it belongs to, big-endian::

    | length u8 | request ID (ASCII) | invocation span ID, 8 bytes | the kind's fields … |

The span ID is the one drawn for START, so two attempts under one request ID are told
apart; eight zero bytes stand for "not known", and OTLP, or the FILE that holds it, may have
no request ID. Texts are tagged fields, repeated to the end of the body (an unknown tag is
skipped): ``| tag u8 | length u16 | UTF-8 |``.

`fifo.encoding` makes them, `fifo.parsing` reads them.
"""

import struct

START = 1
RESULT = 2
ERROR = 3
SPAN = 4
EVENT = 5
PARTIAL = 6
FILE = 7
OTLP = 8
REQUEST = 9

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
TAG_TENANT_ID = 5
TAG_DURABLE_EXECUTION_ARN = 6
TAG_PARENT = 7
"""As in the header ``traceparent``; its trace is START's."""
TAG_TRACESTATE = 8
TAG_SPAN_NAME = 9
TAG_TRIGGER_ATTRIBUTES = 10
"""A JSON object, as `TAG_ATTRIBUTES`."""
TAG_LINKS = 11
"""Spans as in ``traceparent``, a blank between two."""

TAG_ERROR_TYPE = 1
TAG_ERROR_MESSAGE = 2
TAG_STACK_TRACE = 3
TAG_NAME = 4
TAG_ATTRIBUTES = 5
"""A JSON object: text, number, true or false, or a list of texts for each key."""

MAX_REQUEST_ID_BYTES = 128
NO_SPAN = bytes(8)
OUTCOME = "spanpipe.outcome"
"""The name of an EVENT whose attributes are the invocation's own: what its result says of it."""
MAX_LINKS = 128
"""OpenTelemetry's default limit of a span's links."""
MAX_SPAN_NAME = 1024
MAX_TRACESTATE_BYTES = 512
MAX_TRIGGER_ATTRIBUTES_BYTES = 32_768
UNKNOWN_SIZE = 0xFFFF_FFFF_FFFF_FFFF
MAX_NUMBER = 2**63 - 1
"""Of a time or a size: OTLP's integers are signed, and a time is in the year 2262 there."""

FLAG_COLD_START = 0x01
FLAG_TRUNCATED = 0x01
FLAG_FAILED = 0x01

START_LAYOUT = struct.Struct(">B16sQQII")
RESULT_LAYOUT = struct.Struct(">QQBB")
ERROR_LAYOUT = struct.Struct(">Q")
SPAN_LAYOUT = struct.Struct(">8s8sQQB")
EVENT_LAYOUT = struct.Struct(">Q8s")


_LET_THROUGH = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"


def request_id_bytes(request_id: str) -> bytes:
    """Its bytes; none where it may not be credited nor, above all, become a file name.

    Lambda's are UUIDs; letters, digits, ``-`` and ``_`` are let through, 128 of them.
    """
    if len(request_id) <= MAX_REQUEST_ID_BYTES and request_id.isascii():
        data = request_id.encode()
        if not data.translate(None, _LET_THROUGH):
            return data
    return b""


def is_request_id(data: bytes) -> bool:
    """Whether these are the bytes of a request ID that `request_id_bytes` lets through."""
    return 0 < len(data) <= MAX_REQUEST_ID_BYTES and not data.translate(None, _LET_THROUGH)


def valid_request_id(request_id: str) -> bool:
    """Whether it may be credited and become a file name, as `request_id_bytes` sees it."""
    return bool(request_id_bytes(request_id))


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
    """The handler is about to be called.

    `links` are trace ID, span ID and flags of each. `trace_flags` are the parent's, where there
    is one.
    """

    __slots__ = (
        "attributes_json",
        "cold_start",
        "deadline_unix_ms",
        "durable_execution_arn",
        "invoked_function_arn",
        "links",
        "log_group",
        "log_stream",
        "memory_mb",
        "parent_span_id",
        "pid",
        "span_name",
        "start_unix_ns",
        "tenant_id",
        "trace_flags",
        "trace_id",
        "tracestate",
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
        tenant_id: str = "",
        durable_execution_arn: str = "",
        parent_span_id: bytes | None = None,
        trace_flags: int = 1,
        tracestate: str = "",
        span_name: str = "",
        attributes_json: str = "",
        links: "tuple[tuple[bytes, bytes, int], ...]" = (),
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
        self.tenant_id = tenant_id
        self.durable_execution_arn = durable_execution_arn
        self.parent_span_id = parent_span_id
        self.trace_flags = trace_flags
        self.tracestate = tracestate
        self.span_name = span_name
        self.attributes_json = attributes_json
        self.links = links


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


class Request(Partial):
    """The event that the handler was called with; of the layout of a partial result."""

    __slots__ = ()


class Otlp(Message):
    """Finished spans of an OpenTelemetry SDK, which name their trace and parents themselves.

    `data` is an ExportTraceServiceRequest of `span_count` spans. `request_id` is empty where they
    ended outside of any invocation.
    """

    __slots__ = ("data", "span_count")

    def __init__(
        self, request_id: str, invocation_span_id: bytes | None, *, data: bytes, span_count: int
    ) -> None:
        super().__init__(request_id, invocation_span_id)
        self.data = data
        self.span_count = span_count


class File(Message):
    """A file beside the FIFO holds messages; `name` has no folder in it."""

    __slots__ = ("name",)

    def __init__(self, request_id: str, invocation_span_id: bytes | None, *, name: str) -> None:
        super().__init__(request_id, invocation_span_id)
        self.name = name
