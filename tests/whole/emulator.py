"""AWS's runtime interface emulator around a function and the real extension.

In a mount and PID namespace of its own: folders are bound over `/opt` and others there and
nowhere else, and every process in it ends with the first.
"""

from __future__ import annotations

import http.client
import os
import shlex
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from collectors.ports import free_ports
from sandbox.closing import Closing
from sandbox.launcher import write_extensions
from tests.whole.fetch import cannot, program
from tests.whole.places import Place
from tests.whole.printing import Printing

ROOT = Path(__file__).resolve().parents[2]
START_S = 20.0
MAX_CONCURRENCY = 2
_SHARED = "/mnt"
_PATH = "/2015-03-31/functions/function/invocations"


def namespace_command(*, user: bool = False) -> list[str]:
    """What enters the namespaces; skips where this user or kernel may not.

    `user`: one of users too, as who is not root needs in any case.
    """
    unshare = shutil.which("unshare")
    if unshare is None:
        cannot("unshare (util-linux) is not installed")
        raise AssertionError
    options = ["-m", "-p", "-f", "--kill-child", "--mount-proc"]
    if user or os.geteuid() != 0:
        options.insert(0, "-r")
    command = [unshare, *options]
    tried = subprocess.run([*command, "true"], capture_output=True, text=True, check=False)
    if tried.returncode:
        cannot(f"namespaces are not to be had here: {tried.stderr.strip()}")
    return command


def _open_to_all(*paths: Path) -> str:
    """A script that puts `paths` where another user may read them, in this namespace alone."""
    script = f"mount -t tmpfs -o mode=755 none {_SHARED}\n"
    bind = ""
    closed: set[Path] = set()
    for index, path in enumerate(dict.fromkeys(path.resolve() for path in paths)):
        blocking = [one for one in path.parents if not one.stat().st_mode & stat.S_IXOTH]
        if not blocking:
            continue
        closed.add(blocking[-1])
        held, quoted = f"{_SHARED}/{index}", shlex.quote(str(path))
        script += f"mkdir {held}\nmount --bind {quoted} {held}\n"
        bind += f"mkdir -p {quoted}\nmount --bind {held} {quoted}\n"
    for folder in sorted(closed):
        script += f"mount -t tmpfs -o mode=755 none {shlex.quote(str(folder))}\n"
    return script + bind


class Emulator(Closing):
    """Runs `handler` from `code_directory`; `lines` has what all processes printed.

    `managed`: in its mode of Managed Instances, which has a Telemetry API. There it runs
    everything as a user of its own, so what is needed is bound where that user may go.
    `layer`: with a built layer in place of this checkout.
    `more_extensions` has scripts by name, beside our own. `wrapper` goes before the runtime's
    command, as Lambda's bootstrap puts it.
    """

    def __init__(
        self,
        folder: Path,
        handler: str,
        code_directory: Path,
        timeout_s: int,
        environ: Mapping[str, str],
        *,
        managed: bool = False,
        more_extensions: Mapping[str, str] | None = None,
        wrapper: Sequence[str] = (),
        layer: Place | None = None,
    ) -> None:
        emulator = program("emulator")
        enter = namespace_command(user=layer is not None and layer.foreign)
        if layer is None:
            opt = folder / "opt"
            opt.mkdir()
            extensions = write_extensions(opt, "/opt")
            for name, script in (more_extensions or {}).items():
                (extensions / name).write_text(script)
                (extensions / name).chmod(0o755)
            runtime = [*wrapper, sys.executable, "-m", "awslambdaric", handler]
            script = f"mount --bind {shlex.quote(str(opt))} /opt\n"
            path = os.pathsep.join((str(code_directory), str(ROOT)))
        else:
            runtime = [*wrapper, *layer.runtime(handler)]
            script, path = layer.script(code_directory), layer.path
        if managed:
            if os.geteuid() != 0:
                cannot("the emulator's Managed Instances need root")
            directory = f"{_SHARED}/tmp"
            bootstrap = opt / "bootstrap"
            bootstrap.write_text(f"#!/bin/sh\nexec {shlex.join(runtime)}\n")
            bootstrap.chmod(0o755)
            script += _open_to_all(ROOT, Path(sys.prefix), Path(sys.base_prefix))
            script += f"mkdir -m 1777 {directory}\n"
            script += "mount -t tmpfs -o mode=755 none /var\nmkdir /var/task\n"
            script += f"mount --bind {shlex.quote(str(code_directory))} /var/task\n"
            path = os.pathsep.join(("/var/task", str(ROOT)))
            environ = {**environ, "AWS_LAMBDA_MAX_CONCURRENCY": str(MAX_CONCURRENCY)}
        else:
            made = folder / "tmp"
            made.mkdir()
            directory = str(made)
        self._port, runtime_port = free_ports(2)
        command = [
            *enter,
            "sh",
            "-ec",
            script + 'exec "$@"',
            "sh",
            str(emulator),
            "--runtime-interface-emulator-address",
            f"127.0.0.1:{self._port}",
            "--runtime-api-address",
            f"127.0.0.1:{runtime_port}",
            *runtime,
        ]
        full = {
            "PYTHONPATH": path,
            "AWS_LAMBDA_FUNCTION_NAME": "function",
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128",
            "AWS_LAMBDA_FUNCTION_TIMEOUT": str(timeout_s),
            "AWS_LAMBDA_FUNCTION_HANDLER": handler,
            "AWS_REGION": "eu-west-1",
            "SPANPIPE_DIR": directory,
            **environ,
        }
        self._output = Printing(command, Path("/") if managed else code_directory, full)

    @property
    def lines(self) -> list[str]:
        """What all processes have printed."""
        return self._output.lines

    def invoke(self, event: bytes) -> tuple[int, bytes]:
        """(HTTP status, payload)."""
        connection = self._connect()
        try:
            connection.request("POST", _PATH, body=event)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def shutdown(self) -> None:
        """SIGTERM to the emulator alone: it tells the extensions SHUTDOWN."""
        process = self._output.process
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        for pid in children.read_text().split():
            os.kill(int(pid), signal.SIGTERM)
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()

    def close(self) -> None:
        """End every process of the namespace."""
        self._output.kill()

    def _connect(self) -> http.client.HTTPConnection:
        until_s = time.monotonic() + START_S
        while True:
            connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
            try:
                connection.connect()
            except ConnectionRefusedError:
                if time.monotonic() > until_s or self._output.process.poll() is not None:
                    raise AssertionError(
                        "the emulator does not listen:\n" + "\n".join(self.lines)
                    ) from None
                threading.Event().wait(0.02)
            else:
                return connection
