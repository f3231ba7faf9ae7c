"""The app's context values, read and checked: those of the SAM template and the Terraform module.

Paths are relative to the folder that the app is started in, which is this one under ``cdk``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from spanpipe.doctor.layer import ARCHITECTURES
from spanpipe.errors import CommandError
from spanpipe.layer.archive import read_layer_zip

ROOT = Path(__file__).resolve().parents[2]
_DIST = ROOT / "dist"
MIN_MEMORY_MB, MAX_MEMORY_MB = 128, 10_240
MIN_TIMEOUT_S, MAX_TIMEOUT_S = 1, 900
"""Source: Lambda quotas."""
_ALIAS = re.compile(r"(?!\d+$)[a-zA-Z0-9_-]{1,128}")
_SECRET = re.compile(r"arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:\d{12}:secret:.+")


class InputError(Exception):
    """A context value cannot be used; the text says which, and what to do."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """`headers` go to the collector as ``name=value,…``; `secret_arn` is of a secret that the
    functions may read."""

    endpoint: str
    headers: str
    resource_attributes: str
    secret_arn: str
    architecture: str
    python_layer_zip: Path
    any_layer_zip: Path
    python_function_zip: Path
    node_function_zip: Path
    rust_function_zip: Path
    memory_mb: int
    timeout_s: int
    alias: str


def read_inputs(context: Callable[[str], object]) -> Inputs:
    """Ask `context` for each value by its name. Raises InputError."""
    values = {name: "" if (value := context(name)) is None else str(value) for name in NAMES}
    endpoint = values["endpoint"]
    if not re.match(r"https?://[^/]", endpoint):
        raise InputError(
            f"endpoint: {endpoint!r} must be an OTLP collector's URL: -c endpoint=https://…:4318"
        )
    architecture = values["architecture"] or ARCHITECTURES[0]
    if architecture not in ARCHITECTURES:
        raise InputError(f"architecture: {architecture!r} must be {' or '.join(ARCHITECTURES)}")
    alias = values["alias"] or "live"
    if not _ALIAS.fullmatch(alias):
        raise InputError(f"alias: {alias!r} must be 1 to 128 of a-z, 0-9, - and _, and no number")
    secret_arn = values["secret_arn"]
    if secret_arn and not _SECRET.fullmatch(secret_arn):
        raise InputError(f"secret_arn: {secret_arn!r} is no ARN of a secret of Secrets Manager")
    return Inputs(
        endpoint=endpoint,
        headers=values["headers"],
        resource_attributes=values["resource_attributes"],
        secret_arn=secret_arn,
        architecture=architecture,
        python_layer_zip=_layer(values, "python_layer_zip", architecture),
        any_layer_zip=_layer(values, "any_layer_zip", architecture),
        python_function_zip=_function(values, "python_function_zip"),
        node_function_zip=_function(values, "node_function_zip"),
        rust_function_zip=_function(values, "rust_function_zip"),
        memory_mb=_number(values, "memory_mb", 256, MIN_MEMORY_MB, MAX_MEMORY_MB),
        timeout_s=_number(values, "timeout_s", 10, MIN_TIMEOUT_S, MAX_TIMEOUT_S),
        alias=alias,
    )


NAMES = tuple(Inputs.__dataclass_fields__)


def _layer(values: Mapping[str, str], name: str, architecture: str) -> Path:
    runtimes = name.partition("_")[0]
    path = values[name] or str(_DIST / f"spanpipe-{runtimes}-{architecture}.zip")
    try:
        read_layer_zip(path, architecture)
    except CommandError as error:
        raise InputError(f"{name}: {error}") from error
    return Path(path)


def _function(values: Mapping[str, str], name: str) -> Path:
    path = Path(values[name] or _DIST / f"function-{name.partition('_')[0]}.zip")
    if not path.is_file():
        raise InputError(f"{name}: {path}: there is no such file; `make functions` builds it")
    return path


def _number(values: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    text = values[name] or str(default)
    if not (text.isascii() and text.isdigit() and least <= int(text) <= most):
        raise InputError(f"{name}: {text!r} must be a whole number from {least} to {most}")
    return int(text)
