"""The doctor looks at real folders, files, FIFOs and answers."""

from __future__ import annotations

import gzip
import io
import json
import os
import shutil
import sys
import time
from collections.abc import Iterable
from email.utils import formatdate
from pathlib import Path

import pytest

from collectors import breaking
from collectors.ports import free_port
from exporter.settings import OTLP_GRPC, OTLP_HTTP, ExporterSettings
from fifo import pipes
from sandbox.receiver import Receiver
from spanpipe import cli
from spanpipe.doctor.findings import Finding, Level
from spanpipe.doctor.here import endpoint_findings, fifo_findings, package_versions
from spanpipe.doctor.layer import layer_findings
from spanpipe.doctor.package import package_findings
from tests.shells.layer_folder import elf, layer, written

ROOT = Path(__file__).resolve().parents[2]


def names(findings: Iterable[Finding]) -> list[str]:
    """Of what is not well."""
    return [one.name for one in findings if one.level is not Level.OK]


# A function's folder

CAPTURED = "from fifo import capture\n\n\n@capture\ndef handler(event, context):\n    return 1\n"
PLAIN = "def handler(event, context):\n    return 1\n"
FUNCTIONS = {
    "decorated": ({"app.py": CAPTURED}, []),
    "by another name": (
        {"app.py": "from fifo import capture as c\n\n@c\ndef handler(event, context): ...\n"},
        [],
    ),
    "by its module": (
        {"app.py": "import fifo\n\n@fifo.capture\ndef handler(event, context): ...\n"},
        [],
    ),
    "called": (
        {"app.py": f"from spanpipe import capture\n{PLAIN}\nhandler = capture(handler)\n"},
        [],
    ),
    "another name for it": (
        {"app.py": CAPTURED.replace("def handler", "def inner") + "\nhandler = inner\n"},
        [],
    ),
    "in a try": (
        {"app.py": f"try:\n    from fifo import capture\nexcept ImportError: ...\n{CAPTURED}"},
        [],
    ),
    "elsewhere": ({"app.py": "from inner.code import handler\n", "inner/code.py": CAPTURED}, []),
    "elsewhere, not captured": (
        {"app.py": "from code_ import handler\n", "code_.py": PLAIN},
        ["handler_not_captured"],
    ),
    "not captured": ({"app.py": PLAIN}, ["handler_not_captured"]),
    "another decorator": (
        {"app.py": "from x import capture\n\n@capture\ndef handler(event, context): ...\n"},
        ["handler_not_captured"],
    ),
    "no such function": ({"app.py": "x = 1\n"}, ["handler_missing"]),
    "no such module": ({"main.py": CAPTURED}, ["handler_missing"]),
    "no Python": ({"app.py": "def handler(:\n"}, ["handler_unreadable"]),
    "a fifo of its own": ({"app.py": CAPTURED, "fifo.py": "x = 1\n"}, ["fifo_shadowed"]),
    "a fifo of its own, and ours by its other name": (
        {"app.py": CAPTURED.replace("from fifo", "from spanpipe"), "fifo.py": "x = 1\n"},
        [],
    ),
    "a fifo of its own, and nothing of ours": (
        {"app.py": PLAIN, "fifo.py": "x = 1\n"},
        ["handler_not_captured"],
    ),
    "a package fifo of its own": (
        {"app.py": CAPTURED, "fifo/__init__.py": ""},
        ["fifo_shadowed"],
    ),
    "a spanpipe of its own": (
        {"app.py": CAPTURED.replace("from fifo", "from spanpipe"), "spanpipe.py": ""},
        ["spanpipe_shadowed"],
    ),
    "a broken configuration": (
        {"app.py": CAPTURED, "spanpipe.yaml": "flush:\n  mode: sometimes\n  x: 1\n"},
        ["configuration_broken", "configuration_broken"],
    ),
}


@pytest.mark.parametrize("case", FUNCTIONS)
def test_a_functions_folder(tmp_path: Path, case: str) -> None:
    """Configuration, handler and names, without running anything of it."""
    files, expected = FUNCTIONS[case]
    folder = written(tmp_path, files)
    assert names(package_findings(folder, {}, "app.handler")) == expected


