"""A program on a terminal of its own: what it writes there, as the terminal shows it."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
from collections.abc import Mapping, Sequence
from pathlib import Path

_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def on_terminal(
    command: Sequence[str], folder: Path, environ: Mapping[str, str], columns: int
) -> tuple[int, str]:
    """(Exit status, everything it wrote) with standard output and error on one terminal."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    with subprocess.Popen(
        command, cwd=folder, env=dict(environ), stdin=follower, stdout=follower, stderr=follower
    ) as process:
        os.close(follower)
        written = b""
        try:
            while data := os.read(leader, 65536):
                written += data
        except OSError:
            pass  # the last who had the terminal open is gone
        finally:
            os.close(leader)
    return process.returncode, written.decode()


def shown(written: str) -> list[str]:
    """The lines that stay: what was written over or erased is gone, and colours are left out.

    Good for programs that erase the line they are in, or the one above, and nothing more.
    """
    lines: list[str] = []
    for line in written.replace("\r\n", "\n").split("\n"):
        if "\x1b[1A" in line:
            lines.pop()
        kept = line.rpartition("\x1b[2K")[2].rpartition("\r")[2]
        lines.append(_CONTROL.sub("", kept).rstrip())
    return lines
