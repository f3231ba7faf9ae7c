"""The newest of many things, to ask whether one is among them; pure."""

from __future__ import annotations

from typing import Generic, TypeVar

T = TypeVar("T")


class Remembered(Generic[T]):
    """`most` things at most: the one that was added last the longest ago goes first."""

    __slots__ = ("_most", "_things")

    def __init__(self, most: int) -> None:
        self._most = most
        # In the order in which they came, as a dictionary keeps them.
        self._things: dict[T, None] = {}

    def add(self, thing: T) -> None:
        """It is the newest."""
        self._things.pop(thing, None)
        self._things[thing] = None
        if len(self._things) > self._most:
            del self._things[next(iter(self._things))]

    def __contains__(self, thing: object) -> bool:
        return thing in self._things
