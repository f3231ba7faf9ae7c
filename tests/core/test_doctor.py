"""The doctor's table and its reading of logs: complete, and of one mind with the code."""

from __future__ import annotations

import ast
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from docs import troubleshooting_page
from extension import ledger
from extension.ledger import Amount, Ledger
from extension.log import Log
from spanpipe.doctor import signs
from spanpipe.doctor.findings import Finding, Level
from spanpipe.doctor.here import fits
from spanpipe.doctor.log import MAX_SEEN_CHARACTERS, LogReading
from spanpipe.doctor.symptoms import REASONS, SYMPTOMS
from tests.core.test_linear import TIMES_LARGER, TIMES_SLOWER, least_s
from tests.shells.test_doctor import OF_FILES

ROOT = Path(__file__).resolve().parents[2]
PLACE = {
    "cut": 1,
    "drop": 2,
    "dropped": 1,
    "strip": 1,
    "_lost": 1,
    "note": 0,
    "_count": 0,
    "_bad": 0,
}
"""Where a call has its reason, by the method's name."""


def told(*lines: str) -> dict[str, Finding]:
    """What a log of `lines` shows, by name; what is well is left out."""
    reading = LogReading()
    for line in lines:
        reading.line(f"{line}\n")
    return {one.name: one for one in reading.findings() if one.level is not Level.OK}


def constants(tree: ast.Module) -> dict[str, set[str]]:
    """The texts that a module's own names stand for, and those of the ledger."""
    found = {
        name: {value}
        for name, value in vars(ledger).items()
        if name.isupper() and isinstance(value, str)
    }
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            values = node.value.values if isinstance(node.value, ast.Dict) else [node.value]
            texts = [one for one in values if isinstance(one, ast.Constant | ast.Name)]
            found[node.targets[0].id] = {one for text in texts for one in texts_in(text, found)}
    return found


def texts_in(node: ast.AST, names: dict[str, set[str]]) -> set[str]:
    """Every text that an expression may be."""
    found: set[str] = set()
    for one in ast.walk(node):
        if isinstance(one, ast.Constant) and isinstance(one.value, str):
            found.add(one.value)
        elif isinstance(one, ast.Name):
            found |= names.get(one.id, set())
    return found


def emitted_reasons() -> set[str]:
    """Every reason that the extension's code can give to the ledger."""
    found: set[str] = set()
    for path in (ROOT / "extension").glob("*.py"):
        tree = ast.parse(path.read_text())
        names = constants(tree)
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                index = PLACE.get(node.func.attr)
                if index is not None and len(node.args) > index:
                    found |= texts_in(node.args[index], names)
            elif isinstance(node, ast.Assign) and _is_reason(node.targets[0]):
                found |= texts_in(node.value, names)
            elif isinstance(node, ast.For) and "reason" in ast.unparse(node.target):
                found |= texts_in(node.iter, names)
            elif isinstance(node, ast.FunctionDef) and node.name in ("gaps", "reason_of"):
                found |= {one for part in node.body[1:] for one in texts_in(part, names)}
    return {one for one in found if one.isidentifier()}


def _is_reason(target: ast.expr) -> bool:
    name = target.elts[-1] if isinstance(target, ast.Tuple) else target
    return ast.unparse(name).endswith("reason")


NO_REASONS = {"unknown"}
"""Texts at such places that are something else: SHUTDOWN's reason where there was none."""


def test_every_reason_of_the_ledger_has_its_row() -> None:
    """What the code can drop or note is in the table, and nothing that it cannot."""
    assert emitted_reasons() - NO_REASONS == set(REASONS)


def test_the_page_is_current() -> None:
    """`make pages` would change nothing."""
    assert troubleshooting_page.PAGE.read_text() == troubleshooting_page.page()


def test_the_page_names_every_finding_and_no_other() -> None:
    """Each row of the table is a row of the page; a symptom's findings are in the table."""
    rows = [
        line.split("`")[1]
        for line in troubleshooting_page.PAGE.read_text().splitlines()
        if line.startswith("| `")
    ]
    assert rows == list(SYMPTOMS)
    named = {name for one in troubleshooting_page.COMPLAINTS for name in one.findings}
    assert named <= set(SYMPTOMS)


def test_each_finding_says_what_to_do() -> None:
    """Meaning and remedy are sentences of their own, and no two symptoms are told alike."""
    for one in SYMPTOMS.values():
        assert one.says
        assert one.means.endswith(".")
        assert one.todo
    assert len({one.says for one in SYMPTOMS.values()}) == len(SYMPTOMS)


