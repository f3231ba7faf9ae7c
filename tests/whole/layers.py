"""The layers of this checkout, built once for a run of tests, and what they are to meet."""

from __future__ import annotations

import functools
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from deploy.layer.build import ROOT
from deploy.layer.closure import components
from deploy.layer.errors import LayerError
from deploy.layer.pins import read_pins
from deploy.layer.platforms import ARCHITECTURES, PYTHONS, Architecture
from deploy.layer.pythons import Pythons, fetch, pythons
from deploy.layer.wheels import Index
from tests.whole.fetch import CACHE, cannot, making
from tests.whole.places import LayerOnPython

KEPT = ROOT / ".cache" / "layer"
MB = 1_000_000
SIZES = {"python": 8 * MB, "any": 20 * MB}
"""Zipped, at most: with byte code for every Python, and with an interpreter."""
_SHIFT = 16

PROBE = """\
import importlib, os, sys
packages = sys.argv[1]
sys.path.insert(0, packages)
for package in ("extension", "exporter"):
    for name in sorted(os.listdir(os.path.join(packages, package))):
        module = name.removesuffix(".py")
        if name.endswith(".py") and name not in ("__main__.py", "otlp_grpc.py"):
            importlib.import_module(f"{package}.{module}")
from exporter.signals import http_exporter, signal_of
from exporter.settings import ExporterSettings
from exporter.delivery import open_sender
for signal in ("traces", "metrics", "logs"):
    signal_of(signal), http_exporter(signal)
open_sender(ExporterSettings(protocol="otlp_http", endpoint="http://127.0.0.1:1/v1/traces"))
# What is imported by need alone: lines for the log and back, names of hosts that are not ASCII.
from exporter.lean_requests import requests
from exporter.otlp_json import to_value
from extension.otlp_from_json import from_value
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
request = ExportTraceServiceRequest()
span = request.resource_spans.add().scope_spans.add().spans.add()
span.trace_id, span.span_id = bytes([1] * 16), bytes([2] * 8)
assert from_value(to_value(request)) == request
requests.Request("POST", "http://b\u00fccher.example").prepare()
for name, module in sorted(sys.modules.items()):
    file = getattr(module, "__file__", None)
    if file and file.startswith(packages) and file.endswith(".py"):
        if not os.path.isfile(getattr(module, "__cached__", None) or ""):
            print(name)
"""
"""Imports all that the extension may import, and prints what has no byte code."""


@dataclass(frozen=True, slots=True)
class Built:
    """`dist` is the command's folder; `opt` has each layer's zip unpacked, by name."""

    dist: Path
    printed: str

    def opt(self, name: str) -> Path:
        return self.dist.parent / "opt" / name

    def name(self, runtimes: str, architecture: str) -> str:
        """Skips where the build says that this layer cannot be had here."""
        name = f"spanpipe-{runtimes}-{architecture}"
        for line in self.printed.splitlines():
            if line.startswith(f"{name}: NOT built"):
                cannot(line)
        return name


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Everything, built once."""
    kept = shared_folder(tmp_path_factory) / "layer"
    with making(kept) as wanting:
        if wanting:
            made = kept.with_name("layer.making")
            printed = build(made / "dist")
            (made / "printed").write_text(printed)
            for archive in (made / "dist").glob("*.zip"):
                unpack(archive, made / "opt" / archive.stem)
            made.rename(kept)
    return Built(kept / "dist", (kept / "printed").read_text())


def here() -> Architecture:
    """This machine's; skips where Lambda has none of its kind."""
    for one in ARCHITECTURES:
        if one.machine == platform.machine():
            return one
    cannot(f"Lambda has no {platform.machine()}")
    raise AssertionError


@functools.cache
def at_hand() -> Pythons:
    """The interpreters that the build uses."""
    with making(KEPT / "pythons"):
        return pythons(PYTHONS, os.environ, KEPT / "pythons")


def interpreter(python: str) -> Path:
    """Of that version; skips where none is to be had."""
    found = at_hand().found.get(python)
    if found is None:
        cannot(f"Python {python}: {at_hand().missing[python]}")
        raise AssertionError
    return found


def build(out: Path, *options: str) -> str:
    """Run the command; what it printed. Skips where the packages cannot be had."""
    command = [sys.executable, "-m", "deploy.layer", "--out", str(out), *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode == 1 and re.search("no wheels|cannot be fetched", done.stderr):
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
    prefix = interpreter(python).resolve().parent.parent
    return LayerOnPython(opt, python, prefix, client(python, here()))


def fetched_python(python: str, architecture: Architecture) -> Path:
    """The prefix of the one that the build would fetch; skips where that cannot be."""
    with making(KEPT / "pythons"):
        try:
            found = fetch(python, architecture, os.environ, KEPT / "pythons")
        except LayerError as error:
            cannot(str(error))
            raise AssertionError from error
    return found.parent.parent


def client(python: str, architecture: Architecture) -> Path:
    """The runtime's client, `awslambdaric` with what it needs; skips where it cannot be had."""
    kept = KEPT / f"client-{python}-{architecture.name}"
    with making(kept) as wanting:
        if wanting:
            _make_client(kept, python, architecture)
    return kept


def _make_client(client: Path, python: str, architecture: Architecture) -> None:
    pins = read_pins((ROOT / "constraints.txt").read_text())
    index = Index(KEPT / "wheels")
    try:
        packages = components(("awslambdaric",), pins, index, architecture, (python,))
    except LayerError as error:
        cannot(str(error))
        raise AssertionError from error
    made = client.with_name(f"{client.name}.making")
    for wheel in (wheel for package in packages for wheel in package.wheels):
        with zipfile.ZipFile(wheel.path) as archive:
            archive.extractall(made)
    made.rename(client)
