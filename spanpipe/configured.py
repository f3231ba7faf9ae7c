"""The configuration that a command works with, found as the extension finds it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from exporter.delivery import open_sender
from exporter.outcome import Sender
from exporter.settings import ExporterSettings
from extension.config import LoadedConfig, load
from spanpipe.errors import CommandError

ENDPOINT_VARIABLE = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
"""What a command's ``--endpoint`` stands for."""
DISABLED = "nothing is exported: OTEL_SDK_DISABLED is true"


class KeysMissingError(CommandError):
    """Secrets or credentials that cannot be had; `problems` has a line for each."""

    def __init__(self, problems: Sequence[str]) -> None:
        more = len(problems) - 1
        super().__init__(problems[0] + (f" (and {more} more)" if more else ""))
        self.problems = tuple(problems)


def open_with_keys(settings: ExporterSettings, environ: Mapping[str, str]) -> Sender:
    """The sender of traces, with the secrets and credentials that it takes fetched now.

    Raises KeysMissingError.
    """
    if not settings.needs_keys:
        return open_sender(settings)
    from exporter.keys import FixedKeys, Keys
    from extension.secret_fetch import Fetcher

    fetched = Fetcher(environ).fetch(settings.secrets, signs=settings.sigv4 is not None)
    if fetched.problems:
        raise KeysMissingError([f"{name}: {text}" for name, text in fetched.problems.items()])
    keys = Keys(fetched.secrets, fetched.credentials)
    return open_sender(settings, source=FixedKeys(keys))


def in_force(environ: Mapping[str, str], file: str | None) -> LoadedConfig:
    """What `environ` and `file`, else the file that is found from the working folder, say."""
    return load(environ, file, task_root=os.getcwd())


def checked_file(path: str) -> Path:
    """What ``--config`` names. Raises CommandError."""
    if not Path(path).is_file():
        raise CommandError(f"--config {path}: there is no such file")
    return Path(path)


def exporter_settings(
    environ: Mapping[str, str], file: str | None, endpoint: str | None
) -> ExporterSettings:
    """Where to send, for ``--config`` and ``--endpoint``. Raises CommandError."""
    if file is not None:
        file = str(checked_file(file))
    if endpoint is not None:
        environ = {**environ, ENDPOINT_VARIABLE: endpoint}
    config = in_force(environ, file)
    if config.errors:
        more = len(config.errors) - 1
        raise CommandError(f"{config.errors[0]}" + (f" (and {more} more)" if more else ""))
    if config.settings.exporter is None:
        raise CommandError(DISABLED)
    return config.settings.exporter
