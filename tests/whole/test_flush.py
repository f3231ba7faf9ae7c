"""When spans leave and what an invocation pays for it, in each flush mode."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from collectors import breaking
from extension.schedule import START_GRACE_S
from sandbox.environment import Function, LambdaEnvironment
from sandbox.launcher import write_extensions
from sandbox.processes import OnLine
from sandbox.receiver import Receiver
from tests.whole.configured import configured
from tests.whole.scenario import FOLDER, invocation_spans

IDLE_S = 10.0
SLACK_S = 1.0
"""A loaded machine's, far below the function's timeout, to which a fault would hold; the promises
themselves are measured by the benchmarks."""


@contextmanager
def environment(
    folder: Path,
    endpoint: str,
    config: str,
    handler: str = "captured_function.captured",
    timeout_s: float = 5.0,
    on_line: OnLine = lambda name, line: None,
) -> Iterator[LambdaEnvironment]:
    function = configured(folder, config, endpoint, handler, timeout_s=timeout_s)
    with LambdaEnvironment(function, str(write_extensions(folder)), on_line=on_line) as made:
        yield made


def held_s(env: LambdaEnvironment) -> float:
    """How long the extensions kept the last invocation's environment busy after its response."""
    assert env.wait_idle(IDLE_S)
    last = env.invocations[-1]
    assert last.responded_s is not None
    assert last.idle_s is not None
    return last.idle_s - last.responded_s


def arrived(receiver: Receiver) -> int:
    return len([span for span in receiver.spans() if span.kind == 2])


def test_auto_exports_the_first_invocation_before_the_environment_is_idle(tmp_path: Path) -> None:
    """A function that is invoked once is seen at once, without any further event."""
    with (
        Receiver() as receiver,
        environment(tmp_path, receiver.http_endpoint, "", timeout_s=20) as env,
    ):
        env.invoke(b"1")
        held_s(env)
        assert arrived(receiver) == 1
        env.invoke(b"2")
        held_s(env)
        assert arrived(receiver) == 1


def test_end_exports_every_invocation_before_the_environment_is_idle(tmp_path: Path) -> None:
    """Mode end: as many spans as invocations whenever the environment is idle."""
    with (
        Receiver() as receiver,
        environment(tmp_path, receiver.http_endpoint, "flush: {mode: end}", timeout_s=20) as env,
    ):
        for count in (1, 2, 3):
            env.invoke(b"1")
            held_s(env)
            assert arrived(receiver) == count


def test_next_exports_a_due_batch_at_the_next_event(tmp_path: Path) -> None:
    """Mode next: nothing at the end; two are due at the third event, and leave while it runs."""
    config = (
        "flush: {mode: next, max_age_ms: 600000, max_spans: 2, hold_ms: 2000}\nlog_level: debug"
    )
    ready = threading.Event()

    def on_line(name: str, line: str) -> None:
        if "ready to export" in line:
            ready.set()

    with (
        Receiver() as receiver,
        environment(tmp_path, receiver.http_endpoint, config, on_line=on_line) as env,
    ):
        # What is due before exporting is imported waits for the next event too.
        assert env.init()
        assert ready.wait(IDLE_S)
        counts = []
        for _ in range(5):
            env.invoke(b"1")
            held_s(env)
            counts.append(arrived(receiver))
    assert counts == [0, 0, 2, 2, 4]


@pytest.mark.parametrize(
    ("config", "bound_s"),
    [
        ("flush: {mode: next, max_age_ms: 0, hold_ms: 200}", 0.2),
        ("flush: {mode: end}", 0.5),
        ("flush: {mode: auto, max_age_ms: 0}", 0.5),
    ],
)
def test_a_hanging_collector_holds_no_longer_than_the_bound(
    tmp_path: Path, config: str, bound_s: float
) -> None:
    """hold_ms in next; a tenth of the five seconds in end and auto; nothing while it is avoided."""
    with breaking.hanging() as collector:
        endpoint = f"http://127.0.0.1:{collector.port}/v1/traces"
        with environment(tmp_path, endpoint, config) as env:
            held = []
            for _ in range(4):
                env.invoke(b"1")
                held.append(held_s(env))
    assert max(held) < bound_s + SLACK_S, held


