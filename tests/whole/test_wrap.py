"""A handler without our decorator, wrapped by `deploy/wrap` as Lambda would run it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from sandbox.environment import Function, LambdaEnvironment
from sandbox.launcher import write_extensions
from sandbox.receiver import Receiver
from tests.whole.emulator import ROOT, Emulator

WRAP = str(ROOT / "deploy" / "wrap")
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z")

PLAIN = "def handler(event, context):\n    return {'echo': event}\n"

BROKEN = {
    "no module": ("absent.handler", ""),
    "import": ("app.handler", "import no_such_module\n"),
    "import inside": ("app.handler", "from json import no_such_name\n"),
    "syntax": ("app.handler", "def handler(:\n    pass\n"),
    "no handler": ("app.other", PLAIN),
    "raises": ("app.handler", "def fail():\n    raise LookupError('init raised')\n\n\nfail()\n"),
    "attribute": ("app.handler", "import json\n\njson.no_such_thing\n"),
    "silent": ("app.handler", "class Own(Exception):\n    pass\n\n\nraise Own\n"),
    "exits": ("app.handler", "import sys\n\nsys.exit(3)\n"),
    "no dot": ("app", PLAIN),
    "built in": ("sys.exit", PLAIN),
    "relative": (".app.handler", PLAIN),
    "not callable": ("app.handler", "handler = 5\n"),
    "invoke raises": ("app.handler", "def handler(event, context):\n    raise KeyError('asked')\n"),
    "no JSON": ("app.handler", "def handler(event, context):\n    return object\n"),
    "arguments": ("app.handler", "def handler(event):\n    return 1\n"),
}


def lived(folder: Path, handler: str, environ: Mapping[str, str]) -> dict[str, Any]:
    """What the caller and the log got of one invocation, without what differs by chance."""
    lines: list[str] = []
    function = Function(handler, str(folder), environ=environ)
    with LambdaEnvironment(function, on_line=lambda name, line: lines.append(line)) as lambda_:
        result = lambda_.invoke(b'{"n": 1}')
    log = [MOMENT.sub("(time)", UUID.sub("(id)", line)) for line in lines]
    ours = [line for line in log if "no extension" in line]
    return {
        "status": result.status,
        "payload": UUID.sub("(id)", result.payload.decode()),
        "log": [line for line in log if line not in ours],
    }


OWN_FRAME = re.compile(
    r'\r\xa0\xa0File "[^"]*/(?:fifo/handler|bootstrap)\.py", line \d+, in \w+\r\xa0{4}[^\r]*'
)


def compared(name: str, told: dict[str, Any]) -> dict[str, Any]:
    """All of it. On 3.10 a frame of `capture` stays on top, as its documentation says; where the
    handler was not entered the runtime shows it in place of a frame of its own: both are left out.
    """
    if sys.version_info >= (3, 11) or name not in ("invoke raises", "arguments"):
        return told
    payload = json.loads(told["payload"])
    payload["stackTrace"] = [
        frame
        for frame in payload.get("stackTrace", ())
        if not re.search(r"/(fifo/handler|bootstrap)\.py", frame)
    ]
    log = [OWN_FRAME.sub("", line) for line in told["log"]]
    return {**told, "payload": payload, "log": log}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_wrong_is_told_as_without_us(tmp_path: Path, name: str) -> None:
    """Error type, message, stack trace and phase are the runtime's own, and so is the log."""
    handler, source = BROKEN[name]
    (tmp_path / "app.py").write_text(source)
    bare = lived(tmp_path, handler, {})
    wrapped = lived(tmp_path, handler, {"AWS_LAMBDA_EXEC_WRAPPER": WRAP})
    assert compared(name, wrapped) == compared(name, bare)
    assert bare["status"] in ("error", "crash")


@pytest.mark.parametrize("theirs", [True, False])
def test_a_sitecustomize_behind_ours_finds_the_functions_handler(
    tmp_path: Path, theirs: bool
) -> None:
    """As OpenTelemetry's instrumentation does, which wraps it; the runtime finds ours then."""
    if theirs:
        (tmp_path / "sitecustomize.py").write_text(
            "import os\nprint('before', os.environ['_HANDLER'])\n"
        )
    program = "import os\nprint('then', os.environ['_HANDLER'], os.environ['SPANPIPE_HANDLER'])"
    done = subprocess.run(
        [WRAP, sys.executable, "-c", program],
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(tmp_path),
            "_HANDLER": "app.handler",
        },
        capture_output=True,
        text=True,
        check=True,
    )
    before = ["before app.handler"] if theirs else []
    assert done.stdout.splitlines() == [*before, "then spanpipe_wrapped.handler app.handler"]
    assert done.stderr == ""


