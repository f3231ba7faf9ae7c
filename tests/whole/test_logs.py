"""The function's log lines as OTLP log records: off by default, one switch, the right trace."""

from __future__ import annotations

import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from sandbox.environment import LambdaEnvironment
from sandbox.launcher import write_extensions
from sandbox.receiver import Receiver
from spanpipe.run.layers import opt_of
from tests.whole.configured import configured
from tests.whole.test_flush import IDLE_S, SLACK_S

WARN, ERROR = 13, 17
READY_S = 20.0


class Said:
    """What the extension has said; `ready` once it could export; `initialised` once the function
    has printed a line in init; `own` for each last line."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.ready = threading.Event()
        self.initialised = threading.Event()
        self.own = threading.Semaphore(0)

    def on_line(self, name: str, line: str) -> None:
        if name == "spanpipe":
            self.lines.append(line)
            if "ready to export" in line:
                self.ready.set()
        elif "in init" in line:
            self.initialised.set()
        elif "own" in line:
            self.own.release()

    def wait_for_lines(self, env: LambdaEnvironment) -> None:
        """Until the platform has read and told the last line of an invocation."""
        assert self.own.acquire(timeout=IDLE_S)
        env.flush_telemetry()


def environment(
    folder: Path,
    receiver: Receiver,
    said: Said,
    config: str = "signals: {logs: true}",
    timeout_s: float = 20.0,
    layer: Path | None = None,
    **more: Any,
) -> LambdaEnvironment:
    """With the extension of `layer`, an unpacked one, in place of this checkout's."""
    variables = {"SPANPIPE_LOG_LEVEL": "debug", **more}
    handler, endpoint = "log_function.handler", receiver.http_endpoint
    function = configured(folder, config, endpoint, handler, variables, timeout_s=timeout_s)
    extensions = write_extensions(folder)
    opt = opt_of([layer], extensions, folder / "opt", mounted=True) if layer else None
    return LambdaEnvironment(
        function,
        str(opt.extensions if opt else extensions),
        telemetry=True,
        on_line=said.on_line,
        opt=opt,
    )


TOLD = [
    ("in init", 0, "", ""),
    ("plain 1", 0, "function", "1"),
    ("warned 1", WARN, "function", "1"),
    ("own", ERROR, "child", "1"),
    ("plain 2", 0, "function", "2"),
    ("warned 2", WARN, "function", "2"),
    ("own", ERROR, "child", "2"),
]
"""What `two_invocations` have `told`."""


def two_invocations(env: LambdaEnvironment, said: Said) -> None:
    """And their lines, after an init of its own."""
    env.init()
    assert said.ready.wait(READY_S)
    assert said.initialised.wait(READY_S)
    env.flush_telemetry()
    for number in (1, 2):
        env.invoke(f'{{"id": {number}}}'.encode())
        assert env.wait_idle(IDLE_S)
        said.wait_for_lines(env)


def texts(receiver: Receiver) -> list[str]:
    return [record.body.string_value for record in receiver.log_records()]


def told(receiver: Receiver) -> list[tuple[str, int, str, str]]:
    """(Body without what varies, severity, name of its span, request that the span is of)."""
    spans = {(span.trace_id, span.span_id): span for span in receiver.spans()}
    found = []
    # On a loaded machine a request may be cut off and sent again.
    for record in {one.SerializeToString(): one for one in receiver.log_records()}.values():
        span = spans.get((record.trace_id, record.span_id))
        order = sorted(receiver.spans(), key=lambda one: one.start_time_unix_nano)
        traces = list(dict.fromkeys(one.trace_id for one in order if one.kind == 2))
        number = str(1 + traces.index(record.trace_id)) if record.trace_id in traces else ""
        body = record.body.string_value.rpartition("\t")[2]
        found.append((body, record.severity_number, span.name if span else "", number))
    return found


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
@pytest.mark.parametrize("log_format", ["Text", "JSON"])
def test_lines_are_in_their_invocations_trace(
    tmp_path: Path, protocol: str, log_format: str
) -> None:
    """Printed, logged and with a span of their own; in two invocations and in init; redacted."""
    said = Said()
    with Receiver(grpc=True) as receiver:
        endpoint = receiver.grpc_endpoint if protocol == "grpc" else receiver.http_endpoint
        more = {
            "AWS_LAMBDA_LOG_FORMAT": log_format,
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": endpoint,
            "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": protocol,
        }
        with environment(tmp_path, receiver, said, **more) as env:
            two_invocations(env, said)
        found = told(receiver)
        own = next(one for one in receiver.log_records() if one.severity_number == ERROR)
        attributes = {one.key: one.value for one in own.attributes}
    assert found == TOLD
    assert attributes["password"].string_value == "[REDACTED]"
    assert attributes["n"].int_value == 1
    assert attributes["faas.invocation_id"].string_value == env.invocations[0].request_id


