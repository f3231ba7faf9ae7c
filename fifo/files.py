"""One file in a folder that strangers may write to, such as `/tmp`: written whole, read once.

Nothing here follows a link or waits. Names are chosen by the callers and are no paths.
"""

import os
import stat


class StrangeFileError(Exception):
    """What is at the path is no file that may be read; the message says why."""


class TooLargeError(StrangeFileError):
    """It is one of ours, and over its bound."""


def write_whole(directory: str, name: str, *parts: "bytes | memoryview") -> None:
    """Write `parts`, one after the other, to ``directory/name``, mode 0600.

    They are written under another name first: whoever lists the folder sees whole files alone.
    Raises OSError, and leaves nothing then.
    """
    path = f"{directory}/{name}"
    temporary = path + ".part"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(temporary, flags, 0o600)
    try:
        try:
            for part in parts:
                view = memoryview(part)
                while view:
                    view = view[os.write(descriptor, view) :]
        finally:
            os.close(descriptor)
        os.rename(temporary, path)
    except OSError:
        try:
            os.unlink(temporary)
        except OSError:
            pass
        raise


def check_own(descriptor: int) -> int:
    """The size in bytes of a regular file of our own user; raises StrangeFileError for others."""
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid():
        raise StrangeFileError("not a regular file of our own user")
    return status.st_size


def read_own(path: str, max_bytes: int) -> bytes:
    """The bytes of a regular file of our own user.

    Raises StrangeFileError for anything else (TooLargeError: one over `max_bytes`), OSError
    where it cannot be read.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        size = check_own(descriptor)
        if size > max_bytes:
            raise TooLargeError(f"{size} bytes, over {max_bytes}")
        parts: list[bytes] = []
        while size > 0:
            part = os.read(descriptor, size)
            if not part:
                break
            parts.append(part)
            size -= len(part)
        return b"".join(parts)
    finally:
        os.close(descriptor)