def test_each_reason_is_found_in_the_ledgers_line() -> None:
    """Dropped invocations, dropped bytes and what was noted, each under its own name."""
    for place in ("invocations", "bytes", "noted"):
        for reason in REASONS:
            book = Ledger()
            if place == "noted":
                book.note(reason, 3)
            else:
                amount = Amount(3) if place == "invocations" else Amount(0, 3)
                book.enter(amount)
                book.drop(amount, ledger.WAITING, reason)
            reading = LogReading()
            reading.line(f"spanpipe: shutdown spindown: {book.line()}\n")
            (found,) = [one for one in reading.findings() if one.name == reason]
            expected = "noted: 3" if place == "noted" else f"dropped: 3 {place}"
            assert found.seen == expected


OURS = {
    "spanpipe: error: /tmp/spanpipe-results.fifo: is no FIFO; remove it and the FIFO is made anew; "
    "until then results come by file": "fifo_replaced",
    "spanpipe: error: /x/spanpipe-results.fifo: cannot be made: No such file or directory; results "
    "come by file, if at all": "fifo_not_made",
    "spanpipe: warning: spool: /x: cannot be written: No space left on device": "disk_full",
    "spanpipe: error: internal fault, no more spans from this environment: KeyError: 'x'": (
        "extension_fault"
    ),
    "spanpipe: error: cannot register: /register answered 403 b''": "extension_not_registered",
    "spanpipe: error: AWS_LAMBDA_RUNTIME_API is not set: Lambda starts this program from "
    "/opt/extensions; to try a function here, use: spanpipe run app.handler": (
        "extension_started_by_hand"
    ),
    "spanpipe: error: there is no Python 3.10 to 3.14 in /var/lang/bin; take the layer "
    "spanpipe-any": "extension_no_python",
    "spanpipe: error: the Extensions API at 127.0.0.1:9001 is gone: closed": "extensions_api_gone",
    "spanpipe: warning: the extension before this one was killed: invocations lost 1, perhaps "
    "exported 0": "extension_killed",
    "spanpipe: warning: keys: ssm:/a: answered 400 ParameterNotFound: there is none of that "
    "name in this region and account; invocations wait for it in memory and in /tmp": (
        "secret_unusable"
    ),
    "spanpipe: warning: keys: secretsmanager:a#b: its JSON has no such key; what was fetched "
    "before is used": "secret_unusable",
    "spanpipe: warning: keys: ssm:/a: ssm.eu-west-1.amazonaws.com: no answer in time; invocations "
    "wait for it in memory and in /tmp": "secret_unreachable",
    "spanpipe: warning: keys: ssm:/a: answered 400 AccessDeniedException: the function's role does "
    "not allow it: it needs ssm:GetParameter": "role_denied",
    "spanpipe: warning: keys: credentials: there are none: neither": "credentials_missing",
    "spanpipe: warning: keys: ssm:/a: answered 403 SignatureDoesNotMatch: the signature does not "
    "match: wrong": "signature_refused",
    "spanpipe: warning: keys: ssm:/a: answered 400 InvalidSignatureException: the signature's time "
    "is refused: the clock here is wrong by 3600 s (ahead); invocations": "clock_wrong",
    "spanpipe: error: something new": "extension_error",
    "spanpipe: warning: something new": "extension_warning",
    "spanpipe: debug: no Telemetry API: 202": "telemetry_absent",
    "spanpipe: warning: SPANPIPE_EXEC_WRAPPER: /opt/x cannot be run; it is left out": (
        "wrapper_missing"
    ),
    "spanpipe: warning: /opt/spanpipe is not whole; the function runs without spanpipe": (
        "wrapper_failed"
    ),
    "spanpipe: error: /var/task/spanpipe.yaml:3:5: flush.mode: unknown": "configuration_broken",
    "spanpipe: error: OTEL_EXPORTER_OTLP_TIMEOUT: is no number": "configuration_broken",
    "spanpipe: shutdown spindown: accepted 2 = exported 0 + waiting 0 + spooled 2 + dropped 0": (
        "left_in_spool"
    ),
    "spanpipe: shutdown timeout: accepted 2 = exported 2 + waiting 0 + dropped 0; uncertain 1": (
        "sent_perhaps_twice"
    ),
}
EXPORTS = {
    "ConnectionRefusedError: Connection refused": "collector_unreachable",
    "not reached in time": "collector_not_reached_in_time",
    "gaierror: Name or service not known": "collector_name_unknown",
    "SSLCertVerificationError: certificate verify failed": "collector_tls",
    "answered 403 Forbidden": "collector_denies_key",
    "answered 403 Forbidden: the signature's time is refused: the clock here is wrong": (
        "clock_wrong"
    ),
    "answered 403 Forbidden: the signature does not match: wrong": "signature_refused",
    "answered 403 Forbidden: the request came without a signature: x": "signature_refused",
    "answered 403 Forbidden: the function's role does not allow it": "role_denied",
    "answered 400 Bad Request: the credentials have expired": "credentials_missing",
    "answered UNAUTHENTICATED: no key": "collector_denies_key",
    "answered 404 Not Found": "collector_wrong_path",
    "answered UNIMPLEMENTED: unknown service": "collector_wrong_path",
    "answered 302 Found, a redirect, which OTLP does not follow": "collector_redirects",
    "answered 413 Content Too Large": "collector_request_too_large",
    "answered RESOURCE_EXHAUSTED: Received message larger than max (9 vs. 4)": (
        "collector_request_too_large"
    ),
    "answered RESOURCE_EXHAUSTED: slow down": "collector_throttles",
    "answered 503 Service Unavailable": "collector_fails",
    "answered UNAVAILABLE: failed to connect to all addresses; last error: UNKNOWN: "
    "ipv4:127.0.0.1:1: Connection refused": "collector_unreachable",
    "answered UNAVAILABLE: DNS resolution failed for x:1": "collector_name_unknown",
    "answered UNAVAILABLE: Socket closed": "collector_hangs_up",
    "no answer in time": "collector_slow",
    "answered DEADLINE_EXCEEDED: Deadline Exceeded": "collector_slow",
    "ConnectionResetError: Connection reset by peer": "collector_hangs_up",
    "answered 200 OK but rejected 2 of 3 spans: no": "collector_rejects",
    "answered 400 Bad Request": "collector_refuses",
    "OSError: Could not find the TLS file": "export_fault",
}
"""`Outcome.detail` after the endpoint."""
REPORT = (
    "REPORT RequestId: 1-2 Duration: 5.50 ms Billed Duration: {billed} ms Memory Size: 128 MB "
    "Max Memory Used: {used} MB Init Duration: {init} ms"
)
PLATFORM = {
    "EXTENSION\tName: spanpipe\tState: LaunchError\tEvents: []\tError Type: PermissionDenied": (
        "extension_not_executable"
    ),
    "RequestId: 1-2 Error: fork/exec /opt/extensions/spanpipe: exec format error": (
        "extension_not_launched"
    ),
    "2026-11-24T10:00:00Z 1-2 Task timed out after 3.01 seconds": "function_timed_out",
    '{"time": "x", "type": "platform.report", "record": {"requestId": "1", "status": "timeout"}}': (
        "function_timed_out"
    ),
    "RequestId: 1-2 Error: Runtime exited with error: signal: killed": "function_exited",
    '{"errorType":"Runtime.OutOfMemory"}': "function_out_of_memory",
    "Extension.Crash": "extension_crashed",
    json.dumps(
        {
            "type": "platform.extension",
            "record": {
                "name": "spanpipe",
                "state": "LaunchError",
                "events": [],
                "errorType": "PermissionDenied",
            },
        }
    ): "extension_not_executable",
    json.dumps(
        {
            "type": "platform.initReport",
            "record": {"initializationType": "on-demand", "phase": "init", "status": "timeout"},
        }
    ): "init_failed",
    json.dumps(
        {
            "type": "platform.report",
            "record": {
                "requestId": "1",
                "metrics": {
                    "durationMs": 5.5,
                    "billedDurationMs": 906,
                    "memorySizeMB": 128,
                    "maxMemoryUsedMB": 64,
                    "initDurationMs": 300.0,
                },
                "status": "success",
            },
        }
    ): "billed_longer",
    "EXTENSION\tName: other\tState: LaunchError\tEvents: []\tError Type: PermissionDenied": "",
    "INIT_REPORT Init Duration: 9999.08 ms\tPhase: init\tStatus: timeout": "init_failed",
    "[ERROR] Function.ResponseSizeTooLarge": "response_too_large",
    "Unable to import module 'app': No module named 'fifo'": "fifo_not_found",
    "Unable to import module 'app': cannot import name 'capture' from 'fifo' (/var/task/fifo.py)": (
        "fifo_shadowed"
    ),
    "cannot import name 'capture' from 'spanpipe' (/opt/python/spanpipe/__init__.py)": (
        "fifo_shadowed"
    ),
    "ImportError: cannot import name 'capture' from 'spanpipe' (/var/task/spanpipe.py)": (
        "spanpipe_shadowed"
    ),
    REPORT.format(billed=306, used=64, init="300.00"): "",
    REPORT.format(billed=306, used=128, init="300.00"): "",
    REPORT.format(billed=306, used=128, init="300.00") + "\tStatus: error": (
        "function_out_of_memory"
    ),
    REPORT.format(billed=906, used=64, init="300.00"): "billed_longer",
    REPORT.format(billed=3506, used=64, init="3500.00"): "init_slow",
    "INIT_START Runtime Version: python:3.13.v1": "layer_absent",
    "START RequestId: 1-2 Version: $LATEST": "layer_unseen",
    '{"resourceSpans":[{"scopeSpans":[]}]} Task timed out after 3.01 seconds': "spans_in_log",
}
LOADED = "EXTENSION\tName: spanpipe\tState: Ready\tEvents: [INVOKE, SHUTDOWN]"


