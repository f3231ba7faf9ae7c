"""The layers of this checkout, built once for a run of tests, and Pythons to meet them."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from deploy.layer.build import ROOT
from deploy.layer.bytecode import interpreters
from deploy.layer.closure import components
from deploy.layer.errors import LayerError
from deploy.layer.pins import read_pins
from deploy.layer.platforms import ARCHITECTURES, PYTHONS
from deploy.layer.wheels import Index
from tests.whole.emulator import LayerOnPython
from tests.whole.fetch import CACHE, cannot, making

FOUND = interpreters(PYTHONS, os.environ)
HERE = next((one for one in ARCHITECTURES if one.machine == platform.machine()), None)
_SHIFT = 16


def build(out: Path, *options: str) -> str:
    """Run the command; what it printed. Skips where the packages cannot be had."""
    command = [sys.executable, "-m", "deploy.layer", "--out", str(out), *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode == 1 and "no wheels" in done.stderr:
        cannot(done.stderr.strip())
    assert done.returncode == 0, done.stderr
    return done.stdout


def unpack(archive: Path, folder: Path) -> Path:
    """As Lambda does: with the permissions that the zip tells."""
    with zipfile.ZipFile(archive) as opened:
        for member in opened.infolist():
            Path(opened.extract(member, folder)).chmod(member.external_attr >> _SHIFT)
    return folder


def static_function() -> Path:
    """The program of `static_function/main.go`; skips where there is no Go."""
    source = Path(__file__).with_name("static_function") / "main.go"
    kept = CACHE / f"static-function-{hashlib.sha256(source.read_bytes()).hexdigest()[:12]}"
    with making(kept) as wanting:
        if wanting:
            go = shutil.which("go")
            if go is None:
                cannot("go is not installed, which builds a static function")
                raise AssertionError
            made = kept.with_name(f"{kept.name}.making")
            subprocess.run(
                [go, "build", "-o", str(made), str(source)],
                env={**os.environ, "CGO_ENABLED": "0"},
                check=True,
            )
            made.rename(kept)
    return kept


def shared_folder(factory: pytest.TempPathFactory) -> Path:
    """One for all workers of this run."""
    base = factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


def on_python(opt: Path, python: str) -> LayerOnPython:
    """The layer in `opt` beside the runtime's client for `python`; skips where there is none."""
    client = ROOT / ".cache" / "layer" / f"client-{python}"
    with making(client) as wanting:
        if wanting:
            _make_client(client, python)
    return LayerOnPython(opt, python, FOUND[python].resolve().parent.parent, client)


def _make_client(client: Path, python: str) -> None:
    if HERE is None:
        cannot(f"Lambda has no {platform.machine()}")
        raise AssertionError
    pins = read_pins((ROOT / "constraints.txt").read_text())
    index = Index(ROOT / ".cache" / "layer" / "wheels")
    try:
        packages = components(("awslambdaric",), pins, index, HERE, (python,))
    except LayerError as error:
        cannot(str(error))
        raise AssertionError from error
    made = client.with_name(f"{client.name}.making")
    for wheel in (wheel for package in packages for wheel in package.wheels):
        with zipfile.ZipFile(wheel.path) as archive:
            archive.extractall(made)
    made.rename(client)
