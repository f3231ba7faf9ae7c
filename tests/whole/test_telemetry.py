"""What the Telemetry API adds, and what it must not cost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sandbox.environment import LambdaEnvironment
from sandbox.launcher import write_extensions
from sandbox.receiver import Receiver
from tests.whole.configured import configured
from tests.whole.scenario import invocation_spans
from tests.whole.test_flush import IDLE_S, SLACK_S


def environment(
    folder: Path,
    receiver: Receiver,
    config: str,
    handler: str,
    timeout_s: float = 5.0,
    *,
    telemetry: bool = True,
) -> LambdaEnvironment:
    function = configured(folder, config, receiver.http_endpoint, handler, timeout_s=timeout_s)
    return LambdaEnvironment(function, str(write_extensions(folder)), telemetry=telemetry)


def told(span: dict[str, Any]) -> tuple[str, str | None]:
    attributes = span["attributes"]
    return attributes["spanpipe.fate"], attributes.get("error.type")


@pytest.mark.parametrize("telemetry", [False, True])
@pytest.mark.parametrize("mode", ["auto", "next"])
def test_a_function_without_a_writer_is_never_held(
    tmp_path: Path, mode: str, telemetry: bool
) -> None:
    """Cold, warm, after an error: `/next` is asked while it runs, whatever the platform tells."""
    with (
        Receiver() as receiver,
        environment(
            tmp_path,
            receiver,
            f"flush: {{mode: {mode}}}",
            "telemetry_function.handler",
            telemetry=telemetry,
        ) as env,
    ):
        for event in ("return", "return", "raise", "return"):
            env.invoke(json.dumps(event).encode())
            assert env.wait_idle(IDLE_S)
        held = [
            one.idle_s - one.responded_s
            for one in env.invocations
            if one.idle_s is not None and one.responded_s is not None
        ]
    assert len(held) == 4
    # Half of them, since the machine has other work too; the first may meet the imports.
    assert sorted(held)[1] < SLACK_S


def test_mode_end_holds_a_function_without_a_writer_for_its_end(tmp_path: Path) -> None:
    """The user has asked for it: its span has left before the environment is idle."""
    with (
        Receiver() as receiver,
        environment(
            tmp_path, receiver, "flush: {mode: end}", "telemetry_function.handler", 10.0
        ) as env,
    ):
        env.invoke(b'"return"')
        assert env.wait_idle(IDLE_S)
        last = env.invocations[-1]
        assert last.idle_s is not None
        assert last.responded_s is not None
        assert last.idle_s - last.responded_s < 1.0 + SLACK_S
        assert len(invocation_spans(receiver.requests)) == 1


def test_the_writers_own_words_go_before_the_platforms(tmp_path: Path) -> None:
    """With both, the result and the error are the writer's, and there is one span each."""
    with Receiver() as receiver:
        with environment(tmp_path, receiver, "", "scenario_function.handler") as env:
            env.invoke(b'{"id": 1}')
            env.invoke(b'{"id": 2, "fail": true}')
        spans = invocation_spans(receiver.requests)
    assert [told(span) for span in spans] == [("returned", None), ("raised", "ValueError")]
    assert spans[0]["attributes"]["spanpipe.result.body"] == '{"id":1,"text":""}'
    assert spans[1]["events"][0]["attributes"]["exception.message"] == "as asked"