@pytest.mark.parametrize("line", OURS)
def test_a_line_of_the_extension_is_known(line: str) -> None:
    """Each is one symptom; that the extension speaks shows that the layer is on."""
    assert [name for name in told(line) if name not in REASONS] == [OURS[line]]


@pytest.mark.parametrize("detail", EXPORTS)
def test_an_export_that_failed_is_known(detail: str) -> None:
    """By its detail, in a log as at the terminal."""
    colon = "" if detail.startswith("answered") else ":"
    text = f"http://collector:4318/v1/traces{colon} {detail}"
    assert signs.of_export(text) == EXPORTS[detail]
    line = f"spanpipe: warning: {text}; invocations kept for the next try: 1"
    assert list(told(line)) == [EXPORTS[detail]]


@pytest.mark.parametrize("line", PLATFORM)
def test_a_line_of_lambda_is_known(line: str) -> None:
    """Each is one symptom, beside what is said of the layer."""
    expected = PLATFORM[line]
    lines = (line,) if expected.startswith("layer_") else (LOADED, line)
    assert list(told(*lines)) == ([expected] if expected else [])


def test_every_finding_is_produced_somewhere() -> None:
    """By a line, by a ledger's reason, or by files and settings."""
    of_lines = set(OURS.values()) | set(EXPORTS.values()) | set(PLATFORM.values()) - {""}
    assert of_lines | set(REASONS) | OF_FILES == set(SYMPTOMS)


