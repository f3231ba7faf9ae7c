"""One environment with spans waiting, shut down: how its extension left, as JSON.

    python -m tests.whole.shutdown_driver ENDPOINT PROTOCOL [--silent-name-server]

With the option it expects to be alone in a mount and a network namespace: it answers no
name there, and binds its own resolv.conf over the machine's.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sandbox.environment import LambdaEnvironment
from sandbox.launcher import write_extensions
from tests.whole.configured import configured
from tests.whole.scenario import HANDLER

INVOCATIONS = 3


def shut_down(endpoint: str, protocol: str, folder: Path) -> dict[str, Any]:
    """Invoke thrice in mode ``next``, so that spans wait; then SHUTDOWN."""
    lines: list[str] = []
    config = "flush: {mode: next, max_age_ms: 600000}\n"
    environ = {"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": protocol}
    function = configured(folder, config, endpoint, HANDLER, environ, timeout_s=10.0)
    with LambdaEnvironment(
        function, str(write_extensions(folder)), on_line=lambda name, line: lines.append(line)
    ) as environment:
        for index in range(INVOCATIONS):
            environment.invoke(json.dumps({"id": index}).encode())
        environment.shutdown()
        (left,) = environment.exits
    return {**asdict(left), "lines": [line for line in lines if line.startswith("spanpipe: ")]}


def be_a_silent_name_server(folder: Path) -> socket.socket:
    """Answer no name in this mount and network namespace."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    resolv = folder / "resolv.conf"
    resolv.write_text("nameserver 127.0.0.1\n")
    subprocess.run(["mount", "--bind", str(resolv), "/etc/resolv.conf"], check=True)
    silent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    silent.bind(("127.0.0.1", 53))
    return silent


def main() -> None:
    """Print the result."""
    endpoint, protocol, *options = sys.argv[1:]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        silent = be_a_silent_name_server(folder) if options else None
        result = shut_down(endpoint, protocol, folder)
        if silent is not None:
            silent.setblocking(False)
            result["asked_for_names"] = bool(silent.recv(512))
    sys.stdout.write(json.dumps(result) + "\n")
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
