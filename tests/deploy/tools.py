"""What the tests of deployments need from elsewhere, and skip by name without."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
from pathlib import Path

from tests.shells.layer_folder import ARM64, X86_64, zipped
from tests.whole.fetch import CACHE, cannot, making

ROOT = Path(__file__).resolve().parents[2]
MACHINES = {"x86_64": X86_64, "arm64": ARM64}
CDK_CLI = "aws-cdk@2.1148.1"
"""From npm; it depends on nothing."""
QUIET_JSII = {
    # It warns of the machine's Node.js, on the standard error of the app.
    "JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION": "18,20,22,24",
    "JSII_SILENCE_WARNING_DEPRECATED_NODE_VERSION": "1",
    "JSII_SILENCE_WARNING_UNTESTED_NODE_VERSION": "1",
}


def needs(module: str) -> None:
    """Skip by name where the package of the extra `deploy` is missing (with `CI`: fail)."""
    if importlib.util.find_spec(module) is None:
        cannot(f"{module} is not installed: make deploy-tools")


def cdk_program() -> Path:
    """The CDK's command from npm, installed once into the cache; skips where it cannot be."""
    npm = shutil.which("npm")
    kept = CACHE / CDK_CLI.replace("@", "-")
    with making(kept) as wanting:
        if wanting:
            if npm is None:
                cannot("npm is not installed, which fetches the CDK's command")
            made = kept.with_name(f"{kept.name}.making")
            done = subprocess.run(
                [str(npm), "install", "--silent", "--no-audit", "--prefix", str(made), CDK_CLI],
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                cannot(f"{CDK_CLI} cannot be installed: {done.stderr.strip()[-300:]}")
            made.rename(kept)
    return kept / "node_modules" / ".bin" / "cdk"


def zips(folder: Path, architecture: str = "x86_64") -> dict[str, str]:
    """The five zips, small but such as each way of deploying takes: input → path."""
    machine = MACHINES[architecture]
    return {
        "python_layer_zip": str(zipped(folder, "python-layer", machine)),
        "any_layer_zip": str(zipped(folder, "any-layer", machine, own_python=True)),
        **{f"{name}_function_zip": str(_function(folder, name)) for name in FUNCTIONS},
    }


FUNCTIONS = {
    "python": ("plain.handler", "python3.13"),
    "node": ("function.handler", "nodejs22.x"),
    "rust": ("bootstrap", "provided.al2023"),
}
"""Each example's handler and runtime, which every way of deploying gives it."""


def _function(folder: Path, name: str) -> Path:
    # Of its bytes only their hash matters here: what is in the real ones is tested where they run.
    path = folder / f"function-{name}.zip"
    path.write_bytes(b"PK\x05\x06" + bytes(18) + name.encode())
    return path


def environment(**more: str) -> dict[str, str]:
    """For a child process."""
    return {**os.environ, **QUIET_JSII, **more}