SAID = "spanpipe: error: /var/task/spanpipe.yaml:3:5: flush.mode: 'x' is none of next, end"
EVENT = {"timestamp": 1, "message": f"{SAID}\n", "ingestionTime": 2}
FORMS = {
    "plain": SAID,
    "tail": f"2026-11-24T10:00:00.123000+00:00 2026/11/24/[$LATEST]0123abc {SAID}",
    "tail, short": f"2026-11-24T10:00:00 {SAID}",
    "events": json.dumps({"events": [EVENT]}, indent=1),
    "events in one line": json.dumps({"events": [EVENT, EVENT]}),
    "JSON format": json.dumps({"time": "x", "type": "extension", "record": f"{SAID}\n"}),
    "JSON format in events": json.dumps(
        {"message": json.dumps({"time": "x", "type": "extension", "record": f"{SAID}\n"}) + "\n"}
    ),
    "spanpipe run": f"[spanpipe] {SAID}",
    "carriage return": f"{SAID}\r",
}


@pytest.mark.parametrize("form", FORMS)
def test_a_line_is_found_in_every_form_of_a_log(form: str) -> None:
    """As `aws logs` gives it, with times, streams and quotation; the text is the line's own."""
    found = told(*FORMS[form].splitlines())
    assert list(found) == ["configuration_broken"]
    said = found["configuration_broken"].seen.partition("line ")[2].partition(": ")[2]
    assert said == SAID.removeprefix("spanpipe: error: ")


def test_what_the_extension_prints_is_read() -> None:
    """Its own `Log` and its own `Ledger` make the lines."""
    stream = io.StringIO()
    log = Log("info", stream)
    log.warning("http://c:4318/v1/traces answered 401 Unauthorized; invocations kept: 1")
    book = Ledger()
    book.enter(Amount(4, 40))
    book.move(Amount(2, 20), ledger.WAITING, ledger.EXPORTED)
    book.drop(Amount(1, 10), ledger.WAITING, "queue_full")
    book.move(Amount(1, 10), ledger.WAITING, ledger.SPOOLED)
    book.note("late", 2)
    log.always(f"shutdown timeout: {book.line()}")
    reading = LogReading()
    for line in stream.getvalue().splitlines(keepends=True):
        reading.line(line)
    assert [(one.level.value, one.name, one.seen) for one in reading.findings()] == [
        ("ok", "layer", "the log has its extension"),
        (
            "problem",
            "collector_denies_key",
            "line 1: http://c:4318/v1/traces answered 401 Unauthorized; invocations kept: 1",
        ),
        ("warning", "late", "noted: 2"),
        ("problem", "queue_full", "dropped: 1 invocation, 10 bytes"),
        (
            "ok",
            "ledger",
            "1 shutdown: accepted 4, exported 2, waiting 0, spooled 1, dropped 1",
        ),
    ]


