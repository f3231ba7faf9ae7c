"""The Telemetry API's stream: events buffered and sent over TCP, with faults on request.

https://docs.aws.amazon.com/lambda/latest/dg/telemetry-api.html
"""

from __future__ import annotations

import json
import random
import socket
import threading
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from sandbox import schema

SEND_TIMEOUT_S = 1.0
MAX_HELD_EVENTS = 1_000
"""Events from before the subscription, which Lambda hands on too."""
MIN_BUFFER_S = 0.025


class SubscriptionError(Exception):
    """A subscription that the API refuses; the message says why."""


@dataclass(slots=True)
class TelemetryFaults:
    """What may go wrong on the way, as probabilities; `random` decides, so a seed repeats it."""

    drop: float = 0.0
    duplicate: float = 0.0
    swap: float = 0.0
    """With the event that follows it."""
    kinds: frozenset[str] = frozenset({"platform.start", "platform.runtimeDone", "platform.report"})
    """Which events: without the rest an extension could not know where it is."""
    random: random.Random = field(default_factory=lambda: random.Random(0))  # noqa: S311

    def applied(self, events: list[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
        """`events`, (type, line), as they arrive."""
        arriving: list[tuple[str, bytes]] = []
        for event in events:
            concerned = event[0] in self.kinds
            if concerned and self.random.random() < self.drop:
                continue
            arriving.append(event)
            if concerned and self.random.random() < self.duplicate:
                arriving.append(event)
        for index in range(len(arriving) - 1):
            pair = arriving[index : index + 2]
            if all(kind in self.kinds for kind, _ in pair) and self.random.random() < self.swap:
                arriving[index : index + 2] = pair[::-1]
        return arriving


class Telemetry:
    """Events of one environment: held until somebody subscribes, then sent as buffered."""

    def __init__(self, faults: TelemetryFaults | None = None) -> None:
        self._faults = faults or TelemetryFaults()
        self._lock = threading.Lock()
        self._held: list[tuple[str, bytes]] = []
        self._connection: socket.socket | None = None
        self._buffer_s = MIN_BUFFER_S
        self._types: frozenset[str] = frozenset()
        self._timer: threading.Timer | None = None
        self._subscribed = threading.Event()

    def wait(self, timeout_s: float) -> bool:
        """Whether somebody has subscribed within `timeout_s`."""
        return self._subscribed.wait(timeout_s)

    def subscribe(self, name: str, value: Any) -> None:
        """Connect to where `value`, the request's body, says. Raises SubscriptionError."""
        problem = schema.problem(schema.SUBSCRIPTION, value)
        if problem:
            raise SubscriptionError(problem)
        destination = value["destination"]
        if destination["protocol"] != "TCP" or "port" not in destination:
            raise SubscriptionError("here only protocol TCP with a port is served")
        if not {"platform", schema.FUNCTION} & set(value["types"]):
            return
        try:
            address = ("127.0.0.1", destination["port"])
            connection = socket.create_connection(address, SEND_TIMEOUT_S)
        except OSError as error:
            raise SubscriptionError(f"nobody listens at {destination['port']}") from error
        with self._lock:
            self._connection = connection
            self._types = frozenset(value["types"])
            self._buffer_s = max(value.get("buffering", {}).get("timeoutMs", 1000) / 1000, 0.025)
        self.emit(
            "platform.telemetrySubscription",
            {"name": name, "state": "Subscribed", "types": value["types"]},
        )
        self._subscribed.set()

    def log(self, line: str, *, as_json: bool) -> None:
        """What the function printed; with `as_json`, the log format, a line of JSON as such."""
        record: Any = line
        if as_json:
            try:
                value = json.loads(line)
            except ValueError:
                value = None
            record = value if isinstance(value, dict) else line
        with self._lock:
            is_full = self._connection is not None and len(self._held) >= MAX_HELD_EVENTS
        if is_full:
            # As Lambda does at maxItems.
            self.flush()
        self.emit(schema.FUNCTION, record)

    def emit(self, kind: str, record: Any) -> None:
        """One event; it leaves when the buffer's time is over."""
        schema.check(kind, record)
        event = {"time": moment(), "type": kind, "record": record}
        line = json.dumps(event).encode() + b"\n"
        with self._lock:
            if len(self._held) < MAX_HELD_EVENTS:
                self._held.append((kind, line))
            if self._connection is not None and self._timer is None:
                self._timer = threading.Timer(self._buffer_s, self.flush)
                self._timer.daemon = True
                self._timer.start()

    def flush(self) -> None:
        """Send what is buffered now."""
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            connection = self._connection
            if connection is None:
                return
            held, self._held = self._held, []
            held = [one for one in held if one[0].partition(".")[0] in self._types]
            try:
                connection.sendall(b"".join(line for _, line in self._faults.applied(held)))
            except OSError:
                connection.close()
                self._connection = None

    def close(self) -> None:
        """The subscriber is gone; what follows is held for the next."""
        self.flush()
        self._subscribed.clear()
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None


def moment(unix_s: float | None = None) -> str:
    """Now, or `unix_s`, as the events write it."""
    at = (
        datetime.now(timezone.utc)
        if unix_s is None
        else datetime.fromtimestamp(unix_s, timezone.utc)
    )
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
