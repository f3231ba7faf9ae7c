"""What is wrong with a configuration, as a value: where, at which key, and what to do."""

from __future__ import annotations

from exporter.values import dataclass

MAX_SHOWN_CHARS = 80
"""Of a key or a value in a message: a log line is no place for a whole file."""


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where a value stands: file, and line and column from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


Origin = Place | str
"""A place in a file, or an environment variable's name."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake. `path` is the key's whole path, empty where none is concerned."""

    where: Origin
    path: str
    text: str

    def __str__(self) -> str:
        if self.path and isinstance(self.where, Place):
            return f"{self.where}: {self.path}: {self.text}"
        return f"{self.where}: {self.text}"


class SourceError(Exception):
    """The file cannot be read any further; `problem` says where and why."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


def shown(text: str, max_chars: int = MAX_SHOWN_CHARS) -> str:
    """`text` as it may stand in a message: one line, printable, and not long."""
    if len(text) > max_chars:
        text = text[: max_chars - 1] + "…"
    return text if text.isprintable() else ascii(text)


def is_encodable(text: str) -> bool:
    """Whether `text` is Unicode: an environment variable's bytes need not be."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
