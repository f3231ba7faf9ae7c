"""Handing a serialised result of 200 B to 6 MiB to a process that reads: ours and other ways.

Two durability points, a table each: *handed over*, where the call is back, and *held*, where the
reader has said that it has all. See bench/BASELINES.md. What readers do is in `bench.readers`.

    python -m bench.transports [--runs 300] [--quick] [--json FILE] [--results DIR]
"""

from __future__ import annotations

import contextlib
import http.client
import itertools
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from bench import readers
from bench.measure import interleaved, percentile
from bench.processes import is_running
from bench.results import ROOT, Report, arguments
from fifo import mailbox, pipes
from fifo.writer import Writer

RAW, FRAMES, LINES, FILE = "os.write", "spanpipe, frames", "spanpipe, lines", "a file each"
SOCKET, KEPT, NEW = "Unix socket", "HTTP, kept alive", "HTTP, a connection each"
SIZES = {
    "200 B": 200,
    "2 KiB": 2048,
    "32 KiB": 32_768,
    "64 KiB": 65_536,
    "1 MiB": 1024 * 1024,
    "6 MiB": 6 * 1024 * 1024,
}
LONGEST_LINE_BYTES = 4096
FASTER_THAN_HTTP = 20
OVER_RAW = 3
BURST = 200
"""Results back to back: more would not fit into the pipe, if nobody read."""
CONCURRENT = 16
CONCURRENT_SIZES = ("2 KiB", "32 KiB")
IDLE_S = 0.005
KINDS = {
    RAW: "raw",
    FRAMES: "frames",
    LINES: "lines",
    FILE: "file",
    SOCKET: "socket",
    KEPT: "http",
    NEW: "http",
}


class Way:
    """One way of handing over. `send` is back where the bytes have been let go of."""

    lost_count = 0

    def __init__(self, folder: str, size: int, port: int) -> None:
        self.folder = folder
        self.size = size

    def prepare(self) -> None:
        """What comes before a result and is not timed."""

    def send(self, body: bytes) -> None:
        raise NotImplementedError

    answers_each = False
    """Whether the next can only be sent when the reader has said that it has this one."""

    def held(self, count: int = 1) -> None:
        """Wait until the reader has said that it has `count` more."""
        while count:
            count -= len(os.read(self.word, count))

    def close(self) -> None:
        """Let go of everything."""

    def open_fifos(self) -> int:
        self.word = os.open(f"{self.folder}/{readers.HELD}", os.O_RDWR)
        return os.open(f"{self.folder}/{pipes.RESULTS_NAME}", os.O_WRONLY)


class Raw(Way):
    def __init__(self, folder: str, size: int, port: int) -> None:
        super().__init__(folder, size, port)
        self.end = self.open_fifos()

    def send(self, body: bytes) -> None:
        left = memoryview(body)
        while left:
            left = left[os.write(self.end, left) :]


class Lines(Raw):
    def send(self, body: bytes) -> None:
        os.write(
            self.end,
            b'{"request_id":"8f3c2c5e-9f0a-4a5e-8f5e-0123456789ab","payload":' + body + b"}\n",
        )


class Frames(Way):
    numbers = itertools.count()

    def __init__(self, folder: str, size: int, port: int) -> None:
        super().__init__(folder, size, port)
        os.close(self.open_fifos())
        self.record = mailbox.encode_policy(mailbox.Policy(1, max_body_bytes=size))
        self.control = os.open(f"{folder}/{pipes.CONTROL_NAME}", os.O_RDWR)
        self.writer = Writer(folder, environ={})
        self._lost_before = 0

    def prepare(self) -> None:
        if not pipes.unread_bytes(self.control):
            os.write(self.control, self.record)
        name = f"8f3c2c5e-9f0a-4a5e-8f5e-{os.getpid() % 10**6:06d}{next(self.numbers):06d}"
        invocation = self.writer.start(name)
        assert invocation is not None
        self.invocation = invocation

    def send(self, body: bytes) -> None:
        self.writer.result(self.invocation, body)

    def held(self, count: int = 1) -> None:
        super().held(count - (self.lost_count - self._lost_before))
        self._lost_before = self.lost_count

    @property
    def lost_count(self) -> int:
        """What was over the writer's 50 ms (a busy machine), or found no room."""
        return self.writer.dropped_count + self.writer.cut_count + self.writer.fault_count


class OwnFile(Way):
    answers_each = True

    def __init__(self, folder: str, size: int, port: int) -> None:
        super().__init__(folder, size, port)
        self.word = os.open(f"{folder}/{readers.HELD}", os.O_RDWR)
        self.boundary = os.open(f"{folder}/{readers.BOUNDARY}", os.O_RDWR)
        self.numbers = itertools.count()

    def send(self, body: bytes) -> None:
        path = f"{self.folder}/r-{os.getpid()}-{next(self.numbers)}"
        with open(path, "wb") as file:
            file.write(body)

    def held(self, count: int = 1) -> None:
        os.write(self.boundary, b"1")
        super().held(count)


