"""A folder that a target fills anew for each input, and beside it what nobody may touch."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from functools import cache
from pathlib import Path

OUTSIDE = "outside"
CONTENT = b"what stands outside"


class Folder:
    """`path` is the folder; ``OUTSIDE`` is a file beside it."""

    def __init__(self) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="spanpipe-fuzz-"))
        atexit.register(self.remove)
        self.path = self.root / "inside"
        self.path.mkdir()
        (self.root / OUTSIDE).write_bytes(CONTENT)

    def empty(self) -> None:
        """Remove what the last input has left."""
        with os.scandir(self.path) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    os.rmdir(entry.path)
                else:
                    os.unlink(entry.path)

    def names(self) -> set[str]:
        """What is in it."""
        return set(os.listdir(self.path))

    def check_outside(self) -> None:
        """What is beside it is as it was."""
        assert (self.root / OUTSIDE).read_bytes() == CONTENT

    def remove(self) -> None:
        """All of it."""
        shutil.rmtree(self.root, ignore_errors=True)


@cache
def folder_of(target: str) -> Folder:
    """The one of `target`, in this process."""
    return Folder()
