"""A CloudFormation template, YAML with its short tags or JSON, as plain values; no I/O.

``!Sub x`` becomes ``{"Fn::Sub": "x"}``, as in the long form. Source: AWS CloudFormation user guide,
"Intrinsic function reference".
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import yaml

from extension.problems import shown

MAX_TEMPLATE_BYTES = 1024 * 1024
"""CloudFormation's own bound for a template in S3."""
MAX_DEPTH = 64
MAX_NODES = 100_000
"""An alias that holds aliases grows without end."""
_PLAIN = frozenset({"Ref", "Condition"})
_TYPED = frozenset(f"tag:yaml.org,2002:{one}" for one in ("bool", "int", "float", "null"))
_STANDARD = "tag:yaml.org,2002:"


class TemplateError(Exception):
    """The template cannot be used; its text has a line for each mistake."""


@dataclass(frozen=True, slots=True)
class Template:
    """`lines` has the line of each key in YAML, by its path such as ``Resources.Front``."""

    file: str
    root: dict[str, Any]
    lines: dict[str, int]

    def place(self, path: str) -> str:
        """How an error names the value at `path`."""
        above = path
        while above and above not in self.lines:
            above = above.rpartition(".")[0]
        line = self.lines.get(above)
        return f"{self.file}:{line}: {path}" if line else f"{self.file}: {path}"


def read_template(text: str, file: str) -> Template:
    """The template in `text`. Raises TemplateError."""
    lines: dict[str, int] = {}
    try:
        if text.lstrip().startswith("{"):
            root = json.loads(text)
        else:
            root = _Reader(lines).value(yaml.compose(text, Loader=yaml.SafeLoader), "", 0)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise TemplateError(f"{file}:{line}: not YAML: {shown(str(error.problem), 200)}") from error
    except json.JSONDecodeError as error:
        raise TemplateError(f"{file}:{error.lineno}: not JSON: {error.msg}") from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise TemplateError(f"{file}: cannot be read: {shown(str(error), 200)}") from error
    if not isinstance(root, dict) or not isinstance(root.get("Resources"), dict):
        raise TemplateError(f"{file}: is no template: it has no Resources")
    return Template(file, root, lines)


class _Reader:
    def __init__(self, lines: dict[str, int]) -> None:
        self._lines = lines
        self._nodes = 0
        self._loader = yaml.SafeLoader("")

    def value(self, node: yaml.Node | None, path: str, depth: int) -> Any:
        if node is None:
            return None
        self._nodes += 1
        if depth > MAX_DEPTH or self._nodes > MAX_NODES:
            raise ValueError(f"nested deeper than {MAX_DEPTH}, or more than {MAX_NODES} values")
        tag = node.tag
        value = self._untagged(node, path, depth)
        if tag.startswith(_STANDARD) or not tag.startswith("!"):
            return value
        name = tag[1:]
        if name == "GetAtt" and isinstance(value, str):
            value = value.split(".", 1)
        return {name if name in _PLAIN else f"Fn::{name}": value}

    def _untagged(self, node: yaml.Node, path: str, depth: int) -> Any:
        if isinstance(node, yaml.MappingNode):
            found = {}
            for key_node, value_node in node.value:
                key = str(key_node.value)
                inner = f"{path}.{key}" if path else key
                self._lines[inner] = key_node.start_mark.line + 1
                found[key] = self.value(value_node, inner, depth + 1)
            return found
        if isinstance(node, yaml.SequenceNode):
            return [
                self.value(one, f"{path}.{number}", depth + 1)
                for number, one in enumerate(node.value)
            ]
        # A date, as of the format's version, is a text here.
        return self._loader.construct_object(node) if node.tag in _TYPED else node.value
