"""Bytes to messages: bodies of frames, lines and plain files; no I/O.

Raises `ProtocolError` and nothing else, whatever a stranger wrote.
"""

import struct

from fifo import otlp_bytes, propagation
from fifo.errors import ProtocolError
from fifo.fields import FIELD_LAYOUT
from fifo.messages import (
    CONTENT_KINDS,
    ERROR,
    ERROR_LAYOUT,
    EVENT,
    EVENT_LAYOUT,
    FILE,
    FLAG_COLD_START,
    FLAG_FAILED,
    FLAG_TRUNCATED,
    JSON,
    MAX_LINKS,
    MAX_NUMBER,
    MAX_SPAN_NAME,
    MAX_TRACESTATE_BYTES,
    MAX_TRIGGER_ATTRIBUTES_BYTES,
    NO_SPAN,
    OTLP,
    PARTIAL,
    REQUEST,
    RESULT,
    RESULT_LAYOUT,
    SPAN,
    SPAN_LAYOUT,
    START,
    START_LAYOUT,
    TAG_ATTRIBUTES,
    TAG_DURABLE_EXECUTION_ARN,
    TAG_ERROR_MESSAGE,
    TAG_ERROR_TYPE,
    TAG_INVOKED_ARN,
    TAG_LINKS,
    TAG_LOG_GROUP,
    TAG_LOG_STREAM,
    TAG_NAME,
    TAG_PARENT,
    TAG_SPAN_NAME,
    TAG_STACK_TRACE,
    TAG_TENANT_ID,
    TAG_TRACESTATE,
    TAG_TRIGGER_ATTRIBUTES,
    TAG_XRAY_HEADER,
    UNKNOWN_SIZE,
    Body,
    Error,
    Event,
    File,
    Message,
    Otlp,
    Partial,
    Request,
    Result,
    Span,
    Start,
    is_request_id,
    valid_request_id,
)

_unpack_field = FIELD_LAYOUT.unpack_from
_FIELD_HEAD_BYTES = FIELD_LAYOUT.size
_NO_TRACE = bytes(16)
_new = object.__new__


def parse(kind: int, body: bytes) -> Message:
    """The message in a whole body. Raises ProtocolError."""
    parser = _PARSERS.get(kind)
    if parser is None:
        raise ProtocolError(f"unknown message kind {kind}")
    try:
        length = body[0]
        position = 9 + length
        name = body[1 : 1 + length]
        request_id = name.decode("ascii")
        if len(body) < position:
            raise ProtocolError(f"message kind {kind}: {len(body)} bytes end before its fields")
        nobodys = not name and kind in (OTLP, FILE)
        if not nobodys and not is_request_id(name):
            raise ProtocolError(f"message kind {kind}: {request_id[:40]!r} is no request ID")
        return parser(request_id, _span_id(body[1 + length : position]), body, position)
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
    return _payload_result(request_id, value["payload"])


MAX_PARSED_FILE_BYTES = 1_048_576
"""Values take twenty-five times their text, and more: 8 MiB of ``[],`` would take 200 MB."""


def parse_payload_file(request_id: str, data: bytes) -> Result:
    """The file form, ``{"payload": …}``: a result. Raises ProtocolError.

    One over `MAX_PARSED_FILE_BYTES` is taken by its two ends, and what lies between them is not
    looked into.
    """
    import json

    if len(data) > MAX_PARSED_FILE_BYTES:
        return _unparsed_file(request_id, data)
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"file of {request_id} is no JSON: {error}") from error
    if not isinstance(value, dict) or "payload" not in value:
        raise ProtocolError(f'file of {request_id} has no "payload"')
    return _payload_result(request_id, value["payload"])


def _unparsed_file(request_id: str, data: bytes) -> Result:
    import re

    begin = re.match(rb'\s*\{\s*"payload"\s*:\s*', data)
    end = data.rstrip()
    if begin is None or not end.endswith(b"}"):
        raise ProtocolError(
            f'file of {request_id} is over {MAX_PARSED_FILE_BYTES} bytes and not {{"payload": …}}'
        )
    text = end[begin.end() : -1].rstrip()
    body = Body(text, len(text), truncated=False, content_kind=JSON)
    return Result(request_id, None, end_unix_ns=None, body=body)


def _payload_result(request_id: str, payload: object) -> Result:
    import json

    try:
        text = json.dumps(payload, ensure_ascii=False, separators=(",", ":"))
    except (ValueError, RecursionError) as error:
        # Writing takes a few frames more than reading did: what is nested just so deep fails.
        raise ProtocolError(f"payload of {request_id} cannot be written: {error}") from error
    data = text.encode("utf-8", "backslashreplace")
    body = Body(data, len(data), truncated=False, content_kind=JSON)
    return Result(request_id, None, end_unix_ns=None, body=body)


def _span_id(data: bytes) -> bytes | None:
    return None if data == NO_SPAN else data


def _check(number: int) -> None:
    if number > MAX_NUMBER:
        raise ProtocolError(f"{number} is no time and no size")


def _fields(body: bytes, position: int) -> dict[int, str]:
    texts: dict[int, str] = {}
    end = len(body)
    while position < end:
        tag, length = _unpack_field(body, position)
        begin = position + _FIELD_HEAD_BYTES
        position = begin + length
        if position > end:
            raise ProtocolError(f"field {tag} of {length} bytes goes past the end")
        texts[tag] = body[begin:position].decode()
    return texts


