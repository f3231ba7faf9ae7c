"""Rules of the repository itself: which package may import which, and what is not in it."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import fifo
from docs import lifecycle_diagram

ROOT = Path(__file__).resolve().parents[2]
OURS = {
    "fifo",
    "exporter",
    "extension",
    "sandbox",
    "spanpipe",
    "tests",
    "bench",
    "chaos",
    "collectors",
    "deploy",
    "fuzz",
    "examples",
}
MAY_IMPORT = {
    "fifo": set(),
    "exporter": {"fifo"},
    "extension": {"fifo", "exporter"},
    "sandbox": {"fifo", "extension"},
    "collectors": {"sandbox"},
    "spanpipe": {"fifo", "exporter", "extension", "sandbox"},
}


def imports(package: str, without: str = "") -> set[str]:
    """First names of everything that the package's modules import, wherever they do."""
    found: set[str] = set()
    for path in (ROOT / package).glob("*.py"):
        if path.name == without:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found.add(node.module.partition(".")[0])
    return found - {package}


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_imports_run_one_way(package: str) -> None:
    """Along the data's way, and never back."""
    assert imports(package) & OURS <= MAY_IMPORT[package]


def test_fifo_imports_the_standard_library_alone() -> None:
    """What is in the function's process can clash with nothing in it; `fifo.otel` is for
    functions that bring OpenTelemetry, and nothing here imports it."""
    assert imports("fifo", without="otel.py") <= set(sys.stdlib_module_names)
    program = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "from fifo import capture, span\nprint(*sys.modules)\n"
        f"from fifo import {', '.join(fifo.__all__)}\nprint(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True, check=True
    )
    usual, everything = (set(line.split()) for line in done.stdout.splitlines())
    tops = {name.partition(".")[0] for name in everything}
    assert tops - set(sys.stdlib_module_names) == {"__main__", "fifo"}
    assert "fifo.otel" not in everything
    heavy = {"array", "asyncio", "collections", "dataclasses", "enum", "inspect", "json", "logging"}
    heavy |= {"re", "traceback", "typing"}
    assert usual & heavy == set()


def test_the_drawing_of_the_lifecycle_is_the_table() -> None:
    """ARCHITECTURE.md shows the transitions that the code has: `make diagram` draws them."""
    page = lifecycle_diagram.PAGE.read_text(encoding="utf-8")
    assert lifecycle_diagram.with_drawing(page) == page


def tracked_files() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in listed.stdout.decode().split("\0") if name]


def test_no_path_of_a_machine_and_no_index_address_is_tracked() -> None:
    """A clone elsewhere must not depend on where this one was made."""
    wrong = ("/home" + "/", "/root" + "/", "pypi" + ".org", "pythonhosted" + ".org", "/work" + "/")
    found = [
        (path.name, text)
        for path in tracked_files()
        if path.is_file() and path.suffix not in (".png", ".svg")
        for text in wrong
        if text in path.read_text(errors="replace")
    ]
    assert found == []


def test_the_wheel_has_its_packages_and_nothing_else(tmp_path: Path) -> None:
    """Built from the tracked files: the five packages, their data, never tests or bench."""
    source = tmp_path / "source"
    for path in tracked_files():
        to = source / path.relative_to(ROOT)
        to.parent.mkdir(parents=True, exist_ok=True)
        if path.is_symlink():
            to.symlink_to(path.readlink())
        elif path.is_file():
            shutil.copy(path, to)
    program = (
        f"from setuptools import build_meta\nprint(build_meta.build_wheel({str(tmp_path)!r}))\n"
    )
    subprocess.run(
        [sys.executable, "-c", program], cwd=source, capture_output=True, check=True, timeout=60
    )
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.partition("/")[0] for name in names}
    info = next(top for top in tops if top.endswith(".dist-info"))
    assert tops == {"fifo", "exporter", "extension", "sandbox", "spanpipe", info}
    data = {name for name in names if not name.endswith(".py") and not name.startswith(info)}
    assert data == {
        "exporter/py.typed",
        "extension/config.yaml",
        "extension/py.typed",
        "fifo/PROTOCOL.md",
        "fifo/py.typed",
        "sandbox/py.typed",
        "spanpipe/py.typed",
        "spanpipe/view/page/index.html",
        "spanpipe/view/page/list.js",
        "spanpipe/view/page/view.css",
        "spanpipe/view/page/view.js",
    }
    assert (
        zipfile.ZipFile(wheel).read("extension/config.yaml") == (ROOT / "config.yaml").read_bytes()
    )


def _public_class(node: ast.AST) -> bool:
    return isinstance(node, ast.ClassDef) and not node.name.startswith("_")


def test_every_public_function_has_a_docstring() -> None:
    """Modules, classes and functions that others may use say what they are for."""
    missing = []
    for package in MAY_IMPORT:
        for path in (ROOT / package).glob("*.py"):
            tree = ast.parse(path.read_text())
            nodes = [tree, *tree.body]
            nodes += [n for one in tree.body if _public_class(one) for n in one.body]
            for node in nodes:
                if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                    continue
                name = getattr(node, "name", path.stem)
                overload = any(
                    isinstance(one, ast.Name) and one.id == "overload"
                    for one in getattr(node, "decorator_list", ())
                )
                if name.startswith(("_", "do_")) or overload:
                    continue
                if not ast.get_docstring(node):
                    missing.append(f"{path.relative_to(ROOT)}: {name}")
    assert missing == []
