"""Each writer's example in the sandbox, with the real extension: its spans, compared whole."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from sandbox.environment import Function, LambdaEnvironment
from sandbox.launcher import write_extensions
from sandbox.receiver import Receiver
from tests.whole.fates import spans_of
from tests.whole.scenario import FOLDER, HANDLER, STEPS
from tests.writers.languages import BUILT, WRITERS, cargo, go_program, tool

SPANS_S = 10.0
USED = [step for step in STEPS if step["answer"] != "timeout"]
ANSWERS = [step["answer"] for step in USED]


def run(
    folder: Path,
    code: Path,
    command: Sequence[str] | None = None,
    *,
    handler: str = HANDLER,
    steps: Sequence[dict[str, Any]] = USED,
) -> tuple[list[str], list[dict[str, Any]]]:
    """(what the callers were told, the spans) of the scenario's steps that end by themselves."""
    folder.mkdir()
    with Receiver() as receiver:
        function = Function(
            handler,
            str(code),
            environ={"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": receiver.http_endpoint},
        )
        extensions = str(write_extensions(folder))
        runtime = None if command is None else tuple(command)
        with LambdaEnvironment(function, extensions, runtime_command=runtime) as environment:
            answers = [environment.invoke(_compact(step["event"])).status for step in steps]
        receiver.wait_for_spans(len(steps), SPANS_S)
        return answers, spans_of(receiver.requests)


def _compact(event: object) -> bytes:
    return json.dumps(event, separators=(",", ":"), ensure_ascii=False).encode()


@pytest.fixture
def expected(python_spans: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those of the Python writer, for a test to change."""
    return copy.deepcopy(python_spans)


@pytest.fixture(scope="module")
def python_spans(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """The spans of the Python writer."""
    answers, spans = run(tmp_path_factory.mktemp("python") / "run", FOLDER)
    assert answers == ANSWERS
    return spans


def test_the_node_example(tmp_path: Path, expected: list[dict[str, Any]]) -> None:
    """A function with the package, on a runtime of few lines over the real Runtime API."""
    node = tool("node")
    code = tmp_path / "example"
    shutil.copytree(WRITERS / "node" / "example", code)
    (code / "node_modules").mkdir()
    (code / "node_modules" / "spanpipe").symlink_to(WRITERS / "node")
    answers, spans = run(tmp_path / "run", code, [node, str(code / "bootstrap.mjs")])
    assert answers == ANSWERS
    assert spans == expected


FROM_START = ("aws.log.group.names", "aws.log.stream.names", "faas.instance")
"""A line tells the result alone: these attributes of the resource come from the writer's START."""


@pytest.mark.parametrize("shell", ["dash", "bash"])
def test_the_shell_example(tmp_path: Path, shell: str) -> None:
    """A custom runtime with curl: its spans are the Python writer's, but for what START tells."""
    tool("curl")
    code = tmp_path / "example"
    shutil.copytree(WRITERS / "shell" / "example", code)
    shutil.copy(WRITERS / "shell" / "spanpipe.sh", code)
    steps = [{"event": {"id": 1}}, {"event": {"id": 2, "text": "ä" * 5000}}]
    command = [tool(shell), str(code / "bootstrap")]
    answers, spans = run(tmp_path / "run", code, command, steps=steps)
    python = run(
        tmp_path / "python", FOLDER, None, steps=steps, handler="captured_function.captured"
    )
    assert answers == python[0] == ["returned"] * 2
    for span in python[1]:
        for name in FROM_START:
            span["resource"].pop(name, None)
    assert spans == python[1]


def without_stacks(spans: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A value that is an error, as in Rust and Go, has no stack trace."""
    events = [event for span in spans for event in span["events"]]
    stacks = [event["attributes"].pop("exception.stacktrace", None) for event in events]
    assert stacks == ["(varies)"]
    return spans


@pytest.mark.registry
def test_the_rust_example(tmp_path: Path, expected: list[dict[str, Any]]) -> None:
    """A function on `lambda_runtime`, with its crates from their registry."""
    cargo("build", "--quiet", folder=WRITERS / "rust" / "example")
    bootstrap = BUILT / "rust" / "debug" / "bootstrap"
    answers, spans = run(tmp_path / "run", tmp_path, [str(bootstrap)])
    assert answers == ANSWERS
    assert spans == without_stacks(expected)


@pytest.mark.registry
def test_the_go_example(tmp_path: Path, expected: list[dict[str, Any]]) -> None:
    """A function on `aws-lambda-go`, from the module proxy."""
    bootstrap = go_program("bootstrap", ".", folder=WRITERS / "go" / "example")
    answers, spans = run(tmp_path / "run", tmp_path, [bootstrap])
    assert answers == ANSWERS
    assert spans == without_stacks(expected)
