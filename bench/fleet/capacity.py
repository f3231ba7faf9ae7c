"""What one request costs a real receiver: the OpenTelemetry Collector, measured on loopback.

The processor time of the Collector is counted, not requests a second: whoever sends runs on the
same machine and would be measured too. Requests are the exporter's own, of plain invocations.
"""

from __future__ import annotations

import gzip
import os
import re
import resource
import socket
import subprocess
import tempfile
import threading
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from bench.fleet.receiver import Costs
from bench.otlp_lines import invocation
from collectors.listening import Listening
from collectors.ports import free_port
from exporter.encoder import encode
from exporter.record import ChildSpan
from exporter.spans import SpanBuilder
from exporter.values import replace

READY_S = 30.0
ANSWER_S = 30.0
ROUNDS = 3
SMALL, LARGE = 1, 64
"""Invocations of the two kinds of request: the slope between them is what a span costs."""
SPANS_EACH = 4
WARM_UP = 200
"""Large requests: the memory that serving them takes is there before connections are counted."""
IDLE_CONNECTIONS = 2_000
CONFIG = """\
receivers:
  otlp: {{protocols: {{http: {{endpoint: "127.0.0.1:{port}"}}}}}}
processors:
  memory_limiter: {{check_interval: 500ms, limit_mib: 1500, spike_limit_mib: 300}}
  batch: {{timeout: 200ms, send_batch_size: 1024, send_batch_max_size: 2048}}
exporters:
  otlphttp: {{endpoint: "{endpoint}", compression: gzip, retry_on_failure: {{enabled: false}}}}
service:
  telemetry: {{metrics: {{level: none}}, logs: {{level: info}}}}
  pipelines:
    traces: {{receivers: [otlp], processors: [memory_limiter, batch], exporters: [otlphttp]}}
"""


class CapacityError(Exception):
    """A receiver cannot be measured; the text says why."""


@dataclass(frozen=True, slots=True)
class Used:
    """Of a process so far."""

    cpu_s: float
    resident_bytes: int


def measure(program: Path, requests: int) -> Costs:
    """What `program`, a Collector, takes for `requests` of each kind. Raises CapacityError.

    It does what a collector of the front tier does: gzip and protobuf in, batches, gzip and
    protobuf out, to a server that says yes.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        endpoint = f"http://127.0.0.1:{stack.enter_context(_Swallowing()).port}"
        port = free_port()
        config = folder / "collector.yaml"
        config.write_text(CONFIG.format(port=port, endpoint=endpoint), encoding="utf-8")
        process = stack.enter_context(_started(program, config))
        _send(port, _request(LARGE, port), WARM_UP)
        before = _used(process.pid)
        with ExitStack() as connections:
            held = _hold(port, _request(SMALL, port), IDLE_CONNECTIONS, connections)
            grown = _used(process.pid).resident_bytes - before.resident_bytes
        costs_s = dict.fromkeys((SMALL, LARGE), float("inf"))
        for _ in range(ROUNDS):
            for count in costs_s:
                request = _request(count, port)
                before = _used(process.pid)
                _send(port, request, requests)
                took_s = (_used(process.pid).cpu_s - before.cpu_s) / requests
                # Whatever else this machine does makes it more, never less.
                costs_s[count] = min(costs_s[count], took_s)
    span_s = (costs_s[LARGE] - costs_s[SMALL]) / ((LARGE - SMALL) * SPANS_EACH)
    return Costs(
        request_s=max(0.0, costs_s[SMALL] - SMALL * SPANS_EACH * span_s),
        span_s=span_s,
        connection_bytes=max(0, grown // max(1, held)),
        source=f"{program.name}, least of {ROUNDS} × {requests} requests of {SMALL} and of {LARGE}",
    )


def _request(count: int, port: int) -> bytes:
    """A POST of `count` invocations with the spans that Lambda's timings add."""
    records = []
    for number in range(1, count + 1):
        record = invocation(number, b'{"text": "' + b"x" * 480 + b'"}')
        children = tuple(
            ChildSpan(
                (number * 8 + index).to_bytes(8, "big"),
                None,
                name,
                record.start_unix_ns,
                record.end_unix_ns,
                of_platform=True,
            )
            for index, name in enumerate(("responseLatency", "responseDuration", "runtimeOverhead"))
        )
        records.append(replace(record, children=children))
    body = gzip.compress(encode(SpanBuilder().spans(records)), 6)
    head = (
        f"POST /v1/traces HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
        "Content-Type: application/x-protobuf\r\nContent-Encoding: gzip\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _send(port: int, request: bytes, count: int) -> None:
    """`count` times over one kept connection, each answered before the next."""
    with socket.create_connection(("127.0.0.1", port), timeout=ANSWER_S) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(count):
            _ask(connection, request)


def _ask(connection: socket.socket, request: bytes) -> None:
    connection.sendall(request)
    answer = connection.recv(65_536)
    if not answer.startswith(b"HTTP/1.1 200 "):
        raise CapacityError(f"the Collector answered {answer[:80]!r}, not 200")


def _hold(port: int, request: bytes, count: int, stack: ExitStack) -> int:
    """Open connections, one request on each, and keep them as frozen environments do."""
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    count = min(count, max(1, soft - 100))
    for _ in range(count):
        connection = socket.create_connection(("127.0.0.1", port), timeout=ANSWER_S)
        stack.enter_context(connection)
        _ask(connection, request)
    return count


_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)


class _Swallowing(Listening):
    """Answers every request with 200 and keeps nothing."""

    def serve(self, connection: socket.socket) -> None:
        data = b""
        while True:
            head, end, rest = data.partition(b"\r\n\r\n")
            found = _LENGTH.search(head) if end else None
            if found is not None and len(rest) >= int(found[1]):
                data = rest[int(found[1]) :]
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                continue
            more = connection.recv(262_144)
            if not more:
                return
            data += more


class _started:  # noqa: N801 - a context, used as a function
    def __init__(self, program: Path, config: Path) -> None:
        try:
            self._process = subprocess.Popen(
                [str(program), "--config", str(config)],
                # One processor's worth: what is counted is not spent on waiting for each other.
                env={"PATH": os.environ["PATH"], "GOMAXPROCS": "1"},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )
        except OSError as error:
            raise CapacityError(f"{program}: {error.strerror}") from error
        self._ready = threading.Event()
        self._printed: list[str] = []
        threading.Thread(target=self._read, daemon=True).start()

    def __enter__(self) -> subprocess.Popen[str]:
        self._ready.wait(READY_S)
        if self._process.poll() is not None or not any("is ready" in one for one in self._printed):
            self.__exit__()
            raise CapacityError(f"the Collector did not start: {''.join(self._printed)[-300:]}")
        return self._process

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _read(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self._printed.append(line)
            if "Everything is ready" in line:
                self._ready.set()
        self._ready.set()


def _used(pid: int) -> Used:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    ticks = int(fields[11]) + int(fields[12])
    status = Path(f"/proc/{pid}/status").read_text()
    resident = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert resident is not None
    return Used(ticks / os.sysconf("SC_CLK_TCK"), int(resident[1]) * 1024)
