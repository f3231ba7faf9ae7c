"""The pages' examples are run: handlers in the sandbox, the quick start as a new user would."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from sandbox.environment import Function, LambdaEnvironment
from sandbox.launcher import write_extensions
from sandbox.receiver import Receiver
from tests.pages import ROOT, Code, blocks
from tests.whole.printing import Printing

EVENT = b'{"id": 7, "name": "you"}'
"""What every handler in the pages can work with."""
HANDLERS = [code for code in blocks("python") if "def handler(" in code.text and not code.not_run]
START_S = 60.0
ARRIVED_S = 10.0


@pytest.mark.parametrize("code", HANDLERS, ids=str)
def test_a_handler_gives_one_span_with_its_result(code: Code, tmp_path: Path) -> None:
    """As it stands in the page, in an environment with the real extension."""
    (tmp_path / "app.py").write_text(code.text)
    with Receiver() as receiver:
        environ = {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": receiver.http_endpoint}
        function = Function("app.handler", str(tmp_path), environ=environ)
        with LambdaEnvironment(function, str(write_extensions(tmp_path))) as environment:
            invocation = environment.invoke(EVENT)
        told = [
            {one.key: one.value.string_value for one in span.attributes}
            for span in receiver.spans()
        ]
    bodies = [one["spanpipe.result.body"] for one in told if "spanpipe.result.body" in one]
    assert [json.loads(body) for body in bodies] == [json.loads(invocation.payload)]


def test_handlers_in_the_pages_are_run() -> None:
    """Those of the README and the guides, so that the test above is not of nothing."""
    assert len(HANDLERS) >= 6
    assert len(RUNS) >= 2
    assert {code.page for code in BY_HAND} >= {"fifo/PROTOCOL.md", "docs/other-languages.md"}


def test_the_quick_start_shows_a_trace(tmp_path: Path) -> None:
    """Its function and its commands, with a port that is free and without a browser."""
    (python,) = [code for code in blocks("python") if code.page == "docs/quick-start.md"]
    (tmp_path / "app.py").write_text(python.text)
    block = next(
        code.text
        for code in blocks("sh")
        if code.page == "docs/quick-start.md" and "--view" in code.text
    )
    activate, run = (line.partition("#")[0].strip() for line in block.splitlines())
    assert activate == ". spanpipe/.venv/bin/activate"
    environ = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    output = Printing(["sh", "-c", f"exec {run} --page-port 0"], tmp_path, environ)
    try:
        printed = output.wait_for("Ctrl-C ends it", START_S)
        assert "3 invoked, 3 received, 0 lost" in printed
        page = re.search(r"^page  (\S+)", printed, re.MULTILINE)
        assert page is not None, printed
        with urllib.request.urlopen(page[1], timeout=ARRIVED_S) as answer:  # noqa: S310 - loopback
            assert b"<title>" in answer.read()
    finally:
        output.close()
    assert output.process.returncode == 0


RUNS = [
    line.partition("#")[0].strip()
    for code in blocks("sh")
    if code.page == "docs/quick-start.md"
    for line in code.text.splitlines()
    if line.startswith("spanpipe run") and "--view" not in line
]


@pytest.mark.parametrize("line", RUNS)
def test_the_quick_starts_other_runs_succeed(line: str, tmp_path: Path) -> None:
    """Every invocation gives its one span: status 0."""
    (python,) = [code for code in blocks("python") if code.page == "docs/quick-start.md"]
    (tmp_path / "app.py").write_text(python.text)
    done = subprocess.run(
        ["sh", "-c", line.replace(" spanpipe/", f" {ROOT}/")],
        cwd=tmp_path,
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=START_S,
        check=False,
    )
    assert (done.returncode, "0 lost" in done.stdout) == (0, True), done


BY_HAND = [code for code in blocks("sh") if "$id" in code.text and "$json" in code.text]
SPEAKS = """\
import json, os, subprocess

def handler(event, context):
    told = {"id": context.aws_request_id, "json": json.dumps({"by": "hand"})}
    subprocess.run(["sh", "-c", event["block"]], env={**os.environ, **told}, check=True)
"""


@pytest.mark.parametrize("code", BY_HAND, ids=str)
def test_what_a_shell_says_by_hand_arrives(code: Code, tmp_path: Path) -> None:
    """A line into the FIFO, or a file, from a function that has no writer."""
    (tmp_path / "app.py").write_text(SPEAKS)
    block = code.text.replace("f=/tmp/", 'f="$SPANPIPE_DIR"/')
    with Receiver() as receiver:
        environ = {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": receiver.http_endpoint}
        function = Function("app.handler", str(tmp_path), environ=environ)
        with LambdaEnvironment(function, str(write_extensions(tmp_path))) as environment:
            environment.invoke(json.dumps({"block": block}).encode())
        told = {one.key: one.value for span in receiver.spans() for one in span.attributes}
    assert json.loads(told["spanpipe.result.body"].string_value) == {"by": "hand"}


def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    """A link that leads nowhere, or to no heading, would be one; every page here is in it."""
    makefile = (ROOT / "Makefile").read_text()
    assert "--fail-on-warning --keep-going" in makefile
    command = [sys.executable, "-m", "sphinx", "--quiet", "--fail-on-warning", "--keep-going"]
    command += ["--conf-dir", "docs/site", "--doctree-dir", str(tmp_path / "doctrees")]
    done = subprocess.run(
        [*command, ".", str(tmp_path / "site")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    for page in (ROOT / "docs").glob("*.md"):
        site = tmp_path / "site" / "docs" / f"{page.stem}.html"
        assert site.is_file(), f"{page.name} has no place in NAVIGATION of docs/site/conf.py"
