"""Receiving platform events: TCP lines or HTTP requests, which the Telemetry API offers.

The loop pays for each delivery: reading, taking it apart, and with HTTP an answer. Both ways
carry the same batches over loopback, in turn, in one process.

python -m bench.telemetry [--runs 2000] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import select
import socket
import time

from bench.measure import interleaved, machine, table, write_json
from extension.platform_events import event_of, parse
from extension.telemetry import Lines

TCP = "TCP, a line each"
HTTP = "HTTP, a request each"
BATCH = [
    {
        "time": "2022-10-12T00:01:15.064Z",
        "type": kind,
        "record": {
            "requestId": "8f3c2c5e-9f0a-4a5e-8f5e-0123456789ab",
            "status": "success",
            "metrics": {"durationMs": 140.5, "billedDurationMs": 141},
            "spans": [],
        },
    }
    for kind in ("platform.runtimeDone", "platform.report")
]
LINES = b"".join(json.dumps(event).encode() + b"\n" for event in BATCH)
BODY = json.dumps(BATCH).encode()
REQUEST = (
    b"POST / HTTP/1.1\r\nHost: sandbox.localdomain:1\r\nContent-Type: application/json\r\n"
    b"Content-Length: " + str(len(BODY)).encode() + b"\r\n\r\n" + BODY
)
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    lambda_end, our_end = socket.socketpair()
    our_end.setblocking(False)
    poll = select.poll()
    poll.register(our_end, select.POLLIN)
    lines = Lines()

    def tcp() -> float:
        lambda_end.sendall(LINES)
        began_s = time.perf_counter()
        poll.poll()
        found = [parse(line) for line in lines.feed(our_end.recv(65_536))]
        took_s = time.perf_counter() - began_s
        assert len(found) == len(BATCH)
        return took_s

    def http() -> float:
        lambda_end.sendall(REQUEST)
        began_s = time.perf_counter()
        poll.poll()
        head, _, body = our_end.recv(65_536).partition(b"\r\n\r\n")
        length = next(
            int(line.partition(b":")[2])
            for line in head.split(b"\r\n")
            if line.lower().startswith(b"content-length:")
        )
        found = [event_of(event) for event in json.loads(body[:length])]
        our_end.sendall(ANSWER)
        took_s = time.perf_counter() - began_s
        lambda_end.recv(4_096)
        assert len(found) == len(BATCH)
        return took_s

    seconds = interleaved({TCP: tcp, HTTP: http}, options.runs, warm_up=50)
    print(machine())
    print(f"one delivery of {len(BATCH)} events, the loop's part:")
    print(table(seconds, 1e-6, "µs", TCP))
    if options.json:
        write_json(options.json, seconds)


if __name__ == "__main__":
    main()
