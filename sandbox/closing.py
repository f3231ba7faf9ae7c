"""What is closed at the end of its block."""

from __future__ import annotations

from typing import TypeVar

_Own = TypeVar("_Own")


class Closing:
    """A context that is the object itself, and ends with its `close`."""

    def __enter__(self: _Own) -> _Own:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End it, once."""
        raise NotImplementedError
