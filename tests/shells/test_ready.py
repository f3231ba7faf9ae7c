"""The extension's process against a scripted Extensions API: ready first, and how it leaves."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import pytest

ROOT = Path(__file__).resolve().parents[2]
IDENTIFIER = "id-1"
HEAVY = {
    "array",
    "collections",
    "json",
    "dataclasses",
    "typing",
    "enum",
    "fifo.encoding",
    "fifo.messages",
    "logging",
    "http.client",
    "socket",
    "selectors",
    "asyncio",
    "re",
    "threading",
    "requests",
    "yaml",
    "opentelemetry",
}


def http_answer(status: str, body: bytes = b"{}", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


REGISTERED = http_answer("200 OK", b"{}", f"Lambda-Extension-Identifier: {IDENTIFIER}")


def event(value: dict[str, object]) -> bytes:
    return http_answer("200 OK", json.dumps(value).encode())


def shutdown_event() -> bytes:
    deadline = int(time.time() * 1000) + 2000
    reason = "SandboxTerminated"
    return event({"eventType": "SHUTDOWN", "shutdownReason": reason, "deadlineMs": deadline})


class ScriptedApi:
    """Answers one request after the other from a script; None closes the connection."""

    def __init__(self, *script: bytes | None) -> None:
        self.requests: list[str] = []
        self._script = list(script)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._stopped = False
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def __enter__(self) -> ScriptedApi:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stopped = True
        try:
            self._listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._listener.close()
        self._thread.join(5)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._listener.getsockname()[1]}"

    def _serve(self) -> None:
        while self._script and not self._stopped:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(20)
                for request in self._requests(connection):
                    if "/telemetry" in request:
                        # On a connection of its own, and not what these tests are about.
                        connection.sendall(http_answer("202 Accepted"))
                        break
                    self.requests.append(request)
                    answer = self._script.pop(0)
                    if answer is None:
                        break
                    connection.sendall(answer)
                    if not self._script:
                        break
        self._listener.close()

    def _requests(self, connection: socket.socket) -> Iterator[str]:
        data = b""
        while True:
            head, end, rest = data.partition(b"\r\n\r\n")
            length = 0
            for line in head.split(b"\r\n"):
                if line.lower().startswith(b"content-length:"):
                    length = int(line.partition(b":")[2])
            if end and len(rest) >= length:
                data = rest[length:]
                yield head.decode().partition("\r\n")[0]
                continue
            try:
                more = connection.recv(65536)
            except OSError:
                return
            if not more:
                return
            data += more


def run_extension(
    directory: Path, address: str | None, *options: str
) -> subprocess.CompletedProcess[str]:
    environ = {"PATH": os.environ["PATH"], "SPANPIPE_DIR": str(directory)}
    if address is not None:
        environ["AWS_LAMBDA_RUNTIME_API"] = address
    return subprocess.run(
        [sys.executable, *options, "-m", "extension"],
        cwd=ROOT,
        env=environ,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_it_registers_asks_and_leaves_at_shutdown(tmp_path: Path) -> None:
    """Two requests, the ledger's line, status 0."""
    with ScriptedApi(REGISTERED, shutdown_event()) as api:
        done = run_extension(tmp_path, api.address)
    assert api.requests == [
        "POST /2020-01-01/extension/register HTTP/1.1",
        "GET /2020-01-01/extension/event/next HTTP/1.1",
    ]
    assert (done.returncode, done.stdout, done.stderr) == (
        0,
        "",
        "spanpipe: shutdown sandboxterminated: accepted 0 = exported 0 + waiting 0 + dropped 0\n",
    )


