"""Lines out of the Telemetry API's stream: bytes in, bytes out, no I/O."""

from __future__ import annotations

MAX_LINE_BYTES = 1_048_576
"""Four times what a batch may hold."""


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
