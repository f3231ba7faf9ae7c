"""The layers that `make layer` builds: what is in them, and that they do what the checkout does."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from deploy.layer.archive import to_folder, to_zip
from deploy.layer.build import python_layer
from deploy.layer.bytecode import Compiler
from deploy.layer.errors import LayerError
from deploy.layer.platforms import ARCHITECTURES, PYTHONS
from deploy.layer.pythons import JARS, full_version, pythons
from deploy.layer.wheels import Index
from sandbox.opt import mount_problem
from sandbox.receiver import Receiver
from tests.whole import test_logs
from tests.whole.emulator import Emulator
from tests.whole.fetch import cannot, making
from tests.whole.layers import (
    KEPT,
    MB,
    PROBE,
    SIZES,
    Built,
    at_hand,
    build,
    built,
    here,
    interpreter,
    on_python,
)
from tests.whole.scenario import (
    ANSWERS,
    ESSENTIALS,
    FOLDER,
    HANDLER,
    SPANS_S,
    essentials,
    invocation_spans,
    on_emulator,
)
from tests.whole.test_run import spanpipe

__all__ = ["built"]

pytestmark = pytest.mark.emulator

PUBLISHED_IN_THE_CALL = 50 * MB
"""What Lambda takes as it is; with gRPC there is a library in C for each Python."""
ONE_PYTHON = 4 * MB
"""Zipped, at most: with byte code for one Python."""


def contents(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(path.relative_to(folder)): (stat.S_IMODE(path.stat().st_mode), path.read_bytes())
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("runtimes", ["python", "any"])
@pytest.mark.parametrize("architecture", [one.name for one in ARCHITECTURES])
def test_the_folder_is_the_zip_unpacked(built: Built, architecture: str, runtimes: str) -> None:
    """What an image copies into `/opt` is what Lambda unpacks there, permissions included."""
    name = built.name(runtimes, architecture)
    assert contents(built.opt(name)) == contents(built.dist / name)


def test_the_same_input_gives_the_same_bytes(built: Built, tmp_path: Path) -> None:
    """One architecture built anew, alone, elsewhere: no time, no path and no order is in it."""
    build(tmp_path, "--architecture", "arm64")
    names = sorted(path.name for path in built.dist.glob("*-arm64.zip"))
    assert names == sorted(path.name for path in tmp_path.glob("*.zip"))
    for name in names:
        assert (built.dist / name).read_bytes() == (tmp_path / name).read_bytes(), name


def test_sizes(built: Built, tmp_path: Path) -> None:
    """Each zip is printed with its size and within its bound, for one Python too."""
    for path in built.dist.glob("*.zip"):
        size = path.stat().st_size
        assert f"{path.name}: {size / MB:.2f} MB" in built.printed
        assert size <= SIZES[path.name.split("-")[1]]
    one = next(iter(at_hand().found))
    with zipfile.ZipFile(built.dist / "spanpipe-python-x86_64.zip") as archive:
        size = sum(
            member.compress_size
            for member in archive.infolist()
            if not member.filename.endswith(".pyc")
            or f".cpython-{one.replace('.', '')}." in member.filename
        )
    assert size <= ONE_PYTHON


@pytest.mark.parametrize("runtimes", ["python", "any"])
@pytest.mark.parametrize("architecture", [one.name for one in ARCHITECTURES])
def test_what_is_in_it(built: Built, architecture: str, runtimes: str) -> None:
    """On the function's path `fifo` and `spanpipe` alone; no AWS SDK, no gRPC, no path of here."""
    opt = built.dist / built.name(runtimes, architecture)
    assert {path.name for path in opt.iterdir()} == {"extensions", "python", "spanpipe"}
    assert {path.name for path in (opt / "extensions").iterdir()} == {"spanpipe"}
    importable = {path.name for path in (opt / "python").iterdir() if path.suffix != ".dist-info"}
    assert importable == {"fifo", "spanpipe"}
    executable = {name for name, (mode, _) in contents(opt).items() if mode & stat.S_IXUSR}
    own = {name for name in executable if name.startswith("spanpipe/runtime/")}
    assert {name.rpartition("/")[2].partition("-")[0] for name in own} == {
        "python": set(),
        "any": {"ld", "python3"},
    }[runtimes]
    assert executable - own == {"extensions/spanpipe", "spanpipe/wrap"}
    packages = {path.name for path in (opt / "spanpipe" / "packages").iterdir()}
    assert packages & {"boto3", "botocore", "awslambdaric", "grpc", "sandbox", "tests"} == set()
    machine = [str(path).encode() for path in (Path.cwd(), *at_hand().found.values())]
    told = [
        name
        for name, (_, data) in contents(opt).items()
        if any(path in data for path in machine) or (name.endswith(".pyc") and b"/tmp/tmp" in data)
    ]
    assert told == []


