"""The one scenario, on the sandbox and on AWS's emulator."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sandbox.environment import Function, LambdaEnvironment
from sandbox.launcher import write_extensions
from sandbox.receiver import Receiver
from tests.whole.scenario import (
    ANSWERS,
    ESSENTIALS,
    FOLDER,
    HANDLER,
    SCENARIO,
    SPANS_S,
    STEPS,
    essentials,
    invocation_spans,
    on_emulator,
)


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


def test_the_sandbox_gives_one_span_for_each_step(tmp_path: Path) -> None:
    """Every step's caller gets its answer, and every step has exactly one invocation span."""
    answers, spans = on_sandbox(tmp_path / "sandbox")
    assert answers == ANSWERS
    assert essentials(spans) == ESSENTIALS


@pytest.mark.emulator
def test_the_emulator_gives_the_same_spans(tmp_path: Path) -> None:
    """AWS's emulator and the sandbox give the same answers and the same spans, compared whole."""
    (tmp_path / "emulator").mkdir()
    answers, spans, _ = on_emulator(tmp_path / "emulator")
    assert answers == ANSWERS
    assert essentials(spans) == ESSENTIALS
    assert (answers, spans) == on_sandbox(tmp_path / "sandbox")
