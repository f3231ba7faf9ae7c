"""The Telemetry API, version 2022-07-01: the subscription, and lines out of its stream; no I/O.

TCP rather than HTTP: a line of JSON for each event and nothing to answer, so reading costs one
system call. https://docs.aws.amazon.com/lambda/latest/dg/telemetry-schema-reference.html
"""

from __future__ import annotations

import json

SCHEMA_VERSION = "2025-01-29"
PATH = "/2022-07-01/telemetry"
BUFFERING = {"maxItems": 1_000, "maxBytes": 262_144, "timeoutMs": 25}
"""The quickest that is allowed: an event tells the end of an invocation."""
MAX_LINE_BYTES = 1_048_576
"""Four times what a batch may hold."""


def subscribe(host: str, identifier: str, port: int) -> bytes:
    """The request that asks for platform events on ``TCP:port``."""
    value = {
        "schemaVersion": SCHEMA_VERSION,
        "types": ["platform"],
        "buffering": BUFFERING,
        "destination": {"protocol": "TCP", "port": port},
    }
    body = json.dumps(value).encode()
    head = (
        f"PUT {PATH} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
        f"Lambda-Extension-Identifier: {identifier}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode("latin-1") + body


class Lines:
    """Lines out of a stream, bounded; `cut_count` counts those over the bound."""

    def __init__(self) -> None:
        self._buffer = b""
        self._skipping = False
        self.cut_count = 0

    def feed(self, data: bytes) -> list[bytes]:
        """Take `data`; give the lines that it completed."""
        *lines, rest = (self._buffer + data).split(b"\n")
        if lines and self._skipping:
            del lines[0]
            self._skipping = False
        if len(rest) > MAX_LINE_BYTES:
            self.cut_count += not self._skipping
            self._skipping, rest = True, b""
        self._buffer = rest
        return [line for line in lines if line.strip()]
