"""Writes stream.json: ``python -m tests.vectors.generate``.

The bytes are laid out here by hand with `struct` and `zlib` alone, from PROTOCOL.md: none of
the code that the vectors are for makes them.
"""

from __future__ import annotations

import json
import struct
import zlib
from pathlib import Path
from typing import Any

MAX_BODY = 4072
SPAN = bytes.fromhex("0102030405060708")
TRACE = bytes.fromhex("000102030405060708090a0b0c0d0e0f")
REQUEST = "8f3c2c5e-9f0a-4a5e-8f5e-0123456789ab"
NO_SPAN = bytes(8)


def frame(
    kind: int,
    body: bytes,
    *,
    writer: int = 0xA1B2C3D4,
    counter: int = 1,
    sequence: int = 0,
    count: int = 1,
    version: int = 1,
) -> bytes:
    head = struct.pack(
        ">2sBBHHIII", b"\xff\x53", version, kind, sequence, count, writer, counter, len(body)
    )
    return head + struct.pack(">I", zlib.crc32(head + body)) + body


def unit(kind: int, body: bytes, **changes: int) -> dict[str, Any]:
    values = {"writer": 0xA1B2C3D4, "counter": 1, "sequence": 0, "count": 1, "version": 1}
    values.update(changes)
    return {
        "version": values["version"],
        "kind": kind,
        "sequence": values["sequence"],
        "count": values["count"],
        "writer_id": values["writer"],
        "counter": values["counter"],
        "body_hex": body.hex(),
    }


def prefix(span: bytes = SPAN, request: str = REQUEST) -> bytes:
    return bytes([len(request)]) + request.encode() + span


def field(tag: int, text: str) -> bytes:
    data = text.encode()
    return struct.pack(">BH", tag, len(data)) + data


def message(name: str, kind: int, body: bytes, /, **fields: Any) -> dict[str, Any]:
    values = {"request_id": REQUEST, "invocation_span_id": SPAN.hex(), **fields}
    return {"name": name, "kind": kind, "body_hex": body.hex(), "fields": values}


def captured(data: bytes, size: int | None, *, truncated: bool, kind: int) -> dict[str, Any]:
    return {
        "data_hex": data.hex(),
        "size_bytes": size,
        "truncated": truncated,
        "content_kind": kind,
    }


START = (
    prefix()
    + struct.pack(">B16sQQII", 1, TRACE, 1_700_000_000_000_000_001, 1_700_000_003_000, 128, 42)
    + field(1, "arn:aws:lambda:eu-west-1:123456789012:function:shop:live")
    + field(2, "/aws/lambda/shop")
    + field(3, "2026/11/23/[7]abc")
    + field(4, "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1")
    + field(5, "blue")
    + field(6, "arn:aws:lambda:eu-west-1:123456789012:function:shop:7/durable-execution/a/b")
)
CALLED = (
    prefix()
    + struct.pack(">B16sQQII", 0, TRACE, 1_700_000_000_000_000_001, 1_700_000_003_000, 128, 42)
    + field(7, f"00-{TRACE.hex()}-2122232425262728-00")
    + field(8, "vendor=1")
    + field(9, "GET /orders")
    + field(10, '{"faas.trigger":"http"}')
    + field(11, f"00-{TRACE.hex()}-3132333435363738-01 00-{TRACE.hex()}-4142434445464748-00")
)
RESULT = prefix() + struct.pack(">QQBB", 1_700_000_000_100_000_000, 7, 0, 0) + b'{"a":1}'
CUT = prefix(NO_SPAN) + struct.pack(">QQBB", 5, 2**64 - 1, 1, 1) + "ä".encode()
ERROR = (
    prefix()
    + struct.pack(">Q", 1_700_000_000_100_000_000)
    + field(1, "ValueError")
    + field(2, "no such order: 3 €")
    + field(3, "Traceback (most recent call last):\n")
)
CHILD = bytes.fromhex("1112131415161718")
SPAN_OK = (
    prefix()
    + struct.pack(">8s8sQQB", CHILD, NO_SPAN, 10, 20, 0)
    + field(4, "query")
    + field(5, '{"rows":3}')
)
SPAN_FAILED = (
    prefix()
    + struct.pack(">8s8sQQB", CHILD, SPAN, 10, 20, 1)
    + field(4, "query")
    + field(1, "KeyError")
    + field(2, "k")
    + field(250, "a tag of the future")
)
EVENT = prefix() + struct.pack(">Q8s", 15, CHILD) + field(4, "cache miss") + field(5, "{}")
PARTIAL = prefix() + struct.pack(">QQBB", 15, 1, 0, 0) + b"1"
FILE = prefix() + field(4, "spanpipe-0123456789abcdef.msg")


def nested(number: int, data: bytes) -> bytes:
    """A protobuf field of bytes, shorter than 128."""
    return bytes((number << 3 | 2, len(data))) + data