def spans_of(
    tmp_path: Path, handler: str, environ: Mapping[str, str], event: bytes = b'{"n": 1}'
) -> tuple[Any, list[tuple[str, str | None]], list[str]]:
    """(The answer, fate and body of each invocation span, the function's lines)."""
    lines: list[str] = []
    bodies: list[tuple[str, str | None]] = []

    def take(request: Any) -> None:
        for group in request.resource_spans:
            for scope in group.scope_spans:
                for span in scope.spans:
                    told = {one.key: one.value.string_value for one in span.attributes}
                    if "spanpipe.fate" in told:
                        bodies.append((told["spanpipe.fate"], told.get("spanpipe.result.body")))

    extensions = tmp_path / "layer"
    extensions.mkdir(exist_ok=True)
    with Receiver(take) as receiver:
        function = Function(
            handler,
            str(tmp_path),
            # An export may take a tenth of it: one that is cut is sent again, and may come twice.
            timeout_s=20.0,
            environ={"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": receiver.http_endpoint, **environ},
        )
        with LambdaEnvironment(
            function,
            str(write_extensions(extensions)),
            on_line=lambda name, line: lines.append(line) if name == "function" else None,
        ) as lambda_:
            result = lambda_.invoke(event)
            lambda_.shutdown()
    return json.loads(result.payload), bodies, lines


HANDLERS = {
    "slashes": ("deep/er/app.handler", "deep/er/app.py", PLAIN),
    "dots": ("deep.er.app.handler", "deep/er/app.py", PLAIN),
    "object": (
        "app.handler",
        "app.py",
        "class Handler:\n    def __call__(self, event, context):\n        return {'echo': event}\n"
        "\n\nhandler = Handler()\n",
    ),
    "late": (
        "app.handler",
        "app.py",
        "def __getattr__(name):\n    import late\n    return getattr(late, name)\n",
    ),
    "decorated": ("app.handler", "app.py", f"from fifo import capture\n\n\n@capture\n{PLAIN}"),
    "own fifo": (
        "app.handler",
        "app.py",
        "from fifo import MINE\n\n\ndef handler(event, context):\n"
        "    assert MINE\n    return {'echo': event}\n",
    ),
    "own fifo, ours by its other name": (
        "app.handler",
        "app.py",
        "from fifo import MINE\nfrom spanpipe import capture, traceparent\n\n\n"
        "@capture\ndef handler(event, context):\n"
        "    assert MINE and traceparent()\n    return {'echo': event}\n",
    ),
    "looks": (
        "app.handler",
        "app.py",
        "import os, sys\n\n\ndef handler(event, context):\n"
        "    assert os.environ['_HANDLER'] == sys.argv[1] == 'app.handler'\n"
        "    assert not [p for p in sys.path if p.endswith('deploy/start')]\n"
        "    assert 'deploy' not in os.environ['PYTHONPATH']\n"
        "    return {'echo': event}\n",
    ),
}


@pytest.mark.parametrize("name", HANDLERS)
def test_every_way_to_write_a_handler_gives_one_span(tmp_path: Path, name: str) -> None:
    """Nested, callable, late, decorated, beside a `fifo` and a `spanpipe_wrapped` of its own."""
    handler, file, source = HANDLERS[name]
    (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / file).write_text(source)
    (tmp_path / "late.py").write_text(PLAIN)
    (tmp_path / "spanpipe_wrapped.py").write_text("raise AssertionError('not this one')\n")
    if name.startswith("own fifo"):
        (tmp_path / "fifo.py").write_text("MINE = True\n")
    answer, spans, lines = spans_of(tmp_path, handler, {"AWS_LAMBDA_EXEC_WRAPPER": WRAP})
    assert (answer, spans, lines) == (
        {"echo": {"n": 1}},
        [("returned", '{"echo":{"n":1}}')],
        [],
    )


def test_the_handler_by_its_variable_alone(tmp_path: Path) -> None:
    """Lambda's bootstrap has no argument: the runtime takes `_HANDLER`."""
    (tmp_path / "app.py").write_text(PLAIN)
    (tmp_path / "bootstrap.py").write_text(
        "import os\n\nfrom awslambdaric.__main__ import main\n\n"
        "main(['bootstrap', os.environ['_HANDLER']])\n"
    )
    # An earlier wrapper is a simple way to give the runtime another command.
    first = tmp_path / "first"
    first.write_text(f'#!/bin/sh\nexec "$1" "$2" {tmp_path}/bootstrap.py\n')
    first.chmod(0o755)
    environ = {"AWS_LAMBDA_EXEC_WRAPPER": WRAP, "SPANPIPE_EXEC_WRAPPER": str(first)}
    assert spans_of(tmp_path, "app.handler", environ) == (
        {"echo": {"n": 1}},
        [("returned", '{"echo":{"n":1}}')],
        [],
    )