def test_every_module_has_byte_code_for_every_python_found(built: Built) -> None:
    """And the versions that are missing here are named in the output."""
    opt = built.dist / "spanpipe-python-arm64"
    modules = {path for path in opt.rglob("*.py") if path.name != "main.py"}
    for python in PYTHONS:
        tag = f"cpython-{python.replace('.', '')}"
        compiled = {
            path.parent.parent / f"{path.name.partition('.')[0]}.py"
            for path in opt.rglob(f"*.{tag}.pyc")
        }
        if python in at_hand().found:
            assert modules <= compiled
            assert f"Python {python}: byte code by {python}." in built.printed
        else:
            assert compiled == set()
            assert f"Python {python}: NO byte code" in built.printed


def test_a_pinned_python_is_not_this_machines() -> None:
    """What two machines make byte code by is one version then, whatever else they have."""
    python = f"{sys.version_info[0]}.{sys.version_info[1]}"
    with making(KEPT / "pythons"):
        at_hand = pythons((python,), os.environ, KEPT / "pythons", pinned=True)
    if python in at_hand.missing:
        cannot(f"Python {python}: {at_hand.missing[python]}")
    version = JARS[python, here().name].version.partition("-")[0]
    assert full_version(at_hand.found[python]) == version


@pytest.mark.parametrize("runtimes", ["python", "any"])
def test_the_bill_of_materials_names_all_that_is_inside(built: Built, runtimes: str) -> None:
    """Every package with its version, its hash and its licence, and the licence's text."""
    opt = built.dist / built.name(runtimes, "x86_64")
    bill = json.loads((opt / "spanpipe" / "bom.cdx.json").read_text())
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    packages = [one for one in bill["components"] if one["purl"].startswith("pkg:pypi/")]
    installed = {
        tuple(path.name.removesuffix(".dist-info").rsplit("-", 1))
        for path in (opt / "spanpipe" / "packages").glob("*.dist-info")
        if not path.name.startswith("spanpipe-")
    }
    assert {(one["name"].replace("-", "_"), one["version"]) for one in packages} == installed
    pinned = (Path(__file__).resolve().parents[2] / "constraints.txt").read_text()
    assert all(f"sha256:{one['hashes'][0]['content']}" in pinned for one in packages)
    parts = {one["name"] for one in bill["components"] if one not in packages}
    assert ("libc6" in parts, "libssl3" in parts) == (runtimes == "any",) * 2
    for one in bill["components"]:
        (digest,) = one["hashes"]
        assert (digest["alg"], len(digest["content"])) == ("SHA-256", 64)
        assert one["licenses"]
        assert any((opt / "spanpipe" / "licenses" / one["name"]).iterdir())


@pytest.mark.parametrize("python", PYTHONS)
def test_the_scenario_out_of_the_layer(built: Built, tmp_path: Path, python: str) -> None:
    """On each Python, from the unpacked zip: every answer, one span each, with its fate."""
    (tmp_path / "code").mkdir()
    shutil.copy(FOLDER / "scenario_function.py", tmp_path / "code")
    place = on_python(built.opt(built.name("python", here().name)), python)
    answers, spans, lines = on_emulator(tmp_path, code=tmp_path / "code", layer=place)
    assert (answers, essentials(spans)) == (ANSWERS, ESSENTIALS), lines


