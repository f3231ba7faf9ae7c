"""YAML with the place of every value, and OpenTelemetry's substitution of variables.

Substitution follows OpenTelemetry's declarative configuration, "Environment variable
substitution", save that a variable which is unset and has no default is an error.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import yaml

MAX_FILE_BYTES = 262_144
MAX_DEPTH = 32
MAX_NODES = 10_000

Scalar = str | bool | int | float | None

_VARIABLE = re.compile(r"\$(?:\$|\{(?:env:)?([A-Za-z_][A-Za-z0-9_]*)(?::-([^\n}]*))?\})")
_BOOLEANS = {
    "true": True,
    "True": True,
    "TRUE": True,
    "false": False,
    "False": False,
    "FALSE": False,
}
_NULLS = ("", "~", "null", "Null", "NULL")
_INTEGER = re.compile(r"[-+]?[0-9]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value stands: file, and line and column from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


class SourceError(Exception):
    """The file cannot be read as YAML; the message says where."""


@dataclass(frozen=True, slots=True)
class Node:
    """A value with its place: a scalar, a list of nodes, or a mapping of keys to nodes."""

    place: Place
    value: Scalar | list[Node] | dict[str, Node]
    key_places: Mapping[str, Place] | None = None
    text: str = ""
    """A scalar as it is written: a key of digits is still a key."""

    @property
    def kind(self) -> str:
        """What a user would call it."""
        if isinstance(self.value, dict):
            return "a mapping"
        if isinstance(self.value, list):
            return "a list"
        if self.value is None:
            return "empty"
        names = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}
        return names[type(self.value)]


def read(text: str, file: str, environ: Mapping[str, str]) -> Node:
    """The document in `text`. Raises SourceError."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{file}:{mark.line + 1}:{mark.column + 1}" if mark else file
        raise SourceError(f"{place}: not YAML: {error.problem or error.context}") from error
    except (yaml.YAMLError, RecursionError) as error:
        raise SourceError(f"{file}: not YAML: {' '.join(str(error).split())}") from error
    if root is None:
        return Node(Place(file, 1, 1), {}, {})
    return _Reader(file, environ).node(root, 0)


class _Reader:
    def __init__(self, file: str, environ: Mapping[str, str]) -> None:
        self._file = file
        self._environ = environ
        self._nodes = 0

    def node(self, node: yaml.Node, depth: int) -> Node:
        place = self._place(node)
        self._nodes += 1
        # An alias that holds aliases grows without end.
        if depth > MAX_DEPTH or self._nodes > MAX_NODES:
            raise SourceError(f"{place}: nested too deep or too many values")
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, place, depth)
        if isinstance(node, yaml.SequenceNode):
            return Node(place, [self.node(item, depth + 1) for item in node.value])
        text = self._substitute(str(node.value), place)
        quoted = isinstance(node, yaml.ScalarNode) and node.style in ("'", '"', "|", ">")
        return Node(place, text if quoted else _plain(text), text=text)

    def _mapping(self, node: yaml.MappingNode, place: Place, depth: int) -> Node:
        items: dict[str, Node] = {}
        places: dict[str, Place] = {}
        for key_node, value_node in node.value:
            key_place = self._place(key_node)
            if not isinstance(key_node, yaml.ScalarNode):
                raise SourceError(f"{key_place}: a key must be a text")
            key = key_node.value
            if key in items:
                raise SourceError(f"{key_place}: {key} stands twice, first at {places[key]}")
            items[key] = self.node(value_node, depth + 1)
            places[key] = key_place
        return Node(place, items, places)

    def _substitute(self, text: str, place: Place) -> str:
        def replace(match: re.Match[str]) -> str:
            name, default = match.group(1), match.group(2)
            if name is None:
                return "$"
            value = self._environ.get(name) or default
            if value is None:
                raise SourceError(
                    f"{place}: the environment variable {name} is not set; set it, or write "
                    f"${{{name}:-a default}}"
                )
            return value

        if "${" in text and not _VARIABLE.search(text):
            raise SourceError(f"{place}: {text!r} is no valid substitution; $$ is a dollar sign")
        return _VARIABLE.sub(replace, text)

    def _place(self, node: yaml.Node) -> Place:
        return Place(self._file, node.start_mark.line + 1, node.start_mark.column + 1)


def _plain(text: str) -> Scalar:
    """YAML 1.2's core schema: `yes` and `on` are texts."""
    if text in _NULLS:
        return None
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    if _INTEGER.fullmatch(text) and len(text) < 20:
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    return text
