"""Files beside the FIFO, for messages that the pipe cannot take: named, written, bounded.

The contents are frames, as in the pipe, but with bodies as long as they come.
"""

import os

from fifo import files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

PREFIX = "spanpipe-"
SUFFIX = ".msg"
_RANDOM_BYTES = 8
_NAME_LENGTH = len(PREFIX) + 2 * _RANDOM_BYTES + len(SUFFIX)
_HEX = "0123456789abcdef"

MAX_FILES = 32
MAX_FILES_BYTES = 32 * 1024 * 1024
"""What one process may have waiting beside the FIFO: `/tmp` is the function's own."""


def is_overflow_name(name: str) -> bool:
    """Whether `name` is ``spanpipe-<16 hex digits>.msg``, and so no path."""
    return (
        len(name) == _NAME_LENGTH
        and name.startswith(PREFIX)
        and name.endswith(SUFFIX)
        and not name[len(PREFIX) : -len(SUFFIX)].strip(_HEX)
    )


class Overflow:
    """The files of one process. `draw` gives random bytes from the operating system."""

    __slots__ = ("_directory", "_draw", "_waiting")

    def __init__(self, directory: str, draw: "Callable[[int], bytes]" = os.urandom) -> None:
        self._directory = directory
        self._draw = draw
        self._waiting: dict[str, int] = {}

    def waiting_count(self) -> int:
        """Files of ours that nobody has taken yet."""
        for name in list(self._waiting):
            try:
                os.stat(f"{self._directory}/{name}")
            except OSError:
                self._waiting.pop(name, None)
        return len(self._waiting)

    def write(self, *parts: bytes) -> "str | None":
        """Write `parts` as one file; its name, or None where a bound or the disk forbids it."""
        size = sum(map(len, parts))
        if not self._has_room(size):
            self.waiting_count()
            if not self._has_room(size):
                return None
        name = PREFIX + self._draw(_RANDOM_BYTES).hex() + SUFFIX
        try:
            files.write_whole(self._directory, name, *parts)
        except OSError:
            return None
        self._waiting[name] = size
        return name

    def _has_room(self, size: int) -> bool:
        waiting = self._waiting
        return len(waiting) < MAX_FILES and sum(waiting.values()) + size <= MAX_FILES_BYTES