class UnixSocket(Way):
    def __init__(self, folder: str, size: int, port: int) -> None:
        super().__init__(folder, size, port)
        self.connection = socket.socket(socket.AF_UNIX)
        self.connection.connect(f"{folder}/{readers.SOCKET}")

    def send(self, body: bytes) -> None:
        self.connection.sendall(len(body).to_bytes(readers.LENGTH_BYTES, "big") + body)

    def held(self, count: int = 1) -> None:
        while count:
            count -= len(self.connection.recv(count))

    def close(self) -> None:
        self.connection.close()


class HttpKept(Way):
    answers_each = True

    def __init__(self, folder: str, size: int, port: int) -> None:
        super().__init__(folder, size, port)
        self.connection = http.client.HTTPConnection("127.0.0.1", port)

    def send(self, body: bytes) -> None:
        self.connection.request("POST", "/", body)

    def held(self, count: int = 1) -> None:
        response = self.connection.getresponse()
        response.read()
        assert response.status == 200

    def close(self) -> None:
        self.connection.close()


class HttpNew(HttpKept):
    def held(self, count: int = 1) -> None:
        super().held(count)
        self.connection.close()


WAYS: Mapping[str, type[Way]] = {
    RAW: Raw,
    FRAMES: Frames,
    LINES: Lines,
    FILE: OwnFile,
    SOCKET: UnixSocket,
    KEPT: HttpKept,
    NEW: HttpNew,
}


class Reader:
    """A process of `bench.readers` and its folder."""

    def __init__(self, kind: str, folder: Path, size: int) -> None:
        folder.mkdir()
        pipes_of = {pipes.RESULTS_NAME: pipes.RESULTS_CAPACITY_BYTES, readers.HELD: 65_536}
        pipes_of |= {pipes.CONTROL_NAME: pipes.CONTROL_CAPACITY_BYTES, readers.BOUNDARY: 4096}
        # Kept open, so that no reader sees an end.
        self._ends = [pipes.make_fifo(f"{folder}/{name}", of) for name, of in pipes_of.items()]
        self.folder = str(folder)
        command = [sys.executable, "-m", "bench.readers", kind, self.folder, str(size)]
        self._process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        said = self._process.stdout.readline().split()
        assert said[:1] == ["ready"]
        self.port = int(said[1]) if said[1:] else 0

    def settle(self) -> None:
        """Its threads all wait for more."""
        for _ in range(2):
            while is_running(self._process.pid) or pipes.unread_bytes(self._ends[0]):
                time.sleep(0)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()
        for end in self._ends:
            os.close(end)


@contextlib.contextmanager
def open_ways(size: int) -> Iterator[dict[str, tuple[Way, Reader]]]:
    """Every way that takes so much, and who reads."""
    with tempfile.TemporaryDirectory(prefix="spanpipe-bench-") as folder:
        found: dict[str, tuple[Way, Reader]] = {}
        try:
            for name, kind in KINDS.items():
                if name == LINES and size > LONGEST_LINE_BYTES - 128:
                    continue
                reader = Reader(kind, Path(folder) / f"{len(found)}", size)
                found[name] = (WAYS[name](reader.folder, size, reader.port), reader)
            yield found
        finally:
            for way, reader in found.values():
                if way.lost_count:
                    print(f"dropped or cut: {way.lost_count}")
                way.close()
                reader.close()


def one_size(
    size: int, runs: int, label: str, count: int = 1, idle_s: float = 0.0
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Seconds to *handed over*, and to *held*, of the same results.

    Of `count` results back to back it is a run's time over `count`. Where the reader answers on
    the same connection, or has to be told, that is waited for, between.
    """
    body = b'"' + b"x" * (size - 2) + b'"'
    held: dict[str, list[float]] = {}
    with open_ways(size) as ways:

        def contestant(name: str) -> Callable[[], float]:
            way, reader = ways[name]
            held[name] = []

            def run() -> float:
                way.prepare()
                reader.settle()
                if idle_s:
                    time.sleep(idle_s)
                began = time.perf_counter()
                way.send(body)
                for _ in range(count - 1):
                    if way.answers_each:
                        way.held()
                    way.send(body)
                handed = time.perf_counter()
                way.held(1 if way.answers_each else count)
                held[name].append((time.perf_counter() - began) / count)
                return (handed - began) / count

            return run

        handed = interleaved({name: contestant(name) for name in ways}, runs, 5, label)
    return handed, {name: values[-runs:] for name, values in held.items()}


_WRITER = """
import sys, time
from bench.transports import WAYS
name, folder, size, port, count = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:])
way = WAYS[name](folder, size, port)
body = b'"' + b"x" * (size - 2) + b'"'
alone = name == "Unix socket" or name.startswith("HTTP")
print("ready", flush=True)
sys.stdin.readline()
took = []
began = time.monotonic()
for _ in range(count):
    way.prepare()
    at = time.perf_counter()
    way.send(body)
    took.append(time.perf_counter() - at)
    if alone:
        way.held()
