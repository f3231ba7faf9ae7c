"""OpenTelemetry's SDK in the function, over the FIFO: the one module here that imports it.

The user's function brings OpenTelemetry and its instrumentation; `FifoSpanExporter` takes the
place of the OTLP exporter, and what the network costs is paid by the extension. Set the SDK up
before the handler is called, as usual: whatever is captured from then on has the invocation's
span as its parent.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextvars import Token

from opentelemetry import context as otel_context
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

from fifo.current import invocation_of, process_writer
from fifo.otlp_encoding import SpanEncoder
from fifo.writer import BUDGET_S, Invocation, Writer

MAX_SPANS = 512
"""In one message: what the SDK's batch processor exports at once."""
MAX_BYTES = 1024 * 1024
"""Of a message of several spans: well below what one request to a collector may have."""

_SAMPLED = TraceFlags(TraceFlags.SAMPLED)


class FifoSpanExporter(SpanExporter):
    """Hands finished spans to the spanpipe extension, which sends them as they are.

    Both of the SDK's processors serve. With `SimpleSpanProcessor` what had ended is there even
    where the function dies; `BatchSpanProcessor` asks for a `force_flush` at the end, or spans
    wait for a later invocation.
    `writer` None: the process's own.
    Source: OpenTelemetry specification, "Trace SDK", "Span Exporter".
    """

    def __init__(self, writer: Writer | None = None) -> None:
        self._encode = SpanEncoder().encode
        self._writer = process_writer() if writer is None else writer
        self._is_shut_down = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Hand `spans` over, within the writer's budget; FAILURE where any were dropped."""
        if self._is_shut_down:
            return SpanExportResult.FAILURE
        invocation = invocation_of(self._writer)
        parts = [spans[start : start + MAX_SPANS] for start in range(0, len(spans), MAX_SPANS)]
        sent = [self._send(invocation, part) for part in parts]
        return SpanExportResult.SUCCESS if all(sent) else SpanExportResult.FAILURE

    def _send(self, invocation: Invocation | None, spans: Sequence[ReadableSpan]) -> bool:
        halves: list[Sequence[ReadableSpan]] = []

        def encoded() -> bytes:
            data = self._encode(spans)
            if len(data) > MAX_BYTES and len(spans) > 1:
                half = len(spans) // 2
                halves.extend((spans[:half], spans[half:]))
                return b""
            return data

        sent = [self._writer.otlp(invocation, encoded)]
        sent += [self._send(invocation, half) for half in halves]
        return all(sent)

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Whether the extension has read all, waiting no longer than the writer's budget."""
        return self._writer.flush(min(timeout_millis / 1000, BUDGET_S))

    def shutdown(self) -> None:
        """Nothing is open; what is exported after it fails, as the specification asks."""
        self._is_shut_down = True


def parent_context(context: Context | None = None) -> Context:
    """`context` (None: the current one) with the invocation's span as the current span.

    For code that starts in a context of its own, such as a plain thread. Outside an invocation
    `context` as it is.
    """
    invocation = invocation_of(process_writer())
    if invocation is None:
        return context if context is not None else otel_context.get_current()
    return _context_of(invocation, context)


def attach(invocation: Invocation) -> Token[Context] | None:
    """Make `invocation`'s span the parent of what begins from here on; for `capture`."""
    try:
        return otel_context.attach(_context_of(invocation, None))
    except Exception:  # noqa: BLE001 - a fault of a library is not the handler's
        return None


def detach(token: Token[Context] | None) -> None:
    """What was current before `attach` is so again."""
    if token is not None:
        otel_context.detach(token)


def _context_of(invocation: Invocation, context: Context | None) -> Context:
    span_context = SpanContext(
        int.from_bytes(invocation.trace_id, "big"),
        int.from_bytes(invocation.span_id, "big"),
        is_remote=False,
        trace_flags=_SAMPLED,
    )
    return set_span_in_context(NonRecordingSpan(span_context), context)
