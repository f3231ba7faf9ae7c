"""The configuration in force: file, then environment, each value with where it came from."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from extension import otel_environment
from extension.schema import Reading, read_settings
from extension.settings import Settings
from extension.yaml_source import MAX_FILE_BYTES, Node, Place, SourceError, read

TASK_ROOT = "/var/task"
"""Where Lambda unpacks the function; its own variable is not shown to an extension."""
FILE_NAME = "spanpipe.yaml"


@dataclass(frozen=True, slots=True)
class LoadedConfig:
    """What was found.

    Where `errors` is not empty, `settings` are the defaults without an exporter: everything
    is captured and counted, and nothing is sent anywhere on the strength of half a file.
    `origins` has key paths with ``file:line:column`` or a variable's name; what is in neither
    is a default.
    """

    settings: Settings
    file: str | None
    origins: Mapping[str, str]
    errors: tuple[str, ...]


def default_path() -> str | None:
    """The file that the layer ships: beside this package, or in a checkout above it."""
    here = Path(__file__).resolve().parent
    for path in (here / "config.yaml", here.parent / "config.yaml"):
        if path.is_file():
            return str(path)
    return None


def find(environ: Mapping[str, str], task_root: str = TASK_ROOT) -> str | None:
    """``$SPANPIPE_CONFIG``, else ``spanpipe.yaml`` in the function's package, else ours."""
    named = environ.get("SPANPIPE_CONFIG")
    if named:
        return named
    own = os.path.join(task_root, FILE_NAME)
    return own if os.path.isfile(own) else default_path()


def load(
    environ: Mapping[str, str], path: str | None = None, task_root: str = TASK_ROOT
) -> LoadedConfig:
    """The configuration in `path`, else in the file that `find` finds. Never raises."""
    file = path or find(environ, task_root)
    reading = Reading()
    settings = Settings(exporter=None)
    try:
        settings = read_settings(_root(file, environ), reading)
    except SourceError as error:
        reading.errors.append(str(error))
    origins = dict(reading.origins)
    changed, errors = otel_environment.apply(settings, environ, origins)
    errors = reading.errors + errors
    if errors:
        changed = Settings(exporter=None, enabled=changed.enabled, log_level=changed.log_level)
    return LoadedConfig(changed, file, origins, tuple(errors))


def _root(file: str | None, environ: Mapping[str, str]) -> Node:
    if file is None:
        return Node(Place("default", 1, 1), {}, {})
    try:
        with open(file, "rb") as stream:
            data = stream.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise SourceError(f"{file}: cannot be read: {error.strerror}") from error
    if len(data) > MAX_FILE_BYTES:
        raise SourceError(f"{file}: over {MAX_FILE_BYTES} bytes")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SourceError(f"{file}: byte {error.start} is not UTF-8") from error
    return read(text, file, environ)
