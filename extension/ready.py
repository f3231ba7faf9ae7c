"""From process start to the first `/next`: as little as possible.

Nothing here or imported from here pulls in `json`, `dataclasses`, `typing`, `enum`,
`logging`, `socket` or `http.client`; a test holds that.
"""

import select

from extension import api
from extension.channel import Channel
from extension.connection import Connection
from extension.early_config import may_want_logs
from extension.http1 import Response
from extension.log import Log
from extension.subscription import Subscription, subscribe
from fifo import pipes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

REGISTER_TIMEOUT_MS = 10_000
"""Lambda's own limit for init."""


class RefusedError(Exception):
    """`/register` was answered, with a refusal."""


class Registered:
    """What exists once `/register` has been answered."""

    __slots__ = ("_next_event", "body", "channel", "connection", "identifier", "subscription")

    def __init__(
        self,
        channel: Channel,
        connection: Connection,
        identifier: str,
        body: bytes,
        subscription: "Subscription | None",
    ) -> None:
        self.channel = channel
        self.connection = connection
        self.identifier = identifier
        self.body = body
        self.subscription = subscription
        self._next_event = api.next_event(connection.host, identifier)

    def ask(self) -> None:
        """Ask for the next event: from the first time on the environment may be used."""
        self.connection.send(self._next_event)


def register(environ: "Mapping[str, str]", log: Log) -> Registered:
    """FIFOs, `/register`, the subscription. Raises RefusedError, ApiGoneError."""
    channel = Channel(pipes.directory_of(environ), log)
    connection = Connection(environ["AWS_LAMBDA_RUNTIME_API"])
    connection.send(api.register(connection.host, managed=api.is_managed(environ)))
    response = wait_for_response(connection, REGISTER_TIMEOUT_MS)
    identifier = response.headers.get(api.IDENTIFIER_HEADER, "") if response else ""
    if response is None or response.status != 200 or not identifier:
        answer = f"{response.status} {response.body[:200]!r}" if response else "nothing"
        raise RefusedError(f"/register answered {answer}")
    subscription = subscribe(connection.host, identifier, log, logs=may_want_logs(environ))
    return Registered(channel, connection, identifier, response.body, subscription)


def wait_for_response(connection: Connection, timeout_ms: "int | None") -> "Response | None":
    """The response to what was sent; None where `timeout_ms` went by without one."""
    while connection.waiting:
        poll = select.poll()
        poll.register(connection.fileno(), connection.poll_events)
        if not poll.poll(timeout_ms):
            return None
        response = connection.advance()
        if response is not None:
            return response
    return None
