"""One kept, non-blocking HTTP connection to the Extensions API: a descriptor for the loop.

It opens anew when the other side ended it, and asks again: `/next` may wait for hours.
"""

import _socket  # the C half of `socket`, which alone would double the start-up time
import errno
import select

from extension.http1 import HttpError, Response, ResponseParser

_READ_BYTES = 65_536
MAX_RETRIES = 5
"""Endings in a row without a byte of answer before the API counts as gone."""


class ApiGoneError(Exception):
    """The Extensions API cannot be reached or does not answer in HTTP; nothing can go on."""


class Connection:
    """`send` a request, then call `advance` whenever the descriptor is ready.

    One request at a time. `host` is ``$AWS_LAMBDA_RUNTIME_API``: address and port.
    """

    __slots__ = ("_address", "_outgoing", "_parser", "_request", "_retries", "_socket", "host")

    def __init__(self, host: str) -> None:
        address, _, port = host.rpartition(":")
        if not address:
            address, port = host, "80"
        if not port.isdigit():
            raise ApiGoneError(f"AWS_LAMBDA_RUNTIME_API is {host!r}, not ADDRESS:PORT")
        self.host = host
        self._address = (address, int(port))
        self._socket: _socket.socket | None = None
        self._request = b""
        self._outgoing = b""
        self._parser = ResponseParser()
        self._retries = 0

    @property
    def waiting(self) -> bool:
        """Whether a request has been sent whose response has not come."""
        return bool(self._request)

    def fileno(self) -> int:
        """The descriptor to poll, -1 where there is none. It changes when the socket does."""
        return -1 if self._socket is None else self._socket.fileno()

    @property
    def poll_events(self) -> int:
        """What to poll for: writable while there is something to send."""
        return select.POLLOUT if self._outgoing else select.POLLIN

    def send(self, request: bytes) -> None:
        """Send `request`, now or as soon as the socket takes it. Raises ApiGoneError."""
        self._request = request
        self._retries = 0
        self._begin()

    def advance(self) -> Response | None:
        """Do what the descriptor is ready for; the response if it is whole.

        Raises ApiGoneError where asking again has not helped either.
        """
        connection = self._socket
        if connection is None or not self._request:
            return None
        try:
            if self._outgoing:
                sent = connection.send(self._outgoing)
                self._outgoing = self._outgoing[sent:]
                return None
            data = connection.recv(_READ_BYTES)
            response = self._parser.feed(data) if data else self._parser.end_of_input()
        except BlockingIOError:
            return None
        except (OSError, HttpError) as error:
            self._again(str(error))
            return None
        if response is not None:
            self._request = b""
            if not response.reusable:
                self.close()
        elif not data:
            self._again("the connection ended without an answer")
        return response

    def close(self) -> None:
        """Close the socket; the next request opens another."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _begin(self) -> None:
        self._outgoing = self._request
        self._parser = ResponseParser()
        if self._socket is not None:
            try:
                sent = self._socket.send(self._outgoing)
                self._outgoing = self._outgoing[sent:]
            except BlockingIOError:
                pass
            except OSError as error:
                self._again(str(error))
            return
        flags = _socket.SOCK_STREAM | _socket.SOCK_NONBLOCK | _socket.SOCK_CLOEXEC
        connection = _socket.socket(_socket.AF_INET, flags)
        code = connection.connect_ex(self._address)
        if code not in (0, errno.EINPROGRESS):
            connection.close()
            raise ApiGoneError(f"cannot connect to {self.host}: {errno.errorcode.get(code, code)}")
        self._socket = connection
        if code == 0:
            self._begin()

    def _again(self, reason: str) -> None:
        self.close()
        self._retries += 1
        if self._retries > MAX_RETRIES:
            raise ApiGoneError(f"the Extensions API at {self.host} is gone: {reason}")
        self._begin()
