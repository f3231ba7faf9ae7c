"""From process start to the first `/next`: ours, a bare interpreter, ``import requests``.

The extension runs from a copy with byte code made on purpose, as a layer ships it. Each
contestant is a whole process; ours ends when its `/event/next` has reached a socket here.

    python -m bench.startup [--runs 60] [--json FILE]
"""

from __future__ import annotations

import argparse
import compileall
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.measure import interleaved, machine, percentile, table, write_json

ROOT = Path(__file__).resolve().parent.parent
BARE = "bare (-I -S)"
BARE_SITE = "bare with site"
REQUESTS = "import requests"
OURS = "spanpipe to /next"
EAGER = "spanpipe, all imported first"

_REGISTERED = (
    b"HTTP/1.1 200 OK\r\nLambda-Extension-Identifier: bench\r\nContent-Length: 2\r\n\r\n{}"
)
_MAIN = "import sys\nsys.path[:0] = {paths!r}\n{eager}from extension.__main__ import run\nrun()\n"
_EAGER = "import requests, opentelemetry.exporter.otlp.proto.http.trace_exporter, yaml\n"


class Api:
    """Answers `/register`, and tells when `/event/next` has come."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(30)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._listener.getsockname()[1]}"

    def time_to_next(self, command: list[str], environ: dict[str, str]) -> float:
        began = time.perf_counter()
        process = subprocess.Popen(command, env=environ, stderr=subprocess.DEVNULL)
        try:
            connection, _ = self._listener.accept()
            with connection:
                connection.settimeout(30)
                received = b""
                while b"/event/next" not in received:
                    data = connection.recv(65536)
                    if not data:
                        raise RuntimeError("the extension left before its first /next")
                    received += data
                    if b"/register" in received and received.endswith(b"]}"):
                        connection.sendall(_REGISTERED)
                        received = b""
                took = time.perf_counter() - began
        finally:
            process.kill()
            process.wait()
            self._forget_the_others()
        return took

    def _forget_the_others(self) -> None:
        """The subscription's connection, which the next process must not be taken for."""
        self._listener.settimeout(0)
        try:
            while True:
                self._listener.accept()[0].close()
        except BlockingIOError:
            self._listener.settimeout(30)


def whole(command: list[str], environ: dict[str, str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, env=environ, check=True)
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=60)
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="spanpipe-bench-") as folder:
        packages = Path(folder) / "packages"
        for name in ("fifo", "exporter", "extension"):
            shutil.copytree(
                ROOT / name, packages / name, ignore=shutil.ignore_patterns("__pycache__")
            )
        compileall.compile_dir(str(packages), quiet=1)
        paths = [str(packages), *(path for path in sys.path if "site-packages" in path)]
        programs = {}
        for name, eager in ((OURS, ""), (EAGER, _EAGER)):
            program = Path(folder) / f"main_{len(programs)}.py"
            program.write_text(_MAIN.format(paths=paths, eager=eager))
            programs[name] = [sys.executable, "-I", "-S", str(program)]
        api = Api()
        environ = {
            "PATH": os.environ["PATH"],
            "AWS_LAMBDA_RUNTIME_API": api.address,
            "SPANPIPE_DIR": folder,
        }
        contestants = {
            BARE: lambda: whole([sys.executable, "-I", "-S", "-c", "pass"], environ),
            BARE_SITE: lambda: whole([sys.executable, "-c", "pass"], environ),
            OURS: lambda: api.time_to_next(programs[OURS], environ),
            EAGER: lambda: api.time_to_next(programs[EAGER], environ),
            REQUESTS: lambda: whole([sys.executable, "-c", "import requests"], environ),
        }
        seconds = interleaved(contestants, options.runs)
    print(f"process start to the first /next; {options.runs} interleaved runs; {machine()}")
    print(table(seconds, 1e-3, "ms", BARE))
    ours = percentile(seconds[OURS], 0.5)
    print(
        f"goal: at most 4 × bare: {ours / percentile(seconds[BARE], 0.5):.2f} "
        f"({ours / percentile(seconds[BARE_SITE], 0.5):.2f} × bare with site); "
        f"at most 0.5 × import requests: {ours / percentile(seconds[REQUESTS], 0.5):.2f}"
    )
    if options.json:
        write_json(options.json, seconds)


if __name__ == "__main__":
    main()
