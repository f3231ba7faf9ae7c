"""Trace and span IDs, as the operating system's random bytes give them; one draw an invocation.

A draw costs as much as a write to a pipe, so a child's ID is taken from a sequence that begins at
random: a Weyl sequence, which meets each number of 64 bits once before it repeats. No sequence is
gone on with by a later invocation, and so by none after a restore from a snapshot, nor by a forked
child.
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
_STEP = 0x9E37_79B9_7F4A_7C15
"""2**64 divided by the golden ratio, made odd: neighbours are far apart."""
_MASK = 0xFFFF_FFFF_FFFF_FFFF


class Identifiers:
    """One for a process. `draw` gives so many random bytes; threads may share it."""

    __slots__ = ("_draw", "_next")

    def __init__(self, draw: "Callable[[int], bytes]") -> None:
        self._draw = draw
        self._next: count[int] | None = None
        # For good, as a process has one.
        os.register_at_fork(after_in_child=self._forget)

    def of_invocation(self) -> "tuple[bytes, bytes]":
        """A trace ID (16 bytes) and a span ID (8 bytes), neither all zero."""
        trace_id, span_id, first = _DRAWN.unpack(self._draw(_DRAWN.size))
        self._next = count(first, _STEP)
        if trace_id == _NO_TRACE or span_id == NO_SPAN:
            return self.of_invocation()
        return trace_id, span_id

    def of_span(self) -> bytes:
        """A span ID: 8 bytes, never all zero."""
        following = self._next
        if following is None:
            first = int.from_bytes(self._draw(_SPAN_ID_BYTES), "big")
            following = self._next = count(first, _STEP)
        # One call in C: two threads never get the same number.
        number = next(following) & _MASK
        return number.to_bytes(_SPAN_ID_BYTES, "big") if number else self.of_span()

    def _forget(self) -> None:
        self._next = None