HOSTILE = (
    "requests",
    "urllib3",
    "opentelemetry",
    "google",
    "yaml",
    "extension",
    "exporter",
    "sitecustomize",
    "typing_extensions",
)
_MARKS = (
    "import os, sys\n\nVERSION = 'ours, and old'\n"
    "with open(os.environ['MARKS'], 'a') as file:\n"
    "    file.write(' '.join((__name__, *sys.orig_argv)) + '\\n')\n"
)
_APP = (
    "import sys\n\nimport exporter, extension, google, opentelemetry, requests, typing_extensions\n"
    "import urllib3, yaml\n\n\n"
    "def handler(event, context):\n"
    "    return {name: sys.modules[name].VERSION for name in event}\n"
)


def test_neither_side_finds_the_packages_of_the_other(built: Built, tmp_path: Path) -> None:
    """A function, wrapped, with old packages under every name that the extension imports, in its
    package and by a `.pth` file: it keeps its own, and so does the extension."""
    python = PYTHONS[-1]
    code = tmp_path / "code"
    code.mkdir()
    (code / "app.py").write_text(_APP)
    for name in HOSTILE:
        (code / f"{name}.py").write_text(_MARKS)
    site = tmp_path / "user" / "lib" / f"python{python}" / "site-packages"
    site.mkdir(parents=True)
    (site / "first.pth").write_text("import requests\n")
    marks = tmp_path / "marks"
    opt = built.dist / "spanpipe-python-x86_64"
    with Receiver() as receiver:
        environ = {
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": receiver.http_endpoint,
            "MARKS": str(marks),
            "PYTHONUSERBASE": str(tmp_path / "user"),
            "LD_LIBRARY_PATH": "/var/task",
        }
        wrapper = ["/opt/spanpipe/wrap"]
        with Emulator(
            tmp_path,
            "app.handler",
            code,
            3,
            environ,
            layer=on_python(opt, python),
            wrapper=wrapper,
        ) as emulator:
            status, payload = emulator.invoke(json.dumps(HOSTILE).encode())
            emulator.shutdown()
        receiver.wait_for_spans(1, SPANS_S)
        spans = invocation_spans(receiver.requests)
    answer = dict.fromkeys(HOSTILE, "ours, and old")
    assert (status, json.loads(payload)) == (200, answer), emulator.lines
    assert [one["attributes"]["spanpipe.result.body"] for one in spans] == [
        json.dumps(answer, separators=(",", ":"))
    ]
    imported = [line.split(" ", 1) for line in marks.read_text().splitlines()]
    assert {name for name, _ in imported} >= set(HOSTILE)
    assert [command for _, command in imported if "awslambdaric" not in command] == []


