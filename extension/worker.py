"""The one thread that may block: it imports, reads the configuration and exports.

It borrows what it is given and hands back outcomes; the loop owns every record. It is never
joined: a thread stuck in name resolution cannot be, so the process leaves by `os._exit`.
"""

from __future__ import annotations

import os
import queue
import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Worker(Generic[T]):
    """Runs tasks in order, in one daemon thread; results come back through a descriptor.

    A task returns its result. One that raises is handed to `on_error`, which makes a result
    of the exception: nothing is lost silently.
    """

    def __init__(self, on_error: Callable[[Exception], T]) -> None:
        self._on_error = on_error
        self._tasks: queue.SimpleQueue[Callable[[], T]] = queue.SimpleQueue()
        self._results: deque[T] = deque()
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._thread = threading.Thread(target=self._run, name="spanpipe-worker", daemon=True)

    def fileno(self) -> int:
        """Readable when there are results to take."""
        return self._wake_read

    def start(self) -> None:
        """Begin; tasks submitted before wait."""
        self._thread.start()

    def submit(self, task: Callable[[], T]) -> None:
        """Have `task` run after those submitted before."""
        self._tasks.put(task)

    def take(self) -> list[T]:
        """The results so far, oldest first."""
        try:
            os.read(self._wake_read, 4096)
        except BlockingIOError:
            pass
        results: list[T] = []
        while self._results:
            results.append(self._results.popleft())
        return results

    def _run(self) -> None:
        while True:
            task = self._tasks.get()
            try:
                result = task()
            except Exception as error:  # noqa: BLE001 - the thread must survive anything
                result = self._on_error(error)
            self._results.append(result)
            try:
                os.write(self._wake_write, b"\0")
            except BlockingIOError:
                pass  # the pipe is full of wake-ups already