def test_the_wrapper_captures_what_is_not_decorated(tmp_path: Path) -> None:
    """The variable is the function's."""
    written(tmp_path, {"app.py": PLAIN})
    environ = {"AWS_LAMBDA_EXEC_WRAPPER": "/opt/spanpipe/wrap"}
    assert names(package_findings(tmp_path, environ, "app.handler")) == []


def test_without_a_handler_names_and_configuration_are_looked_at(tmp_path: Path) -> None:
    """Who imports what is not known, so each name that hides ours is told."""
    written(tmp_path, {"fifo.py": "", "spanpipe.py": ""})
    assert names(package_findings(tmp_path, {}, None)) == ["fifo_shadowed", "spanpipe_shadowed"]


def test_a_copy_of_ours_in_the_package_hides_nothing(tmp_path: Path) -> None:
    """As `pip install -t` leaves it."""
    for package in ("fifo", "spanpipe"):
        shutil.copytree(ROOT / package, tmp_path / package)
    assert names(package_findings(tmp_path, {}, None)) == []


def test_nothing_is_exported_where_it_is_turned_off(tmp_path: Path) -> None:
    """OTEL_SDK_DISABLED is no mistake, and worth saying."""
    environ = {"OTEL_SDK_DISABLED": "true"}
    assert names(package_findings(tmp_path, environ, None)) == ["export_disabled"]


def test_a_place_of_a_mistake_is_told(tmp_path: Path) -> None:
    """File, line, column and key."""
    written(tmp_path, {"spanpipe.yaml": "flush:\n  mode: sometimes\n"})
    (one,) = [one for one in package_findings(tmp_path, {}, None) if one.level is Level.PROBLEM]
    assert one.seen.startswith(f"{tmp_path}/spanpipe.yaml:2:9: flush.mode: ")


# An unpacked layer


LAYERS = {
    "whole": (lambda folder: None, {"runtime": "python3.13"}, []),
    "no bit": (
        lambda folder: (folder / "extensions/spanpipe").chmod(0o644),
        {},
        ["layer_not_executable"],
    ),
    "no bit of the wrapper": (
        lambda folder: (folder / "spanpipe/wrap").chmod(0o644),
        {},
        ["layer_not_executable"],
    ),
    "another name": (
        lambda folder: (folder / "extensions/spanpipe").rename(folder / "extensions/spanpipe.sh"),
        {},
        ["layer_wrong_name"],
    ),
    "another file": (
        lambda folder: written(folder, {"extensions/README.md": ""}),
        {},
        ["layer_extra_file"],
    ),
    "a part is missing": (
        lambda folder: (folder / "spanpipe/wrapped.py").unlink(),
        {},
        ["layer_incomplete"],
    ),
    "an old Python": (lambda folder: None, {"runtime": "python3.9"}, ["layer_runtime_unfit"]),
    "no Python": (lambda folder: None, {"runtime": "nodejs22.x"}, ["layer_runtime_unfit"]),
    "no byte code": (lambda folder: None, {"runtime": "python3.14"}, ["layer_no_byte_code"]),
    "another machine": (
        lambda folder: (folder / "spanpipe/packages/a.so").write_bytes(elf(183)),
        {"architecture": "x86_64"},
        ["layer_wrong_architecture"],
    ),
    "its machine": (
        lambda folder: (folder / "spanpipe/packages/a.so").write_bytes(elf(183)),
        {"architecture": "arm64"},
        [],
    ),
}


@pytest.mark.parametrize("case", LAYERS)
def test_an_unpacked_layer(tmp_path: Path, case: str) -> None:
    """Modes, names, parts, and whether it fits."""
    spoil, fits, expected = LAYERS[case]
    spoil(layer(tmp_path))
    assert names(layer_findings(tmp_path, **fits)) == expected


@pytest.mark.parametrize("runtime", ["nodejs22.x", "provided.al2023", "python3.13"])
def test_a_layer_with_an_interpreter_fits_every_runtime(tmp_path: Path, runtime: str) -> None:
    """It needs neither `main.py` nor a Python of the runtime's."""
    assert names(layer_findings(layer(tmp_path, own_python=True), runtime)) == []