OTLP_SPAN = nested(1, TRACE) + nested(2, CHILD) + nested(4, SPAN) + nested(5, b"GET")
OTLP_REQUEST = nested(1, nested(2, nested(2, OTLP_SPAN)))
OTLP = prefix() + OTLP_REQUEST
OTLP_OF_NOBODY = bytes(9) + OTLP_REQUEST

MESSAGES = [
    message(
        "start",
        1,
        START,
        trace_id=TRACE.hex(),
        start_unix_ns=1_700_000_000_000_000_001,
        deadline_unix_ms=1_700_000_003_000,
        memory_mb=128,
        pid=42,
        cold_start=True,
        invoked_function_arn="arn:aws:lambda:eu-west-1:123456789012:function:shop:live",
        log_group="/aws/lambda/shop",
        log_stream="2026/11/23/[7]abc",
        xray_header="Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1",
        tenant_id="blue",
        durable_execution_arn=(
            "arn:aws:lambda:eu-west-1:123456789012:function:shop:7/durable-execution/a/b"
        ),
        parent_span_id=None,
        trace_flags=1,
        tracestate="",
        span_name="",
        attributes_json="",
        links=[],
    ),
    message(
        "start with a caller",
        1,
        CALLED,
        trace_id=TRACE.hex(),
        start_unix_ns=1_700_000_000_000_000_001,
        deadline_unix_ms=1_700_000_003_000,
        memory_mb=128,
        pid=42,
        cold_start=False,
        invoked_function_arn="",
        log_group="",
        log_stream="",
        xray_header="",
        tenant_id="",
        durable_execution_arn="",
        parent_span_id="2122232425262728",
        trace_flags=0,
        tracestate="vendor=1",
        span_name="GET /orders",
        attributes_json='{"faas.trigger":"http"}',
        links=[[TRACE.hex(), "3132333435363738", 1], [TRACE.hex(), "4142434445464748", 0]],
    ),
    message(
        "result",
        2,
        RESULT,
        end_unix_ns=1_700_000_000_100_000_000,
        body=captured(b'{"a":1}', 7, truncated=False, kind=0),
    ),
    message(
        "result, cut, text, size and span unknown",
        2,
        CUT,
        invocation_span_id=None,
        end_unix_ns=5,
        body=captured("ä".encode(), None, truncated=True, kind=1),
    ),
    message(
        "error",
        3,
        ERROR,
        end_unix_ns=1_700_000_000_100_000_000,
        error_type="ValueError",
        message="no such order: 3 €",
        stack_trace="Traceback (most recent call last):\n",
    ),
    message(
        "span",
        4,
        SPAN_OK,
        span_id=CHILD.hex(),
        parent_span_id=None,
        start_unix_ns=10,
        end_unix_ns=20,
        name="query",
        attributes_json='{"rows":3}',
        error_type=None,
        error_message="",
        stack_trace="",
    ),
    message(
        "span, failed, with an unknown tag",
        4,
        SPAN_FAILED,
        span_id=CHILD.hex(),
        parent_span_id=SPAN.hex(),
        start_unix_ns=10,
        end_unix_ns=20,
        name="query",
        attributes_json="",
        error_type="KeyError",
        error_message="k",
        stack_trace="",
    ),
    message(
        "event",
        5,
        EVENT,
        time_unix_ns=15,
        span_id=CHILD.hex(),
        name="cache miss",
        attributes_json="{}",
    ),
    message(
        "partial result",
        6,
        PARTIAL,
        time_unix_ns=15,
        body=captured(b"1", 1, truncated=False, kind=0),
    ),
    message(
        "request",
        9,
        PARTIAL,
        time_unix_ns=15,
        body=captured(b"1", 1, truncated=False, kind=0),
    ),
    message("file", 7, FILE, name="spanpipe-0123456789abcdef.msg"),
    message("OTLP", 8, OTLP, data=OTLP_REQUEST.hex(), span_count=1),
    message(
        "OTLP of nobody in particular",
        8,
        OTLP_OF_NOBODY,
        request_id="",
        invocation_span_id=None,
        data=OTLP_REQUEST.hex(),
        span_count=1,
    ),
]

LONG = bytes(range(256)) * 40
PARTS = [LONG[index : index + MAX_BODY] for index in range(0, len(LONG), MAX_BODY)]
LONG_FRAMES = [frame(2, part, sequence=index, count=len(PARTS)) for index, part in enumerate(PARTS)]
LONG_UNITS = [unit(2, part, sequence=index, count=len(PARTS)) for index, part in enumerate(PARTS)]
LINE = '{"request_id":"r-1","payload":{"ok":true}}'
BAD_SUM = bytearray(frame(2, b"body"))
BAD_SUM[-1] ^= 1


def stream(name: str, data: bytes, units: list[Any], garbage: tuple[int, int] = (0, 0)) -> Any:
    return {"name": name, "hex": data.hex(), "units": units, "garbage": list(garbage)}


