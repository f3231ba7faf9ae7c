"""A function of this folder with a configuration file of its own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sandbox.function import Function
from tests.whole.scenario import FOLDER


def configured(
    folder: Path,
    config: str,
    endpoint: str,
    handler: str,
    environ: Mapping[str, str] | None = None,
    **changes: Any,
) -> Function:
    """Exports to `endpoint` as `config`, YAML that is kept in `folder`, says.

    `environ` comes on top, and `changes` are a `Function`'s.
    """
    file = folder / "spanpipe.yaml"
    file.write_text(config)
    variables = {
        "SPANPIPE_CONFIG": str(file),
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": endpoint,
        **(environ or {}),
    }
    return Function(handler, str(FOLDER), environ=variables, **{"timeout_s": 5.0, **changes})
