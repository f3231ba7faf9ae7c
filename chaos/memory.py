"""What the extension holds after many invocations, against what it held after a tenth of them.

    python -m chaos.memory [--count 100000]

The extension is the real one, in its own process; this one serves the Extensions API and is
the function's writer at once, so that neither a runtime nor the sandbox takes the time.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import random
import shutil
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from chaos import report
from chaos.bad_collectors import MAKERS
from chaos.ledger_line import parse
from chaos.life import memory_kb
from chaos.plan import Plan
from collectors.breaking import http_answer
from collectors.listening import Listening
from fifo.writer import Writer
from sandbox.launcher import write_extensions

GROWTH_KB = 2 * 1024
"""Issue: after 100,000 invocations within 2 MB of what it was after 10,000."""
STEADY_COUNT = 10_000
"""Before that many everything is still being loaded and filled, and growth is no leak."""
TIMEOUT_S = 30.0
COLLECTORS = ("none (collector up)", "refused")
_REGISTERED = b'{"functionName":"memory","functionVersion":"$LATEST","handler":"x.y"}'


class ExtensionsApi(Listening):
    """The Extensions API for one extension: `next` waits for its `/next` and answers it."""

    def __init__(self) -> None:
        self._asked: queue.SimpleQueue[socket.socket] = queue.SimpleQueue()
        super().__init__()

    @property
    def address(self) -> str:
        """``AWS_LAMBDA_RUNTIME_API``."""
        return f"127.0.0.1:{self.port}"

    def wait_for_next(self) -> socket.socket:
        """The connection on which `/next` was asked. Raises queue.Empty."""
        return self._asked.get(timeout=TIMEOUT_S)

    def serve(self, connection: socket.socket) -> None:
        """One request after the other."""
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        data = b""
        while True:
            head, end, rest = data.partition(b"\r\n\r\n")
            length = _content_length(head) if end else 0
            if not end or len(rest) < length:
                more = connection.recv(65536)
                if not more:
                    return
                data += more
                continue
            data = rest[length:]
            line = head.partition(b"\r\n")[0]
            if b"/event/next" in line:
                self._asked.put(connection)
            elif b"/register" in line:
                connection.sendall(
                    http_answer("200 OK", _REGISTERED, "Lambda-Extension-Identifier: one")
                )
            else:
                connection.sendall(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")


def _content_length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


def run(names: Sequence[str], count: int, seed: int, folder: Path) -> dict[str, Any]:
    """``[collector]``: resident memory after a tenth of `count` and after `count`."""
    few = count // 10
    resident: list[tuple[int, int]] = []
    with ExitStack() as stack:
        plan = Plan(folder, random.Random(seed), count, stack)  # noqa: S311
        MAKERS[names[0]](plan)
        api = stack.enter_context(ExtensionsApi())
        place = folder / "tmp"
        place.mkdir()
        log = stack.enter_context((folder / "log").open("w+"))
        process = subprocess.Popen(
            [str(write_extensions(folder) / "spanpipe")],
            env={
                "PATH": os.environ["PATH"],
                "AWS_LAMBDA_RUNTIME_API": api.address,
                "SPANPIPE_DIR": str(place),
                **plan.environ,
            },
            stderr=log,
        )
        stack.callback(process.wait)
        stack.callback(process.kill)
        writer = Writer(str(place), environ={})
        stack.callback(writer.close)
        connection = api.wait_for_next()
        began_s = time.monotonic()
        for index in range(1, count + 1):
            _invoke(connection, writer, index)
            connection = api.wait_for_next()
            if index in (few, count):
                resident.append((index, memory_kb(process.pid, "VmRSS")))
        took_s = time.monotonic() - began_s
        event = {
            "eventType": "SHUTDOWN",
            "shutdownReason": "spindown",
            "deadlineMs": int(time.time() * 1000) + 2000,
        }
        connection.sendall(http_answer("200 OK", json.dumps(event).encode()))
        status = process.wait(timeout=TIMEOUT_S)
        log.seek(0)
        ledgers = [found for line in log if (found := parse(line.rstrip("\n"))) is not None]
    grown_kb = resident[-1][1] - resident[0][1]
    failures = []
    if few >= STEADY_COUNT and grown_kb > GROWTH_KB:
        failures.append(f"grown by {grown_kb} KiB, bound {GROWTH_KB}")
    if status != 0 or len(ledgers) != 1 or not ledgers[0].adds_up:
        failures.append(f"status {status}, {[one.text for one in ledgers]}")
    elif ledgers[0].invocations.left.get("accepted") != count:
        failures.append(f"{count} invocations: {ledgers[0].text}")
    return {
        "name": names[0],
        "resident_kb": resident,
        "invocations_per_s": round(count / took_s),
        "ledger": ledgers[-1].text if ledgers else "",
        "failures": failures,
    }


def _invoke(connection: socket.socket, writer: Writer, index: int) -> None:
    request_id = str(uuid.uuid4())
    deadline_unix_ms = int(time.time() * 1000) + 3000
    event = {
        "eventType": "INVOKE",
        "deadlineMs": deadline_unix_ms,
        "requestId": request_id,
        "invokedFunctionArn": "arn:aws:lambda:eu-west-1:123456789012:function:memory",
    }
    connection.sendall(http_answer("200 OK", json.dumps(event).encode()))
    invocation = writer.start(
        request_id, deadline_unix_ms=deadline_unix_ms, place=(128, None, None, None)
    )
    if invocation is not None:
        writer.result(invocation, {"n": index, "text": "x" * 200})


def main() -> None:
    """Print a line for a collector that is up, and one for a collector that is not."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=100_000)
    options = parser.parse_args()
    print(report.HEADS["memory"], flush=True)
    failures = []
    for name in COLLECTORS:
        folder = Path(tempfile.mkdtemp(prefix="spanpipe-chaos-"))
        try:
            value = run([name], options.count, 0, folder)
        finally:
            shutil.rmtree(folder)
        print(report.line("memory", value), flush=True)
        failures += [f"FAILED {name}: {failure}" for failure in value["failures"]]
    for failure in failures:
        print(failure)
    raise SystemExit(1 if failures else 0)


if __name__ == "__main__":
    main()
