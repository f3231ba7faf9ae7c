"""The OpenTelemetry Collector with what the gateway needs, built from the Go module proxy."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

FOLDER = Path(__file__).parent
MANIFEST = FOLDER / "builder.yaml"
BUILD_S = 1_800
_VERSION = re.compile(r"otlpreceiver (v[0-9.]+)")


class BuildError(Exception):
    """The Collector cannot be built; the text says why."""


def build(program: Path) -> None:
    """Make `program`; three minutes on two processors, seconds where Go has its cache.

    Raises BuildError.
    """
    go = shutil.which("go")
    if go is None:
        raise BuildError("go is not installed, which builds the OpenTelemetry Collector")
    manifest = MANIFEST.read_text(encoding="utf-8")
    version = _VERSION.search(manifest)
    if version is None:
        raise BuildError(f"{MANIFEST.name} names no version of otlpreceiver")
    program.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=program.parent) as folder:
        (Path(folder) / MANIFEST.name).write_text(manifest, encoding="utf-8")
        builder = f"go.opentelemetry.io/collector/cmd/builder@{version[1]}"
        try:
            done = subprocess.run(
                [go, "run", builder, "--config", MANIFEST.name],
                cwd=folder,
                # Not every module proxy passes the checksum database on; the versions are pinned.
                env={**os.environ, "CGO_ENABLED": "0", "GOSUMDB": "off"},
                capture_output=True,
                text=True,
                timeout=BUILD_S,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise BuildError(f"it was not built within {BUILD_S} s") from error
        if done.returncode:
            raise BuildError(f"the builder ended with {done.returncode}: {done.stderr[-500:]}")
        (Path(folder) / "out" / "otelcol").rename(program)