def test_nothing_heavy_is_imported_before_the_first_next(tmp_path: Path) -> None:
    """Of all modules imported until /next was sent, none is on the list."""
    program = (
        "import sys\n"
        "import extension.connection as connection\n"
        "send = connection.Connection.send\n"
        "def spy(self, request):\n"
        "    if b'/event/next' in request:\n"
        "        sys.stdout.write('\\n'.join(sys.modules)); sys.stdout.flush()\n"
        "        connection.Connection.send = send\n"
        "    return send(self, request)\n"
        "connection.Connection.send = spy\n"
        "from extension.__main__ import run\n"
        "run()\n"
    )
    with ScriptedApi(REGISTERED, shutdown_event()) as api:
        done = subprocess.run(
            [
                sys.executable,
                "-I",
                "-S",
                "-c",
                f"import sys; sys.path[:0] = [{str(ROOT)!r}]\n{program}",
            ],
            env={"AWS_LAMBDA_RUNTIME_API": api.address, "SPANPIPE_DIR": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    loaded = set(done.stdout.split())
    assert "extension.ready" in loaded
    assert loaded & HEAVY == set()


def test_a_connection_that_ends_while_it_waits_is_opened_anew(tmp_path: Path) -> None:
    """/next is asked again, on another connection, and the event is not missed."""
    with ScriptedApi(REGISTERED, None, None, shutdown_event()) as api:
        done = run_extension(tmp_path, api.address)
    assert [request.split("/")[-2] for request in api.requests[1:]] == ["next HTTP"] * 3
    assert done.returncode == 0


@pytest.mark.parametrize(
    ("script", "status", "line"),
    [
        (
            [http_answer("403 Forbidden", b'{"errorType":"x"}')],
            69,
            'spanpipe: error: cannot register: /register answered 403 b\'{"errorType":"x"}\'',
        ),
        (
            [b"SSH-2.0-x\r\n\r\n"] * 7,
            69,
            "spanpipe: error: cannot register: the Extensions API at {address} is gone: "
            "malformed status line 'SSH-2.0-x'",
        ),
        (
            [REGISTERED, http_answer("500 Error", b"oops"), http_answer("202 Accepted")],
            76,
            "spanpipe: error: /event/next answered 500: b'oops'",
        ),
        (
            [REGISTERED, event({"eventType": "PARTY"}), http_answer("202 Accepted")],
            76,
            "spanpipe: error: /event/next answered an event with unknown eventType 'PARTY'",
        ),
    ],
)
def test_it_leaves_with_a_status_that_means_something(
    tmp_path: Path, script: list[bytes], status: int, line: str
) -> None:
    """A refusal, no HTTP, an error, an unknown event: one line that says it, and its status."""
    with ScriptedApi(*script) as api:
        address = api.address
        done = run_extension(tmp_path, address)
    assert (done.returncode, done.stderr.splitlines()) == (
        status,
        [line.replace("{address}", address)],
    )
    if status == 76:
        assert api.requests[-1] == "POST /2020-01-01/extension/exit/error HTTP/1.1"


FAULTS = {
    "before the first /next": (
        "from extension.ready import Registered\n"
        "def broken(self): raise RuntimeError('broken on purpose')\n"
        "Registered.ask = broken\n",
        [REGISTERED, http_answer("202 Accepted")],
        "POST /2020-01-01/extension/init/error HTTP/1.1",
    ),
    "a part of the layer is missing": (
        "import sys\nsys.modules['extension.loop'] = None\n",
        [REGISTERED, event({"eventType": "INVOKE"}), "SHUTDOWN"],
        "GET /2020-01-01/extension/event/next HTTP/1.1",
    ),
    "in the loop": (
        "from extension import lifecycle\n"
        "def broken(*arguments): raise RuntimeError('broken on purpose')\n"
        "lifecycle.Lifecycle.on_invoke = broken\n",
        [
            REGISTERED,
            event({"eventType": "INVOKE", "requestId": "r", "deadlineMs": 9}),
            event({"eventType": "INVOKE", "requestId": "s", "deadlineMs": 9}),
            "SHUTDOWN",
        ],
        "GET /2020-01-01/extension/event/next HTTP/1.1",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_of_ours_is_told_and_never_fails_an_invocation(tmp_path: Path, name: str) -> None:
    """Before the first /next init is told; after it the extension idles on to SHUTDOWN."""
    program, script, last = FAULTS[name]
    answers = [shutdown_event() if one == "SHUTDOWN" else one for one in script]
    with ScriptedApi(*answers) as api:
        done = subprocess.run(
            [sys.executable, "-c", f"{program}from extension.__main__ import run\nrun()"],
            cwd=ROOT,
            env={
                "PATH": os.environ["PATH"],
                "AWS_LAMBDA_RUNTIME_API": api.address,
                "SPANPIPE_DIR": str(tmp_path),
            },
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    assert (done.returncode, api.requests[-1], len(api.requests)) == (70, last, len(script))
    (line,) = done.stderr.splitlines()
    assert line.startswith("spanpipe: error: internal fault, no more spans from this environment: ")


def test_run_by_hand_it_says_what_to_do(tmp_path: Path) -> None:
    """Without Lambda around it there is nothing to do, and a command that helps."""
    done = run_extension(tmp_path, None)
    assert (done.returncode, done.stderr) == (
        64,
        "spanpipe: error: AWS_LAMBDA_RUNTIME_API is not set: Lambda starts this program from "
        "/opt/extensions; to try a function here, use: spanpipe run app.handler\n",
    )
