"""The other ends of `bench.transports`: a process each, which says when it has a result whole.

python -m bench.readers KIND FOLDER SIZE_BYTES

KIND is ``frames``, ``lines``, ``file``, ``socket``, ``http`` or ``raw``. Prints ``ready`` (and
its port, for ``http``) and reads until it is killed. FIFOs and files are answered by one byte in
``FOLDER/held.fifo``, a socket by one byte, HTTP by its response.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from fifo import messages, overflow, parsing, pipes, wire
from fifo.reassembly import Reassembler

HELD = "held.fifo"
SOCKET = "results.sock"
BOUNDARY = "boundary.fifo"
READ_BYTES = 1024 * 1024
LENGTH_BYTES = 4


def results(folder: str) -> Iterator[bytes]:
    """What comes through the FIFO, as it comes."""
    end = os.open(f"{folder}/{pipes.RESULTS_NAME}", os.O_RDONLY)
    while True:
        yield os.read(end, READ_BYTES)


def frames(folder: str, held: int) -> None:
    """As the extension does: frames put together, a file read and removed."""
    decoder, reassembler = wire.Decoder(), Reassembler()
    for data in results(folder):
        count = 0
        for unit in decoder.feed(data):
            whole = reassembler.add(unit)
            if whole is None:
                continue
            if whole.kind == messages.FILE:
                path = f"{folder}/{parsing.parse(whole.kind, whole.body).name}"
                with open(path, "rb") as file:
                    in_file = wire.Decoder(wire.MAX_FILE_BODY_BYTES).feed(file.read())
                os.unlink(path)
                whole = next(filter(None, map(Reassembler().add, in_file)))
            if whole.kind == messages.RESULT:
                count += 1
        if count:
            os.write(held, b"1" * count)


def lines(folder: str, held: int) -> None:
    """A result for each newline."""
    for data in results(folder):
        count = data.count(b"\n")
        if count:
            os.write(held, b"1" * count)


def raw(folder: str, held: int, size: int) -> None:
    """A result for each `size` bytes."""
    total = 0
    for data in results(folder):
        before, total = total, total + len(data)
        count = total // size - before // size
        if count:
            os.write(held, b"1" * count)


def files(folder: str, held: int) -> None:
    """Told that an invocation is over: its file is read and removed."""
    told = os.open(f"{folder}/{BOUNDARY}", os.O_RDONLY)
    while os.read(told, 1):
        for name in os.listdir(folder):
            if name.startswith("r-") and not overflow.is_overflow_name(name):
                with open(f"{folder}/{name}", "rb") as file:
                    file.read()
                os.unlink(f"{folder}/{name}")
                os.write(held, b"1")


def sockets(folder: str) -> None:
    """Length and bytes; one byte back."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(f"{folder}/{SOCKET}")
    listener.listen(64)
    print("ready", flush=True)

    def serve(connection: socket.socket) -> None:
        with connection, connection.makefile("rb", buffering=READ_BYTES) as stream:
            while head := stream.read(LENGTH_BYTES):
                stream.read(int.from_bytes(head, "big"))
                connection.sendall(b"1")

    while True:
        connection, _ = listener.accept()
        threading.Thread(target=serve, args=(connection,), daemon=True).start()


class Handler(BaseHTTPRequestHandler):
    """Reads a body, answers 200."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response_only(200)
        self.send_header("Content-Length", "0")
        self.end_headers()


class Server(ThreadingHTTPServer):
    """Its queue has room for sixteen writers at once."""

    request_queue_size = 128


def http() -> None:
    server = Server(("127.0.0.1", 0), Handler)
    print("ready", server.server_port, flush=True)
    server.serve_forever(poll_interval=3600)


def main() -> None:
    kind, folder, size = sys.argv[1], sys.argv[2], int(sys.argv[3])
    if kind == "socket":
        sockets(folder)
    elif kind == "http":
        http()
    held = os.open(f"{folder}/{HELD}", os.O_RDWR)
    print("ready", flush=True)
    if kind == "frames":
        frames(folder, held)
    elif kind == "lines":
        lines(folder, held)
    elif kind == "file":
        files(folder, held)
    else:
        raw(folder, held, size)


if __name__ == "__main__":
    main()
