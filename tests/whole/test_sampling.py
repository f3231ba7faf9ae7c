"""Sampling in real environments: what leaves, what is told, and that the ledger adds up."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from sandbox.environment import LambdaEnvironment
from sandbox.launcher import write_extensions
from sandbox.receiver import Receiver
from tests.whole.configured import configured
from tests.whole.test_environments import attributes_of, servers
from tests.whole.test_metrics import counted
from tests.whole.test_otel import TOLD
from tests.whole.test_run import spanpipe

LOW, HIGH = "0" * 16, "f" * 16
"""Last halves of trace IDs below and above any bound that is tried here."""
READY_S = 30.0


class Lived:
    """What a life in one environment has brought: spans, the ledger's line, the answers."""

    def __init__(self, receiver: Receiver, lines: Sequence[str], answers: Sequence[bytes]) -> None:
        self.spans = receiver.spans()
        self.line = next(one for one in lines if one.startswith("spanpipe: shutdown"))
        self.answers = answers
        self.fates = [attributes_of(one)["spanpipe.fate"] for one in servers(receiver)]
        self.metrics = counted(receiver)


def live(folder: Path, handler: str, config: str, events: Sequence[Any], **environ: str) -> Lived:
    """One environment with telemetry, its function called with `events`.

    The second and those after it begin when the configuration has been read.
    """
    lines: list[str] = []
    ready = threading.Event()

    def on_line(name: str, line: str) -> None:
        lines.append(line)
        if "ready to export" in line:
            ready.set()

    with Receiver() as receiver:
        variables, endpoint = {"SPANPIPE_LOG_LEVEL": "debug", **environ}, receiver.http_endpoint
        function = configured(folder, config, endpoint, handler, variables, timeout_s=10.0)
        with LambdaEnvironment(
            function,
            str(write_extensions(folder)),
            telemetry=True,
            on_line=on_line,
        ) as environment:
            answers = []
            for one in events:
                answers.append(environment.invoke(json.dumps(one).encode()).payload)
                assert ready.wait(READY_S)
        return Lived(receiver, lines, answers)


def called(trace_id: str, flag: int, do: str = "fine", status: int = 200) -> dict[str, Any]:
    """A request over HTTP by a span of that trace."""
    return {
        "requestContext": {"http": {"method": "GET", "path": "/"}},
        "routeKey": "GET /",
        "headers": {"traceparent": f"00-{trace_id}-b7ad6b7169203331-0{flag}"},
        "do": do,
        "status": status,
    }


def trace(index: int, low: str) -> str:
    return f"{index:016x}{low}"


def test_nothing_leaves_but_what_failed(tmp_path: Path) -> None:
    """Ratio 0: of five one raised and one answered 500, whatever their callers say."""
    events = [
        {"do": "fine"},
        called(trace(2, HIGH), 1),
        {"do": "raise"},
        called(trace(4, HIGH), 1, status=500),
        called(trace(5, LOW), 1),
    ]
    config = "sample: {sampler: {trace_id_ratio_based: {ratio: 0}}}"
    lived = live(tmp_path, "sample_function.handler", config, events)
    assert lived.fates == ["raised", "returned"]
    assert {one.trace_id.hex() for one in lived.spans if one.parent_span_id} >= {trace(4, HIGH)}
    assert all(one.flags & 1 for one in lived.spans)
    assert "accepted 5 = exported 2 + waiting 0 + dropped 3 (sampled 3)" in lived.line
    accepted, exported, dropped, sampled = bytes_in(lived.line)
    assert (accepted, dropped) == (exported + dropped, sampled)
    assert sampled > 0


def bytes_in(line: str) -> list[int]:
    found = re.search(
        r"body bytes: accepted (\d+) = exported (\d+) \+ waiting 0 \+ dropped (\d+) "
        r"\(sampled (\d+)\)",
        line,
    )
    assert found is not None, line
    return [int(one) for one in found.groups()]


def test_nothing_at_all_leaves_where_errors_do_not(tmp_path: Path) -> None:
    """No span, no late report, no span of the platform or the init; metrics count them all."""
    events = [{"do": "fine"}, {"do": "raise"}, {"do": "fine"}]
    config = "{sample: {sampler: {always_off: }, on_error: false}, signals: {metrics: true}}"
    lived = live(tmp_path, "sample_function.handler", config, events)
    assert lived.spans == []
    assert "accepted 3 = exported 0 + waiting 0 + dropped 3 (sampled 3)" in lived.line
    assert (lived.metrics["faas.invocations"], lived.metrics["faas.errors"]) == (2, 1)


