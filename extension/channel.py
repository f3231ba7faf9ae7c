"""The extension's ends of the FIFO pair, open for its whole life."""

import os

from fifo import mailbox, pipes
from fifo.errors import HostilePathError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from extension.log import Log


class Channel:
    """Both descriptors; -1 where the path could not be had, and the file form serves.

    A result of the function is never worth failing it: what is wrong with a path is logged,
    once, and the extension goes on without that FIFO.
    """

    __slots__ = ("_reader_seen", "_record", "control", "directory", "results")

    def __init__(self, directory: str, log: "Log") -> None:
        self.directory = directory
        self.results = _open(f"{directory}/{pipes.RESULTS_NAME}", pipes.RESULTS_CAPACITY_BYTES, log)
        self.control = _open(f"{directory}/{pipes.CONTROL_NAME}", pipes.CONTROL_CAPACITY_BYTES, log)
        self._reader_seen = False
        self._record = b""

    @property
    def reader_seen(self) -> bool:
        """Whether somebody in the function has taken a record, so that messages will come."""
        return self._reader_seen or self._is_taken()

    def publish(self, policy: mailbox.Policy) -> None:
        """Make `policy` the record in the mailbox, in place of what is there."""
        if self.control < 0:
            return
        self._reader_seen = self.reader_seen
        self._record = mailbox.encode_policy(policy)
        try:
            while os.read(self.control, mailbox.RECORD_BYTES):
                pass
        except OSError:
            pass  # empty
        self._put()

    def refill(self) -> None:
        """Put the record back if a reader took it. One system call where none did."""
        if self._is_taken():
            self._reader_seen = True
            self._put()

    def _is_taken(self) -> bool:
        """Only a writer in the function takes the record: when it is gone, there is one."""
        return bool(self._record) and not pipes.unread_bytes(self.control)

    def _put(self) -> None:
        try:
            os.write(self.control, self._record)
        except OSError:
            pass  # a reader will find nothing and keep what it knows


def _open(path: str, capacity_bytes: int, log: "Log") -> int:
    try:
        return pipes.make_fifo(path, capacity_bytes)
    except HostilePathError as error:
        log.error(f"{error}; until then results come by file")
    except OSError as error:
        log.error(f"{path}: cannot be made: {error.strerror}; results come by file, if at all")
    return -1
