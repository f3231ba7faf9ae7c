"""A function with OpenTelemetry's own exporter, which knows nothing of spanpipe's FIFO."""

import os

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

from fifo import capture, traceparent

provider = TracerProvider()
provider.add_span_processor(
    BatchSpanProcessor(OTLPSpanExporter(f"http://127.0.0.1:{os.environ['PORT']}/v1/traces"))
)
tracer = provider.get_tracer("shop")


@capture
def handler(event, context):
    _, trace_id, span_id, _ = traceparent().split("-")
    parent = NonRecordingSpan(
        SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=TraceFlags(1))
    )
    with tracer.start_as_current_span("own", trace.set_span_in_context(parent)):
        pass
    with tracer.start_as_current_span("stranger"):
        pass
    # At the end of the last one they are in the SDK still: what it is told now comes later.
    return provider.force_flush() if event["flush"] else None
