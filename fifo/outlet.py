"""The writing end of the results FIFO, and the files beside it: bodies in, frames out.

Nothing here waits. The descriptor is opened without blocking and kept; a pipe that is full,
broken or not to be trusted sends a message to a file at once. Without an extension (no FIFO at
the path) `absent` says so, and nothing is to be written at all.
"""

import errno
import itertools
import os
import sys

from fifo import encoding, messages, overflow, pipes, wire
from fifo.errors import HostilePathError
from fifo.wire import MAX_BODY_BYTES, encode_after

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Protocol

    class Account(Protocol):
        """Of an invocation: the opening of its bodies, and what its messages have cost."""

        prefix: bytes
        spent_s: float


WRITE_S = 0.000_005
"""That a write into the pipe counts for, about what it takes. It cannot block: what lasts longer is
another's turn at the processor, and with a small part of one a turn is longer than the budget."""


class Outlet:
    """One for a process; `draw` gives random bytes from the operating system, `monotonic` seconds.

    `broken` says that the pipe takes nothing now. The writer ID is drawn at the first START or
    message, so after a SnapStart restore, and by a forked child at its own first.
    """

    __slots__ = (
        "_counter",
        "_descriptor",
        "_directory",
        "_draw",
        "_files",
        "_monotonic",
        "_openings",
        "_warned",
        "_writer_id",
        "absent",
        "broken",
        "pid",
    )

    def __init__(
        self,
        directory: str,
        draw: "Callable[[int], bytes]",
        monotonic: "Callable[[], float]",
    ) -> None:
        self._directory = directory
        self._draw = draw
        self._monotonic = monotonic
        self._descriptor = -1
        self._files = overflow.Overflow(directory, draw)
        self._writer_id = 0
        self._openings: dict[int, bytes] = {}
        self._counter = itertools.count(1)
        self.pid = 0
        self._warned = False
        self.absent = False
        self.broken = True
        # For good, as a process has one; it spares asking for the process ID at each message.
        os.register_at_fork(after_in_child=self._be_another)

    def check(self) -> None:
        """At START: open what is not open.

        What is open is kept, whatever is at the path: an extension that went away shows in the
        next write, and one that is there reads on where the function has cleared the folder.
        """
        if not self.pid:
            self._renew()
        if self.broken:
            self._open()

    def skip(self) -> None:
        """Use up the number of a message that is dropped, so that the extension misses it."""
        if not self.pid:
            self._renew()
        next(self._counter)

    def send(self, kind: int, account: "Account", head: bytes, data: bytes = b"") -> bool:
        """One message of the body ``head + data``; False where neither pipe nor file took it.

        What it costs is added to the `account` of the invocation that it belongs to.
        """
        if not self.pid:
            self._renew()
        counter = next(self._counter)
        length = len(head) + len(data)
        if length <= MAX_BODY_BYTES and not self.broken:
            # As most are; the same as below, at less cost.
            opening = self._openings.get(kind) or self._opening(kind)
            frame = encode_after(opening, counter, head + data)
            try:
                os.write(self._descriptor, frame)
            except OSError as error:
                if self._put_again((frame,), error):
                    account.spent_s += WRITE_S
                    return True
            else:
                account.spent_s += WRITE_S
                return True
        elif length <= wire.MAX_FRAMED_MESSAGE_BYTES:
            frames = wire.encode_message(kind, self._writer_id, counter, head + data)
            if self._put(frames):
                account.spent_s += WRITE_S * len(frames)
                return True
        began_s = self._monotonic()
        name = self._files.write(*wire.encode_parts(kind, self._writer_id, counter, head, data))
        account.spent_s += self._monotonic() - began_s
        if name is None:
            return False
        if length > wire.MAX_FRAMED_MESSAGE_BYTES:
            # The frame makes it read at once; without it the next boundary does.
            named = encoding.encode_file(account.prefix, name)
            counter = next(self._counter)
            self._put((wire.encode_frame(messages.FILE, self._writer_id, counter, named),))
        return True

    def is_read(self) -> bool:
        """Whether nothing waits, in the pipe or beside it. Raises OSError."""
        return not pipes.unread_bytes(self._descriptor) and not self._files.waiting_count()

    def close(self) -> None:
        """Close the descriptor."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1
        self.broken = True

    def _put(self, frames: "Sequence[bytes]") -> bool:
        """All of `frames` into the pipe; False where it is full, broken or not to be had."""
        if self.broken:
            return False
        try:
            for frame in frames:
                os.write(self._descriptor, frame)
        except OSError as error:
            return self._put_again(frames, error)
        return True

    def _put_again(self, frames: "Sequence[bytes]", error: OSError) -> bool:
        """As `_put`, after the `error` of its first try."""
        if isinstance(error, BlockingIOError):
            return False  # full
        if isinstance(error, BrokenPipeError):
            # The extension went away; another may have opened the pipe since.
            self._open()
            if self.broken:
                return False
            try:
                for frame in frames:
                    os.write(self._descriptor, frame)
            except OSError:
                self.broken = True
                return False
            return True
        self.broken = True
        if error.errno == errno.EBADF:
            # Closed by the function; the number may be somebody else's by the next START.
            self._descriptor = -1
        return False

    def _open(self) -> None:
        self.broken = True
        try:
            opened = pipes.open_fifo(f"{self._directory}/{pipes.RESULTS_NAME}", os.O_WRONLY)
        except FileNotFoundError:
            self.absent = True
            self._warn(
                f"no extension: {self._directory}/{pipes.RESULTS_NAME} is not there, so this "
                "function's results go nowhere; add the spanpipe layer, or try it here with: "
                "spanpipe run"
            )
            return
        except HostilePathError as error:
            self.absent = False
            self._warn(f"{error}; results go by file")
            return
        except OSError as error:
            # ENXIO: nobody reads. A reader may come back and finds the files.
            self.absent = error.errno in (errno.ENOTDIR, errno.EACCES)
            return
        self.absent = False
        if self._descriptor < 0:
            self._descriptor = opened
        else:
            # The number stays, so that no other thread writes into a descriptor that was
            # closed under it and given to somebody else.
            os.dup2(opened, self._descriptor, inheritable=False)
            os.close(opened)
        self.broken = False

    def _be_another(self) -> None:
        self.pid = 0

    def _renew(self) -> None:
        """A new process (or the first message): an ID of its own, counted from 1."""
        self.pid = os.getpid()
        self._writer_id = int.from_bytes(self._draw(4), "big")
        self._openings = {}
        self._counter = itertools.count(1)

    def _opening(self, kind: int) -> bytes:
        opening = self._openings[kind] = wire.opening_of(kind, self._writer_id)
        return opening

    def _warn(self, text: str) -> None:
        if self._warned:
            return
        self._warned = True
        try:
            sys.stderr.write(f"spanpipe: warning: {text}\n")
        except (OSError, ValueError, AttributeError):
            pass
