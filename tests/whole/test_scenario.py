"""The one scenario, on the sandbox and on AWS's emulator."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sandbox.environment import Function, LambdaEnvironment
from sandbox.launcher import write_extensions
from sandbox.receiver import Receiver
from tests.whole.emulator import Emulator
from tests.whole.scenario import FOLDER, HANDLER, SCENARIO, STEPS, invocation_spans

SPANS_S = 10.0


def on_sandbox(folder: Path) -> tuple[list[str], list[dict[str, Any]]]:
    """(what the caller was told, the spans)."""
    folder.mkdir()
    with Receiver() as receiver:
        function = Function(
            HANDLER,
            str(FOLDER),
            timeout_s=SCENARIO["timeout_s"],
            environ={"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": receiver.http_endpoint},
        )
        with LambdaEnvironment(function, str(write_extensions(folder))) as environment:
            answers = [
                environment.invoke(json.dumps(step["event"]).encode()).status for step in STEPS
            ]
        receiver.wait_for_spans(2 * len(STEPS), SPANS_S)
        return answers, invocation_spans(receiver.requests)


def on_emulator(folder: Path) -> tuple[list[str], list[dict[str, Any]]]:
    """The same."""
    folder.mkdir()
    with Receiver() as receiver:
        environ = {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": receiver.http_endpoint}
        timeout_s = SCENARIO["timeout_s"]
        with Emulator(folder, HANDLER, FOLDER, timeout_s, environ) as emulator:
            answers = []
            for step in STEPS:
                status, payload = emulator.invoke(json.dumps(step["event"]).encode())
                answers.append(_answer(status, payload))
            emulator.shutdown()
        receiver.wait_for_spans(2 * len(STEPS), SPANS_S)
        return answers, invocation_spans(receiver.requests)


def _answer(status: int, payload: bytes) -> str:
    if b"timed out" in payload[:500]:
        return "timeout"
    return "error" if status != 200 or b'"errorType"' in payload[:500] else "returned"


def essentials(spans: list[dict[str, Any]]) -> list[tuple[str, bool]]:
    return [
        (one["attributes"]["spanpipe.fate"], one["attributes"]["faas.coldstart"]) for one in spans
    ]


EXPECTED = [(step["fate"], step["cold_start"]) for step in STEPS]


def test_the_sandbox_gives_one_span_for_each_step(tmp_path: Path) -> None:
    """Every step's caller gets its answer, and every step has exactly one invocation span."""
    answers, spans = on_sandbox(tmp_path / "sandbox")
    assert answers == [step["answer"] for step in STEPS]
    assert essentials(spans) == EXPECTED


@pytest.mark.emulator
def test_the_emulator_gives_the_same_spans(tmp_path: Path) -> None:
    """AWS's emulator and the sandbox give the same answers and the same spans, compared whole."""
    answers, spans = on_emulator(tmp_path / "emulator")
    assert answers == [step["answer"] for step in STEPS]
    assert essentials(spans) == EXPECTED
    assert (answers, spans) == on_sandbox(tmp_path / "sandbox")