def _parse_start(request_id: str, span_id: bytes | None, body: bytes, position: int) -> Start:
    flags, trace_id, start_ns, deadline_ms, memory_mb, pid = START_LAYOUT.unpack_from(
        body, position
    )
    _check(start_ns)
    _check(deadline_ms)
    texts = _fields(body, position + START_LAYOUT.size)
    if span_id is None or trace_id == _NO_TRACE:
        raise ProtocolError("START without trace ID or span ID")
    parent_span_id, trace_flags = None, propagation.SAMPLED
    if TAG_PARENT in texts:
        parent_trace_id, parent_span_id, trace_flags = _remote_span(texts[TAG_PARENT])
        if parent_trace_id != trace_id:
            raise ProtocolError("START's parent is in another trace")
    tracestate = texts.get(TAG_TRACESTATE, "")
    attributes_json = texts.get(TAG_TRIGGER_ATTRIBUTES, "")
    links = texts[TAG_LINKS].split() if TAG_LINKS in texts else []
    if (
        len(tracestate) > MAX_TRACESTATE_BYTES
        or len(attributes_json) > MAX_TRIGGER_ATTRIBUTES_BYTES
        or len(links) > MAX_LINKS
    ):
        raise ProtocolError("START's tracestate, attributes or links are over their bound")
    # Not by its `__init__`: called with twenty names it takes as long as all the rest.
    start = _new(Start)
    start.request_id = request_id
    start.invocation_span_id = span_id
    start.trace_id = trace_id
    start.start_unix_ns = start_ns
    start.deadline_unix_ms = deadline_ms
    start.memory_mb = memory_mb
    start.pid = pid
    start.cold_start = bool(flags & FLAG_COLD_START)
    start.invoked_function_arn = texts.get(TAG_INVOKED_ARN, "")
    start.log_group = texts.get(TAG_LOG_GROUP, "")
    start.log_stream = texts.get(TAG_LOG_STREAM, "")
    start.xray_header = texts.get(TAG_XRAY_HEADER, "")
    start.tenant_id = texts.get(TAG_TENANT_ID, "")
    start.durable_execution_arn = texts.get(TAG_DURABLE_EXECUTION_ARN, "")
    start.parent_span_id = parent_span_id
    start.trace_flags = trace_flags
    start.tracestate = propagation.valid_tracestate(tracestate)
    start.span_name = texts.get(TAG_SPAN_NAME, "")[:MAX_SPAN_NAME]
    start.attributes_json = attributes_json
    start.links = tuple([_remote_span(link) for link in links]) if links else ()
    return start


def _remote_span(text: str) -> tuple[bytes, bytes, int]:
    found = propagation.of_tracecontext({"traceparent": text})
    if found is None:
        raise ProtocolError(f"{text[:80]!r} names no span")
    return found.trace_id, found.span_id, found.flags


def _parse_body(body: bytes, position: int) -> tuple[int, Body]:
    time_ns, size, flags, kind = RESULT_LAYOUT.unpack_from(body, position)
    _check(time_ns)
    _check(0 if size == UNKNOWN_SIZE else size)
    if kind not in CONTENT_KINDS:
        raise ProtocolError(f"unknown content kind {kind}")
    return time_ns, Body(
        body[position + RESULT_LAYOUT.size :],
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


def _parse_request(request_id: str, span_id: bytes | None, body: bytes, position: int) -> Request:
    time_ns, payload = _parse_body(body, position)
    return Request(request_id, span_id, time_unix_ns=time_ns, body=payload)


def _parse_error(request_id: str, span_id: bytes | None, body: bytes, position: int) -> Error:
    (end_ns,) = ERROR_LAYOUT.unpack_from(body, position)
    _check(end_ns)
    texts = _fields(body, position + ERROR_LAYOUT.size)
    return Error(
        request_id,
        span_id,
        end_unix_ns=end_ns,
        error_type=texts.get(TAG_ERROR_TYPE, "Unknown"),
        message=texts.get(TAG_ERROR_MESSAGE, ""),
        stack_trace=texts.get(TAG_STACK_TRACE, ""),
    )


def _parse_span(request_id: str, span_id: bytes | None, body: bytes, position: int) -> Span:
    child_id, parent_id, start_ns, end_ns, flags = SPAN_LAYOUT.unpack_from(body, position)
    _check(start_ns)
    _check(end_ns)
    if child_id == NO_SPAN:
        raise ProtocolError("SPAN without a span ID")
    texts = _fields(body, position + SPAN_LAYOUT.size)
    failed = bool(flags & FLAG_FAILED)
    span = _new(Span)  # as START: there may be thousands
    span.request_id = request_id
    span.invocation_span_id = span_id
    span.span_id = child_id
    span.parent_span_id = _span_id(parent_id)
    span.start_unix_ns = start_ns
    span.end_unix_ns = end_ns
    span.name = texts.get(TAG_NAME, "")
    span.attributes_json = texts.get(TAG_ATTRIBUTES, "")
    span.error_type = texts.get(TAG_ERROR_TYPE, "Unknown") if failed else None
    span.error_message = texts.get(TAG_ERROR_MESSAGE, "")
    span.stack_trace = texts.get(TAG_STACK_TRACE, "")
    return span


def _parse_event(request_id: str, span_id: bytes | None, body: bytes, position: int) -> Event:
    time_ns, child_id = EVENT_LAYOUT.unpack_from(body, position)
    _check(time_ns)
    texts = _fields(body, position + EVENT_LAYOUT.size)
    return Event(
        request_id,
        span_id,
        time_unix_ns=time_ns,
        span_id=_span_id(child_id),
        name=texts.get(TAG_NAME, ""),
        attributes_json=texts.get(TAG_ATTRIBUTES, ""),
    )


def _parse_otlp(request_id: str, span_id: bytes | None, body: bytes, position: int) -> Otlp:
    data = body[position:]
    return Otlp(request_id, span_id, data=data, span_count=otlp_bytes.span_count(data))


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
    OTLP: _parse_otlp,
    REQUEST: _parse_request,
}