def test_half_of_the_traces_leave_with_all_that_is_theirs(tmp_path: Path) -> None:
    """By the trace ID, in spite of the caller's flag; others are told the same."""
    half = "7" + HIGH[1:]
    events = [called(trace(index, low), index % 2) for index, low in enumerate([LOW, half] * 2, 1)]
    events += [called(trace(index, "8" + LOW[1:]), index % 2) for index in (5, 6)]
    lived = live(
        tmp_path,
        "sample_function.handler",
        "",
        events,
        OTEL_TRACES_SAMPLER="traceidratio",
        OTEL_TRACES_SAMPLER_ARG="0.5",
    )
    assert sorted({one.trace_id.hex() for one in lived.spans}) == [
        trace(index, low) for index, low in enumerate([LOW, half] * 2, 1)
    ]
    assert [flag_in(one) for one in lived.answers[1:]] == [1, 1, 1, 0, 0]
    assert len([one for one in lived.spans if one.name == "work"]) == 4
    assert "accepted 6 = exported 4 + waiting 0 + dropped 2 (sampled 2)" in lived.line


def flag_in(answer: bytes) -> int:
    """The flag in the header that the function would pass on."""
    return int(json.loads(answer)["headers"]["traceparent"][-1])


def test_the_callers_flag_decides_where_there_is_a_caller(tmp_path: Path) -> None:
    """Parent-based, its root off: sampled 1 leaves, 0 and none do not; an SDK's spans go along."""
    events = [called(trace(1, HIGH), 1), called(trace(2, LOW), 0), {}, called(trace(4, HIGH), 1)]
    config = "sample: {sampler: {parent_based: {root: {always_off: }}}}"
    lived = live(tmp_path, "otel_function.handler", config, events)
    traces = {one.trace_id.hex() for one in lived.spans if one.name not in TOLD[:1]}
    assert traces == {trace(1, HIGH), trace(4, HIGH)}
    assert sorted(one.name for one in lived.spans if one.name in TOLD[1:]) == [
        *["inner"] * 2,
        *["outer"] * 2,
    ]
    assert "accepted 4 = exported 2 + waiting 0 + dropped 2 (sampled 2)" in lived.line


def test_without_a_sampler_a_caller_that_is_not_sampled_leaves_too(tmp_path: Path) -> None:
    """Every invocation has its span, and the caller's flag is passed on."""
    events = [called(trace(1, HIGH), 0), called(trace(2, HIGH), 1)]
    lived = live(tmp_path, "sample_function.handler", "", events)
    assert lived.fates == ["returned"] * 2
    assert [flag_in(one) for one in lived.answers] == [0, 1]
    assert "accepted 2 = exported 2 + waiting 0 + dropped 0" in lived.line


@pytest.mark.parametrize("ratio", ["0", "1"])
def test_run_says_what_was_sampled_out(tmp_path: Path, ratio: str) -> None:
    """None of it is called lost, and the exit status is that of success; check shows it."""
    (tmp_path / "app.py").write_text(
        "from fifo import capture\n\n@capture\ndef handler(event, context):\n    return event / 1\n"
    )
    environ = {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": ratio}
    arguments = ("run", "app.handler", "--event", "1", "--event", '"x"', "--event", "2")
    done = spanpipe(tmp_path, *arguments, environ=environ)
    told = "1 received, 2 sampled out" if ratio == "0" else "3 received"
    assert done.stdout.splitlines()[-1] == f"3 invoked, {told}, 0 lost"
    assert done.returncode == 0, done.stderr
    with Receiver() as receiver:
        there = spanpipe(
            tmp_path, *arguments, "--endpoint", receiver.http_endpoint, environ=environ
        )
    assert there.returncode == 0, there.stdout
    shown = spanpipe(tmp_path, "check", environ=environ).stdout
    rows = [re.split(" {2,}", row) for row in shown.splitlines() if row.startswith("sample.")]
    assert rows[0] == ["sample.sampler", f"{ratio} of all traces", "OTEL_TRACES_SAMPLER"]
    assert rows[1][:2] == ["sample.on_error", "true"]
