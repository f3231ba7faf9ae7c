"""One layer's tree, put together."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.layer.bill import PATH as BILL
from deploy.layer.bill import bill
from deploy.layer.bytecode import Compiler
from deploy.layer.closure import GRPC_ROOTS, ROOTS, Component, components
from deploy.layer.errors import LayerError, NotHereError
from deploy.layer.interpreter import interpreter, own_python
from deploy.layer.pins import read_pins
from deploy.layer.platforms import PYTHONS, Architecture
from deploy.layer.reached import reached
from deploy.layer.tree import (
    EXECUTABLE,
    FUNCTION,
    LICENSES,
    PACKAGES,
    File,
    Tree,
    put,
    put_wheel,
)
from deploy.layer.wheels import Index

ROOT = Path(__file__).resolve().parents[2]
_LAUNCH = Path(__file__).with_name("launch")
EXTENSION = "extensions/spanpipe"


@dataclass(frozen=True, slots=True)
class Layer:
    """`name` is the zip's, without its suffix."""

    name: str
    tree: Tree


def version() -> str:
    """This repository's."""
    found = re.search('^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    if found is None:
        raise LayerError("pyproject.toml has no version")
    return found[1]


def python_layer(
    architecture: Architecture, index: Index, compiler: Compiler, *, grpc: bool = False
) -> Layer:
    """For Lambda's Python runtimes: one layer for all of them. Raises LayerError."""
    name = _name("python", architecture, grpc=grpc)
    tree: Tree = {}
    put(tree, EXTENSION, File((_LAUNCH / "python").read_bytes(), EXECUTABLE))
    put(tree, "spanpipe/main.py", File((_LAUNCH / "main.py").read_bytes()))
    _put_ours(tree)
    packages = _put_packages(tree, architecture, index, PYTHONS, grpc=grpc)
    compiler.add_byte_code(tree, PYTHONS)
    _put_bill(tree, name, packages, [], compiler, PYTHONS)
    return Layer(name, tree)


def any_layer(
    architecture: Architecture,
    index: Index,
    compiler: Compiler,
    debian_cache: Path,
    *,
    grpc: bool = False,
) -> Layer:
    """For every runtime: with an interpreter of its own. Raises LayerError."""
    name = _name("any", architecture, grpc=grpc)
    python = own_python()
    if python not in compiler.versions:
        raise NotHereError(f"no Python {python} here, which makes the interpreter's byte code")
    tree: Tree = {}
    put(tree, EXTENSION, File((_LAUNCH / "any").read_bytes(), EXECUTABLE))
    _put_ours(tree)
    packages = _put_packages(tree, architecture, index, (python,), grpc=grpc)
    functions = {path: file for path, file in tree.items() if not path.startswith(f"{PACKAGES}/")}
    compiler.add_byte_code(functions, PYTHONS)
    compiler.add_byte_code(tree, (python,))
    tree.update(functions)
    modules = [file.data for path, file in sorted(tree.items()) if path.endswith(".so")]
    own = interpreter(architecture, index, debian_cache, modules)
    tree.update(compiler.only_byte_code(own.tree, python))
    _put_bill(tree, name, packages, own.parts, compiler, PYTHONS)
    return Layer(name, tree)


def _name(runtimes: str, architecture: Architecture, *, grpc: bool) -> str:
    return f"spanpipe-{runtimes}-{architecture.name}{'-grpc' if grpc else ''}"


def _put_ours(tree: Tree) -> None:
    """What both sides run, from this repository; the function's path has `fifo` alone, and
    `spanpipe`, which hands it on. The extension's has what it imports."""
    sources = _sources("fifo", "exporter", "extension")
    for module in reached(sources, "extension.__main__"):
        name = module.replace(".", "/") + ("" if "." in module else "/__init__")
        put(tree, f"{PACKAGES}/{name}.py", File(sources[module]))
    configuration = File((ROOT / "config.yaml").read_bytes())
    put(tree, f"{PACKAGES}/extension/config.yaml", configuration)
    for path in sorted((ROOT / "fifo").glob("*.py")):
        put(tree, f"{FUNCTION}/fifo/{path.name}", File(path.read_bytes()))
    put(
        tree,
        f"{FUNCTION}/spanpipe/__init__.py",
        File((ROOT / "spanpipe" / "__init__.py").read_bytes()),
    )
    for name, mode in (
        ("wrap", EXECUTABLE),
        ("wrapped.py", 0o644),
        ("start/sitecustomize.py", 0o644),
    ):
        put(tree, f"spanpipe/{name}", File((ROOT / "deploy" / name).read_bytes(), mode))
    put(tree, f"{LICENSES}/spanpipe/LICENSE", File((ROOT / "LICENSE").read_bytes()))
    told = f"Metadata-Version: 2.1\nName: spanpipe\nVersion: {version()}\n"
    # The extension's spans name the version; in the function the entry point is what
    # OTEL_TRACES_EXPORTER=spanpipe is found by.
    info = f"spanpipe-{version()}.dist-info"
    for folder in (PACKAGES, FUNCTION):
        put(tree, f"{folder}/{info}/METADATA", File(told.encode()))
    put(tree, f"{FUNCTION}/{info}/entry_points.txt", File(_entry_points()))


def _sources(*packages: str) -> dict[str, bytes]:
    """By dotted name; none of them has a package within."""
    return {
        package if path.stem == "__init__" else f"{package}.{path.stem}": path.read_bytes()
        for package in packages
        for path in (ROOT / package).glob("*.py")
    }


def _entry_points() -> bytes:
    """OpenTelemetry's, as pyproject.toml has them."""
    text = (ROOT / "pyproject.toml").read_text()
    lines = []
    for group, body in re.findall(
        r"^\[project\.entry-points\.(\w+)\]\n((?:.+\n)*)", text, re.MULTILINE
    ):
        lines.append(f"[{group}]")
        lines += [line.replace('"', "") for line in body.splitlines()]
    return ("\n".join(lines) + "\n").encode()


def _put_packages(
    tree: Tree,
    architecture: Architecture,
    index: Index,
    pythons: Sequence[str],
    *,
    grpc: bool,
) -> list[Component]:
    pins = read_pins((ROOT / "constraints.txt").read_text())
    roots = ROOTS + GRPC_ROOTS if grpc else ROOTS
    packages = components(roots, pins, index, architecture, pythons)
    for one in packages:
        for wheel in one.wheels:
            put_wheel(tree, wheel.files(), one.name, python_part=one.python_part)
        if not any(path.startswith(f"{LICENSES}/{one.name}/") for path in tree):
            raise LayerError(f"{one.name} brings no text of its licence")
    return packages


def _put_bill(
    tree: Tree,
    name: str,
    packages: Sequence[Component],
    parts: Sequence[Mapping[str, Any]],
    compiler: Compiler,
    pythons: Sequence[str],
) -> None:
    told = {f"byte-code:{python}": compiler.versions.get(python, "none") for python in pythons}
    put(tree, BILL, File(bill(name, version(), packages, parts, told)))