def test_a_wrapper_that_was_set_before_is_run_too(tmp_path: Path) -> None:
    """With a handler and a `sitecustomize` of its own, as OpenTelemetry's layer has them."""
    (tmp_path / "app.py").write_text(PLAIN)
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text("print('theirs')\n")
    first = tmp_path / "first"
    first.write_text(
        f'#!/bin/sh\nexport PYTHONPATH="{tmp_path}/site:$PYTHONPATH"\necho "first $5"\nexec "$@"\n'
    )
    first.chmod(0o755)
    environ = {"AWS_LAMBDA_EXEC_WRAPPER": WRAP, "SPANPIPE_EXEC_WRAPPER": str(first)}
    assert spans_of(tmp_path, "app.handler", environ) == (
        {"echo": {"n": 1}},
        [("returned", '{"echo":{"n":1}}')],
        ["first app.handler", "theirs"],
    )


def test_disabled_it_changes_nothing(tmp_path: Path) -> None:
    """`OTEL_SDK_DISABLED`: the command runs as it came, the wrapper before ours with it."""
    (tmp_path / "app.py").write_text(
        "import os, sys\n\n\ndef handler(event, context):\n"
        "    return ['fifo' in sys.modules, 'SPANPIPE_HANDLER' in os.environ]\n"
    )
    first = tmp_path / "first"
    first.write_text('#!/bin/sh\necho "first $4"\nexec "$@"\n')
    first.chmod(0o755)
    environ = {
        "AWS_LAMBDA_EXEC_WRAPPER": WRAP,
        "SPANPIPE_EXEC_WRAPPER": str(first),
        "OTEL_SDK_DISABLED": "True",
    }
    answer, spans, lines = spans_of(tmp_path, "app.handler", environ)
    assert (answer, spans, lines) == ([False, False], [], ["first app.handler"])


def layer(tmp_path: Path) -> Path:
    """A layer's folder: `spanpipe` and `python`."""
    opt = tmp_path / "opt"
    shutil.copytree(ROOT / "deploy", opt / "spanpipe")
    shutil.copytree(ROOT / "fifo", opt / "python" / "fifo")
    return opt


@pytest.mark.parametrize(
    ("harm", "warning"),
    [
        ("spanpipe/wrapped.py", "{opt}/spanpipe is not whole; the function runs without spanpipe"),
        (
            "python/fifo/handler.py",
            "there is no fifo beside {opt}/spanpipe; the function runs without spanpipe",
        ),
        ("python/fifo/writer.py", "damaged; the function runs without spanpipe"),
        ("nothing", None),
    ],
)
def test_a_layer_that_is_not_whole_harms_nothing(
    tmp_path: Path, harm: str, warning: str | None
) -> None:
    """The function runs untouched, and one line says why."""
    opt = layer(tmp_path)
    if warning is not None and warning.startswith("damaged"):
        (opt / harm).write_text("raise OSError('damaged')\n")
    elif warning is not None:
        (opt / harm).unlink()
    (tmp_path / "app.py").write_text(PLAIN)
    environ = {"AWS_LAMBDA_EXEC_WRAPPER": str(opt / "spanpipe" / "wrap")}
    answer, spans, lines = spans_of(tmp_path, "app.handler", environ)
    captured = ("unreported", None) if warning else ("returned", '{"echo":{"n":1}}')
    told = [] if warning is None else [f"spanpipe: warning: {warning.format(opt=opt)}"]
    assert (answer, spans, lines) == ({"echo": {"n": 1}}, [captured], told)


@pytest.mark.emulator
@pytest.mark.parametrize("name", ["import", "raises", "attribute", "syntax", "invoke raises"])
def test_the_emulator_tells_the_same_with_us(tmp_path: Path, name: str) -> None:
    """AWS's own front gives the caller the same answer, whole, with the wrapper and without."""
    handler, source = BROKEN[name]
    code = tmp_path / "code"
    code.mkdir()
    (code / "app.py").write_text(source)
    answers = []
    for wrapper in ([], [WRAP]):
        folder = tmp_path / f"place{len(answers)}"
        folder.mkdir()
        with Emulator(folder, handler, str(code), 3, {}, wrapper=wrapper) as emulator:
            status, payload = emulator.invoke(b"{}")
        told = {"status": status, "payload": UUID.sub("(id)", payload.decode()), "log": []}
        answers.append(compared(name, told))
    assert answers[0] == answers[1]
