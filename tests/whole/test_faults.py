"""``spanpipe run --faults``: each kind of fault on real processes, and what the user is told."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from spanpipe.run.tally import numbered
from tests.whole.scenario import FOLDER
from tests.whole.test_run import ROOT, spanpipe

XRAY = "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=1"

TIMEOUTS_S = (20, 200)
"""Of the function, one after the other: a loaded machine needs longer for the first export."""


def run(
    folder: Path, plan: str, *arguments: str, handler: str = "handler", **environ: str
) -> subprocess.CompletedProcess[str]:
    """Run the function of `fault_app` with `plan`."""
    (folder / "f.yaml").write_text(plan)
    return spanpipe(
        folder,
        "run",
        f"fault_app.{handler}",
        "--directory",
        str(FOLDER),
        "--faults",
        "f.yaml",
        *arguments,
        environ=environ,
    )


def events(*does: str) -> list[str]:
    return [part for do in does for part in ("--event", json.dumps({"do": do}))]


def in_mode(folder: Path, mode: str, timeout_s: int = 20) -> tuple[str, ...]:
    """With a flush mode; an export is held for, a tenth of the timeout long."""
    config = folder / "spanpipe.yaml"
    config.write_text(f"flush: {{mode: {mode}}}")
    return "--config", str(config), "--timeout", str(timeout_s)


def rows(done: subprocess.CompletedProcess[str]) -> list[tuple[str, str, str, str]]:
    """(number, fate, cold or warm, result or error), in order of number."""
    found = []
    for line in done.stdout.splitlines()[1:]:
        match = re.fullmatch(r" *(\d+|\?)  (\w+) +\S+ m?s  (cold|warm) +\d+  ?(.*)", line)
        if match:
            found.append(match.groups())
    return sorted(found, key=lambda row: int(row[0].replace("?", "0")))  # type: ignore[return-value]


def said(done: subprocess.CompletedProcess[str], name: str = "faults") -> list[str]:
    return [
        line.removeprefix(f"[{name}] ")
        for line in done.stderr.splitlines()
        if line.startswith(f"[{name}] ")
    ]


def server_spans(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    """Invocation spans of --output json, in order of start."""
    found = [
        span
        for line in done.stdout.splitlines()
        for resource_spans in json.loads(line)["resourceSpans"]
        for scope_spans in resource_spans["scopeSpans"]
        for span in scope_spans["spans"]
        if span["kind"] == 2
    ]
    return sorted(found, key=lambda span: int(span["startTimeUnixNano"]))


def attribute(span: dict[str, Any], name: str) -> str | None:
    return next(
        (one["value"]["stringValue"] for one in span["attributes"] if one["key"] == name), None
    )


def total(done: subprocess.CompletedProcess[str]) -> tuple[int, str]:
    return done.returncode, (done.stdout or done.stderr).splitlines()[-1]


def test_the_example_runs_and_its_sum_is_true(tmp_path: Path) -> None:
    """examples/faults.yaml, with the command that stands in it: a row each, or named as lost.

    What a collector refuses at SHUTDOWN may be lost: on a loaded machine that is no surprise.
    """
    example = ROOT / "examples" / "faults.yaml"
    command = re.search(r"spanpipe (run .*?) --faults", example.read_text(), re.DOTALL)
    assert command is not None
    arguments = command[1].replace("\\\n#", "").split()
    done = spanpipe(ROOT, *arguments, "--faults", str(example), environ={"TMPDIR": str(tmp_path)})
    cut = '{"id":4,"items":"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx … (1048595 bytes, cut)'
    expected = [
        ("1", "returned", "cold", '{"id":1,"items":"xx"}'),
        ("2", "returned", "warm", '{"id":2,"items":"xx"}'),
        ("3", "returned", "cold", '{"id":2,"items":"xx"}'),
        ("4", "raised", "warm", "ValueError: no such order: 3"),
        ("5", "returned", "warm", cut),
        ("6", "crashed", "warm", "Runtime.ExitError: the runtime exited"),
        ("7", "returned", "cold", '{"id":1,"items":"xx"}'),
        ("8", "returned", "warm", '{"id":2,"items":"xx"}'),
        ("9", "raised", "warm", "ValueError: no such order: 3"),
        ("10", "returned", "warm", cut),
    ]
    found = rows(done)
    assert found == [row for row in expected if row in found], done.stderr
    lost = [int(row[0]) for row in expected if row not in found]
    told = f" ({numbered(lost)})" if lost else ""
    code, text = total(done)
    assert text.split(", ")[:2] == ["10 invoked", f"{len(found)} received"]
    assert f", {len(lost)} lost{told}" in text
    assert code == (1 if lost else 0)


def test_a_shutdown_of_each_reason_makes_a_new_environment_over_the_same_folder(
    tmp_path: Path,
) -> None:
    """spindown, timeout, failure: the extension is told so, and /tmp is as it was left."""
    plan = (
        "invocations:\n  1: {shutdown_after: spindown}\n  2: {shutdown_after: timeout}\n"
        "  3: {shutdown_after: failure}\n"
    )
    done = run(tmp_path, plan, *events("mark"), "--count", "4")
    assert total(done) == (0, "4 invoked, 4 received, 0 lost"), done.stderr
    assert rows(done) == [
        ("1", "returned", "cold", '"new here"'),
        ("2", "returned", "cold", '"here before"'),
        ("3", "returned", "cold", '"here before"'),
        ("4", "returned", "cold", '"here before"'),
    ]
    reasons = re.findall(r"spanpipe: shutdown (\w+): accepted 1 = exported 1", done.stderr)
    assert reasons == ["spindown", "timeout", "failure", "spindown"]


def test_a_killed_extension_fails_the_invocation_and_its_span_is_named_as_lost(
    tmp_path: Path,
) -> None:
    """As Lambda does: Extension.Crash, a new environment; status 1, and which one was lost."""
    done = run(tmp_path, "invocations: {2: {kill: extension}}", *events("fine"), "--count", "3")
    code, text = total(done)
    assert code == 1
    # The first one's span may have been on its way still.
    assert text.endswith(("lost (#2)", "lost (#1-2)")), done.stderr
    assert rows(done)[-1] == ("3", "returned", "cold", '{"do":"fine"}')
    assert said(done) == ["invocation 2: SIGKILL to the extension at 0 ms"]
    (crash,) = said(done, "sandbox")
    number, _, payload = crash.partition(": ")
    told = json.loads(payload)
    assert (number, told["errorType"]) == ("invocation 2", "Extension.Crash")
    assert told["errorMessage"].endswith(" Error: signal: killed")


def test_a_killed_runtime_is_a_crash_with_its_span(tmp_path: Path) -> None:
    """In the middle of the handler; the next invocation finds a new environment."""
    done = run(
        tmp_path,
        "invocations: {1: {kill: runtime, at_ms: 200}}",
        *events("hang", "fine"),
        "--timeout",
        "30",
    )
    assert total(done) == (0, "2 invoked, 2 received, 0 lost"), done.stderr
    assert rows(done) == [
        ("1", "crashed", "cold", "Runtime.ExitError: the runtime exited"),
        ("2", "returned", "cold", '{"do":"fine"}'),
    ]


def test_a_freeze_stops_the_function_and_lets_it_go_on(tmp_path: Path) -> None:
    """The function itself sees its clock jump, and returns."""
    done = run(
        tmp_path,
        "invocations: {1: {freeze_ms: 400, at_ms: 100}}",
        *events("until stalled"),
        "--timeout",
        "20",
    )
    assert total(done) == (0, "1 invoked, 1 received, 0 lost"), done.stderr
    assert rows(done) == [("1", "returned", "cold", '"stopped"')]


def test_frozen_when_idle_the_function_does_not_run_between_invocations(tmp_path: Path) -> None:
    """A gap before invocation 2: a thread of the function's sees its clock jump over it."""
    for gap_ms in (800, 3_000, 12_000):
        # On a loaded machine the extension may be busy with its imports for most of the gap.
        plan = f"freeze_when_idle: true\ninvocations: {{1: {{freeze_ms: 1, at_ms: {gap_ms}}}}}"
        done = run(tmp_path, plan, *events("fine", "stalled"), *in_mode(tmp_path, "next"))
        assert total(done) == (0, "2 invoked, 2 received, 0 lost"), done.stderr
        if rows(done)[1][3] == '"stopped"':
            break
    assert rows(done)[1] == ("2", "returned", "warm", '"stopped"')


