"""The OpenTelemetry Collector, built by its own builder from the Go module proxy, cached."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.whole.fetch import CACHE, cannot, making

VERSION = "v0.140.0"
BUILD_S = 900
MANIFEST = f"""\
dist:
  name: otelcol
  output_path: ./out
receivers:
  - gomod: go.opentelemetry.io/collector/receiver/otlpreceiver {VERSION}
exporters:
  - gomod: go.opentelemetry.io/collector/exporter/debugexporter {VERSION}
"""


def collector_program() -> Path:
    """The built program; the first call builds it, which takes minutes."""
    kept = CACHE / f"otelcol-{hashlib.sha256(MANIFEST.encode()).hexdigest()[:12]}"
    with making(kept) as wanting:
        if wanting:
            _build(kept)
    return kept


def _build(kept: Path) -> None:
    go = shutil.which("go")
    if go is None:
        cannot("go is not installed, which builds the OpenTelemetry Collector")
        return
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        (Path(folder) / "manifest.yaml").write_text(MANIFEST)
        command = [go, "run", f"go.opentelemetry.io/collector/cmd/builder@{VERSION}"]
        command += ["--config", "manifest.yaml"]
        done = subprocess.run(
            command,
            cwd=folder,
            # Not every module proxy passes the checksum database on; the versions are pinned.
            env={**os.environ, "CGO_ENABLED": "0", "GOSUMDB": "off"},
            capture_output=True,
            text=True,
            timeout=BUILD_S,
            check=False,
        )
        if done.returncode:
            cannot(f"the OpenTelemetry Collector cannot be built: {done.stderr[-500:]}")
        (Path(folder) / "out" / "otelcol").rename(kept)
