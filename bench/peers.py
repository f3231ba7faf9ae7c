"""Peers from their registries: pinned, installed once into `.cache/bench`, never committed.

Which they are, and set up how, stands in `bench/BASELINES.md`. Each Python peer has an environment
of its own with the same interpreter and Lambda's runtime client, so that none meets another's
packages.
"""

from __future__ import annotations

import contextlib
import fcntl
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path

from bench.results import ROOT

CACHE = ROOT / ".cache" / "bench" / "peers"
SENTRY = "@sentry/aws-serverless@10.75.2"
INSTALL_S = 300.0


class NotObtainableError(Exception):
    """A peer cannot be had here; says why."""


def _same(*names: str) -> tuple[str, ...]:
    """As `constraints.txt` has them, and so this environment."""
    return tuple(f"{name}=={version(name)}" for name in names)


def _requirements() -> dict[str, tuple[str, ...]]:
    return {
        "bare": (),
        "opentelemetry": _same(
            "opentelemetry-distro",
            "opentelemetry-instrumentation-aws-lambda",
            "opentelemetry-exporter-otlp-proto-http",
            "opentelemetry-sdk",
            "opentelemetry-api",
        ),
        "newrelic": ("newrelic==14.1.0", "newrelic-lambda==1.0.0"),
        "datadog": ("datadog-lambda==8.130.0", "ddtrace==4.16.0"),
    }


def python(name: str) -> Path:
    """The interpreter of `name`'s environment; raises NotObtainableError."""
    wanted = [*_same("awslambdaric"), *_requirements()[name]]
    folder = CACHE / name

    def install() -> None:
        _run([sys.executable, "-m", "venv", "--without-pip", str(folder)])
        pip = [sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python")]
        _run([*pip, "install", "--quiet", "--disable-pip-version-check", *wanted])

    _once(folder, "\n".join([sys.version, *wanted]), install)
    return folder / "bin" / "python"


def sentry() -> Path:
    """Sentry's extension as its layer has it; raises NotObtainableError."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        raise NotObtainableError("node and npm are not installed")
    folder = CACHE / "sentry"

    def install() -> None:
        (folder / "package.json").write_text('{"private": true}\n')
        options = ["--no-audit", "--no-fund", "--ignore-scripts", "--silent"]
        _run(["npm", "install", "--prefix", str(folder), *options, SENTRY])
        built = folder / "node_modules" / "@sentry" / "aws-serverless" / "build"
        opt = folder / "opt"
        (opt / "extensions").mkdir(parents=True)
        (opt / "sentry-extension").mkdir()
        program = opt / "sentry-extension" / "index.mjs"
        shutil.copy(built / "lambda-extension" / "index.mjs", program)
        script = (built / "lambda-extension" / "sentry-extension").read_text()
        if '"/opt/' not in script:
            raise NotObtainableError(f"{SENTRY}: its script does not start anything in /opt")
        to = opt / "extensions" / "sentry-extension"
        to.write_text(script.replace('"/opt/', f'"{opt}/'))
        for path in (program, to):
            path.chmod(0o755)

    _once(folder, SENTRY, install)
    return folder / "opt" / "extensions" / "sentry-extension"


def rotel() -> Path:
    """The agent, as the tests have it; raises NotObtainableError."""
    return _program("rotel")


def emulator() -> Path:
    """AWS's runtime interface emulator, as the tests have it; raises NotObtainableError."""
    return _program("emulator")


@contextlib.contextmanager
def not_skipped() -> Iterator[None]:
    """What would skip a test, or fail it, for want of a program raises NotObtainableError."""
    import pytest

    try:
        yield
    except (pytest.skip.Exception, pytest.fail.Exception) as error:
        raise NotObtainableError(str(error)) from error


def _program(name: str) -> Path:
    with not_skipped():
        from tests.whole.fetch import program

        return program(name)


def _once(folder: Path, wanted: str, install: Callable[[], None]) -> None:
    """Install what is not there, or not in this version, and note that it is whole."""
    mark = folder / "installed.txt"
    with _locked(folder):
        if mark.exists() and mark.read_text() == wanted:
            return
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        print(f"bench: installing {folder.name} into {CACHE.relative_to(ROOT)}", file=sys.stderr)
        install()
        mark.write_text(wanted)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=INSTALL_S
        )
    except subprocess.TimeoutExpired as error:
        raise NotObtainableError(f"{command[0]} took over {INSTALL_S:.0f} s") from error
    if done.returncode:
        raise NotObtainableError(f"{' '.join(command[-3:])}: {done.stderr.strip()[-300:]}")
