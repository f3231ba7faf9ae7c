"""The writers in other languages: where their toolchain is, and how their programs start."""

from __future__ import annotations

import functools
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.whole.fetch import CACHE, cannot, making

ROOT = Path(__file__).resolve().parents[2]
WRITERS = ROOT / "writers"
BUILD_S = 600
BUILT = CACHE.parent / "writers"


def tool(name: str) -> str:
    """Its path; skips the test by name where it is not installed (with `CI`: fails it)."""
    found = shutil.which(name)
    if found is None:
        cannot(f"{name} is not installed")
        raise AssertionError
    return found


def succeed(command: list[str], folder: Path, **environ: str) -> str:
    """Run a tool; its output. Fails with all that it said."""
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **environ},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=BUILD_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-8000:]
    return done.stdout


def node_modules(name: str, packages: Sequence[str]) -> Path:
    """The folder with `packages` from npm, installed once into the cache, and our own beside them.

    Skips the test by name where they cannot be had.
    """
    npm = tool("npm")
    wanted = hashlib.sha256(" ".join(packages).encode()).hexdigest()[:12]
    kept = CACHE / f"{name}-{wanted}"
    with making(kept) as wanting:
        if wanting:
            made = kept.with_name(f"{kept.name}.making")
            command = [
                npm,
                "install",
                "--loglevel=error",
                "--no-audit",
                "--no-fund",
                "--prefix",
                str(made),
            ]
            done = subprocess.run(
                [*command, *packages], capture_output=True, text=True, check=False
            )
            if done.returncode:
                cannot(f"{packages} cannot be installed: {done.stderr.strip()[-300:]}")
            (made / "node_modules" / "spanpipe").symlink_to(WRITERS / "node")
            made.rename(kept)
    return kept / "node_modules"


def cargo(*arguments: str, folder: Path = WRITERS / "rust") -> str:
    """Run it there; what it builds is kept in the cache, and cargo itself locks it."""
    return succeed([tool("cargo"), *arguments], folder, CARGO_TARGET_DIR=str(BUILT / "rust"))


def go(*arguments: str, folder: Path, **environ: str) -> str:
    """Run it there; it downloads no other version of itself."""
    return succeed([tool("go"), *arguments], folder, GOTOOLCHAIN="local", **environ)


def go_program(name: str, package: str, folder: Path, **environ: str) -> str:
    """Build it; the path. Each worker has its own, so that none is written over while it runs."""
    path = str(BUILT / "go" / f"{name}-{os.environ.get('PYTEST_XDIST_WORKER', 'alone')}")
    go("build", "-o", path, package, folder=folder, **environ)
    return path


def python_speaker() -> list[str]:
    return [sys.executable, str(Path(__file__).parent / "python_speaker.py")]


def node_speaker() -> list[str]:
    return [tool("node"), str(WRITERS / "node" / "test" / "speaker.js")]


@functools.cache
def rust_speaker() -> list[str]:
    cargo("build", "--quiet", "--offline", "--example", "speaker")
    return [str(BUILT / "rust" / "debug" / "examples" / "speaker")]


@functools.cache
def go_speaker() -> list[str]:
    return [go_program("speaker", "./speaker", folder=WRITERS / "go", GOPROXY="off")]


SPEAKERS: dict[str, Callable[[], list[str]]] = {
    "node": node_speaker,
    "rust": rust_speaker,
    "go": go_speaker,
}
