"""A descriptor kept for the moment at which there is no other to be had.

What the function has left in files must be read even then: an end that is not seen is an end
that `/next` is held for.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

EXHAUSTED = (errno.EMFILE, errno.ENFILE)
"""No descriptor left in the process, or in the system (open(2))."""


class SpareDescriptor:
    """Lends its place to whoever needs one for a moment."""

    __slots__ = ("_descriptor",)

    def __init__(self) -> None:
        self._descriptor = _open()

    def call(self, action: Callable[[], T]) -> T:
        """`action`, once more in the spare's place where descriptors are exhausted.

        It must keep none open. Raises what `action` raises.
        """
        if self._descriptor < 0:
            self._descriptor = _open()
        try:
            return action()
        except OSError as error:
            if error.errno not in EXHAUSTED or self._descriptor < 0:
                raise
        os.close(self._descriptor)
        try:
            return action()
        finally:
            self._descriptor = _open()

    def __del__(self) -> None:
        # As a file object does: an inbox has no end but the process's, save in tests.
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _open() -> int:
    try:
        return os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return -1
