"""A layer's folder of few files, for tests that look at layers without building one."""

from __future__ import annotations

import shutil
from pathlib import Path

from deploy.layer.archive import to_zip
from deploy.layer.tree import File, Tree
from sandbox.launcher import write_extensions

X86_64, ARM64 = 62, 183
"""ELF's numbers."""
ROOT = Path(__file__).resolve().parents[2]


def written(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def layer(folder: Path, *, own_python: bool = False) -> Path:
    """The layer's tree from this checkout, as far as the doctor looks."""
    folder.mkdir(parents=True, exist_ok=True)
    write_extensions(folder)
    packages = folder / "spanpipe" / "packages"
    for name in ("extension/__main__.py", "extension/config.yaml", "exporter/delivery.py",
                 "fifo/wire.py", "requests/__init__.py", "opentelemetry/sdk/__init__.py",
                 "yaml/__init__.py"):  # fmt: skip
        written(packages, {name: ""})
    written(packages, {"extension/__pycache__/__main__.cpython-313.pyc": ""})
    written(folder, {"python/fifo/__init__.py": "", "python/spanpipe/__init__.py": ""})
    written(folder, {"python/fifo/__pycache__/__init__.cpython-313.pyc": ""})
    for name in ("wrap", "wrapped.py", "start/sitecustomize.py"):
        to = folder / "spanpipe" / name
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / "deploy" / name, to)
    written(folder, {"spanpipe/main.py": ""})
    if own_python:
        (folder / "spanpipe/main.py").unlink()
        program = written(folder, {"spanpipe/runtime/bin/python3": ""})
        (program / "spanpipe/runtime/bin/python3").chmod(0o755)
    return folder


def elf(machine: int) -> bytes:
    return b"\x7fELF" + bytes(14) + machine.to_bytes(2, "little") + bytes(40)


def zipped(folder: Path, name: str, machine: int = X86_64, *, own_python: bool = False) -> Path:
    """A layer of few files for `machine` (ELF's number), packed as `make layer` packs."""
    opt = layer(folder / "opt" / name, own_python=own_python)
    (opt / "spanpipe" / "packages" / "native.so").write_bytes(elf(machine))
    written(opt, {"python/spanpipe-0.1.0.dist-info/METADATA": ""})
    return packed(opt, folder / f"{name}.zip")


def packed(opt: Path, to: Path) -> Path:
    tree: Tree = {
        str(path.relative_to(opt)): File(path.read_bytes(), path.stat().st_mode & 0o777)
        for path in opt.rglob("*")
        if path.is_file()
    }
    to.write_bytes(to_zip(tree))
    return to
