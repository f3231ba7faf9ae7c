"""A function that was instrumented with OpenTelemetry's SDK before it met spanpipe."""

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from fifo import capture
from fifo.otel import FifoSpanExporter

provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(FifoSpanExporter()))
tracer = provider.get_tracer("shop")
with tracer.start_as_current_span("in init"):
    pass


@capture
def handler(event, context):
    with tracer.start_as_current_span("outer"), tracer.start_as_current_span("inner"):
        return "ok"
