"""The environment variables that a deployed function would have, and its handler, checked."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from spanpipe.configured import checked_file
from spanpipe.errors import CommandError
from spanpipe.run.env_file import read_env_file


def check_handler(handler: str, directory: Path) -> None:
    """One clear error before anything starts; what the module itself raises is Lambda's to say."""
    module, dot, function = handler.rpartition(".")
    if not dot or not module or not function:
        raise CommandError(f"{handler!r} is no handler: write module.function, such as app.handler")
    path = directory / module.replace(".", "/")
    if not path.with_suffix(".py").is_file() and not (path / "__init__.py").is_file():
        raise CommandError(f"there is no module {module} in {directory} ({path}.py)")


WRAPPER = "AWS_LAMBDA_EXEC_WRAPPER"
OPT, TASK = "/opt/", "/var/task/"
"""Where a deployed function finds its layers and its code."""
OUR_WRAPPER = "/opt/spanpipe/wrap"


def environ_of(
    options: argparse.Namespace,
    directory: Path,
    layers: Sequence[Path],
    own: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """The variables of a function whose code is in `directory`. Raises CommandError.

    ``OTEL_*`` and ``SPANPIPE_*`` as they are here, then those of its `own` that a file gives, then
    ``--env-file`` and ``--env``: the later ones go before the earlier. A configuration file below
    `/var/task` is looked for in `directory`; a wrapper below `/opt` stays as it is where one of
    `layers` has it.
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
    elif environ.get("SPANPIPE_CONFIG", "").startswith(TASK):
        environ["SPANPIPE_CONFIG"] = str(directory / environ["SPANPIPE_CONFIG"].removeprefix(TASK))
    wrapper = OUR_WRAPPER if options.wrap else environ.get(WRAPPER)
    if wrapper:
        environ[WRAPPER] = _checked_wrapper(wrapper, layers)
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


def _checked_wrapper(wrapper: str, layers: Sequence[Path]) -> str:
    """Ours is the checkout's unless a layer has it: the wheel carries none. Raises CommandError."""
    if wrapper.startswith(OPT):
        if any((layer / wrapper.removeprefix(OPT)).is_file() for layer in layers):
            return wrapper
        if wrapper != OUR_WRAPPER:
            raise CommandError(f"{WRAPPER}: no layer has {wrapper}; add its folder: --layer DIR")
        path = Path(__file__).resolve().parents[2] / "deploy" / "wrap"
        if not path.is_file():
            raise CommandError(
                f"{wrapper} is in a layer or a checkout of spanpipe: there is no {path}; name a "
                "built layer with --layer DIR"
            )
        return str(path)
    if not os.access(wrapper, os.X_OK) or not Path(wrapper).is_file():
        raise CommandError(f"{WRAPPER}: {wrapper} is no program that can be run here")
    return wrapper
