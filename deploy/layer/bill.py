"""What is in a layer, as a bill of materials: CycloneDX 1.6 in JSON (pure).

It has no time and no serial number: the same layer has the same bill.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from email.message import Message
from typing import Any

from deploy.layer.closure import Component

FORMAT = "CycloneDX"
VERSION = "1.6"
PATH = "spanpipe/bom.cdx.json"


def bill(
    name: str,
    version: str,
    components: Sequence[Component],
    others: Sequence[Mapping[str, Any]],
    properties: Mapping[str, str],
) -> bytes:
    """The document; `others` are components that are no packages of Python's."""
    value = {
        "bomFormat": FORMAT,
        "specVersion": VERSION,
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "name": name,
                "version": version,
                "licenses": [{"expression": "Apache-2.0"}],
            },
            "properties": [
                {"name": f"spanpipe:{key}", "value": properties[key]} for key in sorted(properties)
            ],
        },
        "components": [*map(_package, components), *others],
    }
    return (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode()


def _package(component: Component) -> dict[str, Any]:
    first, *more = component.wheels
    purl = f"pkg:pypi/{component.name}@{component.version}"
    value: dict[str, Any] = {
        "type": "library",
        "bom-ref": purl,
        "name": str(component.name),
        "version": component.version,
        "purl": purl,
        "licenses": _licenses(first.metadata()),
    }
    if more:
        # Each wheel is a file with one hash; several would read as hashes of one file.
        value["components"] = [
            {"type": "file", "name": one.path.name, "hashes": _hashes(one.sha256)}
            for one in component.wheels
        ]
    else:
        value["hashes"] = _hashes(first.sha256)
        value["properties"] = [{"name": "spanpipe:wheel", "value": first.path.name}]
    return value


def _hashes(sha256: str) -> list[dict[str, str]]:
    return [{"alg": "SHA-256", "content": sha256}]


def _licenses(metadata: Message) -> list[dict[str, Any]]:
    """As the package names them itself: an SPDX expression (PEP 639), else a name."""
    expression = metadata.get("License-Expression")
    if expression:
        return [{"expression": expression}]
    named = metadata.get("License", "").strip()
    if not named or "\n" in named:
        named = next(
            (
                one.rpartition(" :: ")[2]
                for one in metadata.get_all("Classifier", [])
                if one.startswith("License :: ")
            ),
            "see the licence's text",
        )
    return [{"license": {"name": named}}]
