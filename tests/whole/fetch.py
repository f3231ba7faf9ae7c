"""Programs from elsewhere, taken out of pinned wheels: checked, cached, never committed."""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

CACHE = Path(__file__).resolve().parents[2] / ".cache" / "programs"


@dataclass(frozen=True, slots=True)
class Program:
    """A file in a wheel, or a folder where `member` ends with a slash. `sha256` is the wheel's."""

    requirement: str
    member: str
    sha256: str
    download_options: tuple[str, ...] = ()


_EMULATOR_WHEEL = "24ebaf5ecba38dc1758089968cb89ab61e124b84e92a344fc7a2771a47f4d0bf"
_ROTEL_OPTIONS = (
    "--only-binary=:all:",
    "--python-version=3.11",
    "--platform=manylinux_2_34_x86_64",
)
PROGRAMS = {
    ("emulator", "x86_64"): Program(
        "aws-sam-cli==1.170.0", "samcli/local/rapid/aws-lambda-rie-x86_64", _EMULATOR_WHEEL
    ),
    ("emulator", "aarch64"): Program(
        "aws-sam-cli==1.170.0", "samcli/local/rapid/aws-lambda-rie-arm64", _EMULATOR_WHEEL
    ),
    ("sample events", ""): Program(
        "aws-sam-cli==1.170.0", "samcli/lib/generated_sample_events/", _EMULATOR_WHEEL
    ),
    ("rotel", "x86_64"): Program(
        "rotel==0.0.1a15",
        "rotel/rotel-agent",
        "2f4117e58410c933e0dc042a268ef738dab2e3a5d63b5831209acdac2a6ddcb7",
        _ROTEL_OPTIONS,
    ),
}


@contextmanager
def making(kept: Path) -> Iterator[bool]:
    """Whether `kept` is to be made: one worker does while the others wait for it."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"{kept.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield not kept.exists()


def cannot(reason: str) -> None:
    """Skip the test by name; where `CI` is true fail it, so that a ring cannot go missing."""
    if os.environ.get("CI", "").lower() == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def program(name: str) -> Path:
    """The executable file; skips (or fails) the test where there is none for this machine.

    What is no program, and the same for every machine, has "" in its place.
    """
    wanted = PROGRAMS.get((name, platform.machine())) or PROGRAMS.get((name, ""))
    if wanted is None:
        cannot(f"{name}: no program for {platform.machine()}")
        raise AssertionError
    kept = CACHE / f"{name.replace(' ', '-')}-{wanted.sha256[:12]}"
    with making(kept) as wanting:
        if wanting:
            _download(wanted, kept)
    return kept


def _download(wanted: Program, kept: Path) -> None:
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command += ["--disable-pip-version-check", "--dest", folder, *wanted.download_options]
        done = subprocess.run(
            [*command, wanted.requirement], capture_output=True, text=True, check=False
        )
        if done.returncode:
            cannot(f"{wanted.requirement} cannot be downloaded: {done.stderr.strip()[-300:]}")
        (wheel,) = Path(folder).glob("*.whl")
        found = hashlib.sha256(wheel.read_bytes()).hexdigest()
        if found != wanted.sha256:
            pytest.fail(f"{wheel.name} has hash {found}, not {wanted.sha256}")
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(
                folder, [one for one in archive.namelist() if one.startswith(wanted.member)]
            )
        extracted = Path(folder) / wanted.member
        extracted.chmod(0o755)
        extracted.rename(kept)
