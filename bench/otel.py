"""What a handler loses to OpenTelemetry: our exporter and the stock one, to a receiver here.

python -m bench.otel [--runs 300] [--json FILE]

Twice: ten spans made by hand, and a function as OpenTelemetry instruments it (aws-lambda,
requests, sqlite3), flushed at its end by the instrumentation, as it always does: unchanged but for
the exporter, and with `capture` around it too, which sends the result. What is lost is told against
one that is instrumented and exports nothing, and against the same function without telemetry.
"""

from __future__ import annotations

import argparse
import importlib
import multiprocessing
import os
import statistics
import tempfile
import time

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.aws_lambda import AwsLambdaInstrumentor
from opentelemetry.instrumentation.requests import RequestsInstrumentor
from opentelemetry.instrumentation.sqlite3 import SQLite3Instrumentor
from opentelemetry.instrumentation.utils import suppress_instrumentation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor

from bench.handover import Ends
from bench.measure import interleaved, machine, table, write_json
from fifo import capture
from fifo.otel import FifoSpanExporter
from sandbox.receiver import Receiver

SPANS = 10
NOTHING = "no exporter"
GOAL = 10
QUERIES = 8
"""With the call and the invocation's own: ten spans too."""
BARE, NO_EXPORTER, OURS, CAPTURED, STOCK = (
    "without telemetry",
    "instrumented, no exporter",
    "instrumented, ours",
    "instrumented, ours, captured",
    "instrumented, stock",
)


def receive(pipe) -> None:
    """In a process of its own: it takes nothing of the handler's."""
    with Receiver() as receiver:
        pipe.send(receiver.http_endpoint)
        pipe.recv()


class Switch(SpanProcessor):
    """To one processor at a time: instrumentation takes one provider for good."""

    def __init__(self) -> None:
        self.to = SpanProcessor()

    def on_start(self, span, parent_context=None) -> None:
        self.to.on_start(span, parent_context)

    def on_end(self, span) -> None:
        self.to.on_end(span)

    def force_flush(self, timeout_millis=30_000) -> bool:
        return self.to.force_flush(timeout_millis)


class Context:
    """As Lambda's."""

    aws_request_id = "00000000-0000-4000-8000-000000000001"
    function_name = "function"
    invoked_function_arn = "arn:aws:lambda:eu-west-1:123456789012:function:function"
    memory_limit_in_mb = "128"


def instrumented(ends, endpoint):
    """Each contestant's run: one invocation, in seconds."""
    os.environ.update(
        AWS_LAMBDA_FUNCTION_NAME="function",
        _HANDLER="bench.instrumented.handler",
        # Of the receiver, which answers 404: an answer as good as another.
        BENCH_SERVER=endpoint.removesuffix("/v1/traces"),
    )
    switch = Switch()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(switch)
    bare = importlib.import_module("bench.instrumented").handler
    for instrumentor in (RequestsInstrumentor(), SQLite3Instrumentor(), AwsLambdaInstrumentor()):
        instrumentor.instrument(tracer_provider=provider, meter_provider=MeterProvider())
    module = importlib.import_module("bench.instrumented")
    # sqlite3 is instrumented where a connection is made.
    module.database = module.sqlite3.connect(":memory:")
    handler = module.handler
    event = {"queries": QUERIES}

    def timed(call, processor):
        def run() -> float:
            switch.to = processor
            ends.put_back()
            began = time.perf_counter()
            call(event, Context())
            took = time.perf_counter() - began
            ends.drain()
            return took

        return run

    def without(event, context):
        with suppress_instrumentation():
            return bare(event, context)

    ours = BatchSpanProcessor(FifoSpanExporter(ends.writer))
    stock = BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint))
    return {
        BARE: timed(without, SpanProcessor()),
        NO_EXPORTER: timed(handler, SpanProcessor()),
        OURS: timed(handler, ours),
        CAPTURED: timed(capture(handler, writer=ends.writer), ours),
        STOCK: timed(handler, stock),
    }


def lost(seconds, ours, stock, base, what) -> None:
    """What each has lost to telemetry, and how many times less ours is."""
    floor = statistics.median(seconds[base])
    own, other = (statistics.median(seconds[name]) - floor for name in (ours, stock))
    print(
        f"lost to telemetry, {what}, median: ours {own * 1e6:.0f} µs, stock "
        f"{other * 1e6:.0f} µs: {other / own:.1f} × smaller (goal: {GOAL} ×)"
    )


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
        ends = Ends(folder)
        writer = ends.writer

        def contestant(processor):
            provider = TracerProvider(shutdown_on_exit=False)
            if processor is not None:
                provider.add_span_processor(processor)
            tracer = provider.get_tracer("bench")

            def run() -> float:
                writer.current = ends.begun()
                began = time.perf_counter()
                for index in range(SPANS):
                    with tracer.start_as_current_span("query", attributes={"db.rows": index}):
                        pass
                provider.force_flush()
                took = time.perf_counter() - began
                ends.drain()
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
        functions = interleaved(instrumented(ends, endpoint), options.runs, warm_up=20)
    here.send(None)
    process.join()
    print(f"{SPANS} spans an invocation; {options.runs} interleaved runs; {machine()}")
    print(table(seconds, 1e-6, "µs", NOTHING))
    for way in ("each span", "flushed at the end"):
        lost(seconds, f"ours, {way}", f"stock, {way}", NOTHING, way)
    print(f"\nan instrumented function, {QUERIES + 2} spans, flushed at the end")
    print(table(functions, 1e-6, "µs", BARE))
    lost(functions, OURS, STOCK, NO_EXPORTER, "by the exporter")
    lost(functions, CAPTURED, STOCK, NO_EXPORTER, "by the exporter and `capture`")
    lost(functions, CAPTURED, STOCK, BARE, "with what the instrumentation itself takes")
    if writer.dropped_count or writer.fault_count:
        print(f"dropped: {writer.dropped_count}, faults: {writer.fault_count}")
    if options.json:
        write_json(options.json, {**seconds, **functions})


if __name__ == "__main__":
    main()
