"""The configuration file's JSON Schema, asked of the loader itself: no second list of keys.

The loader asks a section for each key it knows, with default and range. Asked by it, a section
that only takes notes learns them all. Source: JSON Schema, draft 2020-12.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from typing import Any

from exporter.settings import OTLP_GRPC
from extension.schema import Reading, Section, settings_of
from spanpipe.config_comments import comments

DIALECT = "https://json-schema.org/draft/2020-12/schema"
SUBSTITUTION = {"type": "string", "pattern": r"\$\{"}
"""``${VAR}`` may stand for anything."""
EMPTY = {"type": "null"}
"""Nothing after a key is its default."""

_NOTHING: dict[str, Any] = {"type": ["object", "null"], "maxProperties": 0}
_SAMPLER_REFERENCE = {"$ref": "#/$defs/sampler"}
SAMPLER: dict[str, Any] = {
    "type": ["object", "null"],
    "minProperties": 1,
    "maxProperties": 1,
    "properties": {
        "always_on": _NOTHING,
        "always_off": _NOTHING,
        "trace_id_ratio_based": {
            "type": ["object", "null"],
            "properties": {"ratio": {"type": "number", "minimum": 0, "maximum": 1, "default": 1}},
            "additionalProperties": False,
        },
        "parent_based": {
            "type": ["object", "null"],
            "properties": dict.fromkeys(
                ("root", "remote_parent_sampled", "remote_parent_not_sampled"), _SAMPLER_REFERENCE
            ),
            "additionalProperties": False,
        },
    },
    "additionalProperties": False,
}
"""Written out, since one may stand within another: the loader would be asked for ever."""


def add_parser(subcommands: Any) -> None:
    """Add the sub-command to the parser."""
    parser: argparse.ArgumentParser = subcommands.add_parser(
        "schema",
        help="print the configuration file's JSON Schema, for editors",
        description="Print the JSON Schema of spanpipe.yaml. Kept beside it as "
        "spanpipe.schema.json, and named in its first line as "
        "'# yaml-language-server: $schema=spanpipe.schema.json', it gives completion.",
    )
    parser.set_defaults(main=_print)


def _print(options: argparse.Namespace) -> int:
    sys.stdout.write(text() + "\n")
    return 0


def text() -> str:
    """The schema as it is printed and kept."""
    return json.dumps(json_schema(), indent=2, ensure_ascii=False)


def json_schema() -> dict[str, Any]:
    """The schema as a value; descriptions are the comments of ``config.yaml``."""
    top = _Noting("", frozenset())
    settings_of(top, Reading())
    other = _Noting("", frozenset({OTLP_GRPC}))
    settings_of(other, Reading())
    # What one protocol alone has is asked for where that one is written.
    exporters = top.properties["exporter"]["properties"]
    exporters[OTLP_GRPC] = other.properties["exporter"]["properties"][OTLP_GRPC]
    top.properties["exporter"]["not"] = {"required": list(exporters)}
    top.properties["sample"]["properties"]["sampler"] = dict(_SAMPLER_REFERENCE)
    _describe(top.properties, "", comments())
    return {
        "$schema": DIALECT,
        "title": "spanpipe.yaml",
        "type": "object",
        "properties": top.properties,
        "additionalProperties": False,
        "$defs": {"sampler": SAMPLER},
    }


class _Noting(Section):
    """Has no values: answers with the default, and notes what was asked."""

    def __init__(self, path: str, written: frozenset[str]) -> None:
        super().__init__(None, path, Reading())
        self._written = written
        self.properties: dict[str, Any] = {}

    def has(self, key: str) -> bool:
        return key in self._written

    def section(self, key: str) -> Section:
        inner = _Noting(self.path(key), self._written)
        self.properties[key] = {
            "type": ["object", "null"],
            "properties": inner.properties,
            "additionalProperties": False,
        }
        return inner

    def integer(self, key: str, default: int, low: int, high: int) -> int:
        self._note(key, default, {"type": "integer", "minimum": low, "maximum": high})
        return default

    def number(self, key: str, default: float, low: float, high: float) -> float:
        self._note(key, default, {"type": "number", "minimum": low, "maximum": high})
        return default

    def boolean(self, key: str, default: bool) -> bool:
        self._note(key, default, {"type": "boolean"})
        return default

    def text(self, key: str, default: str | None) -> str | None:
        self.properties[key] = {"type": ["string", "number", "boolean", "null"]}
        if default is not None:
            self.properties[key]["default"] = default
        return default

    def choice(self, key: str, default: str, choices: Sequence[str]) -> str:
        self._note(key, default, {"enum": list(choices)})
        return default

    def switch(self, key: str, default: str, choices: Sequence[str], off: str, on: str) -> str:
        self._note(key, default, {"enum": [*choices, False, True]})
        return default

    def texts(
        self, key: str, max_count: int, problem_of: Callable[[str], str | None]
    ) -> tuple[str, ...]:
        items = {"type": ["string", "number", "boolean"]}
        self._note(key, None, {"type": "array", "maxItems": max_count, "items": items})
        return ()

    def pairs(
        self, key: str, value_of: Callable[[Section], object], *, has_case: bool = True
    ) -> dict[str, object]:
        entry = _Noting(f"{self.path(key)}[]", frozenset())
        entry.text("name", None)
        value_of(entry)
        entry.properties.setdefault("value", {"type": ["string", "number", "boolean", "null"]})
        item = {
            "type": "object",
            "properties": entry.properties,
            "required": ["name", "value"],
            "additionalProperties": False,
        }
        self._note(key, None, {"type": "array", "items": item})
        self.properties[f"{key}_list"] = {"type": ["string", "null"]}
        return {}

    def _note(self, key: str, default: object, kind: dict[str, Any]) -> None:
        self.properties[key] = {"anyOf": [kind, SUBSTITUTION, EMPTY]}
        if default not in (None, ""):
            self.properties[key]["default"] = default


def _describe(properties: dict[str, Any], path: str, found: dict[str, str]) -> None:
    for key, schema in properties.items():
        inner = f"{path}.{key}" if path else key
        if inner in found:
            schema["description"] = found[inner]
        _describe(schema.get("properties", {}), inner, found)
