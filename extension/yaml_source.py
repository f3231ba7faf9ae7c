"""YAML with the place of every value; scalars by YAML 1.2's core schema, variables replaced.

PyYAML parses and composes; it resolves no types, since it knows those of YAML 1.1 alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import yaml

from exporter.settings import SecretText
from exporter.values import dataclass
from extension.problems import Place, Problem, SourceError, is_encodable, shown
from extension.substitution import SubstitutionError, parts_of, substitute

MAX_FILE_BYTES = 262_144
MAX_DEPTH = 32
MAX_NODES = 10_000

Scalar = str | bool | int | float | None

_BOOLEANS = {
    "true": True,
    "True": True,
    "TRUE": True,
    "false": False,
    "False": False,
    "FALSE": False,
}
_NULLS = ("", "~", "null", "Null", "NULL")
# Forty digits are more than any range allows, and fewer than Python refuses to read.
_INTEGER = re.compile(r"[-+]?[0-9]{1,40}")
_BASED_INTEGER = re.compile(r"0x[0-9a-fA-F]{1,32}|0o[0-7]{1,40}")
_FLOAT = re.compile(
    r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?"
    r"|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"
)

_UNTAGGED = "untagged"
_TEXT_TAG = "tag:yaml.org,2002:str"


@dataclass(frozen=True, slots=True)
class Node:
    """A value with its place: a scalar, a list of nodes, or a mapping of keys to nodes."""

    place: Place
    value: Scalar | list[Node] | dict[str, Node]
    key_places: Mapping[str, Place] | None = None
    text: str = ""
    """A scalar before its type is read: a key of digits is still a key."""
    written: str = ""
    """As it stands in the file: what a variable holds may be a secret, and is not shown."""
    secret: SecretText | None = None
    """A text with secrets in it that are still to be fetched; `text` has their names."""

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


class _Loader(yaml.SafeLoader):
    """Leaves every type open, so that what has a tag is what the user tagged."""

    def resolve(self, kind: type[yaml.Node], value: object, implicit: object) -> str:
        return _UNTAGGED


def read(
    text: str,
    file: str,
    environ: Mapping[str, str],
    problems: list[Problem],
    secret_paths: re.Pattern[str] | None = None,
) -> Node:
    """The document in `text`; what is wrong with single values goes to `problems`.

    A value with a problem is as if it were empty. Where a whole key path matches `secret_paths` a
    value may name secrets; elsewhere that is a problem. Raises SourceError where nothing more
    can be read.
    """
    try:
        root = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Place(file, mark.line + 1, mark.column + 1) if mark else Place(file, 1, 1)
        raise _not_yaml(place, error.problem or error.context or "") from error
    except yaml.reader.ReaderError as error:
        before = text[: error.position]
        place = Place(file, before.count("\n") + 1, len(before) - before.rfind("\n"))
        raise _not_yaml(place, f"the character {chr(error.character)!a}") from error
    except RecursionError as error:
        raise _not_yaml(Place(file, 1, 1), "nested too deep") from error
    except (ValueError, OverflowError) as error:
        # chr() of an escape, int() of a version: what they say is each Python's own.
        reason = "an escape or a version has a number that is out of range"
        raise _not_yaml(Place(file, 1, 1), reason) from error
    except Exception as error:  # PyYAML may let more out, and the file is a stranger's
        raise _not_yaml(Place(file, 1, 1), str(error)) from error
    if root is None:
        return Node(Place(file, 1, 1), {}, {})
    return _Reader(file, environ, problems, secret_paths).node(root, "", 0)


def _not_yaml(place: Place, reason: str) -> SourceError:
    return SourceError(Problem(place, "", f"not YAML: {shown(reason, 200)}"))


class _Reader:
    def __init__(
        self,
        file: str,
        environ: Mapping[str, str],
        problems: list[Problem],
        secret_paths: re.Pattern[str] | None,
    ) -> None:
        self._file = file
        self._environ = environ
        self._problems = problems
        self._secret_paths = secret_paths
        self._nodes = 0

    def node(self, node: Any, path: str, depth: int) -> Node:
        place = self._place(node)
        self._nodes += 1
        # An alias that holds aliases grows without end.
        if depth > MAX_DEPTH or self._nodes > MAX_NODES:
            text = f"nested deeper than {MAX_DEPTH}, or more than {MAX_NODES} values"
            raise SourceError(Problem(place, "", text))
        tagged_text = isinstance(node, yaml.ScalarNode) and node.tag == _TEXT_TAG
        if node.tag != _UNTAGGED and not tagged_text:
            self._wrong(place, path, f"the tag {shown(str(node.tag))} is not known; leave it out")
            return Node(place, None)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, place, path, depth)
        if isinstance(node, yaml.SequenceNode):
            items = [
                self.node(item, f"{path}[{index}]", depth + 1)
                for index, item in enumerate(node.value)
            ]
            return Node(place, items)
        return self._scalar(node, place, path, typed=not tagged_text and not node.style)

    def _mapping(self, node: yaml.MappingNode, place: Place, path: str, depth: int) -> Node:
        items: dict[str, Node] = {}
        places: dict[str, Place] = {}
        for key_node, value_node in node.value:
            key_place = self._place(key_node)
            if not isinstance(key_node, yaml.ScalarNode) or not is_encodable(key_node.value):
                self._wrong(key_place, path, "a key must be a text")
                continue
            key = key_node.value
            key_path = f"{path}.{shown(key)}" if path else shown(key)
            if key in items:
                first = places[key]
                self._wrong(key_place, key_path, f"stands twice, first in line {first.line}")
                continue
            items[key] = self.node(value_node, key_path, depth + 1)
            places[key] = key_place
        return Node(place, items, places)

    def _scalar(self, node: yaml.ScalarNode, place: Place, path: str, *, typed: bool) -> Node:
        written = str(node.value)
        secret = None
        try:
            if self._secret_paths is not None and self._secret_paths.fullmatch(path):
                parts = parts_of(written, self._environ)
                text = "".join(map(str, parts))
                if any(not isinstance(part, str) for part in parts):
                    secret = SecretText(parts)
            else:
                text = substitute(written, self._environ)
        except SubstitutionError as error:
            self._wrong(place, path, str(error))
            return Node(place, None)
        if not is_encodable(text):
            self._wrong(place, path, "holds what is no Unicode character")
            return Node(place, None)
        value = _plain(text) if typed and secret is None else text
        return Node(place, value, text=text, written=written, secret=secret)

    def _wrong(self, place: Place, path: str, text: str) -> None:
        self._problems.append(Problem(place, path, text))

    def _place(self, node: yaml.Node) -> Place:
        return Place(self._file, node.start_mark.line + 1, node.start_mark.column + 1)


def _plain(text: str) -> Scalar:
    """YAML 1.2's core schema: `yes` and `on` are texts."""
    if text in _NULLS:
        return None
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _BASED_INTEGER.fullmatch(text):
        return int(text, 0)
    if _FLOAT.fullmatch(text):
        return float(text.replace(".", "", 1) if text[-1] in "fFnN" else text)
    return text
