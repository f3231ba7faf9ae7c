"""What the function pays: an invocation under `capture`, a span, over a raw write to a pipe.

Everything is as Lambda has it: the policy's record waits in the control FIFO, each invocation has a
request ID and an X-Ray header of its own. What is not the function's (putting the record back,
making the context, reading the pipe) is not timed.

python -m bench.handover [--runs 2000] [--json FILE]
"""

from __future__ import annotations

import argparse
import itertools
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.measure import interleaved, machine, percentile, table, write_json
from fifo import api, current, mailbox, overflow, pipes
from fifo.handler import capture
from fifo.writer import Invocation, Writer

RAW = "os.write, 1 KiB"
CAPTURE = "capture, 1 KiB result"
SPAN = "fifo.span"
BURST = 20
GOALS = {CAPTURE: 27, SPAN: 10}
"""At most so many raw writes, back to back."""
SERIALISED = {2048: 3.0, 65_536: 5.0, 6 * 1024 * 1024: 1.5}
"""A result of so many bytes, serialised before: at most so many raw writes of it."""

_READ = (
    "import os, sys\nend = os.open(sys.argv[1], os.O_RDONLY)\nwhile os.read(end, 1 << 20): pass\n"
)
_SQS = {
    "messageId": "19dd0b57-b21e-4ac1-bd88-01bbb068cb78",
    "receiptHandle": "MessageReceiptHandle",
    "body": '{"order": 1234, "items": [1, 2, 3]}',
    "attributes": {
        "ApproximateReceiveCount": "1",
        "SentTimestamp": "1523232000000",
        "SenderId": "123456789012",
        "ApproximateFirstReceiveTimestamp": "1523232000001",
        "AWSTraceHeader": "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8",
    },
    "messageAttributes": {
        "traceparent": {
            "stringValue": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "dataType": "String",
        }
    },
    "md5OfBody": "098f6bcd4621d373cade4e832627b4f6",
    "eventSource": "aws:sqs",
    "eventSourceARN": "arn:aws:sqs:eu-west-1:123456789012:orders",
    "awsRegion": "eu-west-1",
}
_HEADERS = {
    "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8",
    "Accept-Encoding": "gzip, deflate, lzma, sdch, br",
    "Accept-Language": "en-US,en;q=0.8",
    "CloudFront-Forwarded-Proto": "https",
    "CloudFront-Is-Desktop-Viewer": "true",
    "CloudFront-Is-Mobile-Viewer": "false",
    "CloudFront-Viewer-Country": "US",
    "Host": "wt6mne2s9k.execute-api.us-west-2.amazonaws.com",
    "Upgrade-Insecure-Requests": "1",
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)",
    "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "Via": "1.1 fb7cca60f0ecd82ce07790c9c5eef16c.cloudfront.net (CloudFront)",
    "X-Amz-Cf-Id": "nBsWBOrSHMgnaROZJK1wGCZ9PcRcSpq_oSXZNQwQ10OTZL4cimZo3g==",
    "X-Amzn-Trace-Id": "Root=1-5e66d96f-7491f09xmpl79d18acf3d050",
    "X-Forwarded-For": "192.168.100.1, 192.168.1.1",
    "X-Forwarded-Port": "443",
    "X-Forwarded-Proto": "https",
}
EVENTS = {
    "API Gateway event of 4 KB": {
        "resource": "/orders/{id}",
        "path": "/orders/1234",
        "httpMethod": "GET",
        "headers": _HEADERS,
        "multiValueHeaders": {name: [value] for name, value in _HEADERS.items()},
        "queryStringParameters": {"name": "me"},
        "multiValueQueryStringParameters": {"name": ["me"]},
        "pathParameters": {"id": "1234"},
        "stageVariables": {"stageVarName": "stageVarValue"},
        "requestContext": {
            "accountId": "123456789012",
            "resourceId": "us4z18",
            "stage": "test",
            "requestId": "41b45ea3-70b5-11e6-b7bd-69b5aaebc7d9",
            "identity": {"sourceIp": "192.168.100.1", "userAgent": "Mozilla/5.0"},
            "resourcePath": "/orders/{id}",
            "httpMethod": "GET",
            "apiId": "wt6mne2s9k",
        },
        "body": None,
        "isBase64Encoded": False,
    },
    "SQS batch of 10": {"Records": [_SQS] * 10},
}


