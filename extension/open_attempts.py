"""The attempts that are open, found by request ID: on a Managed Instance there are hundreds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from extension.attempt import Attempt
from fifo import messages


class OpenAttempts:
    """In the order in which they began. What it is asked for each message takes no search.

    `kept_bytes` is what the messages of all take in memory, `pids` the processes that sent START
    for them.
    """

    __slots__ = ("_all", "_of_request", "_started", "kept_bytes")

    def __init__(self) -> None:
        self._all: dict[int, Attempt] = {}
        self._of_request: dict[str, list[Attempt]] = {}
        self._started: dict[int, int] = {}
        self.kept_bytes = 0

    def __iter__(self) -> Iterator[Attempt]:
        return iter(list(self._all.values()))

    def __len__(self) -> int:
        return len(self._all)

    @property
    def oldest(self) -> Attempt:
        """Raises StopIteration where none is open."""
        return next(iter(self._all.values()))

    @property
    def newest(self) -> Attempt:
        """Raises StopIteration where none is open."""
        return next(reversed(self._all.values()))

    @property
    def pids(self) -> list[int]:
        """Each process once."""
        return list(self._started)

    def add(self, attempt: Attempt) -> None:
        """It has begun."""
        self._all[attempt.ordinal] = attempt
        self._of_request.setdefault(attempt.request_id, []).append(attempt)

    def remove(self, attempt: Attempt) -> None:
        """It is closed. Raises KeyError for one that is not open."""
        del self._all[attempt.ordinal]
        same = self._of_request[attempt.request_id]
        same.remove(attempt)
        if not same:
            del self._of_request[attempt.request_id]
        self.kept_bytes -= attempt.kept_bytes
        if attempt.start is not None:
            self._started[attempt.start.pid] -= 1
            if not self._started[attempt.start.pid]:
                del self._started[attempt.start.pid]

    def note_started(self, pid: int) -> None:
        """One of them has adopted a START from this process."""
        self._started[pid] = self._started.get(pid, 0) + 1

    def of(self, request_id: str) -> Sequence[Attempt]:
        """Those of one request, the oldest first."""
        return self._of_request.get(request_id, ())

    def whose(self, message: messages.Message) -> Attempt | None:
        """The newest that `message` is for."""
        for attempt in reversed(self._of_request.get(message.request_id, ())):
            if attempt.is_for(message):
                return attempt
        return None
