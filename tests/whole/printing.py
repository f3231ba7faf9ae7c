"""A program from elsewhere, and what it prints."""

from __future__ import annotations

import os
import re
import subprocess
import threading
from collections.abc import Mapping
from pathlib import Path


class Printing:
    """A process whose output is kept; `environ` comes on top of what every one has."""

    def __init__(
        self, command: list[str], folder: Path, environ: Mapping[str, str] | None = None
    ) -> None:
        self._changed = threading.Condition()
        self._text = ""
        self.process = subprocess.Popen(
            command,
            cwd=folder,
            env={"PATH": os.environ["PATH"], "HOME": str(folder), **(environ or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def lines(self) -> list[str]:
        """All so far, without their ends."""
        with self._changed:
            lines = self._text.split("\n")
        return lines if lines[-1] else lines[:-1]

    def wait_for(self, pattern: str, timeout_s: float) -> str:
        """All output so far, once `pattern` is in it."""
        with self._changed:
            found = self._changed.wait_for(
                lambda: re.search(pattern, self._text) is not None, timeout=timeout_s
            )
            assert found, f"{pattern!r} was not printed:\n{self._text[-3000:]}"
            return self._text

    def close(self) -> None:
        """End it, by force where it does not end by itself."""
        self.process.terminate()
        try:
            self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            pass
        self.kill()

    def kill(self) -> None:
        """End it now, or take note that it has."""
        self.process.kill()
        self.process.wait()
        self._reader.join(timeout=5)

    def _read(self) -> None:
        stream = self.process.stdout
        if stream is not None:
            for line in stream:
                with self._changed:
                    self._text += line
                    self._changed.notify_all()