class Context:
    """As awslambdaric's."""

    _numbers = itertools.count()

    def __init__(self) -> None:
        number = next(self._numbers)
        self.aws_request_id = f"8f3c2c5e-9f0a-4a5e-8f5e-{number:012x}"
        self.invoked_function_arn = "arn:aws:lambda:eu-west-1:123456789012:function:shop"
        self.memory_limit_in_mb = "128"
        self.log_group_name = "/aws/lambda/shop"
        self.log_stream_name = "2026/11/23/[$LATEST]abc"
        self._epoch_deadline_time_in_ms = 1_700_000_000_000 + number


class Ends:
    """The extension's ends of both FIFOs, in this process, and the function's writer."""

    def __init__(self, folder: str, max_body_bytes: int = 65_536) -> None:
        self._reader = pipes.make_fifo(
            f"{folder}/{pipes.RESULTS_NAME}", pipes.RESULTS_CAPACITY_BYTES
        )
        self._control = pipes.make_fifo(
            f"{folder}/{pipes.CONTROL_NAME}", pipes.CONTROL_CAPACITY_BYTES
        )
        self._record = mailbox.encode_policy(mailbox.Policy(1, max_body_bytes=max_body_bytes))
        self.raw = os.open(f"{folder}/{pipes.RESULTS_NAME}", os.O_WRONLY)
        self.writer = Writer(folder, environ={})

    def put_back(self) -> None:
        if not pipes.unread_bytes(self._control):
            os.write(self._control, self._record)

    def invoked(self) -> Context:
        """What Lambda and the extension have done before a handler is called."""
        self.put_back()
        context = Context()
        number = context.aws_request_id[-8:]
        os.environ["_X_AMZN_TRACE_ID"] = (
            f"Root=1-{number}-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"
        )
        return context

    def begun(self) -> Invocation:
        self.put_back()
        invocation = self.writer.start(Context().aws_request_id)
        assert invocation is not None
        return invocation

    def drain(self) -> None:
        while pipes.unread_bytes(self._reader):
            os.read(self._reader, 65_536)

    def read_by_another(self) -> bool:
        """Whether nothing waits in the pipe."""
        return not pipes.unread_bytes(self._reader)

    def close(self) -> None:
        for descriptor in (self._reader, self._control, self.raw):
            os.close(descriptor)
        self.writer.close()


def contestants(ends: Ends, nowhere: str, calls: int) -> dict[str, Callable[[], float]]:
    """Seconds of one call; each run makes `calls`."""
    result = {"text": "x" * 1011}
    data = bytes(1024)

    def plain(event: object, context: object) -> object:
        return result

    captured: Any = capture(plain, writer=ends.writer)
    uncaptured: Any = capture(plain, writer=Writer(nowhere, environ={}))

    def timed(work: Callable[[], object]) -> float:
        began = time.perf_counter()
        for _ in range(calls):
            work()
        took = time.perf_counter() - began
        ends.drain()
        return took / calls

    def invocation(handler: Any, event: object) -> float:
        context = ends.invoked()
        return timed(lambda: handler(event, context))

    def one_span() -> None:
        with api.span("query", {"rows": 3}):
            pass

    def span_inside() -> float:
        ends.writer.current = ends.begun()
        took = timed(one_span)
        ends.writer.current = None
        return took

    return {
        RAW: lambda: timed(lambda: os.write(ends.raw, data)),
        CAPTURE: lambda: invocation(captured, {}),
        **{
            f"the same, {name}": lambda event=event: invocation(captured, event)
            for name, event in EVENTS.items()
        },
        "capture without an extension": lambda: invocation(uncaptured, {}),
        "the handler alone": lambda: invocation(plain, {}),
        SPAN: span_inside,
    }


