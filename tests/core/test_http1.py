"""The HTTP response parser: bytes in, responses out."""

import pytest

from extension.http1 import MAX_BODY_BYTES, MAX_HEAD_BYTES, HttpError, Response, ResponseParser

RESPONSES = {
    "content length": (
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nLambda-Extension-Identifier: a-b\r\n\r\nhello",
        (200, {"content-length": "5", "lambda-extension-identifier": "a-b"}, b"hello", True),
    ),
    "chunked": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"3;x=y\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n",
        (200, {"transfer-encoding": "chunked"}, b"hello", True),
    ),
    "chunked with trailers": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nA: b\r\n\r\n",
        (200, {"transfer-encoding": "chunked"}, b"hello", True),
    ),
    "closing": (
        b"HTTP/1.1 202 Accepted\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
        (202, {"connection": "close", "content-length": "0"}, b"", False),
    ),
    "interim": (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\n{}",
        (403, {"content-length": "2"}, b"{}", True),
    ),
    "no content": (b"HTTP/1.1 204 No Content\r\nA: b\r\n\r\n", (204, {"a": "b"}, b"", True)),
}


def values(response: Response | None) -> tuple[int, dict[str, str], bytes, bool] | None:
    if response is None:
        return None
    return response.status, response.headers, response.body, response.reusable


@pytest.mark.parametrize("name", RESPONSES)
def test_every_split_gives_the_same_response(name: str) -> None:
    """Wherever the bytes are cut in two, the response is the same, and comes with the last byte."""
    data, expected = RESPONSES[name]
    for cut in range(len(data)):
        parser = ResponseParser()
        assert values(parser.feed(data[:cut])) is None, data[:cut]
        assert values(parser.feed(data[cut:])) == expected, data[:cut]


@pytest.mark.parametrize("name", RESPONSES)
def test_byte_by_byte_gives_the_same_response(name: str) -> None:
    """A response that drips in single bytes is read all the same."""
    data, expected = RESPONSES[name]
    parser = ResponseParser()
    answers = [values(parser.feed(data[index : index + 1])) for index in range(len(data))]
    assert answers == [None] * (len(data) - 1) + [expected]


def test_a_body_without_length_ends_with_the_connection() -> None:
    """Without length or chunks the connection's end is the body's, and nothing is reusable."""
    parser = ResponseParser()
    assert parser.feed(b"HTTP/1.1 200 OK\r\n\r\nhel") is None
    assert parser.feed(b"lo") is None
    assert values(parser.end_of_input()) == (200, {}, b"hello", False)


def test_an_end_before_any_byte_is_no_response() -> None:
    """A kept connection that is closed while it waits gives nothing, and is no error."""
    assert ResponseParser().end_of_input() is None


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"HTTP/2 200\r\n\r\n", "malformed status line 'HTTP/2 200'"),
        (b"HTTP/1.1 2x0 OK\r\n\r\n", "malformed status line 'HTTP/1.1 2x0 OK'"),
        (b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n", "malformed header line 'no colon'"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            "malformed Content-Length '-1'",
        ),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: " + b"1" * 5000 + b"\r\n\r\n",
            f"malformed Content-Length '{'1' * 40}'",
        ),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 1048577\r\n\r\n",
            f"response body of 1048577 bytes, over {MAX_BODY_BYTES}",
        ),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            "malformed chunk size b'zz'",
        ),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n",
            "chunk does not end where its size says",
        ),
        (b"H" * (MAX_HEAD_BYTES + 1), f"response head over {MAX_HEAD_BYTES} bytes"),
    ],
)
def test_what_is_no_http_is_one_named_error(data: bytes, message: str) -> None:
    """Anything else than HTTP/1.1 within the bounds is refused, and the error says what it was."""
    with pytest.raises(HttpError) as caught:
        ResponseParser().feed(data)
    assert str(caught.value) == message


def test_a_response_that_is_cut_off_is_an_error() -> None:
    """A connection that ends inside a response is told from one that ends between two."""
    parser = ResponseParser()
    parser.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel")
    with pytest.raises(HttpError, match="ended inside a response"):
        parser.end_of_input()