def test_a_reason_of_a_newer_release_is_told_all_the_same() -> None:
    """The table may be older than the layer."""
    line = (
        "spanpipe: shutdown timeout: accepted 1 = exported 1 + waiting 0 + dropped 0; noted: new 2"
    )
    assert told(line)["extension_warning"].seen == "a reason that is not known here: new, noted: 2"


@pytest.mark.parametrize(
    "text",
    [
        "spanpipe: shutdown x: accepted ",
        "spanpipe: shutdown x: accepted 1; uncertain y; noted: a; body bytes: dropped 1 (b",
        f"spanpipe: shutdown x: accepted {'9' * 5000} = exported 1; uncertain {'9' * 5000}",
        REPORT.format(billed="1.2.3", used=1, init="..") + '"platform.report" "durationMs": .',
        "\udcff spanpipe: error: \udcff",
    ],
)
def test_what_only_looks_like_a_line_of_ours_harms_nobody(text: str) -> None:
    """Whoever can write into the log may write anything."""
    reading = LogReading()
    reading.line(text)
    assert all(one.seen.isprintable() for one in reading.findings())


def test_a_flood_takes_no_more_memory_than_a_line() -> None:
    """Of each symptom a count and the first line are kept, cut and printable."""
    reading = LogReading()
    for number in range(500):
        reading.line(f"spanpipe: warning: \x1b[31m{number} {'x' * 5000}\n")
    (found,) = [one for one in reading.findings() if one.name == "extension_warning"]
    assert found.seen.startswith("500 times, first in line 1: '\\x1b[31m0 xxx")
    assert len(found.seen) < MAX_SEEN_CHARACTERS + 60


WRITER = (
    "spanpipe: warning: no extension: /tmp/spanpipe-results.fifo is not there, so this function's "
    "results go nowhere; add the spanpipe layer, or try it here with: spanpipe run"
)


def test_a_writer_that_speaks_is_no_extension() -> None:
    """It is in the function, with the layer or without."""
    assert list(told(WRITER)) == ["layer_absent"]
    assert list(told(WRITER, LOADED)) == ["fifo_not_made"]
    by_file = (
        "spanpipe: warning: /tmp/x: is no FIFO; remove it and the FIFO is made anew; results go"
    )
    assert list(told(f"{by_file} by file")) == ["layer_absent", "fifo_replaced"]


def a_line_of(text: str) -> Callable[[int], None]:
    """Reads one line of so many characters."""

    def read(size: int) -> None:
        LogReading().line(text * (size // len(text)))

    return read


@pytest.mark.parametrize(
    "text",
    [
        "INIT_REPORT ",
        "REPORT RequestId: ",
        '"type":"platform.report" ',
        '"type":"platform.extension" ',
        "spanpipe: error: ",
        "spanpipe: shutdown x: accepted dropped 1 (",
        "\\\\",
        "answered RESOURCE_EXHAUSTED: ",
        "cannot import name 'a",
        "Task timed out after 1",
    ],
)
def test_the_time_for_a_line_grows_with_its_length(text: str) -> None:
    """Eight times as long takes eight times the processor, whoever wrote it."""
    read = a_line_of(text)
    assert least_s(read, TIMES_LARGER * 16_384) < TIMES_SLOWER * max(0.001, least_s(read, 16_384))


@pytest.mark.parametrize(
    ("version", "specifier", "expected"),
    [
        ("2.32", ">=2.32", True),
        ("2.32.0", ">=2.32", True),
        ("2.31.9", ">=2.32", False),
        ("2.0", "<2,>=1.45", False),
        ("1.45.2", "<2,>=1.45", True),
        ("1.9", "<2,>=1.45", False),
        ("0.66b0", ">=0.66", True),
        ("1", "", True),
    ],
)
def test_versions_are_compared_by_number(version: str, specifier: str, expected: bool) -> None:
    """Not by letter, and 2.32 is 2.32.0."""
    assert fits(version, specifier) is expected