def measure_calls(runs: int) -> dict[str, list[float]]:
    with tempfile.TemporaryDirectory(prefix="spanpipe-bench-") as folder:
        ends = Ends(folder)
        current.made_writer = ends.writer
        alone = contestants(ends, f"{folder}/nowhere", 1)
        seconds = interleaved(alone, runs, warm_up=50)
        print(f"one call at a time; {runs} interleaved runs; {machine()}")
        print(table(seconds, 1e-6, "µs", RAW))
        floor = percentile(seconds[RAW], 0.5)
        for name, goal in GOALS.items():
            print(f"goal: {name} at most {goal} ×: {percentile(seconds[name], 0.5) / floor:.1f}")
        bursts = interleaved(contestants(ends, f"{folder}/nowhere", BURST), runs // 10, warm_up=5)
        print(f"in bursts of {BURST}, after each other, the mailbox empty from the second on")
        print(table(bursts, 1e-6, "µs", RAW))
        idle = threading.Event()

        def after_idling(run: Callable[[], float]) -> float:
            idle.wait(0.005)
            return run()

        idled = interleaved(
            {name: lambda run=run: after_idling(run) for name, run in alone.items()},
            max(50, runs // 20),
        )
        print("after 5 ms of idling each")
        print(table(idled, 1e-6, "µs", RAW))
        ends.close()
    return seconds


def measure_serialised(size: int, goal: float, runs: int) -> dict[str, list[float]]:
    """A result of `size` bytes that needs no more than handing over, to a reader that lives."""
    raw, ours = f"os.write, {size:,} bytes", f"result, {size:,} bytes"
    with tempfile.TemporaryDirectory(prefix="spanpipe-bench-") as folder:
        ends = Ends(folder, max_body_bytes=size)
        command = [sys.executable, "-I", "-S", "-c", _READ, f"{folder}/{pipes.RESULTS_NAME}"]
        reader = subprocess.Popen(command)
        body = os.urandom(size)

        def settle() -> None:
            """The reader has read all and waits for more; a file is taken, as by the extension."""
            while not ends.read_by_another() or _state(reader.pid) != "S":
                time.sleep(0)
            for name in os.listdir(folder):
                if overflow.is_overflow_name(name):
                    os.unlink(f"{folder}/{name}")

        def written() -> float:
            settle()
            left = memoryview(body)
            began = time.perf_counter()
            while left:
                left = left[os.write(ends.raw, left) :]
            return time.perf_counter() - began

        def handed_over() -> float:
            invocation = ends.begun()
            settle()
            began = time.perf_counter()
            ends.writer.result(invocation, body)
            return time.perf_counter() - began

        try:
            seconds = interleaved({raw: written, ours: handed_over}, runs, warm_up=10)
        finally:
            reader.send_signal(signal.SIGTERM)
            reader.wait()
            lost = ends.writer.dropped_count + ends.writer.cut_count + ends.writer.fault_count
            ends.close()
    print(table(seconds, 1e-6, "µs", raw))
    p50, p99 = percentile(seconds[ours], 0.5), percentile(seconds[ours], 0.99)
    print(
        f"goal: at most {goal} ×: {p50 / percentile(seconds[raw], 0.5):.2f}; "
        f"p99 {p99 / p50:.1f} × p50; dropped or cut {lost}"
    )
    return seconds


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][:1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    seconds = measure_calls(options.runs)
    print("a result that is serialised already, a process reading")
    for size, goal in SERIALISED.items():
        runs = options.runs // (2 if size < 1_000_000 else 20)
        seconds |= measure_serialised(size, goal, runs)
    if options.json:
        write_json(options.json, seconds)


if __name__ == "__main__":
    main()
