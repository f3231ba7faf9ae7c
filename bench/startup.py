"""From exec to the first `/next`: ours, peers that do the same, and what a process costs at all.

Ours runs from a copy with byte code made on purpose, as a layer ships it. Each contestant is a
whole process; an extension ends when its `/event/next` has been read by a bare Extensions API
here, in a second table by the sandbox's; in a third, AWS's emulator starts it. See
bench/BASELINES.md.

    python -m bench.startup [--runs 100] [--quick] [--json FILE] [--results DIR]
"""

from __future__ import annotations

import argparse
import compileall
import contextlib
import os
import selectors
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from bench import emulated, peers
from bench.measure import interleaved, percentile
from bench.results import Report, arguments
from collectors.ports import free_ports
from sandbox.server import ApiServer
from sandbox.state import ApiState

ROOT = Path(__file__).resolve().parent.parent
BARE = "bare (-I -S)"
BARE_SITE = "bare with site"
REQUESTS = "import requests"
EXPORTER = "import requests + exporter"
OURS = "spanpipe to /next"
EAGER = "spanpipe, all imported first"
SENTRY = "Sentry's extension to /next"
ROTEL = "rotel to its ready line"
EMULATOR = "AWS's emulator"

READY_S = 30.0
INSIDE = "SPANPIPE_BENCH_NETWORK"
NO_NETWORK = "it wants a network of its own: unshare -n, ip"
_REGISTERED = (
    b"HTTP/1.1 200 OK\r\nLambda-Extension-Identifier: bench\r\nContent-Length: 2\r\n\r\n{}"
)
_MAIN = "import sys\nsys.path[:0] = {paths!r}\n{eager}from extension.__main__ import run\nrun()\n"
_EXPORTER = "import requests, opentelemetry.exporter.otlp.proto.http.trace_exporter"
_EAGER = f"{_EXPORTER}, yaml\n"


