"""Each writer's own tests, by its own runner: the vectors byte for byte, and its interface."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.writers.languages import WRITERS, cargo, go, succeed, tool


def test_the_node_package() -> None:
    """`node --test`: handlers of every kind, and the vectors."""
    folder = WRITERS / "node"
    files = [str(path) for path in sorted((folder / "test").glob("*.test.js"))]
    output = succeed([tool("node"), "--test", "--test-reporter=tap", *files], folder)
    passed = re.search(r"^# pass (\d+)$", output, re.MULTILINE)
    assert passed is not None
    assert int(passed[1]) >= 40
    assert "# skipped 0\n" in output


def test_the_rust_crate() -> None:
    """`cargo test`, without a network."""
    output = cargo("test", "--offline")
    assert sum(map(int, re.findall(r"^test result: ok. (\d+) passed", output, re.MULTILINE))) >= 11
    assert not re.search(r"[1-9]\d* (failed|ignored|filtered)", output)


def test_the_go_package() -> None:
    """`go vet` and `go test`, without a network."""
    folder = WRITERS / "go"
    go("vet", "./...", folder=folder, GOPROXY="off")
    output = go("test", "-v", "-count=1", ".", folder=folder, GOPROXY="off")
    assert len(re.findall(r"^--- PASS: ", output, re.MULTILINE)) >= 8
    assert "--- SKIP" not in output


@pytest.mark.registry
def test_the_node_packages_types(tmp_path: Path) -> None:
    """By TypeScript's own compiler, strict, imported as a module and as CommonJS."""
    npm, node = tool("npm"), tool("node")
    (tmp_path / "package.json").write_text("{}")
    succeed([npm, "install", "--no-audit", "--no-fund", "typescript@5"], tmp_path)
    (tmp_path / "node_modules" / "spanpipe").symlink_to(WRITERS / "node")
    source = (WRITERS / "node" / "test" / "types.mts").read_text()
    for name in ("types.mts", "types.cts"):
        (tmp_path / name).write_text(source)
    compiler = str(tmp_path / "node_modules" / "typescript" / "bin" / "tsc")
    options = ["--noEmit", "--strict", "--module", "nodenext", "--target", "es2022"]
    assert succeed([node, compiler, *options, "types.mts", "types.cts"], tmp_path) == ""
