"""The environment variables that a deployed function would have, and its handler, checked."""

from __future__ import annotations

import argparse
import importlib.util
import os
from collections.abc import Mapping
from pathlib import Path

from spanpipe.configured import checked_file
from spanpipe.errors import CommandError
from spanpipe.run.env_file import read_env_file


def check_handler(handler: str, directory: Path) -> None:
    """One clear error before anything starts; what the module itself raises is Lambda's to say."""
    if importlib.util.find_spec("awslambdaric") is None:
        raise CommandError(
            "awslambdaric, Lambda's own Python runtime, is not installed: "
            "pip install 'spanpipe[local]'"
        )
    module, dot, function = handler.rpartition(".")
    if not dot or not module or not function:
        raise CommandError(f"{handler!r} is no handler: write module.function, such as app.handler")
    path = directory / module.replace(".", "/")
    if not path.with_suffix(".py").is_file() and not (path / "__init__.py").is_file():
        raise CommandError(f"there is no module {module} in {directory} ({path}.py)")


def environ_of(
    options: argparse.Namespace, directory: Path, own: Mapping[str, str] | None = None
) -> dict[str, str]:
    """The variables of a function whose code is in `directory`. Raises CommandError.

    ``OTEL_*`` and ``SPANPIPE_*`` as they are here, then those of its `own` that a file gives, then
    ``--env-file`` and ``--env``: the later ones go before the earlier.
    """
    environ = {
        name: value
        for name, value in os.environ.items()
        if name.startswith(("OTEL_", "SPANPIPE_")) and name != "SPANPIPE_DIR"
    }
    environ.update(own or {})
    environ.update(given_variables(options))
    config = options.config
    beside = directory / "spanpipe.yaml"
    if config is None and "SPANPIPE_CONFIG" not in environ and beside.is_file():
        config = str(beside)
    if config is not None:
        environ["SPANPIPE_CONFIG"] = str(checked_file(config).resolve())
    if options.wrap:
        environ["AWS_LAMBDA_EXEC_WRAPPER"] = _wrapper()
    return environ


def given_variables(options: argparse.Namespace) -> dict[str, str]:
    """What ``--env-file`` and ``--env`` give. Raises CommandError."""
    given: dict[str, str] = {}
    for file in options.env_file:
        given.update(read_env_file(file))
    for pair in options.env:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise CommandError(f"--env {pair}: write NAME=VALUE")
        given[name] = value
    return given


def _wrapper() -> str:
    """The layer's file in a checkout; the wheel does not carry it. Raises CommandError."""
    path = Path(__file__).resolve().parents[2] / "deploy" / "wrap"
    if not path.is_file():
        raise CommandError(f"--wrap needs a checkout of spanpipe: there is no {path}")
    return str(path)