class Api:
    """Answers `/register`, and tells when `/event/next` has come."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setblocking(False)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._listener.getsockname()[1]}"

    def time_to_next(self, command: list[str], environ: Mapping[str, str]) -> float:
        """Seconds from here; raises RuntimeError where the extension never asks."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._listener, selectors.EVENT_READ)
            began = time.perf_counter()
            process = subprocess.Popen(
                command, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            try:
                self._serve(selector, process, began + READY_S)
                return time.perf_counter() - began
            finally:
                process.kill()
                process.wait()
                self._forget(selector)

    def _serve(
        self, selector: selectors.BaseSelector, process: subprocess.Popen[bytes], until_s: float
    ) -> None:
        received: dict[socket.socket, bytes] = {}
        while time.perf_counter() < until_s:
            for key, _ in selector.select(1.0):
                if key.fileobj is self._listener:
                    connection, _ = self._listener.accept()
                    received[connection] = b""
                    selector.register(connection, selectors.EVENT_READ)
                    continue
                connection = key.fileobj
                data = connection.recv(65536)
                if not data:
                    selector.unregister(connection)
                    connection.close()
                    continue
                received[connection] += data
                if b"/event/next" in received[connection]:
                    return
                if b"/register" in received[connection] and received[connection].endswith(b"]}"):
                    received[connection] = b""
                    connection.sendall(_REGISTERED)
            if process.poll() is not None:
                raise RuntimeError(f"it left before its first /next, status {process.returncode}")
        raise RuntimeError(f"no /next within {READY_S:.0f} s")

    def _forget(self, selector: selectors.BaseSelector) -> None:
        """Its connections, which the next process's must not be taken for."""
        for key in list(selector.get_map().values()):
            if key.fileobj is not self._listener:
                key.fileobj.close()
        try:
            while True:
                self._listener.accept()[0].close()
        except BlockingIOError:
            pass


def whole(command: list[str], environ: Mapping[str, str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, env=environ, check=True)
    return time.perf_counter() - began


def in_the_sandbox(
    server: ApiServer, name: str, command: list[str], environ: Mapping[str, str]
) -> float:
    """Seconds to the first `/event/next` as the sandbox's API sees it."""
    state = ApiState(
        frozenset({name}),
        {"functionName": "f", "functionVersion": "1", "handler": "h", "accountId": "123456789012"},
    )
    server.use(state)
    began_s = time.monotonic()
    process = subprocess.Popen(
        command, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )

    def ready_s() -> list[float]:
        return [one.ready_s for one in state.extensions.values() if one.ready_s is not None]

    try:
        with state.changed:
            if not state.changed.wait_for(lambda: bool(ready_s()), timeout=READY_S):
                raise RuntimeError(f"{name} did not ask for an event")
        return ready_s()[0] - began_s
    finally:
        process.kill()
        process.wait()


def to_a_line(command: list[str], environ: Mapping[str, str], line: bytes) -> float:
    """Seconds to the output that has `line` in it."""
    began = time.perf_counter()
    process = subprocess.Popen(
        command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        received = b""
        while line not in received:
            data = os.read(process.stdout.fileno(), 65536)
            if not data:
                raise RuntimeError(f"it ended with {received[-200:]!r}")
            received += data
        return time.perf_counter() - began
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def our_programs(folder: Path) -> dict[str, list[str]]:
    """Commands of the extension, from a compiled copy of it in `folder`."""
    packages = folder / "packages"
    for name in ("fifo", "exporter", "extension"):
        shutil.copytree(ROOT / name, packages / name, ignore=shutil.ignore_patterns("__pycache__"))
    compileall.compile_dir(str(packages), quiet=1)
    paths = [str(packages), *(path for path in sys.path if "site-packages" in path)]
    programs = {}
    for name, eager in ((OURS, ""), (EAGER, _EAGER)):
        program = folder / f"main_{len(programs)}.py"
        program.write_text(_MAIN.format(paths=paths, eager=eager))
        programs[name] = [sys.executable, "-I", "-S", str(program)]
    return programs


def fetch() -> None:
    """What comes from registries, while they can be reached; what cannot is said later."""
    for peer in (peers.sentry, peers.rotel, peers.emulator):
        with contextlib.suppress(peers.NotObtainableError):
            peer()


def in_a_network_of_its_own() -> bool:
    """Run this again where only loopback is, once; whether this is that run.

    Sentry's extension listens on a fixed port of every interface.
    """
    if os.environ.get(INSIDE):
        return True
    fetch()
    options = ["-n", *(["-r"] if os.geteuid() else [])]
    script = 'ip link set lo up && exec "$@"'
    command = ["unshare", *options, "sh", "-c", script, "sh"]
    try:
        tried = subprocess.run([*command, "true"], capture_output=True, check=False)
    except FileNotFoundError:
        return False
    if tried.returncode:
        return False
    again = [*command, sys.executable, "-m", "bench.startup", *sys.argv[1:]]
    sys.exit(subprocess.run(again, env={**os.environ, INSIDE: "1"}, check=False).returncode)


def contestants_of(
    report: Report, api: Api, folder: Path, environ: dict[str, str], *, alone: bool
) -> tuple[dict[str, Callable[[], float]], dict[str, tuple[str, list[str]]]]:
    """Each contestant's run; and of the extensions name and command."""
    programs = our_programs(folder)
    extensions = {name: ("spanpipe", command) for name, command in programs.items()}
    try:
        if not alone:
            raise peers.NotObtainableError(NO_NETWORK)
        extensions[SENTRY] = ("sentry-extension", [str(peers.sentry())])
    except peers.NotObtainableError as error:
        report.lost(SENTRY, str(error))
    runs: dict[str, Callable[[], float]] = {
        BARE: lambda: whole([sys.executable, "-I", "-S", "-c", "pass"], environ),
        BARE_SITE: lambda: whole([sys.executable, "-c", "pass"], environ),
    }
    for name, (_, command) in list(extensions.items()):
        try:
            api.time_to_next(command, environ)
        except RuntimeError as error:
            report.lost(name, str(error))
            del extensions[name]
            continue
        runs[name] = lambda command=command: api.time_to_next(command, environ)
    runs[REQUESTS] = lambda: whole([sys.executable, "-c", "import requests"], environ)
    runs[EXPORTER] = lambda: whole([sys.executable, "-c", _EXPORTER], environ)
    try:
        grpc, http = free_ports(2)
        agent = [str(peers.rotel()), "start", "--exporter", "blackhole"]
        agent += ["--otlp-grpc-endpoint", f"127.0.0.1:{grpc}"]
        agent += ["--otlp-http-endpoint", f"127.0.0.1:{http}"]
        runs[ROTEL] = lambda: to_a_line(agent, environ, b"Starting Rotel")
        runs[ROTEL]()
    except (peers.NotObtainableError, RuntimeError) as error:
        runs.pop(ROTEL, None)
        report.lost(ROTEL, str(error))
    return runs, extensions


def measure(report: Report, runs: int, *, alone: bool) -> None:
    with tempfile.TemporaryDirectory(prefix="spanpipe-bench-") as folder:
        api = Api()
        environ = {
            "PATH": os.environ["PATH"],
            "AWS_LAMBDA_RUNTIME_API": api.address,
            "SPANPIPE_DIR": folder,
        }
        contestants, extensions = contestants_of(report, api, Path(folder), environ, alone=alone)
        seconds = interleaved(contestants, runs, label="start-up")
        report.timings("exec to the first /next, a bare Extensions API", seconds, "ms", BARE)
        p50 = {name: percentile(values, 0.5) for name, values in seconds.items()}
        for base, limit in ((BARE, 3.0), (EXPORTER, 0.4), (SENTRY, 0.4)):
            if base in p50:
                report.target(f"start-up against {base}", p50[OURS] / p50[base], limit)
        server = ApiServer()
        environ["AWS_LAMBDA_RUNTIME_API"] = server.address
        try:
            sandboxed = interleaved(
                {
                    name: lambda it=it: in_the_sandbox(server, it[0], it[1], environ)
                    for name, it in extensions.items()
                },
                max(runs // 3, 3),
                label="start-up in the sandbox",
            )
        finally:
            server.close()
        report.timings("exec to the first /next, the sandbox's API", sandboxed, "ms", OURS)
        in_the_emulator(report, extensions, max(runs // 3, 3), alone=alone)


def in_the_emulator(
    report: Report, extensions: Mapping[str, tuple[str, list[str]]], runs: int, *, alone: bool
) -> None:
    """Each extension's start where AWS's emulator starts it; a lost row where that cannot run."""
    try:
        if not alone:
            raise peers.NotObtainableError(NO_NETWORK)
        peers.emulator()
        seconds = interleaved(
            {
                name: lambda it=it: emulated.time_to_next(it[0], it[1])
                for name, it in extensions.items()
            },
            runs,
            label="start-up in the emulator",
        )
    except peers.NotObtainableError as error:
        report.lost(EMULATOR, str(error))
        return
    report.timings("exec to the first /next, AWS's emulator", seconds, "ms", OURS)
    report.note(
        "AWS's emulator starts the extension itself: from before its exec to its request on "
        "loopback, by the kernel's time stamp; the runtime starts once it has registered."
    )


def main() -> None:
    parser: argparse.ArgumentParser = arguments(__doc__)
    parser.add_argument("--runs", type=int)
    options = parser.parse_args()
    alone = in_a_network_of_its_own()
    report = Report(
        "startup",
        options,
        ("extension/__main__.py", "extension/ready.py", "extension/channel.py"),
        "Exec to the first `/next`: what an extension adds to every cold start, beside what a "
        "process costs at all.",
    )
    measure(report, options.runs or (5 if options.quick else 100), alone=alone)
    report.finish()


if __name__ == "__main__":
    main()