def test_a_retry_has_the_event_and_the_request_id_of_the_one_before(tmp_path: Path) -> None:
    """Two invocations under one ID, each with its span; no event is used up for it."""
    done = run(
        tmp_path,
        "invocations: {2: {retry: true}}",
        *events("a", "b"),
        "--count",
        "3",
        "--output",
        "json",
    )
    assert (done.returncode, done.stderr.splitlines()[-1]) == (0, "3 invoked, 3 received, 0 lost")
    spans = server_spans(done)
    first, again, other = [attribute(span, "faas.invocation_id") for span in spans]
    assert (first == again, first == other) == (True, False)
    bodies = [attribute(span, "spanpipe.result.body") for span in spans]
    assert bodies == ['{"do":"a"}', '{"do":"a"}', '{"do":"b"}']


def test_a_trace_header_is_a_link_and_a_tenant_an_attribute(tmp_path: Path) -> None:
    """Of the invocation that they are given for, and of no other."""
    plan = f'invocations: {{2: {{trace_header: "{XRAY}", tenant_id: blue}}}}'
    done = run(tmp_path, plan, *events("fine"), "--count", "2", "--output", "json")
    assert done.returncode == 0, done.stderr
    told = [
        ([one["traceId"] for one in span.get("links", ())], attribute(span, "spanpipe.tenant.id"))
        for span in server_spans(done)
    ]
    assert told == [([], None), (["5bef4de7ad49b0e87f6ef6c87fc2e700"], "blue")]


