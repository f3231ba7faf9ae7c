"""The real extension, driven as fast as it asks: a bare Extensions API and a writer in one process.

The sandbox's API costs more than the extension does; this one answers `/event/next` from a loop
over one socket.
"""

from __future__ import annotations

import json
import os
import selectors
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bench.processes import cpu_s
from extension.api import MANAGED_INSTANCES
from fifo import pipes
from fifo.writer import Invocation, Writer
from sandbox.closing import Closing
from sandbox.launcher import write_extensions

READY_S = 30.0
TIMEOUT_S = 60
ARN = "arn:aws:lambda:eu-west-1:123456789012:function:shop"
_REGISTRATION = {
    "functionName": "shop",
    "functionVersion": "7",
    "handler": "app.handler",
    "accountId": "123456789012",
}


def _response(status: str, body: bytes, headers: str = "") -> bytes:
    head = f"HTTP/1.1 {status}\r\n{headers}Content-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


class Driven(Closing):
    """One extension process, pinned to `cpu` where there is one, and the function's writer."""

    def __init__(
        self,
        folder: Path,
        endpoint: str,
        config: Mapping[str, Any],
        cpu: int | None = None,
        *,
        managed: bool = False,
    ) -> None:
        own = folder / "spanpipe.yaml"
        own.write_text(json.dumps(config))
        (folder / "tmp").mkdir()
        listener = socket.create_server(("127.0.0.1", 0))
        environ = {
            "PATH": os.environ["PATH"],
            "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{listener.getsockname()[1]}",
            "AWS_LAMBDA_FUNCTION_NAME": "shop",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128",
            "AWS_REGION": "eu-west-1",
            "SPANPIPE_DIR": str(folder / "tmp"),
            "SPANPIPE_CONFIG": str(own),
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": endpoint,
        }
        if managed:
            environ["AWS_LAMBDA_INITIALIZATION_TYPE"] = MANAGED_INSTANCES
        pinned = ["taskset", "-c", str(cpu)] if cpu is not None and shutil.which("taskset") else []
        self._process = subprocess.Popen(
            [*pinned, str(write_extensions(folder) / "spanpipe")],
            env=environ,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._number = 0
        with listener:
            self._api = self._registered(listener)
        self.writer = Writer(str(folder / "tmp"), environ={})
        self._results = pipes.open_fifo(str(folder / "tmp" / pipes.RESULTS_NAME), os.O_WRONLY)
        self._room_bytes = pipes.capacity_bytes(self._results) // 2

    def close(self) -> None:
        """Kill it, if it has not ended."""
        self._process.kill()
        self._process.wait()
        if self._process.stderr is not None:
            self._process.stderr.close()
        self._api.close()
        self.writer.close()
        os.close(self._results)

    @property
    def pid(self) -> int:
        """Of the extension."""
        return self._process.pid

    @property
    def cpu_s(self) -> float:
        """The extension's CPU time so far."""
        return cpu_s([self.pid])

    def settle(self) -> None:
        """Wait until it has imported what it will need."""
        before_s = -1.0
        while self.cpu_s - before_s > 0.002:
            before_s = self.cpu_s
            time.sleep(0.1)

    def invoke(self, work: Callable[[Writer, Invocation], None]) -> None:
        """One invocation: INVOKE, START, what `work` says, and the extension's next wish."""
        request_id, deadline_unix_ms = self._next_request()
        event = (
            f'{{"eventType":"INVOKE","deadlineMs":{deadline_unix_ms},"requestId":"{request_id}",'
            f'"invokedFunctionArn":"{ARN}"}}'
        )
        self._api.sendall(_response("200 OK", event.encode()))
        self._run(request_id, deadline_unix_ms, work)
        self._wait_for_next()

    def invoke_unasked(self, work: Callable[[Writer, Invocation], None]) -> None:
        """As on a Managed Instance: START and what `work` says; no event, and nothing to wait for.

        While the writer's pipe is more than half full this waits: files are no part of it.
        """
        while pipes.unread_bytes(self._results) > self._room_bytes:
            time.sleep(0.001)
        self._run(*self._next_request(), work)

    def _next_request(self) -> tuple[str, int]:
        self._number += 1
        request_id = f"8f3c2c5e-9f0a-4a5e-8f5e-{self._number:012d}"
        return request_id, int((time.time() + TIMEOUT_S) * 1000)

    def _run(
        self,
        request_id: str,
        deadline_unix_ms: int,
        work: Callable[[Writer, Invocation], None],
    ) -> None:
        invocation = self.writer.start(
            request_id,
            deadline_unix_ms=deadline_unix_ms,
            place=("128", ARN, "/aws/lambda/shop", "2026/11/23/[$LATEST]abc"),
        )
        assert invocation is not None
        work(self.writer, invocation)

    def shut_down(self) -> list[str]:
        """SHUTDOWN, and what the extension printed."""
        deadline_unix_ms = int((time.time() + 2) * 1000)
        event = {
            "eventType": "SHUTDOWN",
            "shutdownReason": "spindown",
            "deadlineMs": deadline_unix_ms,
        }
        self._api.sendall(_response("200 OK", json.dumps(event).encode()))
        _, lines = self._process.communicate(timeout=10)
        return lines.splitlines()

    def _wait_for_next(self) -> None:
        received = b""
        while not received.endswith(b"\r\n\r\n"):
            data = self._api.recv(65_536)
            if not data:
                raise RuntimeError("the extension has hung up")
            received += data
        assert b"/event/next" in received, received

    def _registered(self, listener: socket.socket) -> socket.socket:
        """The connection on which it has asked for its first event."""
        received: dict[socket.socket, bytes] = {}
        told_of_telemetry = False
        asked: socket.socket | None = None
        until_s = time.monotonic() + READY_S
        with selectors.DefaultSelector() as selector:
            selector.register(listener, selectors.EVENT_READ)
            while asked is None or not told_of_telemetry:
                if time.monotonic() > until_s:
                    raise RuntimeError("the extension did not ask for an event")
                for key, _ in selector.select(1.0):
                    if key.fileobj is listener:
                        connection, _ = listener.accept()
                        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                        selector.register(connection, selectors.EVENT_READ)
                        received[connection] = b""
                        continue
                    connection = key.fileobj
                    received[connection] += connection.recv(65_536)
                    text = received[connection]
                    if b"/register" in text and text.endswith(b"]}"):
                        received[connection] = b""
                        body = json.dumps(_REGISTRATION).encode()
                        header = "Lambda-Extension-Identifier: bench\r\n"
                        connection.sendall(_response("200 OK", body, header))
                    elif b"/telemetry" in text and text.endswith(b"}}"):
                        told_of_telemetry = True
                        connection.sendall(_response("202 Accepted", b"not here"))
                        selector.unregister(connection)
                    elif b"/event/next" in text:
                        asked = connection
        return asked
