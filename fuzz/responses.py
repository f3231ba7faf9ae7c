"""Target `responses`: what the Extensions API answers, as HTTP and as events."""

from __future__ import annotations

from collections.abc import Iterator

from extension.events import (
    MAX_UNIX_MS,
    EventError,
    InvokeEvent,
    parse_event,
    parse_registration,
)
from extension.http1 import MAX_BODY_BYTES, MAX_HEAD_BYTES, HttpError, Response, ResponseParser
from fuzz.draw import Draw, split

AMPLIFY = 0xE4
"""It wants several bits, since it is dear."""
MAX_STREAM_BYTES = 262_144

Read = tuple[int, dict[str, str], bytes] | str | None


def check(data: bytes) -> None:
    """The parsers raise HttpError and EventError or nothing, and besides:

    - however a response is split, status, headers and body are the same;
    - a body is within its bound, and an event's deadline is one that a clock can show.
    """
    draw = Draw(data)
    flags, seed = draw.byte(), draw.byte()
    stream = draw.rest()
    if flags & AMPLIFY == AMPLIFY:
        head, mark, body = stream.partition(b"\r\n\r\n")
        stream = head + mark + (body * (1 + seed))[:MAX_STREAM_BYTES]
    whole, again = _read([stream]), _read(split(stream, flags & 3, seed))
    if len(stream) < MAX_HEAD_BYTES:
        # Where a bound is reached, one split may tell it sooner than another.
        assert type(whole) is type(again)
        assert whole == again or isinstance(whole, str)
    _parse(whole[2] if isinstance(whole, tuple) else stream)


def _read(parts: list[bytes]) -> Read:
    parser = ResponseParser()
    try:
        for part in parts:
            response = parser.feed(part)
            if response is not None:
                return _values(response)
        response = parser.end_of_input()
    except HttpError as error:
        assert len(str(error)) < 1_000
        return str(error)
    return None if response is None else _values(response)


def _values(response: Response) -> Read:
    assert 200 <= response.status <= 999 or response.status < 100
    assert len(response.body) <= MAX_BODY_BYTES
    return response.status, response.headers, response.body


def _parse(body: bytes) -> None:
    try:
        parse_registration(body)
    except EventError as error:
        assert len(str(error)) < 1_000
    try:
        event = parse_event(body)
    except EventError as error:
        assert len(str(error)) < 1_000
        return
    assert 0 <= event.deadline_unix_ms <= MAX_UNIX_MS
    if isinstance(event, InvokeEvent):
        assert event.request_id


def seeds() -> Iterator[tuple[str, bytes]]:
    """Both events and a registration, in each framing; and numbers that no clock has."""
    bodies = [
        b'{"eventType":"INVOKE","deadlineMs":676051,"requestId":"r-1","invokedFunctionArn":"arn",'
        b'"tracing":{"type":"X-Amzn-Trace-Id","value":"Root=1"}}',
        b'{"eventType":"SHUTDOWN","shutdownReason":"SPINDOWN","deadlineMs":676051}',
        b'{"functionName":"f","functionVersion":"1","handler":"h","accountId":"1"}',
        b'{"eventType":"INVOKE","requestId":"r","deadlineMs":1e999}',
        b'{"eventType":"SHUTDOWN","deadlineMs":NaN}',
        b'{"eventType":[[[]]],"deadlineMs":' + b"1" * 400 + b"}",
        b"[" * 1_200,
    ]
    for how, body in enumerate(bodies):
        ok = b"HTTP/1.1 200 OK\r\n"
        length = b"Content-Length: %d\r\n\r\n" % len(body)
        chunked = b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n" % (len(body), body)
        control = bytes((how % 4, 7 * how))
        yield "length", control + ok + length + body
        yield "chunked", control + ok + chunked + b"\r\n"
        yield "trailer", control + ok + chunked + b"A: b\r\n\r\n"
        yield "open", control + ok + b"\r\n" + body
        yield "interim", control + b"HTTP/1.1 100 Continue\r\n\r\n" + ok + length + body
        yield "bare", control + body
    yield "no-content", b"\0\0HTTP/1.1 204 No Content\r\n\r\n"
    yield "digits", b"\0\0HTTP/1.1 200 OK\r\nContent-Length: " + b"1" * 3_900 + b"\r\n\r\n"
    yield (
        "small-chunks",
        bytes((AMPLIFY, 255))
        + b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        + b"1\r\nx\r\n" * 170,
    )