@pytest.mark.parametrize(
    ("do", "last"), [("exit", "last words"), ("hang", "own"), ("raise", "own")]
)
def test_what_was_printed_before_the_end_is_in_its_trace(
    tmp_path: Path, do: str, last: str
) -> None:
    """A crash, a timeout, an error: the lines before it, and those of the next, each in its own."""
    said = Said()
    with Receiver() as receiver:
        with environment(tmp_path, receiver, said, timeout_s=3) as env:
            env.init()
            assert said.ready.wait(READY_S)
            env.invoke(f'{{"id": 1, "do": "{do}"}}'.encode())
            if do != "raise":
                said.ready.clear()  # a new extension begins with the next
            env.invoke(b'{"id": 2}')
            assert said.ready.wait(READY_S)
            for _ in (1, 2):
                said.wait_for_lines(env)
        found = told(receiver)
    assert ("plain 1", 0, "function", "1") in found
    assert next((body, number) for body, _, _, number in found if body == last) == (last, "1")
    assert ("plain 2", 0, "function", "2") in found
    assert all(number or body == "in init" for body, _, _, number in found if len(body) < 20)


def test_without_the_switch_there_are_none(tmp_path: Path) -> None:
    """Off by default, and off where the file says so."""
    for config in ("", "signals: {logs: false, metrics: false}"):
        with Receiver() as receiver:
            folder = tmp_path / str(len(config))
            folder.mkdir()
            with environment(folder, receiver, Said(), config) as env:
                env.invoke(b'{"id": 1}')
            assert len(receiver.spans()) > 0
            assert receiver.logs == []


def test_a_flood_delays_nobody_and_is_bounded(tmp_path: Path) -> None:
    """The spans are all there, `/next` is asked at once, what was cut is counted."""
    said, held = Said(), []
    with Receiver() as receiver:
        with environment(tmp_path, receiver, said) as env:
            env.init()
            assert said.ready.wait(READY_S)
            for number in range(1, 5):
                env.invoke(f'{{"id": {number}, "flood": 4000}}'.encode())
                assert env.wait_idle(IDLE_S)
                last = env.invocations[-1]
                assert last.idle_s is not None
                assert last.responded_s is not None
                held.append(last.idle_s - last.responded_s)
        names = Counter(span.name for span in receiver.spans() if span.kind == 2)
        arrived = len({one.SerializeToString() for one in receiver.log_records()})
    assert names == {"function": 4}
    assert sorted(held)[1] < SLACK_S, held
    (farewell,) = [line for line in said.lines if "shutdown spindown" in line]
    noted = dict(
        part.strip().rsplit(" ", 1)
        for part in farewell.partition("noted: ")[2].partition(";")[0].split(",")
        if part.strip().startswith("log_lines_")
    )
    assert arrived + sum(map(int, noted.values())) == 4 * 4_003 + 1


def test_a_collector_that_takes_no_logs_costs_no_span(tmp_path: Path) -> None:
    """What it refuses is told and counted; every invocation has its span."""
    said = Said()
    with Receiver() as receiver:
        more = {"OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": receiver.http_endpoint + "/nowhere"}
        with environment(tmp_path, receiver, said, **more) as env:
            env.init()
            assert said.ready.wait(READY_S)
            for number in (1, 2):
                env.invoke(f'{{"id": {number}}}'.encode())
                assert env.wait_idle(IDLE_S)
        assert Counter(span.name for span in receiver.spans() if span.kind == 2) == {"function": 2}
        assert receiver.logs == []
    assert any("answered 404" in line and "lines dropped" in line for line in said.lines)
    (farewell,) = [line for line in said.lines if "shutdown spindown" in line]
    assert "log_lines_rejected 7" in farewell
