"""Messages to bytes: functions, not objects, because the function pays for them; no I/O.

The layouts are those of `fifo.messages`.
"""

from fifo.errors import ProtocolError
from fifo.fields import encode_field
from fifo.messages import (
    ERROR_LAYOUT,
    EVENT_LAYOUT,
    FLAG_COLD_START,
    FLAG_FAILED,
    FLAG_TRUNCATED,
    MAX_REQUEST_ID_BYTES,
    NO_SPAN,
    RESULT_LAYOUT,
    SPAN_LAYOUT,
    START_LAYOUT,
    TAG_ERROR_MESSAGE,
    TAG_ERROR_TYPE,
    TAG_NAME,
    TAG_STACK_TRACE,
    UNKNOWN_SIZE,
    request_id_bytes,
)

_pack_result = RESULT_LAYOUT.pack
_ONE_BYTE = [bytes((length,)) for length in range(MAX_REQUEST_ID_BYTES + 1)]


def encode_prefix(request_id: str, invocation_span_id: bytes | None) -> bytes:
    """The opening of every body of one invocation; made once and kept.

    Raises ProtocolError where `request_id` is not `valid_request_id`.
    """
    data = request_id_bytes(request_id)
    if not data:
        raise ProtocolError(f"{request_id[:40]!r} is no request ID")
    return _ONE_BYTE[len(data)] + data + (invocation_span_id or NO_SPAN)


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
        + START_LAYOUT.pack(flags, trace_id, start_unix_ns, deadline_unix_ms, memory_mb, pid)
        + fields
    )


def encode_result_head(
    prefix: bytes, time_unix_ns: int, size_bytes: int | None, truncated: bool, content_kind: int
) -> bytes:
    """What RESULT's body has before the data; PARTIAL's too, at the time it was emitted.

    `size_bytes` None: not known.
    """
    if size_bytes is None:
        size_bytes = UNKNOWN_SIZE
    flags = FLAG_TRUNCATED if truncated else 0
    return prefix + _pack_result(time_unix_ns, size_bytes, flags, content_kind)


MAX_ERROR_TYPE_BYTES = 256
MAX_ERROR_MESSAGE_BYTES = 4096
MAX_STACK_TRACE_BYTES = 16_384
MAX_NAME_BYTES = 1024
MAX_KEPT_NAMES = 256
MAX_KEPT_NAME = 128
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
    return prefix + ERROR_LAYOUT.pack(end_unix_ns) + failure


_pack_span = SPAN_LAYOUT.pack
_names: dict[str, bytes] = {}
"""Fields of spans' names, which come again and again; `MAX_KEPT_NAMES` at most."""


def _name_field(name: object) -> bytes:
    field = encode_field(TAG_NAME, name if type(name) is str else str(name), MAX_NAME_BYTES)
    if type(name) is str and len(_names) < MAX_KEPT_NAMES and len(name) <= MAX_KEPT_NAME:
        _names[name] = field
    return field


def encode_span(
    prefix: bytes,
    span_id: bytes,
    parent_span_id: bytes | None,
    start_unix_ns: int,
    end_unix_ns: int,
    name: object,
    attributes: bytes = b"",
    failure: bytes = b"",
) -> bytes:
    """SPAN's body; `name` as `str` has it, `attributes` from `bounded_json.attributes_field`.

    `failure` from `encode_failure`, empty where it went well. Raises TypeError for a `name` without
    a hash, and what its own code raises.
    """
    flags = FLAG_FAILED if failure else 0
    return b"".join(
        (
            prefix,
            _pack_span(span_id, parent_span_id or NO_SPAN, start_unix_ns, end_unix_ns, flags),
            _names.get(name) or _name_field(name),  # type: ignore[call-overload]
            attributes,
            failure,
        )
    )


def encode_event(
    prefix: bytes,
    time_unix_ns: int,
    span_id: bytes | None,
    name: str,
    attributes: bytes = b"",
) -> bytes:
    """EVENT's body; `attributes` from `bounded_json.attributes_field`."""
    return b"".join(
        (
            prefix,
            EVENT_LAYOUT.pack(time_unix_ns, span_id or NO_SPAN),
            encode_field(TAG_NAME, name, MAX_NAME_BYTES),
            attributes,
        )
    )


NOBODY = bytes(1) + NO_SPAN
"""The opening of OTLP's body outside of any invocation."""


def encode_file(prefix: bytes, name: str) -> bytes:
    """FILE's body."""
    return prefix + encode_field(TAG_NAME, name)
