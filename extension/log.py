"""The extension's own lines in the function's log: levels, one form, bounded.

Not `logging`: that module costs a fifth of the start-up, and a line is all there is to it.
"""

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TextIO

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
MAX_LINES_BEFORE_SUPPRESSING = 200
"""For each invocation; a flood of our own would be billed to the user."""
MAX_LINE_CHARACTERS = 4096


class Log:
    """Writes ``spanpipe: LEVEL: text`` lines; `suppressed_count` counts what it did not."""

    __slots__ = ("_level", "_lines", "_stream", "suppressed_count")

    def __init__(self, level: str = "info", stream: "TextIO | None" = None) -> None:
        self._level = LEVELS.get(level, 20)
        self._stream = stream
        self._lines = 0
        self.suppressed_count = 0

    def set_level(self, level: str) -> None:
        """One of `LEVELS`; anything else is ``info``."""
        self._level = LEVELS.get(level, 20)

    def refill(self) -> None:
        """A new invocation may log again."""
        self._lines = 0

    def debug(self, text: str) -> None:
        """What only a developer of the extension wants to see."""
        self._write("debug", text)

    def info(self, text: str) -> None:
        """What a user may want to see once."""
        self._write("info", text)

    def warning(self, text: str) -> None:
        """Something was lost or left out, and why."""
        self._write("warning", text)

    def error(self, text: str) -> None:
        """Something must be changed by the user."""
        self._write("error", text)

    def always(self, text: str) -> None:
        """The ledger's line, once for an environment, whatever the level and the volume."""
        self._put(f"spanpipe: {text}\n")

    def _write(self, level: str, text: str) -> None:
        if LEVELS[level] < self._level:
            return
        self._lines += 1
        if self._lines > MAX_LINES_BEFORE_SUPPRESSING:
            self.suppressed_count += 1
            return
        shown = " ".join(text.split())
        if len(shown) > MAX_LINE_CHARACTERS:
            shown = shown[: MAX_LINE_CHARACTERS - 1] + "…"
        self._put(f"spanpipe: {level}: {shown}\n")

    def _put(self, line: str) -> None:
        try:
            stream = self._stream or sys.stderr
            stream.write(line)
            stream.flush()
        except (OSError, ValueError):
            self.suppressed_count += 1
