"""An unpacked layer, as Lambda would find it in ``/opt``: modes, names, parts, versions."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from spanpipe.doctor.findings import Finding, fine, found
from spanpipe.doctor.symptoms import SYMPTOMS

EXTENSIONS = "extensions"
EXTENSION = "extensions/spanpipe"
OWN_PYTHON = "spanpipe/runtime/bin/python3"
"""Of the layer for every runtime."""
PACKAGES = "spanpipe/packages"
PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14")
"""That the layer for Python runtimes finds in ``/var/lang/bin``."""
_PARTS = (
    f"{PACKAGES}/extension/__main__.py",
    f"{PACKAGES}/extension/config.yaml",
    f"{PACKAGES}/exporter/delivery.py",
    f"{PACKAGES}/fifo/wire.py",
    f"{PACKAGES}/requests/__init__.py",
    f"{PACKAGES}/opentelemetry/sdk",
    f"{PACKAGES}/yaml/__init__.py",
    "python/fifo/__init__.py",
    "python/spanpipe/__init__.py",
    "spanpipe/wrap",
    "spanpipe/wrapped.py",
    "spanpipe/start/sitecustomize.py",
)
_EXECUTABLE = (EXTENSION, "spanpipe/wrap", OWN_PYTHON)
_RUNTIME = re.compile(r"python(3\.\d+)")
_BYTE_CODE = re.compile(r"\.cpython-(3)(\d+)\.pyc$")
_ELF = b"\x7fELF"
_MACHINES = {62: "x86_64", 183: "arm64"}
"""ELF's ``e_machine`` → AWS's name."""
ARCHITECTURES = tuple(_MACHINES.values())
_MAX_LOOKED_AT = 20_000


def is_layer(folder: Path) -> bool:
    """Whether `folder` is meant to be a layer's root, or holds one a level deeper."""
    return (folder / EXTENSIONS).is_dir() or (folder / PACKAGES).is_dir() or bool(_nested(folder))


def layer_findings(
    folder: Path, runtime: str | None = None, architecture: str | None = None
) -> Iterator[Finding]:
    """What is right and wrong with the layer in `folder`.

    `runtime` is Lambda's name for it, such as ``python3.13`` or ``nodejs22.x``; `architecture` is
    one of `ARCHITECTURES`.
    """
    if not (folder / EXTENSIONS).is_dir() and (nested := _nested(folder)):
        yield found(SYMPTOMS["layer_nested"], f"{nested[0]} is where {folder / EXTENSION} belongs")
        return
    others = _others(folder / EXTENSIONS)
    if (folder / EXTENSION).is_file():
        yield fine("extension", f"{folder / EXTENSION}")
        for name in others:
            yield found(SYMPTOMS["layer_extra_file"], f"{EXTENSIONS}/{name}")
    else:
        there = ", ".join(others) or "nothing"
        yield found(SYMPTOMS["layer_wrong_name"], f"{folder / EXTENSIONS} holds {there}")
    yield from _modes(folder)
    yield from _parts(folder)
    if runtime is not None:
        yield from _fits_runtime(folder, runtime)
    if architecture is not None:
        yield from _fits_architecture(folder, architecture)


def _nested(folder: Path) -> list[Path]:
    return sorted(islice(folder.glob(f"*/{EXTENSION}"), 2))


def _others(extensions: Path) -> list[str]:
    if not extensions.is_dir():
        return []
    names = [one.name for one in os.scandir(extensions) if not one.is_dir()]
    return sorted(name for name in names if name != "spanpipe")


def _modes(folder: Path) -> Iterator[Finding]:
    wrong = []
    for name in _EXECUTABLE:
        path = folder / name
        if path.is_file():
            mode = stat.S_IMODE(path.stat().st_mode)
            # Lambda runs as a user to whom nothing in /opt belongs.
            if mode & 0o555 != 0o555:
                wrong.append(f"{name} has mode {mode:04o}, not 0755")
    for one in wrong:
        yield found(SYMPTOMS["layer_not_executable"], one)
    if not wrong:
        yield fine("executable", "the extension and the wrapper have mode 0755")


def _has_own_python(folder: Path) -> bool:
    return (folder / OWN_PYTHON).exists()


def _parts(folder: Path) -> Iterator[Finding]:
    # The layer with an interpreter of its own needs no second file to start.
    parts = _PARTS if _has_own_python(folder) else (*_PARTS, "spanpipe/main.py")
    missing = [name for name in parts if not (folder / name).exists()]
    if missing:
        yield found(SYMPTOMS["layer_incomplete"], f"missing: {', '.join(missing)}")
    else:
        yield fine("parts", f"{len(parts)} looked for, all there")


def _fits_runtime(folder: Path, runtime: str) -> Iterator[Finding]:
    python = _RUNTIME.fullmatch(runtime)
    if not _has_own_python(folder) and (python is None or python[1] not in PYTHONS):
        yield found(SYMPTOMS["layer_runtime_unfit"], f"{runtime}: no Python {PYTHONS[0]} to 3.14")
        return
    # What the interpreter of our own reads is compiled for it; the function's part for all.
    looked_at = [f"{PACKAGES}/extension", "python/fifo"]
    if _has_own_python(folder):
        looked_at = ["python/fifo"] if python is not None else []
    for name in looked_at:
        versions = _compiled_for(folder / name)
        if python is not None and python[1] not in versions:
            has = ", ".join(versions) or "none"
            yield found(SYMPTOMS["layer_no_byte_code"], f"{name}: {python[1]} is not in: {has}")
            return
    yield fine("runtime", f"fits {runtime}")


def _compiled_for(folder: Path) -> list[str]:
    """Versions of Python that every module in `folder` has byte code for."""
    modules = {path.stem for path in folder.glob("*.py")}
    found_for: dict[str, set[str]] = {}
    for path in (folder / "__pycache__").glob("*.pyc"):
        parsed = _BYTE_CODE.search(path.name)
        if parsed is not None:
            version = f"{parsed[1]}.{parsed[2]}"
            found_for.setdefault(version, set()).add(path.name[: parsed.start()])
    whole = [version for version, names in found_for.items() if modules <= names]
    return sorted(whole, key=lambda version: int(version.partition(".")[2]))


def machines(folder: Path) -> set[str]:
    """What the layer's programs and shared libraries are for: names of `ARCHITECTURES`, or
    ``machine N`` with ELF's number for another."""
    return {machine for _, machine in _programs(folder)}


def _programs(folder: Path) -> Iterator[tuple[Path, str]]:
    for path in islice((folder / "spanpipe").rglob("*"), _MAX_LOOKED_AT):
        if path.suffix == ".so" or path == folder / OWN_PYTHON:
            machine = _machine(path)
            if machine is not None:
                yield path, machine


def _fits_architecture(folder: Path, architecture: str) -> Iterator[Finding]:
    for path, machine in _programs(folder):
        if machine != architecture:
            seen = f"{path.relative_to(folder)} is for {machine}, not {architecture}"
            yield found(SYMPTOMS["layer_wrong_architecture"], seen)
            return
    yield fine("architecture", f"nothing in it is for another than {architecture}")


def _machine(path: Path) -> str | None:
    """What an ELF file is for; None for anything else. ELF-64, "ELF Header"."""
    try:
        with path.open("rb") as stream:
            head = stream.read(20)
    except OSError:
        return None
    if not head.startswith(_ELF) or len(head) < 20:
        return None
    number = int.from_bytes(head[18:20], "little")
    return _MACHINES.get(number, f"machine {number}")
