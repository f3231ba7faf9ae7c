"""The layer for other runtimes, in roots that hold neither a Python nor anything else of ours."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from deploy.layer.archive import to_folder, to_zip
from deploy.layer.build import any_layer
from deploy.layer.bytecode import Compiler
from deploy.layer.errors import LayerError
from deploy.layer.platforms import ARM64, PYTHONS, Architecture
from deploy.layer.wheels import Index
from tests.whole.emulator import namespace_command
from tests.whole.fetch import cannot
from tests.whole.layers import (
    KEPT,
    PROBE,
    SIZES,
    Built,
    at_hand,
    built,
    client,
    fetched_python,
    here,
    static_function,
)
from tests.whole.places import LayerInRoot
from tests.whole.roots import debian_root
from tests.whole.scenario import (
    ANSWERS,
    ESSENTIALS,
    EVENTS,
    FOLDER,
    HANDLER,
    essentials,
    on_emulator,
)
from tests.writers.languages import WRITERS

__all__ = ["built"]

pytestmark = pytest.mark.emulator

ENVIRON = {"SPANPIPE_DIR": "/tmp", "LD_LIBRARY_PATH": "/lib64:/var/task:/opt/lib"}
"""`/tmp` is the root's own. The function's libraries are not the interpreter's."""
RELEASE = "trixie"
"""Of Debian, with another libc than the layer has."""
NODE_S = 5
"""A reset's time counts as the invocation's, and Node.js alone starts in half a second."""
AT_ONCE = "flush: {mode: end}\nexporter: {otlp_http: {timeout: 60000}}\n"
"""Each invocation's spans leave before the next, not within SHUTDOWN's two seconds. Their export
may take a tenth of the invocation's time, and so long."""
UNTIL_TIMEOUT = ANSWERS.index("timeout")
IMPORTED_S = 120
EMULATED_S = 900
"""Lambda's longest. QEMU needs seconds for importing what exports; on a loaded machine many."""


def place(
    built: Built,
    folder: Path,
    command: list[str],
    binds: Mapping[str, Path],
    architecture: Architecture | None = None,
) -> LayerInRoot:
    """The layer for other runtimes in an empty root below `folder`."""
    one = architecture or here()
    opt = built.opt(built.name("any", one.name))
    return LayerInRoot(opt, made(folder, "root"), command, binds, one.machine)


def at_shutdown(lines: list[str]) -> list[str]:
    """What the extension says of the invocations, each time it ends."""
    said = "spanpipe: shutdown sandboxterminated: "
    return [line.removeprefix(said).partition(";")[0] for line in lines if line.startswith(said)]


def made(folder: Path, name: str) -> Path:
    (folder / name).mkdir()
    return folder / name


def node_function(folder: Path) -> Path:
    """The writer's example, with the package in it."""
    code = folder / "code"
    shutil.copytree(WRITERS / "node" / "example", code)
    shutil.copytree(WRITERS / "node", code / "node_modules" / "spanpipe")
    return code


def test_a_node_function_on_another_debian(built: Built, tmp_path: Path) -> None:
    """The scenario by our writer for Node.js, where another release's Node.js and what it needs are
    all there is: every answer, one span each, with its fate."""
    code = node_function(tmp_path)
    binds = debian_root(RELEASE, ("nodejs",), here())
    assert not list(binds["/usr"].glob("bin/python*"))
    node = place(built, tmp_path, ["/usr/bin/node", "/var/task/bootstrap.mjs"], binds)
    answers, spans, lines = on_emulator(
        tmp_path, code=code, timeout_s=NODE_S, environ=ENVIRON, layer=node
    )
    assert (answers, essentials(spans)) == (ANSWERS, ESSENTIALS), lines
    assert [[child["name"] for child in one["children"]] for one in spans] == [["work"]] * 6


def test_a_root_with_nothing(built: Built, tmp_path: Path) -> None:
    """An image that holds a static program and nothing else: the extension starts with the layer's
    own interpreter, reaches `/next`, and sends the function's span."""
    static = place(built, tmp_path, ["/function"], {"/function": static_function()})
    answers, spans, lines = on_emulator(
        tmp_path,
        [{"n": 1}],
        code=made(tmp_path, "code"),
        environ=ENVIRON,
        layer=static,
        spans_each=1,
    )
    told = [one["attributes"]["spanpipe.result.body"] for one in spans]
    assert (answers, essentials(spans), told) == (
        ["returned"],
        [("returned", True)],
        ['{"n":1}'],
    ), lines


