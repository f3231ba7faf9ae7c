"""What a handler loses to OpenTelemetry: our exporter and the stock one, to a receiver here.

python -m bench.otel [--runs 300] [--json FILE]

Each invocation makes ten spans; what it takes without an exporter is not counted.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
import tempfile
import time

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor

from bench.measure import interleaved, machine, table, write_json
from fifo import pipes
from fifo.otel import FifoSpanExporter
from fifo.writer import Writer
from sandbox.receiver import Receiver

SPANS = 10
NOTHING = "no exporter"
GOAL = 10


def receive(pipe) -> None:
    """In a process of its own: it takes nothing of the handler's."""
    with Receiver() as receiver:
        pipe.send(receiver.http_endpoint)
        pipe.recv()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=300)
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=receive, args=(there,))
    process.start()
    endpoint = here.recv()
    with tempfile.TemporaryDirectory(prefix="spanpipe-bench-") as folder:
        reader = pipes.make_fifo(f"{folder}/{pipes.RESULTS_NAME}", pipes.RESULTS_CAPACITY_BYTES)
        writer = Writer(folder, environ={})

        def contestant(processor):
            provider = TracerProvider(shutdown_on_exit=False)
            if processor is not None:
                provider.add_span_processor(processor)
            tracer = provider.get_tracer("bench")

            def run() -> float:
                writer.current = writer.start("r-1")
                began = time.perf_counter()
                for index in range(SPANS):
                    with tracer.start_as_current_span("query", attributes={"db.rows": index}):
                        pass
                provider.force_flush()
                took = time.perf_counter() - began
                while pipes.unread_bytes(reader):
                    os.read(reader, 1 << 20)
                return took

            return run

        def ours():
            return FifoSpanExporter(writer)

        def stock():
            return OTLPSpanExporter(endpoint=endpoint)

        seconds = interleaved(
            {
                NOTHING: contestant(None),
                "ours, each span": contestant(SimpleSpanProcessor(ours())),
                "stock, each span": contestant(SimpleSpanProcessor(stock())),
                "ours, flushed at the end": contestant(BatchSpanProcessor(ours())),
                "stock, flushed at the end": contestant(BatchSpanProcessor(stock())),
            },
            options.runs,
            warm_up=20,
        )
    here.send(None)
    process.join()
    print(f"{SPANS} spans an invocation; {options.runs} interleaved runs; {machine()}")
    print(table(seconds, 1e-6, "µs", NOTHING))
    for way in ("each span", "flushed at the end"):
        bare = statistics.median(seconds[NOTHING])
        own, other = (
            statistics.median(seconds[f"{who}, {way}"]) - bare for who in ("ours", "stock")
        )
        print(
            f"lost to telemetry, {way}, median: ours {own * 1e6:.0f} µs, stock "
            f"{other * 1e6:.0f} µs: {other / own:.1f} × smaller (goal: {GOAL} ×)"
        )
    if writer.dropped_count:
        print(f"dropped: {writer.dropped_count}")
    if options.json:
        write_json(options.json, seconds)


if __name__ == "__main__":
    main()
