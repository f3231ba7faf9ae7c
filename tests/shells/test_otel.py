"""`FifoSpanExporter` on a real FIFO: what the SDK encodes is what the extension reads."""

from __future__ import annotations

import contextvars
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import fifo
from fifo import current, mailbox, messages, otel
from fifo.handler import capture
from fifo.otel import FifoSpanExporter
from fifo.writer import Writer
from tests.shells.conftest import ReadingEnd

ROOT = Path(__file__).resolve().parents[2]


class Context:
    """As Lambda's."""

    aws_request_id = "r-1"


def make_writer(reading_end: ReadingEnd, **options: Any) -> Writer:
    return Writer(str(reading_end.directory), environ={}, **options)


def traced(*exporters: SpanExporter) -> trace.Tracer:
    provider = TracerProvider(shutdown_on_exit=False)
    for exporter in exporters:
        provider.add_span_processor(SimpleSpanProcessor(exporter))
    return provider.get_tracer("tests")


def finished(count: int, **attributes: str) -> tuple[ReadableSpan, ...]:
    memory = InMemorySpanExporter()
    tracer = traced(memory)
    for index in range(count):
        with tracer.start_as_current_span(f"span {index}", attributes=attributes):
            pass
    return memory.get_finished_spans()


def names(found: list[messages.Message]) -> list[list[str]]:
    """Of the spans of each OTLP message."""
    return [
        [
            span.name
            for resource_spans in ExportTraceServiceRequest.FromString(one.data).resource_spans
            for scope_spans in resource_spans.scope_spans
            for span in scope_spans.spans
        ]
        for one in found
        if isinstance(one, messages.Otlp)
    ]


def test_spans_arrive_as_the_librarys_encoder_writes_them(reading_end: ReadingEnd) -> None:
    """The same message, with the invocation that they ended in, before its result."""
    from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans

    writer = make_writer(reading_end)
    memory = InMemorySpanExporter()
    tracer = traced(memory, FifoSpanExporter(writer))

    @capture(writer=writer)
    def handler(event: object, context: object) -> object:
        with tracer.start_as_current_span("GET", attributes={"http.status": 200}) as span:
            span.add_event("cache miss")
        return event

    handler(1, Context())
    start, otlp, result = reading_end.messages()
    assert isinstance(start, messages.Start)
    assert isinstance(result, messages.Result)
    assert otlp == messages.Otlp(
        "r-1",
        start.invocation_span_id,
        data=otlp.data,
        span_count=1,
    )
    assert ExportTraceServiceRequest.FromString(otlp.data) == encode_spans(
        memory.get_finished_spans()
    )


def test_what_is_traced_in_an_invocation_hangs_on_its_span(reading_end: ReadingEnd) -> None:
    """Trace and parent are START's, and after the handler nothing of ours is current."""
    writer = make_writer(reading_end)
    memory = InMemorySpanExporter()
    tracer = traced(memory)

    @capture(writer=writer)
    def handler(event: object, context: object) -> None:
        with tracer.start_as_current_span("outer"), tracer.start_as_current_span("inner"):
            pass
        if event:
            raise ValueError("as asked")

    before = trace.get_current_span()
    handler(0, Context())
    with pytest.raises(ValueError, match="as asked"):
        handler(1, Context())
    assert trace.get_current_span() is before
    starts = [one for one in reading_end.messages() if isinstance(one, messages.Start)]
    inner, outer, *_ = memory.get_finished_spans()
    own = starts[0]
    assert own.invocation_span_id is not None
    assert outer.parent is not None
    assert outer.context.trace_id == int.from_bytes(own.trace_id, "big")
    assert outer.parent.span_id == int.from_bytes(own.invocation_span_id, "big")
    assert inner.parent == outer.context
    assert len(memory.get_finished_spans()) == 4


