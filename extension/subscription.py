"""The Telemetry API's subscription: sent between `/register` and the first `/next`.

It is open during init alone, and `/next` may end that; so this is on the way to ready, and is
made of nothing heavy. Nobody waits for the answer here: 202 or a refusal means carrying on
without it. https://docs.aws.amazon.com/lambda/latest/dg/telemetry-api.html
"""

import _socket  # the C half of `socket`, which alone would double the start-up time
import select

from extension import api
from extension.connection import ApiGoneError, Connection
from extension.log import Log

HOSTS_FILE = "/etc/hosts"
NAME = "sandbox.localdomain"
LOOPBACK = "127.0.0.1"
MAX_CONNECTIONS = 4
_MAX_HOSTS_BYTES = 65_536
_SEND_TIMEOUT_MS = 10


class Subscription:
    """The socket that Lambda is asked to send to, and the request that asks it."""

    __slots__ = ("listener", "logs", "request")

    def __init__(self, listener: "_socket.socket", request: Connection, logs: bool = False) -> None:
        self.listener = listener
        self.request = request
        self.logs = logs


def subscribe(host: str, identifier: str, log: Log, *, logs: bool) -> "Subscription | None":
    """Listen and ask, with `logs` for the function's too; None where that cannot be had."""
    listener = None
    try:
        flags = _socket.SOCK_STREAM | _socket.SOCK_NONBLOCK | _socket.SOCK_CLOEXEC
        listener = _socket.socket(_socket.AF_INET, flags)
        listener.bind((listening_address(_hosts()), 0))
        listener.listen(MAX_CONNECTIONS)
        request = Connection(host)
        request.send(api.telemetry(host, identifier, listener.getsockname()[1], logs=logs))
        if request.poll_events == select.POLLOUT:
            # Connecting takes a moment, and it must be there before `/next` is.
            poll = select.poll()
            poll.register(request.fileno(), select.POLLOUT)
            poll.poll(_SEND_TIMEOUT_MS)
            request.advance()
    except (OSError, ApiGoneError) as error:
        log.debug(f"no Telemetry API: {error}")
        if listener is not None:
            listener.close()
        return None
    return Subscription(listener, request, logs)


def listening_address(hosts: str) -> str:
    """What ``sandbox.localdomain`` is in the text of a hosts file; else loopback.

    Only Lambda knows the name. It is looked up in the file alone: a name server that does not
    answer would hold up everything.
    """
    for line in hosts.splitlines():
        address, *names = line.partition("#")[0].split() or [""]
        if NAME in names and address.count(".") == 3:
            return address
    return LOOPBACK


def _hosts() -> str:
    try:
        with open(HOSTS_FILE, encoding="utf-8", errors="replace") as stream:
            return stream.read(_MAX_HOSTS_BYTES)
    except OSError:
        return ""
