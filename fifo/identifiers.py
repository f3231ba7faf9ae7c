"""Trace and span IDs, as the operating system's random bytes give them; one draw an invocation.

A draw costs as much as a write to a pipe, so a child's ID is taken from a sequence that begins at
random and goes on in steps. No sequence is gone on with by a later invocation, and so by none after
a restore from a snapshot, nor by a forked child.
"""

import os
import struct
from itertools import count

from fifo.messages import NO_SPAN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_SPAN_ID_BYTES = 8
_NO_TRACE = bytes(16)
_DRAWN = struct.Struct(">16s8sQ")
_STEP = 0x9E37_79B1
"""2**32 divided by the golden ratio: neighbours differ in many digits. From less than 2**63 on, 64
bits are enough for two thousand million steps, more than an invocation has the time for."""
_pack = struct.Struct(">Q").pack


class Identifiers:
    """One for a process. `draw` gives so many random bytes; threads may share it.

    `of_span()` gives a span ID: 8 bytes, never all zero.
    """

    __slots__ = ("_draw", "of_span")

    of_span: "Callable[[], bytes]"

    def __init__(self, draw: "Callable[[int], bytes]") -> None:
        self._draw = draw
        self._forget()
        # For good, as a process has one.
        os.register_at_fork(after_in_child=self._forget)

    def of_invocation(self) -> "tuple[bytes, bytes]":
        """A trace ID (16 bytes) and a span ID (8 bytes), neither all zero."""
        trace_id, span_id, first = _DRAWN.unpack(self._draw(_DRAWN.size))
        self.of_span = _sequence(first)
        if trace_id == _NO_TRACE or span_id == NO_SPAN:
            return self.of_invocation()
        return trace_id, span_id

    def _first_of_span(self) -> bytes:
        following = _sequence(int.from_bytes(self._draw(_SPAN_ID_BYTES), "big"))
        self.of_span = following
        return following()

    def _forget(self) -> None:
        self.of_span = self._first_of_span


def _sequence(first: int) -> "Callable[[], bytes]":
    """One call in C for each ID: two threads never get the same number."""
    return map(_pack, count(first >> 1 or _STEP, _STEP)).__next__
