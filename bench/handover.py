"""What the function pays: an invocation under `capture`, a span, over a raw write to a pipe.

python -m bench.handover [--runs 2000] [--json FILE]
"""

from __future__ import annotations

import argparse
import os
import tempfile
import threading
import time

from bench.measure import interleaved, machine, table, write_json
from fifo import api, current, pipes
from fifo.handler import capture
from fifo.writer import Writer

RAW = "os.write, 1 KiB"


class Context:
    """As awslambdaric's."""

    aws_request_id = "8f3c2c5e-9f0a-4a5e-8f5e-0123456789ab"
    invoked_function_arn = "arn:aws:lambda:eu-west-1:123456789012:function:shop"
    memory_limit_in_mb = "128"
    log_group_name = "/aws/lambda/shop"
    log_stream_name = "2026/11/23/[$LATEST]abc"
    _epoch_deadline_time_in_ms = 1_700_000_000_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="spanpipe-bench-") as folder:
        reader = pipes.make_fifo(f"{folder}/{pipes.RESULTS_NAME}", pipes.RESULTS_CAPACITY_BYTES)
        writer = Writer(folder, environ={})
        current._writer = writer
        result = {"text": "x" * 1011}

        @capture(writer=writer)
        def handler(event: object, context: object) -> object:
            return result

        def plain(event: object, context: object) -> object:
            return result

        alone = Writer(f"{folder}/nowhere", environ={})

        @capture(writer=alone)
        def uncaptured(event: object, context: object) -> object:
            return result

        raw = os.open(f"{folder}/{pipes.RESULTS_NAME}", os.O_WRONLY | os.O_NONBLOCK)
        data = bytes(1024)
        context = Context()

        def timed(work: object) -> float:
            began = time.perf_counter()
            work()
            took = time.perf_counter() - began
            while pipes.unread_bytes(reader):
                os.read(reader, 1 << 20)
            return took

        def one_span() -> None:
            with api.span("query", {"rows": 3}):
                pass

        def span_inside() -> float:
            writer.current = writer.start(context.aws_request_id)
            return timed(one_span)

        contestants = {
            RAW: lambda: timed(lambda: os.write(raw, data)),
            "capture, 1 KiB result": lambda: timed(lambda: handler({}, context)),
            "capture without an extension": lambda: timed(lambda: uncaptured({}, context)),
            "the handler alone": lambda: timed(lambda: plain({}, context)),
            "fifo.span": span_inside,
        }
        seconds = interleaved(contestants, options.runs, warm_up=50)
        idle = threading.Event()

        def after_idling(run: object) -> float:
            idle.wait(0.005)
            return run()

        idled = interleaved(
            {name: lambda run=run: after_idling(run) for name, run in contestants.items()},
            max(50, options.runs // 20),
        )
    print(f"back to back; {options.runs} interleaved runs; {machine()}")
    print(table(seconds, 1e-6, "µs", RAW))
    print("after 5 ms of idling each")
    print(table(idled, 1e-6, "µs", RAW))
    if options.json:
        write_json(options.json, seconds)


if __name__ == "__main__":
    main()