def test_a_zip_of_the_folder_is_one_too_deep(tmp_path: Path) -> None:
    """Lambda would look for /opt/extensions in vain."""
    (tmp_path / "spanpipe-python-x86_64").mkdir()
    layer(tmp_path / "spanpipe-python-x86_64")
    assert names(layer_findings(tmp_path)) == ["layer_nested"]


# This environment


def fifo_as(kind: str, path: Path) -> None:
    if kind == "file":
        path.write_text("")
    elif kind == "link":
        path.symlink_to("nowhere")
    elif kind == "open":
        os.mkfifo(path)
        path.chmod(0o622)
    elif kind == "ours":
        os.close(pipes.make_fifo(str(path), 4096))


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("nothing", []),
        ("ours", []),
        ("file", ["fifo_replaced"]),
        ("link", ["fifo_replaced"]),
        ("open", ["fifo_replaced"]),
    ],
)
def test_what_stands_at_the_fifos_path(tmp_path: Path, kind: str, expected: list[str]) -> None:
    """Looked at with lstat, so that no message is taken and nothing waits."""
    fifo_as(kind, tmp_path / pipes.RESULTS_NAME)
    assert names(fifo_findings(str(tmp_path))) == expected


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    """The FIFO could not be made there."""
    written(tmp_path, {"file": ""})
    assert set(names(fifo_findings(str(tmp_path / "file")))) == {"fifo_not_made"}


@pytest.mark.parametrize(("ahead_s", "expected"), [(0, []), (3600, ["clock_wrong"])])
def test_the_clock_is_compared_with_the_collectors(ahead_s: int, expected: list[str]) -> None:
    """By the date of its answer."""
    date = formatdate(time.time() + ahead_s, usegmt=True)
    with breaking.answering(breaking.http_answer("200 OK", b"", f"Date: {date}")) as collector:
        settings = ExporterSettings(OTLP_HTTP, f"http://127.0.0.1:{collector.port}/v1/traces")
        assert names(endpoint_findings(settings, {})) == expected


def test_a_refused_key_still_tells_the_time() -> None:
    """401 is an answer with a date like any other."""
    date = formatdate(time.time() - 3600, usegmt=True)
    refusing = breaking.answering(breaking.http_answer("401 No", b"", f"Date: {date}"))
    with refusing as collector:
        settings = ExporterSettings(OTLP_HTTP, f"http://127.0.0.1:{collector.port}/v1/traces")
        assert names(endpoint_findings(settings, {})) == ["collector_denies_key", "clock_wrong"]


def test_an_endpoint_over_grpc() -> None:
    """A good one, and one where nobody listens: named by the cause, not by gRPC's UNAVAILABLE."""
    with Receiver(grpc=True) as receiver:
        good = ExporterSettings(OTLP_GRPC, receiver.grpc_endpoint)
        assert names(endpoint_findings(good, {})) == []
    endpoint = f"http://127.0.0.1:{free_port()}"
    assert names(endpoint_findings(ExporterSettings(OTLP_GRPC, endpoint, timeout_ms=2000), {})) == [
        "collector_unreachable"
    ]


def installed(folder: Path, name: str, version: str, *requires: str) -> None:
    lines = [f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}"]
    lines += [f"Requires-Dist: {one}" for one in requires]
    written(folder, {f"{name}-{version}.dist-info/METADATA": "\n".join(lines) + "\n"})


