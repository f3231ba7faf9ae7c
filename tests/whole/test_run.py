"""The command `spanpipe`, run as a user runs it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from collectors.ports import free_port
from extension.otlp_from_json import from_value
from sandbox.receiver import Receiver
from tests.conformance import deviations

ROOT = Path(__file__).resolve().parents[2]
APP = (
    "from fifo import capture\n\n"
    "@capture\n"
    "def handler(event, context):\n"
    "    print('a line of the function')\n"
    "    return {'got': event}\n\n"
    "def plain(event, context):\n"
    "    return 1\n"
)


@pytest.fixture
def app(tmp_path: Path) -> Path:
    """A folder with a user's function."""
    (tmp_path / "app.py").write_text(APP)
    return tmp_path


def spanpipe(folder: Path, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "PYTHONPATH": str(ROOT), **options.pop("environ", {})}
    return subprocess.run(
        [sys.executable, "-m", "spanpipe", *arguments],
        cwd=folder,
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        **options,
    )


def test_run_shows_each_invocation_and_sums_up(app: Path) -> None:
    """A line for each span, plain text in a pipe, and the sum; the function's log apart."""
    arguments = ("--event", '{"id": 1}', "--count", "3", "--output", "table")
    done = spanpipe(app, "run", "app.handler", *arguments)
    assert done.returncode == 0, done.stderr
    header, *rows, fates, duration, cold, overhead, ledger, total = done.stdout.splitlines()
    assert header.split() == ["#", "fate", "duration", "start", "children", "result", "or", "error"]
    assert [row.split()[0:2] for row in rows] == [
        ["1", "returned"],
        ["2", "returned"],
        ["3", "returned"],
    ]
    assert [row.split()[4] for row in rows] == ["cold", "warm", "warm"]
    assert all(row.endswith('{"got":{"id":1}}') for row in rows)
    assert fates == "fates        3 returned"
    spread = r"p50 [\d.]+ ms, p99 [\d.]+ ms"
    assert re.fullmatch(f"duration     {spread}", duration)
    assert cold == "cold starts  1 of 3"
    assert re.fullmatch(f"overhead     {spread}, held by the extension after the end", overhead)
    assert ledger == "ledger       accepted 3 = exported 3 + waiting 0 + dropped 0"
    assert total == "3 invoked, 3 received, 0 lost"
    assert "\x1b" not in done.stdout
    assert done.stderr.count("[function] a line of the function") == 3


def test_run_prints_otlp_json_lines_and_nothing_else(app: Path) -> None:
    """--output json is for jq: every line of standard output is a request."""
    events = app / "events.jsonl"
    events.write_text('{"id": 1}\n\n{"id": 2}\n')
    done = spanpipe(app, "run", "app.handler", "--event", "@events.jsonl", "--output", "json")
    assert done.returncode == 0, done.stderr
    spans = [
        span
        for line in done.stdout.splitlines()
        for resource_spans in json.loads(line)["resourceSpans"]
        for scope_spans in resource_spans["scopeSpans"]
        for span in scope_spans["spans"]
    ]
    requests = [from_value(json.loads(line)) for line in done.stdout.splitlines()]
    assert [one for request in requests for one in deviations(request)] == []
    own = [span for span in spans if span["kind"] == 2]
    assert [(span["name"], len(span["traceId"])) for span in own] == [("app", 32)] * 2
    assert done.stderr.splitlines()[-1] == "2 invoked, 2 received, 0 lost"


def test_run_of_an_undecorated_handler_has_spans_and_a_hint(app: Path) -> None:
    """Without the writer the span comes from INVOKE alone, and the user is told what is missing."""
    done = spanpipe(app, "run", "app.plain", "--count", "2")
    assert done.returncode == 0, done.stderr
    *_, hint, total = done.stdout.splitlines()
    assert hint.startswith("hint: some invocations told no result; decorate the handler")
    assert total == "2 invoked, 2 received, 0 lost"


def test_run_wraps_an_undecorated_handler_when_asked(app: Path) -> None:
    """`--wrap` is what the layer's wrapper does: the same handler tells its result."""
    done = spanpipe(app, "run", "app.plain", "--wrap", "--output", "table")
    assert done.returncode == 0, done.stderr
    _, row, *_, total = done.stdout.splitlines()
    assert (row.split()[1], row.split()[-1], total) == (
        "returned",
        "1",
        "1 invoked, 1 received, 0 lost",
    )


def test_run_sends_to_the_users_own_collector(app: Path) -> None:
    """With --endpoint the receipt is the collector's to say, and the extension's ledger is told."""
    with Receiver() as receiver:
        done = spanpipe(app, "run", "app.handler", "--endpoint", receiver.http_endpoint)
        assert done.returncode == 0, done.stderr
        assert [span.name for span in receiver.spans() if span.kind == 2] == ["app"]
    fates, duration, overhead, *told = done.stdout.splitlines()
    assert fates == "fates        1 returned"
    assert re.fullmatch(r"duration     [\d.]+ ms", duration)
    assert re.fullmatch(r"overhead     [\d.]+ ms, held by the extension after the end", overhead)
    assert told == [
        "1 invoked; what was received is the collector's to say",
        "the extension says: shutdown spindown: accepted 1 = exported 1 + waiting 0 + dropped 0"
        "; body bytes: accepted 10 = exported 10 + waiting 0 + dropped 0",
    ]


