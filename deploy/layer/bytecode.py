"""Byte code for every Python that is at hand, so that a cold start compiles nothing."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from deploy.layer.errors import LayerError
from deploy.layer.pythons import full_version
from deploy.layer.tree import File, Tree

OPT = "/opt/"
_PROGRAM = Path(__file__).with_name("compile_files.py")


class Compiler:
    """Compiles sources that it has not seen before: two layers share most of theirs."""

    def __init__(self, interpreters: Mapping[str, Path]) -> None:
        self.versions = {python: full_version(path) for python, path in interpreters.items()}
        self._interpreters = interpreters
        self._made: dict[tuple[str, str, bytes], tuple[str, File]] = {}

    def add_byte_code(self, tree: Tree, pythons: Sequence[str]) -> None:
        """For each of `pythons` that is at hand, beside every module in `tree`."""
        sources = {path: file.data for path, file in tree.items() if path.endswith(".py")}
        for python in pythons:
            if python not in self._interpreters:
                continue
            new = {
                path: data
                for path, data in sources.items()
                if (python, path, data) not in self._made
            }
            if new:
                self._compile(python, new)
            tree.update(self._made[python, path, data] for path, data in sources.items())

    def only_byte_code(self, tree: Tree, python: str) -> Tree:
        """`tree` with byte code in place of every module's source (PEP 3147, sourceless imports):
        for one Python alone, and without lines of text in its tracebacks."""
        compiled = dict(tree)
        self.add_byte_code(compiled, (python,))
        return {
            f"{path}c" if path.endswith(".py") else path: (
                self._made[python, path, file.data][1] if path.endswith(".py") else file
            )
            for path, file in tree.items()
        }

    def _compile(self, python: str, sources: Mapping[str, bytes]) -> None:
        with tempfile.TemporaryDirectory() as made:
            folder, target = Path(made) / "sources", Path(made) / "target"
            for path, data in sources.items():
                written = folder / path
                written.parent.mkdir(parents=True, exist_ok=True)
                written.write_bytes(data)
            # Without columns for tracebacks (3.11 on), a quarter of the byte code; lines stay.
            options = ["-s", "-S", "-X", "no_debug_ranges"]
            command = [str(self._interpreters[python]), *options, str(_PROGRAM)]
            done = subprocess.run(
                [*command, str(folder), str(target), OPT],
                input="\n".join(sorted(sources)),
                # Sets are written in the order of their hashes.
                env={"PYTHONHASHSEED": "0", "PATH": os.defpath},
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                raise LayerError(f"Python {python} cannot compile: {done.stderr.strip()[-500:]}")
            tag = "cpython-" + python.replace(".", "")
            for path, data in sources.items():
                parent, _, name = path.rpartition("/")
                pyc = f"{parent}/__pycache__/{name[:-3]}.{tag}.pyc"
                self._made[python, path, data] = (pyc, File((target / pyc).read_bytes()))
