"""HTTP/1.1 responses out of bytes, no I/O (RFC 9112, sections 4 to 7).

Only what the Extensions API sends: a status line, headers, and a body by Content-Length, by
chunks or up to the end of the connection; each bounded. `http.client` would do it too, but
costs more start-up than all the rest before the first `/next`.
"""

MAX_HEAD_BYTES = 16_384
MAX_BODY_BYTES = 1_048_576
MAX_LENGTH_DIGITS = 16
"""Of Content-Length, more than any bound needs; Python refuses to read thousands."""

_HEAD_END = b"\r\n\r\n"
_NO_BODY_STATUS = (204, 304)


class HttpError(Exception):
    """The other side does not speak HTTP/1.1 within our bounds; the connection is of no use."""


def content_length(text: str) -> int:
    """The header's value in bytes (RFC 9112, section 6.2). Raises HttpError."""
    if not (text.isascii() and text.isdigit()) or len(text) > MAX_LENGTH_DIGITS:
        raise HttpError(f"malformed Content-Length {text[:40]!r}")
    return int(text)


def chunk_size(line: "bytes | bytearray") -> int:
    """What a chunk's first line says, extensions left out (section 7.1). Raises HttpError."""
    text = line.partition(b";")[0].strip()
    if not text or text.strip(b"0123456789abcdefABCDEF") or len(text) > 8:
        raise HttpError(f"malformed chunk size {bytes(text[:40])!r}")
    return int(text, 16)


class Response:
    """One whole response; header names in lower case."""

    __slots__ = ("body", "headers", "reusable", "status")

    def __init__(self, status: int, headers: dict[str, str], body: bytes, reusable: bool) -> None:
        self.status = status
        self.headers = headers
        self.body = body
        self.reusable = reusable

    def __repr__(self) -> str:
        return f"Response({self.status}, {self.headers!r}, {self.body!r})"


class ResponseParser:
    """Feed it what came; it answers with the response once that is whole.

    Interim (1xx) responses are skipped. After a response start with a new parser. Raises
    HttpError.
    """

    __slots__ = ("_body_bytes", "_buffer", "_chunks", "_headers", "_length", "_status")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._body_bytes = 0
        self._status = 0
        self._headers: dict[str, str] = {}
        self._length: int | None = None
        self._chunks: list[bytes] | None = None

    @property
    def started(self) -> bool:
        """Whether any byte of a response has come."""
        return bool(self._status or self._buffer)

    def feed(self, data: bytes) -> Response | None:
        """Take `data`; the response if it is whole now. Raises HttpError."""
        self._buffer += data
        while not self._status:
            if not self._read_head():
                return None
        if self._chunks is not None:
            return self._read_chunks()
        if self._length is None:
            self._bound(len(self._buffer))
            return None
        if len(self._buffer) < self._length:
            return None
        return self._finish(bytes(self._buffer[: self._length]))

    def end_of_input(self) -> Response | None:
        """The connection ended: the response whose end that is, or None where none was begun.

        Raises HttpError where a response was cut off.
        """
        if self._status and self._length is None and self._chunks is None:
            return self._finish(bytes(self._buffer))
        if self.started:
            raise HttpError("the connection ended inside a response")
        return None

    def _read_head(self) -> bool:
        end = self._buffer.find(_HEAD_END)
        if end < 0:
            if len(self._buffer) > MAX_HEAD_BYTES:
                raise HttpError(f"response head over {MAX_HEAD_BYTES} bytes")
            return False
        if end > MAX_HEAD_BYTES:
            raise HttpError(f"response head over {MAX_HEAD_BYTES} bytes")
        lines = self._buffer[:end].decode("latin-1").split("\r\n")
        del self._buffer[: end + len(_HEAD_END)]
        status = self._parse_status(lines[0])
        headers: dict[str, str] = {}
        for line in lines[1:]:
            name, colon, value = line.partition(":")
            if not colon or not name or name != name.strip():
                raise HttpError(f"malformed header line {line[:80]!r}")
            headers[name.lower()] = value.strip()
        if 100 <= status < 200:
            return True
        self._status = status
        self._headers = headers
        if headers.get("transfer-encoding", "").lower() == "chunked":
            self._chunks = []
        elif status in _NO_BODY_STATUS:
            self._length = 0
        elif "content-length" in headers:
            self._length = content_length(headers["content-length"])
            self._bound(self._length)
        return True

    @staticmethod
    def _parse_status(line: str) -> int:
        parts = line.split(" ", 2)
        if (
            len(parts) < 2
            or not parts[0].startswith("HTTP/1.")
            or len(parts[1]) != 3
            or not (parts[1].isascii() and parts[1].isdigit())
        ):
            raise HttpError(f"malformed status line {line[:80]!r}")
        return int(parts[1])

    def _read_chunks(self) -> Response | None:
        chunks = self._chunks
        assert chunks is not None  # noqa: S101 - for the type checker
        while True:
            line_end = self._buffer.find(b"\r\n", 0, MAX_HEAD_BYTES)
            if line_end < 0:
                if len(self._buffer) > MAX_HEAD_BYTES:
                    raise HttpError("chunk size line too long")
                return None
            size = chunk_size(self._buffer[:line_end])
            if size == 0:
                return self._read_trailers(line_end + 2)
            self._bound(self._body_bytes + size)
            start = line_end + 2
            if len(self._buffer) < start + size + 2:
                return None
            if self._buffer[start + size : start + size + 2] != b"\r\n":
                raise HttpError("chunk does not end where its size says")
            chunks.append(bytes(self._buffer[start : start + size]))
            self._body_bytes += size
            # A bytearray gives its front away without moving the rest.
            del self._buffer[: start + size + 2]

    def _read_trailers(self, position: int) -> Response | None:
        if self._buffer[position : position + 2] == b"\r\n":
            end = position + 2
        else:
            found = self._buffer.find(_HEAD_END, position)
            if found < 0:
                if len(self._buffer) > MAX_HEAD_BYTES:
                    raise HttpError(f"trailers over {MAX_HEAD_BYTES} bytes")
                return None
            end = found + len(_HEAD_END)
        self._length = end
        return self._finish(b"".join(self._chunks or ()))

    def _finish(self, body: bytes) -> Response:
        closing = self._headers.get("connection", "").lower() == "close"
        left = len(self._buffer) - (self._length if self._length is not None else len(body))
        reusable = not closing and self._length is not None and left == 0
        return Response(self._status, self._headers, body, reusable)

    @staticmethod
    def _bound(size: int) -> None:
        if size > MAX_BODY_BYTES:
            raise HttpError(f"response body of {size} bytes, over {MAX_BODY_BYTES}")
