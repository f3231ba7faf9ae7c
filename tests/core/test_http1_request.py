"""The HTTP request parser: bytes in, requests out, everything bounded."""

import pytest

from extension.http1 import MAX_HEAD_BYTES
from extension.http1_request import MAX_CHUNK_LINE_BYTES, Request, RequestError, RequestParser

MAX_BODY_BYTES = 1_000
POST = b"POST /v1/traces HTTP/1.1\r\n"

REQUESTS = {
    "content length": (
        POST + b"Host: x\r\nContent-Length: 5\r\n\r\nhello",
        Request("POST", "/v1/traces", {"host": "x", "content-length": "5"}, b"hello", True),
    ),
    "chunked": (
        POST + b"Transfer-Encoding: Chunked\r\n\r\n3;x=y\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n",
        Request("POST", "/v1/traces", {"transfer-encoding": "Chunked"}, b"hello", True),
    ),
    "chunked with trailers": (
        POST + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nA: b\r\nC: d\r\n\r\n",
        Request("POST", "/v1/traces", {"transfer-encoding": "chunked"}, b"hello", True),
    ),
    "closing, after an empty line": (
        b"\r\n" + POST + b"Connection: Keep-Alive, close\r\n\r\n",
        Request("POST", "/v1/traces", {"connection": "Keep-Alive, close"}, b"", False),
    ),
    "an old version": (
        b"GET / HTTP/1.0\r\nA:\r\n\r\n",
        Request("GET", "/", {"a": ""}, b"", False),
    ),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_every_split_gives_the_same_request(name: str) -> None:
    """Wherever the bytes are cut in two, the request is the same, and comes with the last byte."""
    data, expected = REQUESTS[name]
    for cut in range(len(data)):
        parser = RequestParser(MAX_BODY_BYTES)
        parser.feed(data[:cut])
        assert parser.next() is None, data[:cut]
        parser.feed(data[cut:])
        assert (parser.next(), parser.next()) == (expected, None), data[:cut]
        assert (parser.is_idle, parser.held_bytes) == (True, 0)


@pytest.mark.parametrize("name", REQUESTS)
def test_byte_by_byte_gives_the_same_request_twice(name: str) -> None:
    """A request that drips is read all the same, and so is the next one on the connection."""
    data, expected = REQUESTS[name]
    parser = RequestParser(MAX_BODY_BYTES)
    found = []
    for byte in data + data:
        parser.feed(bytes((byte,)))
        found.append(parser.next())
    nothing = [None] * (len(data) - 1)
    assert found == [*nothing, expected, *nothing, expected]


def test_requests_that_came_at_once_are_taken_one_by_one() -> None:
    """What is behind a request stays for the next."""
    parser = RequestParser(MAX_BODY_BYTES)
    parser.feed(b"".join(data for data, _ in REQUESTS.values()))
    found = [parser.next() for _ in range(len(REQUESTS) + 1)]
    assert found == [*(expected for _, expected in REQUESTS.values()), None]


def test_a_client_that_waits_is_told_to_go_on_once() -> None:
    """After the head, and not for a request that is whole already."""
    head = POST + b"Expect: 100-Continue\r\nContent-Length: 2\r\n\r\n"
    parser = RequestParser(MAX_BODY_BYTES)
    parser.feed(head[:-1])
    assert (parser.next(), parser.take_continue()) == (None, False)
    parser.feed(head[-1:])
    assert parser.next() is None
    assert (parser.take_continue(), parser.take_continue()) == (True, False)
    parser.feed(b"ok" + head + b"ok")
    assert [parser.next() is None for _ in range(3)] == [False, False, True]
    assert not parser.take_continue()


@pytest.mark.parametrize(
    ("data", "status", "message"),
    [
        (b"GET /\r\n\r\n", 400, "malformed request line 'GET /'"),
        (b"GET  / HTTP/1.1\r\n\r\n", 400, "malformed request line 'GET  / HTTP/1.1'"),
        (b"G(T / HTTP/1.1\r\n\r\n", 400, "malformed request line 'G(T / HTTP/1.1'"),
        (b"PRI * HTTP/2.0\r\n\r\n", 505, "version 'HTTP/2.0', not HTTP/1.1"),
        (POST + b"no colon\r\n\r\n", 400, "malformed header line 'no colon'"),
        (POST + b" folded: x\r\n\r\n", 400, "malformed header line ' folded: x'"),
        (POST + b"a : b\r\n\r\n", 400, "malformed header line 'a : b'"),
        (POST + b"Content-Length: -1\r\n\r\n", 400, "malformed Content-Length '-1'"),
        (POST + b"Content-Length: " + b"1" * 5000 + b"\r\n\r\n", 400, None),
        (
            POST + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\n",
            400,
            "two headers content-length",
        ),
        (
            POST + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            400,
            "Content-Length beside Transfer-Encoding",
        ),
        (
            POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n",
            501,
            "Transfer-Encoding 'gzip, chunked', not chunked",
        ),
        (POST + b"Content-Length: 1001\r\n\r\n", 413, "request body of 1001 bytes, over 1000"),
        (
            POST + b"Transfer-Encoding: chunked\r\n\r\n3e8\r\n" + b"x" * 1000 + b"\r\n1\r\n",
            413,
            "request body of 1001 bytes, over 1000",
        ),
        (
            POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
            400,
            "malformed chunk size b'zz'",
        ),
        (
            POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n",
            400,
            "chunk does not end where its size says",
        ),
        (
            POST + b"Transfer-Encoding: chunked\r\n\r\n" + b"1" * (MAX_CHUNK_LINE_BYTES + 1),
            400,
            "chunk size line too long",
        ),
        (
            POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + b"x" * (MAX_HEAD_BYTES + 1),
            431,
            f"trailers over {MAX_HEAD_BYTES} bytes",
        ),
        (b"P" * (MAX_HEAD_BYTES + 1), 431, f"request head over {MAX_HEAD_BYTES} bytes"),
    ],
)
def test_what_is_no_request_has_its_answer(data: bytes, status: int, message: str | None) -> None:
    """Anything else within the bounds is refused, with a status and a reason."""
    parser = RequestParser(MAX_BODY_BYTES)
    parser.feed(data)
    with pytest.raises(RequestError) as caught:
        parser.next()
    assert caught.value.status == status
    assert message is None or str(caught.value) == message
