"""Processes of an environment: started in groups of their own, read to the end, never left."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence

MAX_LINE_BYTES = 262_144
"""CloudWatch Logs' own bound for one event."""

OnLine = Callable[[str, str], None]
"""Called with the process's name and each line it prints."""


class Process:
    """One running program. `on_exit` is called, once, when it has ended.

    `ended_s` is when that was, on the monotonic clock.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        environ: Mapping[str, str],
        directory: str,
        on_line: OnLine,
        on_exit: Callable[[], None],
    ) -> None:
        self.name = name
        self._on_line = on_line
        self._on_exit = on_exit
        self._process = subprocess.Popen(
            command,
            env=dict(environ),
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._ended = threading.Event()
        self.ended_s: float | None = None
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._waiter = threading.Thread(target=self._wait, daemon=True)
        self._reader.start()
        self._waiter.start()

    @property
    def pid(self) -> int:
        """Also its process group."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return not self._ended.is_set()

    @property
    def status(self) -> int | None:
        """Exit status, minus the signal's number, or None while it runs."""
        return self._process.returncode if self._ended.is_set() else None

    @property
    def exit_text(self) -> str:
        """How it ended, in Lambda's words."""
        status = self.status
        if status is None or status >= 0:
            return f"exit status {status}" if status else "exit code 0"
        return f"signal: {(signal.strsignal(-status) or str(-status)).lower()}"

    def send_signal(self, number: int) -> None:
        """To the whole group; nothing once it has ended."""
        try:
            os.killpg(self.pid, number)
        except ProcessLookupError:
            pass

    def kill(self) -> None:
        """SIGKILL, as from the kernel that runs out of memory."""
        self.send_signal(signal.SIGKILL)

    def wait(self, timeout_s: float) -> bool:
        """Whether it ended within `timeout_s`."""
        return self._ended.wait(timeout_s)

    def stop(self) -> None:
        """Kill what is left of the group and read the last lines."""
        self.send_signal(signal.SIGKILL)
        self._ended.wait()
        self._reader.join(timeout=2.0)

    def _read(self) -> None:
        stream = self._process.stdout
        if stream is None:
            return
        with stream:
            while line := stream.readline(MAX_LINE_BYTES):
                self._on_line(self.name, line.decode("utf-8", "replace").rstrip("\r\n"))

    def _wait(self) -> None:
        self._process.wait()
        self.ended_s = time.monotonic()
        self._ended.set()
        self._on_exit()
