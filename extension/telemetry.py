"""Lines out of the Telemetry API's stream: bytes in, bytes out, no I/O."""

from __future__ import annotations

MAX_LINE_BYTES = 1_048_576
"""Four times what a batch may hold."""


class Lines:
    """Lines out of a stream, bounded; `cut_count` counts those over the bound."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._skipping = False
        self.cut_count = 0

    def feed(self, data: bytes) -> list[bytes]:
        """Take `data`; give the lines that it completed."""
        first, newline, rest = data.partition(b"\n")
        lines: list[bytes] = []
        # What waits is looked at once, when its line ends: it may have come byte by byte.
        self._buffer += first
        if newline:
            lines = [bytes(self._buffer), *rest.split(b"\n")]
            self._buffer = bytearray(lines.pop())
            if self._skipping:
                del lines[0]
                self._skipping = False
        if len(self._buffer) > MAX_LINE_BYTES:
            self.cut_count += not self._skipping
            self._skipping, self._buffer = True, bytearray()
        return [line for line in lines if line.strip()]
