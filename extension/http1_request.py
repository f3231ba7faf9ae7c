"""HTTP/1.1 requests out of bytes, and answers into bytes; no I/O (RFC 9112, RFC 9110).

What an OTLP exporter sends: a head, and a body by Content-Length or by chunks; each bounded. What
could be read in two ways (a length beside chunks, two lengths) is refused.
"""

from __future__ import annotations

from collections.abc import Mapping

from exporter.values import dataclass
from extension.http1 import MAX_HEAD_BYTES, HttpError, chunk_size, content_length

MAX_CHUNK_LINE_BYTES = 1_024
_HEAD_END = b"\r\n\r\n"
_TOKEN = frozenset("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
"""RFC 9110, section 5.6.2."""
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class RequestError(Exception):
    """No request that is served here; `status` is the answer, after which the connection ends."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


@dataclass(frozen=True, slots=True)
class Request:
    """One whole request; header names in lower case. `keep_alive`: another may follow."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes
    keep_alive: bool


@dataclass(frozen=True, slots=True)
class _Head:
    method: str
    target: str
    headers: Mapping[str, str]
    keep_alive: bool
    length: int | None
    """None: chunks."""


class RequestParser:
    """`feed` it what came, then take requests by `next` until that gives None."""

    def __init__(self, max_body_bytes: int) -> None:
        self._max_body_bytes = max_body_bytes
        self._buffer = bytearray()
        self._looked_bytes = 0
        self._head: _Head | None = None
        self._body = bytearray()
        self._in_trailers = False
        self._continue_due = False

    @property
    def held_bytes(self) -> int:
        """What waits here in memory."""
        return len(self._buffer) + len(self._body)

    @property
    def is_idle(self) -> bool:
        """Whether no request has been begun."""
        return self._head is None and not self._buffer

    def take_continue(self) -> bool:
        """Whether the client waits to be told to go on; once for each request."""
        due, self._continue_due = self._continue_due, False
        return due and self._head is not None

    def feed(self, data: bytes) -> None:
        """What came."""
        self._buffer += data

    def next(self) -> Request | None:
        """The request that is whole now, if there is one. Raises RequestError."""
        if self._head is None:
            self._head = self._read_head()
            if self._head is None:
                return None
        head = self._head
        if head.length is None:
            if not self._read_chunks():
                return None
            body = bytes(self._body)
        elif len(self._buffer) < head.length:
            return None
        else:
            body = bytes(self._buffer[: head.length])
            del self._buffer[: head.length]
        self._head, self._body, self._in_trailers = None, bytearray(), False
        return Request(head.method, head.target, head.headers, body, head.keep_alive)

    def _read_head(self) -> _Head | None:
        while self._buffer.startswith(b"\r\n"):
            del self._buffer[:2]  # RFC 9112, section 2.2: an empty line before is ignored
        found = self._find(_HEAD_END)
        if found < 0:
            if len(self._buffer) > MAX_HEAD_BYTES:
                raise RequestError(431, f"request head over {MAX_HEAD_BYTES} bytes")
            return None
        if found > MAX_HEAD_BYTES:
            raise RequestError(431, f"request head over {MAX_HEAD_BYTES} bytes")
        first, *lines = self._buffer[:found].decode("latin-1").split("\r\n")
        del self._buffer[: found + len(_HEAD_END)]
        head = _head_of(first, lines)
        if head.length is not None:
            self._bound(head.length)
        self._continue_due = head.headers.get("expect", "").lower() == "100-continue"
        return head

    def _read_chunks(self) -> bool:
        """Whether the body is whole."""
        buffer = self._buffer
        position = 0
        try:
            while not self._in_trailers:
                line_end = buffer.find(b"\r\n", position, position + MAX_CHUNK_LINE_BYTES)
                if line_end < 0:
                    if len(buffer) - position > MAX_CHUNK_LINE_BYTES:
                        raise RequestError(400, "chunk size line too long")
                    return False
                size = _size(buffer[position:line_end])
                start = line_end + 2
                if size == 0:
                    position, self._in_trailers = start, True
                    break
                self._bound(len(self._body) + size)
                if len(buffer) < start + size + 2:
                    return False
                if buffer[start + size : start + size + 2] != b"\r\n":
                    raise RequestError(400, "chunk does not end where its size says")
                self._body += buffer[start : start + size]
                position = start + size + 2
        finally:
            del buffer[:position]
        return self._read_trailers()

    def _read_trailers(self) -> bool:
        if self._buffer.startswith(b"\r\n"):
            del self._buffer[:2]
            return True
        found = self._find(_HEAD_END)
        if max(found, len(self._buffer) if found < 0 else 0) > MAX_HEAD_BYTES:
            raise RequestError(431, f"trailers over {MAX_HEAD_BYTES} bytes")
        if found < 0:
            return False
        del self._buffer[: found + len(_HEAD_END)]
        return True

    def _find(self, mark: bytes) -> int:
        """Where `mark` is; what was looked at before is not looked at again."""
        found = self._buffer.find(mark, max(0, self._looked_bytes - len(mark)))
        self._looked_bytes = len(self._buffer) if found < 0 else 0
        return found

    def _bound(self, size: int) -> None:
        if size > self._max_body_bytes:
            raise RequestError(413, f"request body of {size} bytes, over {self._max_body_bytes}")


def _head_of(first: str, lines: list[str]) -> _Head:
    method, target, version = [*first.split(" "), "", ""][:3]
    if first.count(" ") != 2 or not method or set(method) - _TOKEN or not target:
        raise RequestError(400, f"malformed request line {first[:80]!r}")
    if version not in ("HTTP/1.1", "HTTP/1.0"):
        raise RequestError(505, f"version {version[:40]!r}, not HTTP/1.1")
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        name, value = name.lower(), value.strip(" \t")
        if not colon or not name or set(name) - _TOKEN:
            raise RequestError(400, f"malformed header line {line[:80]!r}")
        if name in headers and name in ("content-length", "transfer-encoding", "content-encoding"):
            raise RequestError(400, f"two headers {name}")
        headers[name] = value
    coding = headers.get("transfer-encoding")
    text = headers.get("content-length")
    if coding is not None and text is not None:
        raise RequestError(400, "Content-Length beside Transfer-Encoding")
    if coding is not None and coding.lower() != "chunked":
        raise RequestError(501, f"Transfer-Encoding {coding[:40]!r}, not chunked")
    try:
        length = None if coding is not None else content_length(text or "0")
    except HttpError as error:
        raise RequestError(400, str(error)) from error
    connection = {one.strip().lower() for one in headers.get("connection", "").split(",")}
    kept = version == "HTTP/1.1" or "keep-alive" in connection
    return _Head(method, target, headers, kept and "close" not in connection, length)


def _size(line: bytearray) -> int:
    try:
        return chunk_size(line)
    except HttpError as error:
        raise RequestError(400, str(error)) from error


_REASONS = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    413: "Content Too Large",
    415: "Unsupported Media Type",
    431: "Request Header Fields Too Large",
    501: "Not Implemented",
    503: "Service Unavailable",
    505: "HTTP Version Not Supported",
}


def answer(status: int, body: bytes, headers: Mapping[str, str], *, keep_alive: bool) -> bytes:
    """A whole response; one without `keep_alive` says that the connection ends with it."""
    lines = [f"HTTP/1.1 {status} {_REASONS[status]}", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if not keep_alive:
        lines.append("Connection: close")
    return "\r\n".join((*lines, "", "")).encode("latin-1") + body