def test_grpc_in_a_root_with_nothing(tmp_path: Path) -> None:
    """The zip with gRPC is within the same bound, and brings the libraries that gRPC's C needs."""
    compiler = Compiler(at_hand().found)
    try:
        layer = any_layer(here(), Index(KEPT / "wheels"), compiler, KEPT / "debian", grpc=True)
    except LayerError as error:
        cannot(str(error))
        raise AssertionError from error
    assert len(to_zip(layer.tree)) <= SIZES["any"]
    to_folder(layer.tree, tmp_path / "opt")
    binds = {"/function": static_function()}
    root = made(tmp_path, "root")
    answers, spans, lines = on_emulator(
        tmp_path,
        [{"n": 1}],
        code=made(tmp_path, "code"),
        environ=ENVIRON,
        layer=LayerInRoot(tmp_path / "opt", root, ["/function"], binds),
        spans_each=1,
        grpc=True,
    )
    assert (answers, essentials(spans)) == (["returned"], [("returned", True)]), lines


def test_arm64_by_qemu(built: Built, tmp_path: Path) -> None:
    """The same of the zip for arm64: its program is started by its own first line, registers, sends
    the span of each invocation before it asks for the next, and ends with SHUTDOWN."""
    static = place(built, tmp_path, ["/function"], {"/function": static_function()}, ARM64)
    code = made(tmp_path, "code")
    (code / "spanpipe.yaml").write_text(AT_ONCE)
    answers, spans, lines = on_emulator(
        tmp_path,
        [{"n": 1}, {"n": 2}],
        code=code,
        timeout_s=EMULATED_S,
        environ=ENVIRON,
        layer=static,
        spans_each=1,
    )
    told = [one["attributes"]["spanpipe.result.body"] for one in spans]
    assert (answers, essentials(spans), told) == (
        ["returned"] * 2,
        [("returned", True), ("returned", False)],
        ['{"n":1}', '{"n":2}'],
    ), lines
    assert at_shutdown(lines) == ["accepted 2 = exported 2 + waiting 0 + dropped 0"]


def test_the_python_layer_on_arm64_by_qemu(built: Built, tmp_path: Path) -> None:
    """The scenario up to its timeout, on Python 3.14 for arm64 with Lambda's own client, in a root
    that is for arm64 as a whole: each answer, each span, and what SHUTDOWN says."""
    python = PYTHONS[-1]
    binds = {
        **debian_root("bookworm", ("dash", "libstdc++6"), ARM64),
        "/var/lang": fetched_python(python, ARM64),
        "/client": client(python, ARM64),
    }
    code = made(tmp_path, "code")
    shutil.copy(FOLDER / "scenario_function.py", code)
    (code / "spanpipe.yaml").write_text(AT_ONCE)
    answers, spans, lines = on_emulator(
        tmp_path,
        EVENTS[:UNTIL_TIMEOUT],
        code=code,
        timeout_s=EMULATED_S,
        environ=ENVIRON,
        layer=LayerInRoot(
            built.opt(built.name("python", ARM64.name)),
            made(tmp_path, "root"),
            [f"/var/lang/bin/python{python}", "-m", "awslambdaric", HANDLER],
            binds,
            ARM64.machine,
            "/var/task:/opt/python:/client",
        ),
    )
    assert (answers, essentials(spans)) == (
        ANSWERS[:UNTIL_TIMEOUT],
        ESSENTIALS[:UNTIL_TIMEOUT],
    ), lines
    assert at_shutdown(lines) == ["accepted 4 = exported 4 + waiting 0 + dropped 0"]


def test_all_of_the_python_layer_is_importable_on_arm64(built: Built, tmp_path: Path) -> None:
    """Native modules too, and with byte code: by the interpreter of the other layer, by QEMU."""
    packages = built.opt(built.name("python", ARM64.name)) / "spanpipe" / "packages"
    python = ["/opt/spanpipe/runtime/bin/python3", "-I", "-S", "-c", PROBE, "/packages"]
    alone = place(built, tmp_path, python, {"/packages": packages}, ARM64)
    script = alone.script(made(tmp_path, "code"))
    command = [*namespace_command(user=alone.foreign), "sh", "-ec", f'{script}exec "$@"', "sh"]
    done = subprocess.run(
        [*command, *alone.runtime("")],
        capture_output=True,
        text=True,
        timeout=IMPORTED_S,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
