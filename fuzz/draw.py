"""Choices out of a fuzzer's bytes: the same bytes make the same ones, and no bytes make zeros."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Draw:
    """Takes from the front of `data`; never raises for want of bytes."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0

    @property
    def more(self) -> bool:
        """Whether any byte is left."""
        return self._position < len(self._data)

    def byte(self) -> int:
        """0 to 255."""
        taken = self.take(1)
        return taken[0] if taken else 0

    def take(self, count: int) -> bytes:
        """At most `count` bytes."""
        taken = self._data[self._position : self._position + count]
        self._position += len(taken)
        return taken

    def block(self) -> bytes:
        """As many bytes as the next two, big-endian, say."""
        return self.take(int.from_bytes(self.take(2), "big"))

    def pick(self, choices: Sequence[T]) -> T:
        """One of at most 256."""
        return choices[self.byte() % len(choices)]

    def rest(self) -> bytes:
        """All that is left."""
        return self.take(len(self._data))


def block(data: bytes) -> bytes:
    """What `Draw.block` reads `data` from; for seeds."""
    return len(data).to_bytes(2, "big") + data


def split(data: bytes, how: int, seed: int) -> list[bytes]:
    """`data` in parts: whole, byte by byte (the first 2 KiB), in two, or in pieces by `seed`."""
    if how == 0:
        return [data]
    if how == 1:
        return [data[index : index + 1] for index in range(min(2_048, len(data)))] + [data[2_048:]]
    if how == 2:
        cut = seed * len(data) // 255
        return [data[:cut], data[cut:]]
    parts, position, step = [], 0, seed
    while position < len(data):
        step = (step * 1_103_515_245 + 12_345) % 2**31
        size = 1 + step % (1 + max(seed, len(data) // 64))
        parts.append(data[position : position + size])
        position += size
    return parts