print(began, time.monotonic(), way.lost_count, *took)
"""


def concurrent(name: str, size: int, count: int) -> tuple[list[float], float, int]:
    """Of sixteen processes, `count` results each: seconds to *handed over*, results a second, lost.

    Where the reader answers on the same connection that is waited for, between.
    """
    with tempfile.TemporaryDirectory(prefix="spanpipe-bench-") as folder:
        reader = Reader(KINDS[name], Path(folder) / "reader", size)
        command = [sys.executable, "-c", _WRITER, name, reader.folder, str(size)]
        command += [str(reader.port), str(count)]
        writers = [
            subprocess.Popen(
                command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            for _ in range(CONCURRENT)
        ]
        try:
            for writer in writers:
                assert writer.stdout.readline() == "ready\n"
            for writer in writers:
                writer.stdin.write("\n")
                writer.stdin.flush()
            said = [
                [float(one) for one in writer.communicate(timeout=120)[0].split()]
                for writer in writers
            ]
        finally:
            for writer in writers:
                writer.kill()
                writer.wait()
            reader.close()
    lasted_s = max(one[1] for one in said) - min(one[0] for one in said)
    lost = sum(int(one[2]) for one in said)
    return [took for one in said for took in one[3:]], CONCURRENT * count / lasted_s, lost


def rates(seconds: Mapping[str, list[float]], size: int) -> dict[str, float]:
    """MB a second."""
    return {name: size * len(of) / sum(of) / 1e6 for name, of in seconds.items()}


def measure(report: Report, runs: int, *, quick: bool) -> None:
    all_held: dict[str, dict[str, list[float]]] = {}
    for name, size in SIZES.items():
        count = runs if size <= 65_536 else max(runs // 3, 5)
        handed, held = one_size(size, count, f"hand-over, {name}")
        all_held[name] = held
        more = {"MB/s": rates(handed, size)}
        report.timings(f"handed over: {name}", handed, "µs", RAW, more)
        if name == "2 KiB":
            by_http = percentile(handed[KEPT], 0.5) / percentile(handed[FRAMES], 0.5)
            text = "2 KiB alone, HTTP kept alive (request sent) over frames, handed over"
            report.target(text, by_http, FASTER_THAN_HTTP, at_least=True)
            waited = percentile(held[KEPT], 0.5) / percentile(handed[FRAMES], 0.5)
            report.note(
                f"As a function uses them, 2 KiB: HTTP waits for its answer, ours for nothing: "
                f"{waited:.0f} × (two durability points, so no target)."
            )
    for name, held in all_held.items():
        more = {"MB/s": rates(held, SIZES[name])}
        report.timings(f"held by the reader: {name}", held, "µs", FRAMES, more)
        if name == "2 KiB":
            by_http = percentile(held[KEPT], 0.5) / percentile(held[FRAMES], 0.5)
            text = "2 KiB alone, HTTP kept alive over frames, held"
            report.target(text, by_http, FASTER_THAN_HTTP, at_least=True)
    handed, held = one_size(2048, max(runs // 3, 5), "hand-over, back to back", BURST)
    report.timings(f"handed over: 2 KiB, {BURST} back to back, each", handed, "µs", RAW)
    report.timings(f"held by the reader: 2 KiB, {BURST} back to back, each", held, "µs", FRAMES)
    over_raw = percentile(handed[FRAMES], 0.5) / percentile(handed[RAW], 0.5)
    report.target("2 KiB back to back, frames over os.write", over_raw, OVER_RAW)
    for point, seconds in (("handed over", handed), ("held", held)):
        by_http = percentile(seconds[KEPT], 0.5) / percentile(seconds[FRAMES], 0.5)
        text = f"2 KiB back to back, HTTP kept alive over frames, {point}"
        report.target(text, by_http, FASTER_THAN_HTTP, at_least=True)
    handed, _ = one_size(2048, max(runs // 3, 5), "hand-over after idling", idle_s=IDLE_S)
    report.timings("handed over: 2 KiB, after 5 ms of idling", handed, "µs", RAW)
    for name in CONCURRENT_SIZES[: 1 if quick else None]:
        seconds, rate, lost = {}, {}, {}
        for way in KINDS:
            # Raw writes over 4 KiB are not whole; a line is no longer than that.
            if way in (RAW, LINES) and SIZES[name] > LONGEST_LINE_BYTES:
                continue
            count = 20 if quick else 200
            seconds[way], rate[way], lost[way] = concurrent(way, SIZES[name], count)
        more = {"results/s": rate}
        title = f"handed over: {name}, sixteen processes at once"
        report.timings(title, seconds, "µs", more=more)


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--runs", type=int)
    options = parser.parse_args()
    report = Report(
        "transports",
        options,
        (
            "fifo/writer.py",
            "fifo/outlet.py",
            "fifo/wire.py",
            "fifo/overflow.py",
            "fifo/encoding.py",
        ),
        "What the function pays to hand a serialised result to another process.",
    )
    measure(report, options.runs or (20 if options.quick else 300), quick=options.quick)
    report.finish()


if __name__ == "__main__":
    main()
