"""With the Telemetry API a function without a writer has fates, reasons and durations."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sandbox.environment import ERROR, RETURNED, Function, LambdaEnvironment
from sandbox.launcher import write_extensions
from sandbox.receiver import Receiver
from tests.whole.scenario import FOLDER, invocation_spans
from tests.whole.test_flush import IDLE_S, SLACK_S


def environment(
    folder: Path, receiver: Receiver, config: str, handler: str, timeout_s: float = 5.0
) -> LambdaEnvironment:
    file = folder / "spanpipe.yaml"
    file.write_text(config)
    function = Function(
        handler,
        str(FOLDER),
        timeout_s=timeout_s,
        environ={
            "SPANPIPE_CONFIG": str(file),
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": receiver.http_endpoint,
        },
    )
    return LambdaEnvironment(function, str(write_extensions(folder)), telemetry=True)


def told(span: dict[str, Any]) -> tuple[str, str | None]:
    attributes = span["attributes"]
    return attributes["spanpipe.fate"], attributes.get("error.type")


def test_every_end_of_a_function_without_a_writer_is_known(tmp_path: Path) -> None:
    """Returned, raised, exited, timed out: one span each, with reason and duration."""
    events = ["return", "raise", "exit", "return", "hang", "return"]
    with Receiver() as receiver:
        with environment(
            tmp_path, receiver, "", "telemetry_function.handler", timeout_s=2.0
        ) as env:
            statuses = []
            for event in events:
                statuses.append(env.invoke(json.dumps(event).encode()).status)
                # A function that is over sooner than its extension has subscribed has no end.
                if statuses[-1] in (RETURNED, ERROR):
                    assert env.wait_for_telemetry(IDLE_S)
        spans = invocation_spans(receiver.requests)
        durations_s = sorted(
            (span.start_time_unix_nano, (span.end_time_unix_nano - span.start_time_unix_nano) / 1e9)
            for span in receiver.spans()
        )
    assert statuses == ["returned", "error", "crash", "returned", "timeout", "returned"]
    assert [told(span) for span in spans] == [
        ("returned", None),
        ("raised", "ValueError"),
        ("crashed", "Runtime.ExitError"),
        ("returned", None),
        ("timed_out", "Sandbox.Timedout"),
        ("returned", None),
    ]
    assert all(
        0.05 <= duration < 1.5
        for (_, duration), event in zip(durations_s, events, strict=True)
        if event == "return"
    )
    assert 1.5 <= durations_s[4][1] <= 2.5


@pytest.mark.parametrize("mode", ["auto", "end", "next"])
def test_a_function_without_a_writer_is_held_for_its_end_at_most(tmp_path: Path, mode: str) -> None:
    """In end and auto its span has left before the environment is idle; nothing waits longer."""
    config = f"flush: {{mode: {mode}}}"
    with (
        Receiver() as receiver,
        environment(
            tmp_path, receiver, config, "telemetry_function.handler", timeout_s=10.0
        ) as env,
    ):
        env.invoke(b'"return"')
        assert env.wait_idle(IDLE_S)
        last = env.invocations[-1]
        assert last.idle_s is not None
        assert last.responded_s is not None
        assert last.idle_s - last.responded_s < 1.0 + SLACK_S
        assert len(receiver.spans()) == (0 if mode == "next" else 1)


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
