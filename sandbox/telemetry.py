"""The Telemetry API's events as the sandbox sends them: schema 2025-01-29, over TCP.

https://docs.aws.amazon.com/lambda/latest/dg/telemetry-schema-reference.html
"""

from __future__ import annotations

import json
import math
import socket
import threading
from datetime import datetime, timezone
from typing import Any

SEND_TIMEOUT_S = 1.0
MAX_HELD_EVENTS = 1_000
"""Events from before the subscription, which Lambda hands on too."""


class SubscriptionError(Exception):
    """A subscription that the API refuses; the message says why."""


class Telemetry:
    """Events of one environment: held until somebody subscribes, then sent as they happen."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: list[bytes] = []
        self._connection: socket.socket | None = None
        self._subscribed = threading.Event()

    def wait(self, timeout_s: float) -> bool:
        """Whether somebody has subscribed within `timeout_s`, and was sent what was held."""
        return self._subscribed.wait(timeout_s)

    def subscribe(self, value: Any) -> None:
        """Connect to where `value`, the request's body, says. Raises SubscriptionError."""
        destination = value.get("destination") if isinstance(value, dict) else None
        if not isinstance(destination, dict) or not isinstance(value.get("types"), list):
            raise SubscriptionError("types and destination are needed")
        if destination.get("protocol") != "TCP" or not isinstance(destination.get("port"), int):
            raise SubscriptionError("here only protocol TCP with a port is served")
        if "platform" not in value["types"]:
            return
        try:
            connection = socket.create_connection(
                ("127.0.0.1", destination["port"]), SEND_TIMEOUT_S
            )
        except OSError as error:
            raise SubscriptionError(f"nobody listens at {destination['port']}") from error
        with self._lock:
            self._connection = connection
            held, self._held = self._held, []
            self._send(b"".join(held))
        self._subscribed.set()

    def emit(self, kind: str, record: dict[str, Any]) -> None:
        """One event, now."""
        moment = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
        event = {"time": moment.replace("+00:00", "Z"), "type": kind, "record": record}
        line = json.dumps(event).encode() + b"\n"
        with self._lock:
            if self._connection is not None:
                self._send(line)
            elif len(self._held) < MAX_HELD_EVENTS:
                self._held.append(line)

    def close(self) -> None:
        """The subscriber is gone; what follows is held for the next."""
        self._subscribed.clear()
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _send(self, data: bytes) -> None:
        connection = self._connection
        if connection is None or not data:
            return
        try:
            connection.sendall(data)
        except OSError:
            connection.close()
            self._connection = None


def runtime_done(
    request_id: str, status: str, duration_s: float, produced_bytes: int, error_type: str | None
) -> dict[str, Any]:
    """The record of ``platform.runtimeDone``."""
    record: dict[str, Any] = {
        "requestId": request_id,
        "status": status,
        "metrics": {"durationMs": round(duration_s * 1000, 3), "producedBytes": produced_bytes},
        "spans": [],
    }
    if error_type is not None:
        record["errorType"] = error_type
    return record


def report(
    request_id: str, status: str, duration_s: float, memory_mb: int, init_s: float | None
) -> dict[str, Any]:
    """The record of ``platform.report``; memory used is not measured here, and is the size."""
    metrics: dict[str, Any] = {
        "durationMs": round(duration_s * 1000, 3),
        "billedDurationMs": math.ceil((duration_s + (init_s or 0.0)) * 1000),
        "memorySizeMB": memory_mb,
        "maxMemoryUsedMB": memory_mb,
    }
    if init_s is not None:
        metrics["initDurationMs"] = round(init_s * 1000, 3)
    return {"requestId": request_id, "status": status, "metrics": metrics}
