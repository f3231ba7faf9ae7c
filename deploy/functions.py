"""The example functions as zips, for CDK, SAM and Terraform: ``python -m deploy.functions``.

python -m deploy.functions [--rust-target TRIPLE] [--out dist]

function-python.zip has `examples/plain.py` (handler ``plain.handler``), function-node.zip and
function-rust.zip are the examples of the writers (``function.handler``, ``bootstrap``).
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from deploy.layer.archive import to_zip
from deploy.layer.tree import EXECUTABLE, File, Tree

ROOT = Path(__file__).resolve().parents[1]
_NODE = ROOT / "writers" / "node"
_RUST = ROOT / "writers" / "rust" / "example"
_TARGET = ROOT / ".cache" / "functions"
_GLIBC = re.compile(rb"GLIBC_2\.(\d+)")
MAX_GLIBC = 34
"""Of Amazon Linux 2023: a program that was linked against a later one does not start."""


class FunctionError(Exception):
    """A function cannot be built; the text says why."""


def main() -> int:
    """Build; 1 and a line for each that cannot be built."""
    parser = argparse.ArgumentParser(prog="deploy.functions", description="Zip the examples.")
    parser.add_argument("--rust-target", metavar="TRIPLE", help="else what cargo builds for")
    parser.add_argument("--out", type=Path, default=ROOT / "dist", metavar="FOLDER")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    functions: dict[str, Callable[[], Tree]] = {
        "python": python_function,
        "node": node_function,
        "rust": lambda: rust_function(options.rust_target),
    }
    status = 0
    for name, make in functions.items():
        path = options.out / f"function-{name}.zip"
        try:
            path.write_bytes(to_zip(make()))
        except FunctionError as error:
            sys.stderr.write(f"deploy.functions: {path.name}: NOT built: {error}\n")
            status = 1
        else:
            sys.stdout.write(f"{path.name}: {path.stat().st_size / 1e6:.2f} MB\n")
    return status


def python_function() -> Tree:
    """A plain handler: the layer's wrapper captures it."""
    return {"plain.py": File((ROOT / "examples" / "plain.py").read_bytes())}


def node_function() -> Tree:
    """The handler with the package beside it, as npm would install it."""
    tree: Tree = {
        name: File((_NODE / "example" / name).read_bytes())
        for name in ("function.mjs", "package.json")
    }
    package = json.loads((_NODE / "package.json").read_text())
    for name in ("package.json", *package["files"]):
        path = _NODE / name
        for one in sorted(path.rglob("*")) if path.is_dir() else [path]:
            inside = f"node_modules/spanpipe/{one.relative_to(_NODE).as_posix()}"
            tree[inside] = File(one.read_bytes())
    return tree


def rust_function(target: str | None = None) -> Tree:
    """The program `bootstrap`, in release mode. Raises FunctionError."""
    cargo = shutil.which("cargo")
    if cargo is None:
        raise FunctionError("cargo is not installed; install Rust")
    command = [cargo, "build", "--release", "--quiet"]
    built = _TARGET
    if target is not None:
        command += ["--target", target]
        built /= target
    done = subprocess.run(
        command,
        cwd=_RUST,
        env={**os.environ, "CARGO_TARGET_DIR": str(_TARGET)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise FunctionError(f"cargo failed: {' '.join(done.stderr.split())[-500:]}")
    program = (built / "release" / "bootstrap").read_bytes()
    check_glibc(program)
    return {"bootstrap": File(program, EXECUTABLE)}


def check_glibc(program: bytes) -> None:
    """Raises FunctionError where Amazon Linux 2023 has not the glibc that `program` asks for."""
    wanted = max(map(int, _GLIBC.findall(program)), default=0)
    if wanted > MAX_GLIBC:
        raise FunctionError(
            f"the program asks for glibc 2.{wanted}, and provided.al2023 has 2.{MAX_GLIBC}; build "
            "it with --rust-target x86_64-unknown-linux-musl, or with cargo-zigbuild"
        )


if __name__ == "__main__":
    sys.exit(main())
