"""The Telemetry API's socket, with whoever connects to it: bounded, and each bound counted."""

from __future__ import annotations

import _socket
import select
import socket
from collections.abc import Iterator

import pytest

from extension.connection import Connection
from extension.log import Log
from extension.platform_events import PlatformEvent, Started
from extension.subscription import MAX_CONNECTIONS, Subscription
from extension.telemetry import MAX_LINE_BYTES
from extension.telemetry_listener import TelemetryListener

LINE = b'{"type":"platform.start","record":{"requestId":"r-1"}}\n'
EVENT = Started("r-1", None, "", None, None)


class Connected:
    """A listener, and connections to it."""

    def __init__(self) -> None:
        listening = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM)
        listening.bind(("127.0.0.1", 0))
        listening.listen(2 * MAX_CONNECTIONS)
        self.address = listening.getsockname()
        subscription = Subscription(listening, Connection("127.0.0.1:1"))
        self.listener = TelemetryListener(subscription, Log())
        self.clients: list[socket.socket] = []

    def connect(self) -> socket.socket:
        self.clients.append(socket.create_connection(self.address, timeout=5))
        return self.clients[-1]

    def advance(self) -> list[PlatformEvent]:
        """What comes of one wake-up."""
        poll = select.poll()
        for descriptor, events in self.listener.descriptors():
            poll.register(descriptor, events)
        return self.listener.advance({descriptor for descriptor, _ in poll.poll(5_000)})

    def close(self) -> None:
        for client in self.clients:
            client.close()
        self.listener.close()


@pytest.fixture
def connected() -> Iterator[Connected]:
    """A listener of its own."""
    made = Connected()
    yield made
    made.close()


def test_one_connection_too_many_is_closed_and_counted(connected: Connected) -> None:
    """Those before it go on."""
    for _ in range(MAX_CONNECTIONS + 1):
        connected.connect()
        connected.advance()
    assert connected.clients[-1].recv(1) == b""
    assert connected.listener.counts == {"telemetry_refused": 1}
    connected.clients[0].sendall(LINE)
    assert connected.advance() == [EVENT]


def test_a_line_over_the_bound_is_left_out_and_counted(connected: Connected) -> None:
    """What follows its newline is read."""
    client = connected.connect()
    connected.advance()
    client.setblocking(False)
    rest = memoryview(b"x" * (2 * MAX_LINE_BYTES) + b"\n" + LINE)
    found: list[PlatformEvent] = []
    while rest or not found:
        try:
            rest = rest[client.send(rest) :]
        except BlockingIOError:
            pass
        found += connected.advance()
    assert found == [EVENT]
    assert connected.listener.counts == {"telemetry_cut": 1}
