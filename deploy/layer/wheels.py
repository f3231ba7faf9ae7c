"""Wheels from the package index: of a chosen form, checked by hash, kept in `.cache`."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from email import message_from_string
from email.message import Message
from pathlib import Path

from packaging.utils import NormalizedName, canonicalize_name, parse_wheel_filename

from deploy.layer.errors import LayerError
from deploy.layer.pins import Pin
from deploy.layer.platforms import PYTHONS, Architecture


@dataclass(frozen=True, slots=True)
class Form:
    """Which of a version's wheels: `name` is its folder in the cache."""

    name: str
    options: tuple[str, ...]


PURE = Form("any", ("--platform=any", "--implementation=py", "--abi=none"))


def stable_abi(architecture: Architecture) -> Form:
    """One wheel for every Python from 3.10 on."""
    return _native("abi3", PYTHONS[0], architecture)


def version_abi(python: str, architecture: Architecture) -> Form:
    """The wheel for one version of Python."""
    return _native("cp" + python.replace(".", ""), python, architecture)


def _native(abi: str, python: str, architecture: Architecture) -> Form:
    platform = architecture.wheel_platform
    options = ("--implementation=cp", f"--abi={abi}", f"--platform={platform}")
    return Form(f"{abi}-{architecture.machine}", (*options, f"--python-version={python}"))


@dataclass(frozen=True, slots=True)
class Wheel:
    """A file that has been checked against its pin."""

    name: NormalizedName
    version: str
    sha256: str
    path: Path

    def files(self) -> dict[str, bytes]:
        """Its members by name, without folders."""
        with zipfile.ZipFile(self.path) as archive:
            return {
                name: archive.read(name) for name in archive.namelist() if not name.endswith("/")
            }

    def metadata(self) -> Message:
        """`METADATA` (core metadata, PEP 566)."""
        with zipfile.ZipFile(self.path) as archive:
            (name,) = [one for one in archive.namelist() if one.endswith(".dist-info/METADATA")]
            return message_from_string(archive.read(name).decode())


class Index:
    """The package index that pip knows, behind a cache: what is kept needs no network."""

    def __init__(self, cache: Path) -> None:
        self._cache = cache

    def fetch(self, pins: Sequence[Pin], form: Form) -> list[Wheel]:
        """The wheels of `pins` in `form`. Raises LayerError."""
        folder = self._cache / form.name
        folder.mkdir(parents=True, exist_ok=True)
        missing = [pin for pin in pins if self._kept(pin, folder) is None]
        if missing:
            _download(missing, form, folder)
        wheels = [self._kept(pin, folder) for pin in pins]
        return [wheel for wheel in wheels if wheel is not None]

    @staticmethod
    def _kept(pin: Pin, folder: Path) -> Wheel | None:
        for path in sorted(folder.glob("*.whl")):
            name, version, _, _ = parse_wheel_filename(path.name)
            if name != pin.name or str(version) != pin.version:
                continue
            found = hashlib.sha256(path.read_bytes()).hexdigest()
            if found not in pin.sha256:
                raise LayerError(f"{path} has a hash that constraints.txt does not know: {found}")
            return Wheel(canonicalize_name(name), pin.version, found, path)
        return None


def _download(pins: Sequence[Pin], form: Form, folder: Path) -> None:
    """By pip, which checks the hashes too. Whole or not at all: a cut-off file stays elsewhere."""
    lines = [
        " ".join((f"{pin.name}=={pin.version}", *(f"--hash=sha256:{one}" for one in pin.sha256)))
        for pin in pins
    ]
    with tempfile.TemporaryDirectory(dir=folder) as made:
        requirements = Path(made) / "requirements.txt"
        requirements.write_text("\n".join(lines) + "\n")
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command += ["--disable-pip-version-check", "--only-binary=:all:", "--require-hashes"]
        command += [*form.options, f"--dest={made}", f"--requirement={requirements}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            names = ", ".join(pin.name for pin in pins)
            raise LayerError(f"no wheels ({form.name}) of {names}: {done.stderr.strip()[-500:]}")
        for path in Path(made).glob("*.whl"):
            path.rename(folder / path.name)