@pytest.mark.parametrize("mode", ["auto", "end", "next"])
def test_a_function_without_a_writer_is_never_held(tmp_path: Path, mode: str) -> None:
    """No message will come, and none is waited for; each invocation has its span all the same."""
    config = f"flush: {{mode: {mode}}}"
    with Receiver() as receiver:
        with environment(tmp_path, receiver.http_endpoint, config, "flush_function.plain") as env:
            held = []
            for _ in range(5):
                env.invoke(b"1")
                held.append(held_s(env))
        assert max(held) < SLACK_S, held
        fates = [one["attributes"]["spanpipe.fate"] for one in invocation_spans(receiver.requests)]
    assert fates == ["unreported"] * 5


def test_a_decorated_handler_that_is_not_invoked_is_waited_for_once(tmp_path: Path) -> None:
    """It announces a writer that never speaks: one short grace, then nothing is held any more."""
    with Receiver() as receiver:
        config = "flush: {mode: end}"
        handler = "captured_function.plain"
        with environment(tmp_path, receiver.http_endpoint, config, handler) as env:
            held = []
            for _ in range(3):
                env.invoke(b"1")
                held.append(held_s(env))
    assert held[0] < START_GRACE_S + SLACK_S, held
    assert max(held[1:]) < SLACK_S, held


@pytest.mark.parametrize("handler", ["by_line", "by_file"])
def test_a_line_or_a_file_is_a_result(tmp_path: Path, handler: str) -> None:
    """A shell's printf and the article's own file, credited by request ID, nothing left behind."""
    with Receiver() as receiver:
        with environment(tmp_path, receiver.http_endpoint, "", f"flush_function.{handler}") as env:
            events: list[Any] = [b'{"n":1}', b'"two"']
            for event in events:
                env.invoke(event)
            held_s(env)
            env.shutdown()
            left = sorted(path.name for path in Path(env.directory).iterdir())
            requests = [one.request_id for one in env.invocations]
        spans = invocation_spans(receiver.requests)
        ids = [
            attribute.value.string_value
            for span in receiver.spans()
            for attribute in span.attributes
            if attribute.key == "faas.invocation_id"
        ]
    bodies = [one["attributes"]["spanpipe.result.body"] for one in spans]
    assert (bodies, ids) == ([event.decode() for event in events], requests)
    assert left == ["spanpipe-blackbox", "spanpipe-control.fifo", "spanpipe-results.fifo"]


@pytest.mark.parametrize(
    ("config", "variable", "reason"),
    [
        ("flush: {mod: end}", "x=", "no_exporter"),
        ("", "OTEL_SDK_DISABLED=true", "disabled"),
    ],
)
def test_a_broken_or_disabled_configuration_takes_nothing_down(
    tmp_path: Path, config: str, variable: str, reason: str
) -> None:
    """The function answers, nothing is sent, and the ledger says why."""
    file = tmp_path / "spanpipe.yaml"
    file.write_text(config)
    lines: list[str] = []
    name, _, value = variable.partition("=")
    with Receiver() as receiver:
        function = Function(
            "captured_function.captured",
            str(FOLDER),
            environ={
                "SPANPIPE_CONFIG": str(file),
                "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": receiver.http_endpoint,
                name: value,
            },
        )
        with LambdaEnvironment(
            function,
            str(write_extensions(tmp_path)),
            on_line=lambda name, line: lines.append(line),
        ) as env:
            answers = [env.invoke(b"[1]").payload for _ in range(2)]
        assert receiver.requests == []
    assert answers == [b"[1]"] * 2
    # How many bodies came before the writer heard that they are not wanted is a matter of luck.
    assert lines[-1].partition("; body bytes")[0] == (
        f"spanpipe: shutdown spindown: accepted 2 = exported 0 + waiting 0 + dropped 2 ({reason} 2)"
    )
    if config:
        assert lines[0] == (
            f"spanpipe: error: {file}:1:9: flush.mod: unknown key; did you mean mode?"
        )