def test_a_plain_thread_asks_for_the_parent(
    reading_end: ReadingEnd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`parent_context` gives the invocation's span to code in a context of its own."""
    writer = make_writer(reading_end)
    monkeypatch.setattr(current, "made_writer", writer)
    assert trace.get_current_span(otel.parent_context()) is trace.INVALID_SPAN
    invocation = writer.start("r-1")
    assert invocation is not None
    context = contextvars.Context().run(otel.parent_context)
    found = trace.get_current_span(context).get_span_context()
    assert (found.trace_id, found.span_id, found.trace_flags) == (
        int.from_bytes(invocation.trace_id, "big"),
        int.from_bytes(invocation.span_id, "big"),
        trace.TraceFlags.SAMPLED,
    )


@pytest.mark.parametrize(
    ("sampler", "recorded"), [("", 1), ("0,0,0", 0), ("10000000000000000,0,0", 1)]
)
def test_the_sdk_is_told_what_the_sampler_says(
    reading_end: ReadingEnd, sampler: str, recorded: int
) -> None:
    """So that its own sampler, parent-based by default, and what it tells others agree."""
    memory = InMemorySpanExporter()
    tracer = traced(memory)
    reading_end.publish(mailbox.Policy(1, sampler=sampler))

    @capture(writer=make_writer(reading_end))
    def handler(event: object, context: object) -> None:
        with tracer.start_as_current_span("work") as span:
            assert span.get_span_context().trace_flags == recorded

    handler({}, Context())
    assert len(memory.get_finished_spans()) == recorded


def test_spans_of_init_belong_to_nobody_and_arrive(reading_end: ReadingEnd) -> None:
    """Before the first START the pipe is opened for them."""
    exporter = FifoSpanExporter(make_writer(reading_end))
    assert exporter.export(finished(1)) is SpanExportResult.SUCCESS
    (otlp,) = reading_end.messages()
    assert (otlp.request_id, otlp.invocation_span_id) == ("", None)
    assert names([otlp]) == [["span 0"]]


def test_many_and_large_spans_go_in_several_messages(reading_end: ReadingEnd) -> None:
    """512 to a message, none over the bound of one, by file where frames are too short."""
    exporter = FifoSpanExporter(make_writer(reading_end))
    assert exporter.export(finished(600)) is SpanExportResult.SUCCESS
    assert sorted(map(len, names(reading_end.messages()))) == [88, 512]
    assert exporter.export(finished(2, text="x" * 600_000)) is SpanExportResult.SUCCESS
    assert sorted(names(reading_end.messages())) == [["span 0"], ["span 1"]]
    assert exporter.force_flush() is True


def test_where_nothing_can_be_written_it_fails_and_says_so(
    reading_end: ReadingEnd, tmp_path: Path
) -> None:
    """No extension, no budget, an exporter that is down, or after `shutdown`: never an error."""
    spans = finished(1)
    assert FifoSpanExporter(Writer(str(tmp_path / "none"), environ={})).export(spans) is FAILURE
    broke = make_writer(reading_end, budget_s=0.0)
    assert FifoSpanExporter(broke).export(spans) is FAILURE
    assert broke.dropped_count == 1
    reading_end.publish(mailbox.Policy(exporter_down=True))
    down = make_writer(reading_end)
    down.announce()
    exporter = FifoSpanExporter(down)
    assert exporter.export(spans) is FAILURE
    assert down.dropped_count == 1
    over = FifoSpanExporter(make_writer(reading_end))
    over.shutdown()
    assert over.export(spans) is FAILURE
    assert reading_end.messages() == []


FAILURE = SpanExportResult.FAILURE


def test_a_span_that_cannot_be_encoded_never_reaches_the_function(
    reading_end: ReadingEnd,
) -> None:
    """It is counted as a fault of ours."""
    writer = make_writer(reading_end)
    bad: Any = [object()]
    assert FifoSpanExporter(writer).export(bad) is FAILURE
    assert writer.fault_count == 1


def test_it_takes_no_protobuf_into_the_function() -> None:
    """Its import, and a span that it hands over, load the SDK and nothing more to encode it."""
    program = (
        "import sys\n"
        "from opentelemetry.sdk.trace import TracerProvider\n"
        "from opentelemetry.sdk.trace.export import SimpleSpanProcessor\n"
        "from fifo.otel import FifoSpanExporter\n"
        "provider = TracerProvider()\n"
        "provider.add_span_processor(SimpleSpanProcessor(FifoSpanExporter()))\n"
        "provider.get_tracer('tests').start_span('span').end()\n"
        "print([name for name in sys.modules if 'protobuf' in name or '.proto' in name])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_the_sdk_finds_it_by_its_name() -> None:
    """``OTEL_TRACES_EXPORTER=spanpipe``, as auto-instrumentation sets the SDK up."""
    program = (
        "from opentelemetry.sdk._configuration import _import_exporters\n"
        "print(_import_exporters(['spanpipe'], [], [])[0])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "{'spanpipe': <class 'fifo.otel.FifoSpanExporter'>}"


def ids(context: Any) -> tuple[bytes, bytes]:
    """Trace ID and span ID, as the FIFO has them."""
    return context.trace_id.to_bytes(16, "big"), context.span_id.to_bytes(8, "big")


def test_spans_of_both_kinds_hang_on_each_other(
    reading_end: ReadingEnd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The SDK's inside of ours has ours as its parent, and a call from it names the SDK's."""
    writer = make_writer(reading_end)
    monkeypatch.setattr(current, "made_writer", writer)
    memory = InMemorySpanExporter()
    tracer = traced(memory)
    told: list[str] = []

    @capture
    def handler(event: object, context: object) -> None:
        with fifo.span("ours"):
            told.append(fifo.traceparent())
            with tracer.start_as_current_span("theirs"):
                told.append(fifo.traceparent())
        with tracer.start_as_current_span("beside"):
            pass
        told.append(fifo.traceparent())

    handler(1, Context())
    start, span, _ = reading_end.messages()
    theirs, beside = memory.get_finished_spans()
    assert isinstance(span, messages.Span)
    assert theirs.parent is not None
    assert beside.parent is not None
    assert ids(theirs.parent) == (start.trace_id, span.span_id)
    assert ids(beside.parent) == (start.trace_id, start.invocation_span_id)
    trace_id = start.trace_id.hex()
    assert told == [
        f"00-{trace_id}-{span.span_id.hex()}-01",
        f"00-{trace_id}-{theirs.context.span_id:016x}-01",
        f"00-{trace_id}-{start.invocation_span_id.hex()}-01",
    ]
    assert trace.get_current_span() is trace.INVALID_SPAN


def test_an_sdk_that_is_set_up_inside_of_a_call_has_its_parent_too(
    reading_end: ReadingEnd,
) -> None:
    """As a function does that defers what its init need not pay for; and nothing is left over."""
    program = (
        "import sys, fifo\n"
        "from fifo import current\n"
        "from fifo.writer import Writer\n"
        "current.made_writer = writer = Writer(sys.argv[1], environ={})\n"
        "class Context:\n"
        "    aws_request_id = 'r-1'\n"
        "@fifo.capture\n"
        "def handler(event, context):\n"
        "    from opentelemetry.sdk.trace import TracerProvider\n"
        "    from fifo.otel import FifoSpanExporter\n"
        "    FifoSpanExporter()\n"
        "    span = TracerProvider().get_tracer('t').start_span('span')\n"
        "    own = current.current_invocation.get()\n"
        "    return span.parent.span_id == int.from_bytes(own.span_id, 'big')\n"
        "print(handler(1, Context()))\n"
        "from opentelemetry import trace\n"
        "print(trace.get_current_span() is trace.INVALID_SPAN)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(reading_end.directory)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["True", "True"]


@pytest.mark.parametrize("scope", ["opentelemetry.instrumentation.aws_lambda", "shop"])
def test_a_handler_inside_of_the_instrumentation_has_its_span(
    reading_end: ReadingEnd, monkeypatch: pytest.MonkeyPatch, scope: str
) -> None:
    """START tells its IDs and its parent, so that there is one span from the start."""
    writer = make_writer(reading_end)
    monkeypatch.setattr(current, "made_writer", writer)
    memory = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(memory))
    tracer = provider.get_tracer(scope)
    caller = trace.SpanContext(1, 2, is_remote=True, trace_flags=trace.TraceFlags(1))
    told: list[str] = []

    @capture
    def handler(event: object, context: object) -> None:
        told.append(fifo.traceparent())
        trace.get_current_span().set_attribute("asked", True)

    for request_id in ("r-1", "another"):
        with tracer.start_as_current_span(
            "function",
            trace.set_span_in_context(trace.NonRecordingSpan(caller)),
            attributes={"faas.invocation_id": request_id},
        ):
            handler(1, Context())
    first, _ = memory.get_finished_spans()
    assert ("asked" in (first.attributes or {})) == (scope != "shop")
    starts = [one for one in reading_end.messages() if isinstance(one, messages.Start)]
    found = [(one.trace_id, one.invocation_span_id, one.parent_span_id) for one in starts]
    adopted = (*ids(first.context), caller.span_id.to_bytes(8, "big"))
    assert [one == adopted for one in found] == [scope != "shop", False]
    assert told == [f"00-{one[0].hex()}-{one[1].hex()}-01" for one in found]
