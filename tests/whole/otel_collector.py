"""The OpenTelemetry Collector, built by its own builder from the Go module proxy, cached."""

from __future__ import annotations

import hashlib
from pathlib import Path

from deploy.gateway.build import MANIFEST, BuildError, build
from tests.whole.fetch import CACHE, cannot, making


def collector_program() -> Path:
    """The built program, the gateway's; the first call builds it, which takes minutes."""
    kept = CACHE / f"otelcol-{hashlib.sha256(MANIFEST.read_bytes()).hexdigest()[:12]}"
    with making(kept) as wanting:
        if wanting:
            try:
                build(kept)
            except BuildError as error:
                cannot(f"the OpenTelemetry Collector cannot be built: {error}")
    return kept
