"""With the extension absent, killed, stopped or cheated of its FIFO, the answer is the same."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from fifo import pipes
from sandbox.environment import RETURNED, Function, LambdaEnvironment
from sandbox.launcher import write_extensions
from sandbox.receiver import Receiver
from tests.whole.scenario import FOLDER, invocation_spans

HANDLER = "harm_function.handler"
TIMEOUT_S = 3.0
ANSWER = {"answer": "x" * 20_000, "text": "ä€😀"}


def environment(folder: Path, endpoint: str | None) -> LambdaEnvironment:
    extensions = None if endpoint is None else str(write_extensions(folder))
    environ = {} if endpoint is None else {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": endpoint}
    # Lambda itself fails an invocation whose extension has ended; here the function is watched.
    function = Function(
        HANDLER, str(FOLDER), timeout_s=TIMEOUT_S, environ=environ, extension_crash_fails=False
    )
    return LambdaEnvironment(function, extensions)


@pytest.fixture(scope="module")
def answer_without_us(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The payload, byte for byte, in an environment without any extension."""
    with environment(tmp_path_factory.mktemp("alone"), None) as alone:
        result = alone.invoke(b"{}")
    assert (result.status, json.loads(result.payload)) == (RETURNED, ANSWER)
    return result.payload


@pytest.mark.parametrize(
    ("at", "number"),
    [(0, "SIGKILL"), (5, "SIGKILL"), (0, "SIGSTOP")],
    ids=["killed before the write", "killed during the write", "stopped with the pipe full"],
)
def test_the_answer_is_byte_equal_whatever_happens_to_the_extension(
    tmp_path: Path, answer_without_us: bytes, at: int, number: str
) -> None:
    """The function kills or stops the extension between its own messages, 1.6 MB of them."""
    with Receiver() as receiver, environment(tmp_path, receiver.http_endpoint) as harmed:
        assert harmed.invoke(b"{}").payload == answer_without_us
        (pid,) = harmed.extension_pids
        order = {"pid": pid, "signal": number, "at": at, "emits": 400}
        result = harmed.invoke(json.dumps(order).encode())
        assert (result.status, result.payload) == (RETURNED, answer_without_us)
        if number == "SIGSTOP":
            os.kill(pid, signal.SIGCONT)
        # Killed after the write: the next one finds an environment made anew.
        assert harmed.invoke(b"{}").payload == answer_without_us


def make_file(path: Path) -> None:
    path.write_bytes(b"")


def make_folder(path: Path) -> None:
    path.mkdir()


def make_dangling_link(path: Path) -> None:
    path.symlink_to(path.parent / "nowhere")


@pytest.mark.parametrize("make", [make_file, make_folder, make_dangling_link])
def test_a_cheated_fifo_changes_no_answer_and_loses_no_span(
    tmp_path: Path, answer_without_us: bytes, make: Any
) -> None:
    """With something else at the FIFO's path the answer is the same, and the file form serves."""
    with Receiver() as receiver:
        with environment(tmp_path, receiver.http_endpoint) as cheated:
            make(Path(cheated.directory) / pipes.RESULTS_NAME)
            answers = [cheated.invoke(b"{}").payload for _ in range(3)]
            kept = sorted(os.listdir(cheated.directory))
        spans = invocation_spans(receiver.requests)
    assert answers == [answer_without_us] * 3
    assert [one["attributes"]["spanpipe.fate"] for one in spans] == [RETURNED] * 3
    assert all(json.loads(one["attributes"]["spanpipe.result.body"]) == ANSWER for one in spans)
    assert pipes.RESULTS_NAME in kept
    assert "nowhere" not in kept