def test_packages_that_do_not_fit_and_that_are_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is installed, against what is asked for; extras for development do not count."""
    monkeypatch.syspath_prepend(tmp_path)
    installed(tmp_path, "requests", "2.31.0")
    told = {one.name: one.seen for one in package_versions() if one.level is not Level.OK}
    assert told == {"packages_unfit": "requests 2.31.0 is not >=2.32"}
    wanted = ("none-such-a>=1; extra == 'local'", "none-such-b; extra == 'dev'")
    installed(tmp_path, "spanpipe", "0.1.0", *wanted)
    assert names(package_versions()) == ["local_missing"]


# The command


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    status = cli.main(["doctor", *arguments])
    out, err = capsys.readouterr()
    return status, out, err


def test_a_finding_is_a_line_and_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Plain in a pipe; status 1 for a problem."""
    written(tmp_path, {"log": "spanpipe: error: cannot register: no\n"})
    assert run(capsys, str(tmp_path / "log")) == (
        1,
        "ok       layer: the log has its extension\n"
        "problem  extension_not_registered: Lambda did not register the extension: line 1: cannot "
        "register: no\n"
        "         means: The file's name is not spanpipe, init was over, or there are more than "
        "ten extensions.\n"
        "         do:    Keep the file's name extensions/spanpipe, and remove extensions beyond "
        "ten.\n",
        "",
    )


def test_json_has_an_object_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With every field of a finding; warnings alone are no problem."""
    line = "spanpipe: warning: SPANPIPE_EXEC_WRAPPER: /opt/x cannot be run; it is left out\n"
    (tmp_path / "log.gz").write_bytes(gzip.compress(line.encode()))
    status, out, _ = run(capsys, str(tmp_path / "log.gz"), "--json")
    well, found = map(json.loads, out.splitlines())
    assert (status, well["level"]) == (0, "ok")
    assert found == {
        "level": "warning",
        "name": "wrapper_missing",
        "says": "SPANPIPE_EXEC_WRAPPER cannot be run",
        "seen": "line 1: SPANPIPE_EXEC_WRAPPER: /opt/x cannot be run; it is left out",
        "means": "The wrapper that was to go first is left out.",
        "todo": "Correct the path, or take the variable away.",
    }


def test_standard_input_is_a_log(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As from `aws logs tail`."""
    raw = io.BufferedReader(io.BytesIO(b"START RequestId: 1 Version: 1\n"))  # type: ignore[arg-type]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(raw))
    status, out, _ = run(capsys, "-", "--json")
    assert (status, json.loads(out)["name"]) == (0, "layer_unseen")


def test_folders_are_told_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A layer by what is in it, anything else is a function's."""
    (tmp_path / "layer").mkdir()
    layer(tmp_path / "layer")
    written(tmp_path, {"function/app.py": PLAIN})
    status, out, _ = run(capsys, str(tmp_path / "layer"), "--runtime", "python3.13")
    assert (status, out.partition(":")[0]) == (0, "ok       extension")
    function = (str(tmp_path / "function"), "--handler", "app.handler")
    assert run(capsys, *function)[0] == 1
    assert run(capsys, *function, "--wrap")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["{}/none"], "cannot be read: "),
        (["{}/empty"], "is empty"),
        (["{}/zeros"], "is no log"),
        (["{}", "--runtime", "python3.13"], "--runtime is for an unpacked layer"),
        (["{}/empty", "--handler", "a.b"], "--handler is for a function's folder"),
        (["--config", "{}/none"], "there is no such file"),
    ],
)
def test_wrong_input_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], text: str
) -> None:
    """Status 2, one line, nothing on standard output."""
    written(tmp_path, {"empty": "", "zeros": "\0" * 100})
    status, out, err = run(capsys, *(one.format(tmp_path) for one in arguments))
    assert (status, out) == (2, "")
    assert err.startswith("spanpipe doctor: ")
    assert text in err


def test_without_an_argument_this_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Configuration, endpoint, clock, both FIFOs, packages: all well with a receiver."""
    monkeypatch.setenv("SPANPIPE_DIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    with Receiver() as receiver:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", receiver.http_endpoint)
        status, out, _ = run(capsys, "--json")
    told = [(one["level"], one["name"]) for one in map(json.loads, out.splitlines())]
    checks = ("configuration", "endpoint", "clock", "fifo", "fifo", "packages")
    assert (status, told) == (0, [("ok", name) for name in checks])


OF_FILES = {
    *(name for _, expected in FUNCTIONS.values() for name in expected),
    *(name for _, _, expected in LAYERS.values() for name in expected),
    "layer_nested",
    "export_disabled",
    "clock_wrong",
    "packages_unfit",
    "local_missing",
}
"""What the tests here produce."""
