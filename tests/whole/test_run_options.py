"""What `spanpipe run` takes and shows beside events: terminals, pages, changes, files, layers."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from sandbox.opt import mount_problem
from tests.whole.fetch import cannot
from tests.whole.terminal import on_terminal, shown
from tests.whole.test_run import ROOT, spanpipe

WAIT_S = 60
APP = """
import os, shutil, sys
from fifo import capture, span

@capture
def handler(event, context):
    with span("work"):
        pass
    if event.get("fail"):
        raise ValueError("x" * 90)
    return {name: os.environ.get(name) for name in event.get("names", [])}
"""


@pytest.fixture
def app(tmp_path: Path) -> Path:
    """A folder with a user's function."""
    (tmp_path / "app.py").write_text(APP)
    return tmp_path


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "spanpipe", "run", *arguments]


def environment(**changes: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "COLUMNS", "FORCE_COLOR")}
    return {
        **kept,
        "PYTHONPATH": str(ROOT),
        "TERM": "xterm-256color",
        "PYTHONIOENCODING": "utf-8",
        **changes,
    }


@contextmanager
def running(folder: Path, *arguments: str, **changes: str) -> Iterator[subprocess.Popen[str]]:
    """The command, ended whatever happens."""
    with subprocess.Popen(
        command(*arguments),
        cwd=folder,
        env=environment(**changes),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # A background job is started with SIGINT ignored, and hands that on.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    ) as process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=WAIT_S)


def line_with(process: subprocess.Popen[str], text: str) -> str:
    """The next line that holds `text`."""
    assert process.stdout is not None
    seen = []
    for line in process.stdout:
        seen.append(line)
        if text in line:
            return line.rstrip("\n")
    raise AssertionError("".join(seen))


# Terminals


@pytest.mark.parametrize("columns", [40, 80])
def test_nothing_is_wider_than_a_real_terminal(app: Path, columns: int) -> None:
    """Rows, waterfalls and figures fit; colours and progress are there, and progress is gone."""
    events = ("--event", '{"names": []}', "--event", '{"fail": true}')
    status, written = on_terminal(
        command("app.handler", *events), app, environment(), columns=columns
    )
    assert status == 0
    lines = [line for line in shown(written) if not line.startswith(("[function]", "[spanpipe]"))]
    assert max(map(len, lines)) <= columns
    assert "\x1b[32mreturned" in written
    assert "\x1b[31mraised" in written
    assert re.search(r"0/2.*invoked", written)
    assert not any("invoked" in line and "/2" in line for line in lines)
    assert "".join(lines).count("x" * 4) >= 1
    assert [line for line in lines if line][-1] == "2 invoked, 2 received, 0 lost"
    assert any(re.match(r" +work +[\d.]+ ms", line) for line in lines)


@pytest.mark.parametrize(
    ("changes", "colours", "moves"),
    [({"NO_COLOR": "1"}, False, True), ({"TERM": "dumb"}, False, False)],
)
def test_colours_can_be_turned_off(
    app: Path, changes: dict[str, str], colours: bool, moves: bool
) -> None:
    """NO_COLOR leaves the progress, a terminal that knows nothing has plain lines."""
    _, written = on_terminal(command("app.handler"), app, environment(**changes), columns=80)
    assert bool(re.search(r"\x1b\[[0-9;]*3[0-7]m", written)) is colours
    assert ("\x1b[2K" in written) is moves
    assert "1 invoked, 1 received, 0 lost" in written


def test_many_invocations_are_rows_alone_unless_asked(app: Path) -> None:
    """Twenty and one more would be pages of spans."""
    done = spanpipe(app, "run", "app.handler", "--count", "21")
    assert (done.returncode, " work " in done.stdout) == (0, False)
    done = spanpipe(app, "run", "app.handler", "--count", "21", "--output", "waterfall")
    assert (done.returncode, done.stdout.count(" work ")) == (0, 21)


# Variables from a file


def test_an_env_file_is_the_functions_and_env_goes_before_it(app: Path) -> None:
    """Two files, the later one before the earlier, and the command line before both."""
    (app / "a.env").write_text("# mine\nexport A='from a'\nB=from a\nC=from a\n")
    (app / "b.env").write_text("B=from b\nC=from b\n")
    done = spanpipe(
        app,
        "run",
        "app.handler",
        "--event",
        '{"names": ["A", "B", "C"]}',
        *("--env-file", "a.env", "--env-file", "b.env", "--env", "C=given"),
    )
    assert done.returncode == 0, done.stderr
    assert '{"A":"from a","B":"from b","C":"given"}' in done.stdout


# The page


def changes_of(url: str) -> Any:
    with requests.get(f"{url}changes", stream=True, timeout=WAIT_S) as response:
        for line in response.iter_lines():
            if line.startswith(b"data: "):
                return json.loads(line[6:])
    raise AssertionError


def test_the_page_stays_until_it_is_interrupted(app: Path) -> None:
    """Its address first, then the run's spans and the ledger in it, and the run's own status; in a
    pipe no browser is opened."""
    browser = app / "browser"
    browser.write_text(f"#!/bin/sh\ntouch {app}/opened\n")
    browser.chmod(0o755)
    arguments = ("app.handler", "--view", "--page-port", "0")
    with running(app, *arguments, BROWSER=str(browser)) as process:
        url = line_with(process, "page  ").split()[1]
        assert line_with(process, "1 invoked") == "1 invoked, 1 received, 0 lost"
        assert line_with(process, "page  ") == f"page  {url}   (Ctrl-C ends it)"
        told = changes_of(url)
        assert [(one["function"], one["fate"]) for one in told["rows"]] == [("app", "returned")]
        counts = {"accepted": 1, "exported": 1, "waiting": 0, "dropped": 0}
        assert told["ledgers"] == [{"instance": "app", "counts": counts}]
        assert not (app / "opened").exists()
        process.send_signal(signal.SIGINT)
        assert process.wait(WAIT_S) == 0


def test_a_browser_is_opened_on_a_terminal(app: Path) -> None:
    """With the page's address."""
    browser = app / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > {app}/opened\nkill -INT $PPID\n')
    browser.chmod(0o755)
    status, written = on_terminal(
        command("app.handler", "--view", "--page-port", "0"),
        app,
        environment(BROWSER=str(browser)),
        columns=80,
    )
    assert (status, shown(written)[-2:]) == (130, ["spanpipe: interrupted", ""])
    assert shown(written)[0] == f"page  {(app / 'opened').read_text().strip()}"


# Changes


def test_a_change_runs_it_again(app: Path) -> None:
    """After a run, and in the midst of one, which ends at once; a mistake is waited out."""
    written = "from fifo import capture\n@capture\ndef handler(event, context):\n"
    with running(app, "app.handler", "--watch", "--timeout", "60") as process:
        line_with(process, "1 invoked, 1 received, 0 lost")
        line_with(process, f"waiting for a change in {app}")
        (app / "app.py").write_text(
            f"{written}    import time\n    print('begun')\n    time.sleep(50)"
        )
        assert line_with(process, "changed: ") == "changed: app.py; running again"
        line_with(process, "begun")
        (app / "app.py").rename(app / "other.txt")
        line_with(process, "changed: app.py; running again")
        line_with(process, f"spanpipe run: there is no module app in {app}")
        (app / "note.txt").write_text("of no interest")
        (app / "app.py").write_text(f"{written}    return 'new'\n")
        line_with(process, "changed: app.py; running again")
        assert line_with(process, "returned").endswith('  "new"')
        line_with(process, "waiting for a change")
        process.send_signal(signal.SIGINT)
        assert process.wait(WAIT_S) == 0


def test_a_change_of_one_of_several_functions_runs_all_again(tmp_path: Path) -> None:
    """Also while a call between them waits."""
    (tmp_path / "app.py").write_text(
        "import os, time, urllib.request\n"
        "def front(event, context):\n    urllib.request.urlopen(os.environ['BACK']).close()\n"
        "def back(event, context):\n    print('begun')\n    time.sleep(50)\n"
    )
    (tmp_path / "f.yaml").write_text(
        "functions:\n"
        "  front: {handler: app.front, timeout: 60, environment: {BACK: {url_of: back}}}\n"
        "  back: {handler: app.back, timeout: 60}\n"
    )
    with running(tmp_path, "--functions", "f.yaml", "--watch") as process:
        line_with(process, "begun")
        (tmp_path / "f.yaml").write_text("functions:\n  one: {handler: app.one}\n")
        line_with(process, "changed: f.yaml; running again")
        (tmp_path / "app.py").write_text("def one(event, context):\n    return 1\n")
        line_with(process, "changed: app.py; running again")
        line_with(process, "1 invoked, 1 received, 0 lost")


# Layers


@pytest.fixture
def layers(tmp_path: Path) -> tuple[str, str]:
    """Two, of which the second has one file of the first anew."""
    for name in ("first", "second"):
        folder = tmp_path / "layers" / name
        (folder / "python").mkdir(parents=True)
        (folder / "python" / "shared.py").write_text(f"NAME = {name!r}\n")
        (folder / "data.txt").write_text(name)
    first = tmp_path / "layers" / "first"
    version = f"python3.{sys.version_info[1]}"
    packages = first / "python" / "lib" / version / "site-packages"
    packages.mkdir(parents=True)
    (packages / "packaged.py").write_text("NAME = 'packaged'\n")
    for folder, name, text in (
        ("bin", "tool", "#!/bin/sh\necho tool\n"),
        ("extensions", "other", OTHER.format(python=sys.executable)),
    ):
        (first / folder).mkdir()
        (first / folder / name).write_text(text)
        (first / folder / name).chmod(0o755)
    (tmp_path / "layered.py").write_text(LAYERED)
    return str(first), str(tmp_path / "layers" / "second")


OTHER = """#!{python}
import json, os, urllib.request
API = "http://" + os.environ["AWS_LAMBDA_RUNTIME_API"] + "/2020-01-01/extension/"
body = json.dumps({{"events": ["INVOKE", "SHUTDOWN"]}}).encode()
call = urllib.request.Request(API + "register", body, {{"Lambda-Extension-Name": "other"}})
identifier = urllib.request.urlopen(call).headers["Lambda-Extension-Identifier"]
while True:
    call = urllib.request.Request(API + "event/next")
    call.add_header("Lambda-Extension-Identifier", identifier)
    event = json.load(urllib.request.urlopen(call))
    print("other got", event["eventType"], flush=True)
    if event["eventType"] == "SHUTDOWN":
        break
"""
LAYERED = """
import shutil
import packaged, shared
from fifo import capture

@capture
def handler(event, context):
    found = [shared.NAME, packaged.NAME, bool(shutil.which("tool"))]
    return found + ([open("/opt/data.txt").read()] if event else [])
"""


def test_layers_are_at_opt(tmp_path: Path, layers: tuple[str, str]) -> None:
    """Packages, programs, data and extensions of both; of two by one name the later layer's."""
    if mount_problem([]) is not None:
        cannot(f"/opt cannot be mounted here: {mount_problem([])}")
    given = [part for one in layers for part in ("--layer", one)]
    done = spanpipe(tmp_path, "run", "layered.handler", "--event", "1", *given)
    assert done.returncode == 0, done.stderr
    assert '["second","packaged",true,"second"]' in done.stdout
    assert [line for line in done.stderr.splitlines() if line.startswith("[other]")] == [
        "[other] other got INVOKE",
        "[other] other got SHUTDOWN",
    ]


def test_without_a_mount_the_layers_paths_serve(tmp_path: Path, layers: tuple[str, str]) -> None:
    """What is not at /opt is told, and the packages, programs and extensions are found."""
    empty = tmp_path / "path"
    empty.mkdir()
    given = [part for one in layers for part in ("--layer", one)]
    environ = {"PATH": str(empty)}
    arguments = ("run", "layered.handler", "--event", "0", *given)
    done = spanpipe(tmp_path, *arguments, environ=environ)
    assert done.returncode == 0, done.stderr
    assert '["second","packaged",true]' in done.stdout
    assert done.stdout.splitlines()[0] == (
        "note: --layer: nothing is at /opt itself: unshare (util-linux) is not installed; what the "
        "layers have in python, bin and lib is found all the same"
    )
    assert "[other] other got SHUTDOWN" in done.stderr


# Templates


def test_a_template_runs_as_the_functions_file_does(tmp_path: Path) -> None:
    """The shop by its SAM template: one trace over three functions, and notes for the rest."""
    template = str(ROOT / "examples" / "shop" / "template.yaml")
    arguments = ("--event", '{"items": ["tea"]}')
    done = spanpipe(tmp_path, "run", "--template", template, *arguments)
    assert done.returncode == 0, done.stderr
    place = f"{template}:30: Resources.Checkout.Properties"
    head, *rest = done.stdout.splitlines()
    assert head == f"note: {place}: without a meaning here: Policies"
    head, *rest = [line for line in rest if not line.startswith("note: ")]
    assert head.endswith("3 functions")
    assert rest[-1] == "3 invoked, 3 received, 0 lost"
    assert [line.split()[0] for line in rest if "returned  " in line] == ["Front", "POST", "Worker"]


DEPLOYED = """
Resources:
  Plain:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: src
      Handler: plain.handler
      Runtime: python3.13
      Layers: [arn:aws:lambda:eu-west-1:1:layer:spanpipe:1]
      Environment:
        Variables:
          AWS_LAMBDA_EXEC_WRAPPER: /opt/spanpipe/wrap
          SPANPIPE_CONFIG: /var/task/mine.yaml
"""


def test_a_function_deployed_with_our_layer_runs_as_it_is(tmp_path: Path) -> None:
    """The wrapper and the configuration file by their paths in Lambda; the layer's ARN a note."""
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "plain.py").write_text("def handler(event, context):\n    return 'plain'\n")
    (tmp_path / "src" / "mine.yaml").write_text("capture: {response: off}\n")
    (tmp_path / "t.yaml").write_text(DEPLOYED)
    done = spanpipe(tmp_path, "run", "--template", "t.yaml", "--output", "json")
    assert done.returncode == 0, done.stderr
    assert "t.yaml:9: Resources.Plain.Properties.Layers.0: the layer is not here" in done.stderr
    assert '"spanpipe.result.content_kind"' in done.stdout
    assert '"spanpipe.result.body"' not in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["app.handler", "--env", "AWS_LAMBDA_EXEC_WRAPPER=/opt/other"],
            "AWS_LAMBDA_EXEC_WRAPPER: no layer has /opt/other; add its folder: --layer DIR",
        ),
        (
            ["app.handler", "--env", "AWS_LAMBDA_EXEC_WRAPPER=/gone"],
            "AWS_LAMBDA_EXEC_WRAPPER: /gone is no program that can be run here",
        ),
        (["app.handler", "--env-file", "gone"], "--env-file gone: cannot be read: No such file"),
        (["app.handler", "--env-file", "app.py"], "app.py:2: cannot be read; write NAME=VALUE"),
        (["app.handler", "--layer", "gone"], "--layer gone: there is no such folder"),
        (["app.handler", "--layer", "app.py"], "--layer app.py: is a file; unpack it, and name"),
        (
            ["app.handler", "--layer", "empty"],
            "--layer empty: is empty; name what is to be",
        ),
        (["--template", "gone"], "--template gone: cannot be read: "),
        (["--template", "app.py"], "app.py:"),
        (["--template", "empty"], "--template empty: there is no *.template.json in it"),
        (
            ["--template", "x", "--functions", "y"],
            "--functions and --template say the same; leave one of them out",
        ),
        (["app.handler", "--parameter", "A=1"], "--parameter is of the template that --template"),
        (["app.handler", "--page-port", "1"], "--page-port is of the page that --view opens"),
        (
            ["app.handler", "--view", "--page-port", "99999"],
            "--page-port 99999: bind(): port must be 0-65535.; another one, or 0 for any",
        ),
        (["app.handler", "--view", "--endpoint", "http://x"], "--view shows what comes here"),
        (["app.handler", "--watch", "--event", "-"], "--watch cannot read standard input again"),
    ],
)
def test_what_cannot_be_used_is_named(app: Path, arguments: list[str], message: str) -> None:
    """One line at the least, status 2, and nothing was started."""
    (app / "empty").mkdir()
    done = spanpipe(app, "run", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[0].startswith(f"spanpipe run: {message}")
