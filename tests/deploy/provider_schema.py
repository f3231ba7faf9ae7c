"""Takes the schemas that our Terraform module needs out of CDKTF's bindings of the AWS provider.

python -m tests.deploy.provider_schema PACKAGE > tests/deploy/aws_provider.json

PACKAGE is npm's ``@cdktf/provider-aws``, unpacked (``npm pack`` and ``tar``): its ``.jsii`` was
made from the provider's own schemas. It tells names, types, and which arguments are required; it
does not tell sets from lists, nor which optional arguments the provider fills in.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

RESOURCES = (
    "aws_lambda_layer_version",
    "aws_lambda_function",
    "aws_lambda_alias",
    "aws_iam_role",
    "aws_iam_role_policy",
    "aws_iam_role_policy_attachment",
)
DATA_SOURCES = ("aws_partition",)
_META = {"connection", "count", "dependsOn", "forEach", "lifecycle", "provider", "provisioners"}
"""Terraform's own, which CDKTF gives every resource."""


def excerpt(package: Path) -> dict[str, Any]:
    """The provider's version and the schemas, as `provider/main.go` reads them."""
    told = json.loads((package / "package.json").read_text())["cdktf"]["provider"]
    types = json.loads((package / ".jsii").read_text())["types"]
    return {
        "provider": told["name"],
        "version": told["version"],
        "resources": {name: _resource(types, name, "") for name in RESOURCES},
        "data_sources": {name: _resource(types, name, "Data_") for name in DATA_SOURCES},
    }


def _resource(types: dict[str, Any], name: str, prefix: str) -> dict[str, Any]:
    bare = name if prefix else name.removeprefix("aws_")
    cls = "".join(part.title() for part in f"{prefix}{bare}".split("_"))
    module = cls[0].lower() + cls[1:]
    fqn = f"@cdktf/provider-aws.{module}.{cls}"
    block = _block(types, f"{fqn}Config")
    for one in types[fqn].get("properties", ()):
        snake = _snake(one["name"])
        known = snake in block["attributes"] or snake in block["blocks"]
        kind = _kind(one["type"])
        input_of_one = one["name"].endswith("Input")
        if one.get("static") or not one.get("immutable") or known or input_of_one or kind is None:
            continue
        block["attributes"][snake] = {"type": kind, "computed": True}
    return block


def _block(types: dict[str, Any], fqn: str) -> dict[str, Any]:
    attributes: dict[str, Any] = {}
    blocks: dict[str, Any] = {}
    for one in types[fqn].get("properties", ()):
        if one["name"] in _META:
            continue
        kind = _kind(one["type"])
        if kind is not None:
            attributes[_snake(one["name"])] = {"type": kind} | (
                {} if one.get("optional") else {"required": True}
            )
            continue
        many, inner = _nested(one["type"])
        blocks[_snake(one["name"])] = _block(types, inner) | {"max_items": 0 if many else 1}
    return {"attributes": attributes, "blocks": blocks}


def _kind(kind: dict[str, Any]) -> str | None:
    """The type in Terraform's words; None for a block."""
    if "primitive" in kind:
        return {"boolean": "bool"}.get(kind["primitive"], kind["primitive"])
    if "union" in kind:
        parts = [part for part in map(_kind, kind["union"]["types"]) if part is not None]
        return parts[0] if parts else None
    if "collection" in kind:
        element = _kind(kind["collection"]["elementtype"])
        form = {"array": "list", "map": "map"}[kind["collection"]["kind"]]
        return None if element is None else f"{form}({element})"
    return None


def _nested(kind: dict[str, Any]) -> tuple[bool, str]:
    """(whether there may be several, the block's type)."""
    if "union" in kind:
        return next(
            _nested(one)
            for one in kind["union"]["types"]
            if "collection" in one or one.get("fqn") != "cdktf.IResolvable"
        )
    if "collection" in kind:
        return True, kind["collection"]["elementtype"]["fqn"]
    return False, kind["fqn"]


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower()


if __name__ == "__main__":
    sys.stdout.write(json.dumps(excerpt(Path(sys.argv[1])), indent=1, sort_keys=True) + "\n")