@pytest.mark.parametrize(
    ("telemetry", "fate"),
    [("{}", "returned"), ("{drop: 1}", "unreported"), ("{enabled: false}", "unreported")],
)
def test_without_the_platforms_word_a_function_without_a_writer_is_unreported(
    tmp_path: Path, telemetry: str, fate: str
) -> None:
    """All events lost, or no Telemetry API: a span each, and no more is known."""
    plan = f"telemetry: {telemetry}"
    done = run(tmp_path, plan, *events("fine"), "--count", "2", handler="plain")
    assert total(done) == (0, "2 invoked, 2 received, 0 lost"), done.stderr
    assert [row[:2] for row in rows(done)] == [("1", fate), ("2", fate)]


def test_an_enforced_memory_limit_kills_the_function(tmp_path: Path) -> None:
    """The limit of --memory, as Lambda names it."""
    arguments = (*events("hoard", "fine"), "--memory", "100", "--timeout", "30")
    done = run(tmp_path, "enforce_memory: true", *arguments)
    assert total(done) == (0, "2 invoked, 2 received, 0 lost"), done.stderr
    assert [row[:2] for row in rows(done)] == [("1", "out_of_memory"), ("2", "returned")]


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ("{status: 503}", "503"),
        ("{drop_connection: true}", "connection dropped"),
        ("{hang: true}", "no answer"),
    ],
)
def test_a_collector_that_fails_once_loses_nothing(tmp_path: Path, answer: str, told: str) -> None:
    """What was not taken is sent again. Mode end: the first try is over before invocation 2."""
    for timeout_s in TIMEOUTS_S:
        done = run(
            tmp_path,
            f"collector: {{1: {answer}}}",
            *events("fine"),
            *in_mode(tmp_path, "end", timeout_s),
            "--count",
            "2",
            OTEL_EXPORTER_OTLP_TIMEOUT="300",
        )
        assert said(done) == [f"request 1 to the collector: {told}"]
        if done.returncode == 0:
            break
    assert total(done) == (0, "2 invoked, 2 received, 0 lost"), done.stderr


def test_a_late_answer_makes_a_span_arrive_twice_and_count_once(tmp_path: Path) -> None:
    """The collector has it, the extension cannot know: the same span ID, named in the sum."""
    plan = "collector: {1: {delay_ms: 60000}}"
    for timeout_s in TIMEOUTS_S:
        arguments = (*events("fine"), *in_mode(tmp_path, "end", timeout_s))
        done = run(tmp_path, plan, *arguments, OTEL_EXPORTER_OTLP_TIMEOUT="300")
        assert done.returncode == 0, done.stderr
        if "twice" in done.stdout:
            break
    assert total(done) == (0, "1 invoked, 1 received, 0 lost, 1 sent twice"), done.stderr


def test_a_rejected_span_is_lost_and_named(tmp_path: Path) -> None:
    """Partial success: what the collector rejects must not be sent again."""
    plan = "telemetry: {enabled: false}\ncollector: {1-: {rejected_spans: 9}}"
    done = run(tmp_path, plan, *events("fine"), "--count", "3")
    assert total(done) == (1, "3 invoked, 0 received, 3 lost (#1-3)"), done.stderr


def test_entries_that_were_never_reached_are_named(tmp_path: Path) -> None:
    """A number too high is no mistake, but the user should know that nothing was tried."""
    plan = "invocations: {7: {freeze_ms: 1}}\ncollector: {every 900: {status: 503}}"
    done = run(tmp_path, plan, *events("fine"))
    assert done.returncode == 0, done.stderr
    first, second, last = done.stdout.splitlines()[-3:]
    assert first == "hint: f.yaml:1:15: invocations.7: not reached, 1 invoked"
    assert re.fullmatch(
        r"hint: f\.yaml:2:13: collector\.every 900: not reached, (1 request|\d+ requests) came",
        second,
    )
    assert last == "1 invoked, 1 received, 0 lost"


@pytest.mark.parametrize(
    ("plan", "arguments", "lines"),
    [
        (
            "telemetry: {drop: 2}\ninvocations: {1: {kil: runtime}}",
            [],
            [
                "f.yaml:1:19: telemetry.drop: is 2, must be from 0 to 1",
                "f.yaml:2:19: invocations.1.kil: unknown key; did you mean kill?",
            ],
        ),
        ("a: [", [], ["f.yaml:1:5: not YAML: expected the node content, but found '<stream end>'"]),
        (
            "collector: {2: {status: 503}}",
            ["--endpoint", "http://127.0.0.1:1/v1/traces"],
            [
                "f.yaml:1:13: collector.2: with --endpoint the collector is your own, and "
                "answers as it likes; leave the section collector or --endpoint out"
            ],
        ),
        ("", ["--faults", "gone.yaml"], ["gone.yaml: cannot be read: No such file or directory"]),
    ],
)
def test_a_plan_that_cannot_be_used_is_named_line_by_line(
    tmp_path: Path, plan: str, arguments: list[str], lines: list[str]
) -> None:
    """Every mistake at once, with its place; status 2, and nothing was started."""
    done = run(tmp_path, plan, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [f"spanpipe run: {line}" for line in lines]
