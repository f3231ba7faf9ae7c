"""The pair of named FIFOs on disk: made, checked, opened, read. POSIX mkfifo(3), fifo(7).

Nothing here follows a link, unlinks a path or waits.
"""

import errno
import fcntl
import os
import stat
import sys
import termios

from fifo.errors import HostilePathError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

RESULTS_NAME = "spanpipe-results.fifo"
CONTROL_NAME = "spanpipe-control.fifo"
DEFAULT_DIRECTORY = "/tmp"
RESULTS_CAPACITY_BYTES = 1024 * 1024
"""The most an unprivileged process may ask for (/proc/sys/fs/pipe-max-size)."""
CONTROL_CAPACITY_BYTES = 4096

_F_SETPIPE_SZ = 1031
_F_GETPIPE_SZ = 1032
"""linux/fcntl.h; `fcntl` names them from Python 3.10 on, but not on every libc."""
_INT_BYTES = 4
_BASE_FLAGS = os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC


def directory_of(environ: "Mapping[str, str]") -> str:
    """``$SPANPIPE_DIR``, else ``/tmp``."""
    return environ.get("SPANPIPE_DIR") or DEFAULT_DIRECTORY


def open_fifo(path: str, flags: int) -> int:
    """A checked descriptor of the FIFO at `path`; the caller closes it.

    `flags` is O_RDONLY, O_WRONLY or O_RDWR; it never blocks. Raises HostilePathError where
    something else is at the path, and OSError (ENOENT: nothing there; ENXIO: O_WRONLY and
    nobody reads).
    """
    try:
        descriptor = os.open(path, flags | _BASE_FLAGS)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise HostilePathError(path, "is a symbolic link") from error
        if error.errno in (errno.EISDIR, errno.ENOTDIR):
            raise HostilePathError(path, "is no FIFO but a folder") from error
        raise
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISFIFO(status.st_mode):
            raise HostilePathError(path, "is no FIFO")
        if status.st_uid != os.geteuid():
            raise HostilePathError(path, f"belongs to user {status.st_uid}, not to us")
        if status.st_mode & 0o077:
            mode = stat.S_IMODE(status.st_mode)
            raise HostilePathError(path, f"is open to other users (mode {mode:04o}, not 0600)")
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def make_fifo(path: str, capacity_bytes: int) -> int:
    """Make the FIFO, or take the good one that is there; held open for reading and writing.

    Holding both ends keeps the data when a writer goes away. Never unlinks: a writer that
    survived a reset would go on writing into a pipe that nobody reads. Raises as
    `open_fifo`.
    """
    try:
        os.mkfifo(path, 0o600)
    except FileExistsError:
        pass
    descriptor = open_fifo(path, os.O_RDWR)
    try:
        fcntl.fcntl(descriptor, _F_SETPIPE_SZ, capacity_bytes)
    except OSError:
        pass  # the size that it has serves; a full pipe sends the writer to a file
    return descriptor


def capacity_bytes(descriptor: int) -> int:
    """What the pipe can hold, F_GETPIPE_SZ."""
    return fcntl.fcntl(descriptor, _F_GETPIPE_SZ)


def unread_bytes(descriptor: int) -> int:
    """FIONREAD: what waits in the pipe, from either end."""
    # Not by `array`, which imports `collections`: two milliseconds.
    count = bytearray(_INT_BYTES)  # `bytes` take a third longer: they are tried as this first
    fcntl.ioctl(descriptor, termios.FIONREAD, count)
    return int.from_bytes(count, sys.byteorder)