def test_run_with_a_collector_that_is_gone_fails(app: Path) -> None:
    """What the extension could not export is status 1, and the log says why."""
    done = spanpipe(
        app, "run", "app.handler", "--endpoint", f"http://127.0.0.1:{free_port()}/v1/traces"
    )
    assert done.returncode == 1
    assert "Connection refused; invocations kept for the next try: 1" in done.stderr
    assert done.stdout.splitlines()[-1].endswith(
        "accepted 1 = exported 0 + waiting 0 + spooled 1 + dropped 0"
        "; body bytes: accepted 10 = exported 0 + waiting 0 + spooled 10 + dropped 0"
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_run_leaves_nothing_behind(app: Path, number: int) -> None:
    """Status 130, no process of the environment, no folder of it."""
    (app / "hang.py").write_text(
        "import time\n\ndef handler(event, context):\n    print('begun')\n    time.sleep(60)\n"
    )
    folder = app / "tmp"
    folder.mkdir()
    with subprocess.Popen(
        [sys.executable, "-m", "spanpipe", "run", "hang.handler", "--timeout", "60"],
        cwd=app,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A background job is started with SIGINT ignored, and hands that on.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "begun" in line:
                break
        (sandbox,) = folder.glob("spanpipe-sandbox-*")
        process.send_signal(number)
        process.communicate(timeout=30)
    assert process.returncode == 130
    assert list(folder.iterdir()) == []
    assert [pid for pid in processes() if str(sandbox) in environ_of(pid)] == []


def processes() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def environ_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/environ").read_text(errors="replace")
    except OSError:
        return ""


def test_run_reads_an_event_from_standard_input(app: Path) -> None:
    """A single dash."""
    done = spanpipe(app, "run", "app.handler", "--event", "-", input='["in"]')
    assert '{"got":["in"]}' in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nodot"], "'nodot' is no handler: write module.function, such as app.handler"),
        (["nope.handler"], "there is no module nope in {folder} ({folder}/nope.py)"),
        (["app.handler", "--event", "{"], "--event: no JSON: "),
        (["app.handler", "--event", "@gone"], "--event @gone: cannot be read: "),
        (["app.handler", "--count", "0"], "--count, --timeout and --memory must be above 0"),
        (["app.handler", "--config", "gone"], "--config gone: there is no such file"),
        (["app.handler", "--env", "X"], "--env X: write NAME=VALUE"),
    ],
)
def test_run_names_what_is_wrong_in_one_line(app: Path, arguments: list[str], message: str) -> None:
    """Bad input is one line on standard error and status 2; nothing was started."""
    done = spanpipe(app, "run", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"spanpipe run: {message.format(folder=app)}")


def test_run_reports_a_handler_that_is_not_there(app: Path) -> None:
    """What Lambda's runtime says of it reaches the user, and the invocation has its span."""
    done = spanpipe(app, "run", "app.missing")
    assert done.returncode == 0, done.stderr
    assert "missing" in done.stderr
    _, row, *_, count = done.stdout.splitlines()
    assert row.split()[:2] == ["1", "init_failed"]
    assert row.endswith("Runtime.HandlerNotFound: init failed")
    assert count == "1 invoked, 1 received, 0 lost"


def test_check_prints_values_and_origins_with_secrets_masked(app: Path) -> None:
    """Where each value came from; no header's value and no password is shown."""
    (app / "spanpipe.yaml").write_text(
        "exporter:\n  otlp_http:\n    endpoint: https://user:s3cret@host/v1/traces?key=s3cret\n"
        "    headers:\n      - {name: api-key, value: s3cret}\nflush: {mode: end}\n"
        "redact: {keys: ['*iban*', tax], patterns: [s3cret]}\n"
    )
    environ = {"OTEL_SERVICE_NAME": "mine"}
    done = spanpipe(app, "check", "spanpipe.yaml", environ=environ)
    assert done.returncode == 0, done.stdout
    rows = {line.split()[0]: line.split()[1:] for line in done.stdout.splitlines()}
    assert rows["exporter.otlp_http.endpoint"] == [
        "https://host/v1/traces",
        "********",
        "spanpipe.yaml:3:15",
    ]
    assert rows["exporter.otlp_http.headers.api-key"] == ["********", "spanpipe.yaml:5:9"]
    assert rows["flush.mode"] == ["end", "spanpipe.yaml:6:15"]
    assert rows["flush.hold_ms"] == ["200", "default"]
    assert rows["redact.keys"] == ["*iban*,", "tax", "spanpipe.yaml:7:16"]
    assert rows["redact.patterns"] == ["1", "(not", "shown)", "spanpipe.yaml:7:43"]
    assert rows["redact.defaults"] == ["true", "default"]
    assert rows["service.name"] == ["mine", "OTEL_SERVICE_NAME"]
    assert "s3cret" not in done.stdout + done.stderr


def test_check_tells_every_error_at_once(app: Path) -> None:
    """File, line, column, key and what to do, for each of them; status 1."""
    (app / "bad.yaml").write_text("flush: {mod: end}\nlog_level: loud\n")
    done = spanpipe(app, "check", "bad.yaml")
    assert (done.returncode, done.stdout.splitlines()) == (
        1,
        [
            "file: bad.yaml",
            "error: bad.yaml:1:9: flush.mod: unknown key; did you mean mode?",
            "error: bad.yaml:2:12: log_level: is 'loud', must be one of debug, info, warning, "
            "error",
            "With these errors the extension captures and counts, and exports nothing.",
        ],
    )


def test_check_sends_a_test_request_when_asked(app: Path) -> None:
    """--send tries the endpoint and says what it answered."""
    with Receiver() as receiver:
        environ = {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": receiver.http_endpoint}
        done = spanpipe(app, "check", "--send", environ=environ)
        assert done.returncode == 0, done.stdout
        assert done.stdout.splitlines()[-1].endswith(f"{receiver.http_endpoint} answered 200 OK")
    done = spanpipe(app, "check", "--send", environ=environ)
    assert done.returncode == 1
    assert "Connection refused" in done.stdout.splitlines()[-1]
