"""What a stranger may send takes time in proportion to its size, however it is made."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from extension.http1 import ResponseParser
from extension.http1_request import RequestParser
from extension.substitution import substitute
from extension.telemetry import Lines
from fifo import wire

TIMES_LARGER = 8
TIMES_SLOWER = 24
"""Between 8, in proportion, and 64, as the square."""


def claim(length: int) -> bytes:
    """A frame's header that claims a body of `length` bytes, with a wrong checksum."""
    head = bytearray(wire.encode_frame(2, 7, 1, b""))
    head[16:20] = length.to_bytes(4, "big")
    return bytes(head)


def lost_at_each_newline(size: int) -> None:
    wire.Decoder().feed(b"x\n" * (size // 2))


def lost_at_each_start_of_a_frame(size: int) -> None:
    wire.Decoder().feed(b"x\xff" * (size // 2))


def every_header_claims_the_rest_of_the_file(size: int) -> None:
    decoder = wire.Decoder(wire.MAX_FILE_BODY_BYTES)
    decoder.feed(claim(size // 2) * (size // wire.HEADER_BYTES), settle=True)


def a_frame_that_comes_byte_by_byte(size: int) -> None:
    decoder = wire.Decoder()
    for byte in claim(wire.MAX_BODY_BYTES) * (size // wire.HEADER_BYTES):
        decoder.feed(bytes((byte,)))


def a_line_of_events_that_comes_byte_by_byte(size: int) -> None:
    lines = Lines()
    for _ in range(size):
        lines.feed(b"x")


def a_response_of_chunks_of_one_byte(size: int) -> None:
    parser = ResponseParser()
    parser.feed(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    parser.feed(b"1\r\nx\r\n" * size)


def a_request_of_chunks_of_one_byte(size: int) -> None:
    parser = RequestParser(size)
    parser.feed(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * size)
    parser.next()


def a_request_that_comes_byte_by_byte(size: int) -> None:
    parser = RequestParser(size)
    parser.feed(b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % size)
    for _ in range(size):
        parser.feed(b"x")
        parser.next()


def a_response_that_comes_byte_by_byte(size: int) -> None:
    parser = ResponseParser()
    parser.feed(b"HTTP/1.1 200 OK\r\n\r\n")
    for _ in range(size):
        parser.feed(b"x")


def references_that_are_never_closed(size: int) -> None:
    substitute("${" * size, {})


@pytest.mark.parametrize(
    ("read", "size"),
    [
        (lost_at_each_newline, 49_152),
        (lost_at_each_start_of_a_frame, 49_152),
        (every_header_claims_the_rest_of_the_file, 524_288),
        (a_frame_that_comes_byte_by_byte, 8_192),
        (a_line_of_events_that_comes_byte_by_byte, 32_768),
        (a_request_of_chunks_of_one_byte, 4_096),
        (a_request_that_comes_byte_by_byte, 32_768),
        (a_response_of_chunks_of_one_byte, 4_096),
        (a_response_that_comes_byte_by_byte, 32_768),
        (references_that_are_never_closed, 65_536),
    ],
)
def test_time_grows_with_the_size_and_not_with_its_square(
    read: Callable[[int], None], size: int
) -> None:
    """Eight times the input costs eight times the processor, with room for a busy machine."""
    assert least_s(read, TIMES_LARGER * size) < TIMES_SLOWER * least_s(read, size)


def least_s(read: Callable[[int], None], size: int) -> float:
    """Of three tries, in seconds of this process alone."""
    found = []
    for _ in range(3):
        began_s = time.process_time()
        read(size)
        found.append(time.process_time() - began_s)
    return min(found)
