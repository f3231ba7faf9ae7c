"""The example functions, out of the zips that CDK, SAM and Terraform deploy."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from deploy.functions import FunctionError, check_glibc, node_function, python_function
from deploy.layer.archive import to_zip
from sandbox.environment import Function, LambdaEnvironment
from sandbox.launcher import write_extensions
from sandbox.receiver import Receiver
from tests.deploy.tools import ROOT
from tests.whole.fates import spans_of
from tests.whole.layers import unpack
from tests.writers.languages import tool

SPANS_S = 10.0
EVENTS = (b'{"id": 1, "bytes": 3}', b'{"id": 2, "fail": true}')


def built(folder: Path, name: str, make: Any) -> Path:
    """The function's package, as Lambda unpacks it."""
    archive = folder / f"{name}.zip"
    archive.write_bytes(to_zip(make()))
    return unpack(archive, folder / name)


def fates(
    folder: Path, handler: str, code: Path, command: Sequence[str] | None, **environ: str
) -> Any:
    """(answers, each span's result, each span's error type) of `EVENTS`."""
    with Receiver() as receiver:
        environ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"] = receiver.http_endpoint
        function = Function(handler, str(code), environ=environ)
        extensions = folder / "opt"
        extensions.mkdir()
        opt = str(write_extensions(extensions))
        runtime = None if command is None else tuple(command)
        with LambdaEnvironment(function, opt, runtime_command=runtime) as environment:
            answers = [environment.invoke(event).status for event in EVENTS]
        receiver.wait_for_spans(len(EVENTS), SPANS_S)
        told = [
            (one["attributes"].get("spanpipe.result.body"), one["attributes"].get("error.type"))
            for one in spans_of(receiver.requests)
        ]
        return answers, told


def test_the_node_function(tmp_path: Path) -> None:
    """With the package beside it, on a runtime of few lines."""
    code = built(tmp_path, "function-node", node_function)
    runtime = shutil.copy(ROOT / "writers" / "node" / "example" / "bootstrap.mjs", code)
    answers, told = fates(tmp_path, "function.handler", code, [tool("node"), str(runtime)])
    assert answers == ["returned", "error"]
    assert told == [('{"id":1,"text":"xxx"}', None), (None, "ValueError")]


def test_the_python_function(tmp_path: Path) -> None:
    """A handler that knows nothing of spanpipe, captured by the wrapper."""
    code = built(tmp_path, "function-python", python_function)
    assert "spanpipe" not in (code / "plain.py").read_text().split('"""')[2]
    wrapper = str(ROOT / "deploy" / "wrap")
    answers, told = fates(tmp_path, "plain.handler", code, None, AWS_LAMBDA_EXEC_WRAPPER=wrapper)
    assert answers == ["returned", "error"]
    assert told == [('{"id":1,"items":"xxx"}', None), (None, "ValueError")]


@pytest.mark.registry
def test_the_rust_function(tmp_path: Path) -> None:
    """Built by the command in release mode, beside the others; it starts from its zip."""
    tool("cargo")
    done = subprocess.run(
        [sys.executable, "-m", "deploy.functions", "--out", str(tmp_path / "dist")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    names = ["function-python.zip", "function-node.zip", "function-rust.zip"]
    assert [line.partition(":")[0] for line in done.stdout.splitlines()] == names
    assert (tmp_path / "dist" / names[0]).read_bytes() == to_zip(python_function())
    assert (tmp_path / "dist" / names[1]).read_bytes() == to_zip(node_function())
    code = unpack(tmp_path / "dist" / names[2], tmp_path / "rust")
    answers, told = fates(tmp_path, "bootstrap", code, [str(code / "bootstrap")])
    assert answers == ["returned", "error"]
    assert told == [('{"id":1,"text":"xxx"}', None), (None, "ValueError")]


def test_a_program_for_a_later_glibc_is_refused() -> None:
    """It would start here and not on Lambda."""
    check_glibc(b"\0GLIBC_2.34\0GLIBC_2.3.4\0GLIBC_2.2.5\0")
    check_glibc(b"a static program")
    with pytest.raises(FunctionError, match=r"for glibc 2\.36, and provided\.al2023 has 2\.34"):
        check_glibc(b"\0GLIBC_2.34\0GLIBC_2.36\0")