STREAMS = [
    stream("empty", b"", []),
    stream("one frame", frame(1, START), [unit(1, START)]),
    stream("a frame without a body", frame(2, b""), [unit(2, b"")]),
    stream("three fragments", b"".join(LONG_FRAMES), LONG_UNITS),
    stream("a line", f"{LINE}\n".encode(), [{"line": LINE}]),
    stream(
        "lines, blanks and a frame",
        f"{LINE}\n\r\n  ".encode() + frame(2, RESULT) + f"{LINE}\n".encode(),
        [{"line": LINE}, unit(2, RESULT), {"line": LINE}],
    ),
    stream(
        "another version is a unit like any other",
        frame(2, b"later", version=2),
        [unit(2, b"later", version=2)],
    ),
    stream("garbage before a frame", b"hello" + frame(2, b"x"), [unit(2, b"x")], (1, 5)),
    stream(
        "a wrong checksum, then a frame",
        bytes(BAD_SUM) + frame(2, b"x", counter=2),
        [unit(2, b"x", counter=2)],
        (1, len(BAD_SUM)),
    ),
    stream(
        "a line cut off by a frame",
        b'{"request_id"' + frame(2, b"x"),
        [unit(2, b"x")],
        (1, 13),
    ),
    stream(
        "no line before a newline after garbage",
        f"x{LINE}\n{LINE}\n".encode(),
        [{"line": LINE}],
        (1, len(LINE) + 2),
    ),
    stream("an unfinished frame", frame(2, b"body")[:-1], [], (1, 27)),
    stream("an unfinished line", b'{"request_id"', [], (1, 13)),
]

LINES = [
    {"name": "object", "line": LINE, "request_id": "r-1", "payload": '{"ok":true}'},
    {
        "name": "null payload, unknown keys, escapes",
        "line": '{"x":1,"payload":null,"request_id":"a_B-9"}',
        "request_id": "a_B-9",
        "payload": "null",
    },
    {
        "name": "text outside ASCII",
        "line": '{"request_id":"r","payload":"\\u00e4\\ud83d\\ude00"}',
        "request_id": "r",
        "payload": '"ä😀"',
    },
    {"name": "no JSON", "line": "{nope}", "error": "line is no JSON"},
    {"name": "no payload", "line": '{"request_id":"r"}', "error": 'line has no "payload"'},
    {
        "name": "a request ID that is a path",
        "line": '{"request_id":"../etc/passwd","payload":1}',
        "error": 'line has no "request_id" that could be one',
    },
    {
        "name": "a request ID that is a number",
        "line": '{"request_id":7,"payload":1}',
        "error": 'line has no "request_id" that could be one',
    },
    {"name": "a list", "line": "[1]", "error": 'line has no "request_id" that could be one'},
]


def mailbox(generation: int, flags: int, max_body: int) -> str:
    head = struct.pack(">2sBBII", b"\xff\x43", 1, flags, generation, max_body)
    return (head + struct.pack(">I", zlib.crc32(head))).hex()


TEXTS = field(1, "xray,b3") + field(2, "detail.trace")
SAMPLER = field(3, "8000000000000000,10000000000000000,0")


def texts(fields: bytes) -> str:
    return (struct.pack(">HI", len(fields), zlib.crc32(fields)) + fields).hex()


MAILBOX = [
    {
        "name": "enabled, responses captured",
        "first_16_bytes_hex": mailbox(1, 0b011, 65_536),
        "generation": 1,
        "enabled": True,
        "response": True,
        "request": False,
        "exporter_down": False,
        "max_body_bytes": 65_536,
    },
    {
        "name": "disabled, exporter down, requests captured",
        "first_16_bytes_hex": mailbox(7, 0b1100, 0),
        "generation": 7,
        "enabled": False,
        "response": False,
        "request": True,
        "exporter_down": True,
        "max_body_bytes": 0,
    },
    {
        "name": "propagators and a carrier's place",
        "first_16_bytes_hex": mailbox(8, 0b011, 1),
        "texts_hex": texts(TEXTS),
        "generation": 8,
        "enabled": True,
        "response": True,
        "request": False,
        "exporter_down": False,
        "max_body_bytes": 1,
        "propagators": "xray,b3",
        "event_path": "detail.trace",
    },
    {
        "name": "a sampler: half of what begins here, else the caller's flag",
        "first_16_bytes_hex": mailbox(9, 0b011, 1),
        "texts_hex": texts(SAMPLER),
        "generation": 9,
        "enabled": True,
        "response": True,
        "request": False,
        "exporter_down": False,
        "max_body_bytes": 1,
        "sampler": "8000000000000000,10000000000000000,0",
    },
]


def vectors() -> dict[str, Any]:
    """Everything, as the file has it."""
    return {"streams": STREAMS, "messages": MESSAGES, "lines": LINES, "mailbox": MAILBOX}


def main() -> None:
    """Write the file."""
    path = Path(__file__).resolve().parent / "stream.json"
    path.write_text(json.dumps(vectors(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