def test_without_a_python_it_says_which_layer_to_take(built: Built) -> None:
    """Another runtime has no `/var/lang/bin/python3.x`."""
    script = built.dist / "spanpipe-python-x86_64" / "extensions" / "spanpipe"
    done = subprocess.run([str(script)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (
        69,
        "spanpipe: error: there is no Python 3.10 to 3.14 in /var/lang/bin; "
        "take the layer spanpipe-any\n",
    )


@pytest.mark.parametrize("python", PYTHONS)
def test_all_that_the_extension_may_import_is_inside(built: Built, python: str) -> None:
    """Every module of ours, and what exporting either signal imports, with byte code."""
    packages = built.dist / "spanpipe-python-x86_64" / "spanpipe" / "packages"
    before = contents(packages)
    done = subprocess.run(
        [str(interpreter(python)), "-I", "-S", "-c", PROBE, str(packages)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert contents(packages) == before


def test_grpc_is_inside_on_request_alone(built: Built, tmp_path: Path) -> None:
    """Without it the log says what to do, and the function goes on; with it the span arrives."""
    python = PYTHONS[-1]
    compiler = Compiler(at_hand().found)
    index = Index(KEPT / "wheels")
    try:
        layer = python_layer(here(), index, compiler, grpc=True)
    except LayerError as error:
        cannot(str(error))
        raise AssertionError from error
    assert layer.name == f"spanpipe-python-{here().name}-grpc"
    assert len(to_zip(layer.tree)) <= PUBLISHED_IN_THE_CALL
    to_folder(layer.tree, tmp_path / "with")
    without = built.opt(f"spanpipe-python-{here().name}")
    told = {}
    for name, opt in (("with", tmp_path / "with"), ("without", without)):
        folder = tmp_path / f"{name}-run"
        folder.mkdir()
        with Receiver(grpc=True) as receiver:
            environ = {
                "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": receiver.grpc_endpoint,
                "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "grpc",
            }
            place = on_python(opt, python)
            with Emulator(folder, HANDLER, FOLDER, 5, environ, layer=place) as emulator:
                status, payload = emulator.invoke(b'{"id": 1}')
                if name == "with":
                    receiver.wait_for_spans(2, SPANS_S)
                emulator.shutdown()
            assert (status, json.loads(payload)) == (200, {"id": 1, "text": ""}), emulator.lines
            fates = [
                one["attributes"]["spanpipe.fate"] for one in invocation_spans(receiver.requests)
            ]
        told[name] = (fates, [line for line in emulator.lines if "built without gRPC" in line])
    assert told == {
        "with": (["returned"], []),
        "without": (
            [],
            [
                "spanpipe: error: internal: GrpcMissingError: nothing can be exported: this layer "
                "is built without gRPC; take otlp_http, or a layer built with it "
                "(make layer GRPC=1)"
            ],
        ),
    }


@pytest.mark.parametrize("runtimes", ["python", "any"])
def test_log_lines_leave_from_the_layer(built: Built, tmp_path: Path, runtimes: str) -> None:
    """With ``signals: {logs: true}`` every line arrives as an OTLP log record, in its trace."""
    problem = mount_problem([])
    if problem is not None:
        cannot(f"/opt cannot be mounted here: {problem}")
    said = test_logs.Said()
    layer = built.opt(built.name(runtimes, here().name))
    with Receiver() as receiver:
        with test_logs.environment(tmp_path, receiver, said, layer=layer) as env:
            test_logs.two_invocations(env, said)
        assert test_logs.told(receiver) == test_logs.TOLD


LAYERED = """
import os, pathlib
import fifo

def handler(event, context):
    # Those that the sandbox has started: the runtime and the extension.
    children = pathlib.Path(f"/proc/{os.getppid()}/task").glob("*/children")
    pids = [pid for path in children for pid in path.read_text().split()]
    commands = [pathlib.Path(f"/proc/{pid}/cmdline").read_text() for pid in pids]
    (extension,) = [one.split("\\0") for one in commands if "awslambdaric" not in one]
    print("seen", fifo.__file__, extension[-2])
"""


@pytest.mark.parametrize(
    ("runtimes", "program"),
    [("python", "/opt/spanpipe/main.py"), ("any", "/opt/extensions/spanpipe")],
)
def test_spanpipe_run_takes_the_layers_own_extension(
    built: Built, tmp_path: Path, runtimes: str, program: str
) -> None:
    """With ``--layer`` the extension, the wrapper and `fifo` are those of the built layer."""
    if mount_problem([]) is not None:
        cannot(f"/opt cannot be mounted here: {mount_problem([])}")
    (tmp_path / "app.py").write_text(LAYERED)
    layer = built.opt(built.name(runtimes, here().name))
    done = spanpipe(tmp_path, "run", "app.handler", "--wrap", "--layer", str(layer))
    assert done.returncode == 0, done.stderr
    assert f"[function] seen /opt/python/fifo/__init__.py {program}" in done.stderr
    assert done.stdout.splitlines()[1].split()[1] == "returned"
