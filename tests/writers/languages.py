"""The writers in other languages: where their toolchain is, and how their programs start."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.whole.fetch import cannot

ROOT = Path(__file__).resolve().parents[2]
WRITERS = ROOT / "writers"


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
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-8000:]
    return done.stdout


def python_speaker() -> list[str]:
    return [sys.executable, str(Path(__file__).parent / "python_speaker.py")]


def node_speaker() -> list[str]:
    return [tool("node"), str(WRITERS / "node" / "test" / "speaker.js")]


SPEAKERS: dict[str, Callable[[], list[str]]] = {"node": node_speaker}
