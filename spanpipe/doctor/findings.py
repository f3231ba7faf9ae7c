"""What the doctor tells: a symptom of the table with what was seen, or that all is well."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Level(enum.Enum):
    """How bad it is. Only `PROBLEM` makes the exit status 1."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Symptom:
    """One row: `says` names it in a few words, `means` says why, `todo` is the one thing to do."""

    name: str
    level: Level
    says: str
    means: str
    todo: str


@dataclass(frozen=True, slots=True)
class Finding:
    """One check's end. `seen` is what was found, in one printable line.

    `means` and `todo` are empty where there is nothing to do.
    """

    name: str
    level: Level
    says: str
    seen: str
    means: str = ""
    todo: str = ""


def fine(name: str, seen: str) -> Finding:
    """The check `name` found nothing wrong."""
    return Finding(name, Level.OK, name, seen)


def found(symptom: Symptom, seen: str) -> Finding:
    """`symptom` is there."""
    return Finding(symptom.name, symptom.level, symptom.says, seen, symptom.means, symptom.todo)
