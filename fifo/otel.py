"""OpenTelemetry's SDK in the function, over the FIFO: the one module here that imports it.

The user's function brings OpenTelemetry and its instrumentation; `FifoSpanExporter` takes the
place of the OTLP exporter, and what the network costs is paid by the extension. Set the SDK up
before the handler is called, as usual: whatever is captured from then on has the invocation's
span as its parent.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextvars import ContextVar, Token

from opentelemetry import context as otel_context
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    TraceFlags,
    get_current_span,
    set_span_in_context,
)

from fifo import current as current_state
from fifo import propagation
from fifo.current import current_invocation, invocation_of, process_writer
from fifo.otlp_bytes import INVOCATION_ID, LAMBDA_SCOPE
from fifo.otlp_encoding import SpanEncoder
from fifo.writer import BUDGET_S, Invocation, Writer

MAX_SPANS = 512
"""In one message: what the SDK's batch processor exports at once."""
MAX_BYTES = 1024 * 1024
"""Of a message of several spans: well below what one request to a collector may have."""

_late: ContextVar[Token[Context] | None] = ContextVar("spanpipe_late", default=None)
"""What an exporter that was made inside a call has attached."""


class FifoSpanExporter(SpanExporter):
    """Hands finished spans to the spanpipe extension, which sends them as they are.

    Both of the SDK's processors serve. With `SimpleSpanProcessor` what had ended is there even
    where the function dies; `BatchSpanProcessor` asks for a `force_flush` at the end, or spans
    wait for a later invocation.
    `writer` None: the process's own. Never raises; it may be made anywhere, in the first
    invocation too.
    Source: OpenTelemetry specification, "Trace SDK", "Span Exporter".
    """

    def __init__(self, writer: Writer | None = None) -> None:
        self._encode = SpanEncoder().encode
        self._writer = process_writer() if writer is None else writer
        self._is_shut_down = False
        invocation = current_invocation.get()
        if invocation is not None and not get_current_span().get_span_context().is_valid:
            # Set up inside of the first call: `capture` could not attach it.
            _late.set(attach(invocation))

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Hand `spans` over, within the writer's budget (50 ms for an invocation).

        Any number, 512 and 1 MiB in a message. FAILURE where any were dropped, and after
        `shutdown`; never raises.
        """
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
        """Whether the extension has read all, within `timeout_millis` and the writer's budget
        (50 ms), whichever ends first. Never raises."""
        return self._writer.flush(min(timeout_millis / 1000, BUDGET_S))

    def shutdown(self) -> None:
        """Nothing is open; what is exported after it fails, as the specification asks."""
        self._is_shut_down = True


def parent_context(context: Context | None = None) -> Context:
    """`context` (None: the current one) with the invocation's span as the current span.

    For code that starts in a context of its own, such as a plain thread. Outside an invocation
    `context` as it is. Never raises.
    """
    invocation = invocation_of(process_writer())
    if invocation is None:
        return context if context is not None else otel_context.get_current()
    return _context_of(invocation, context)


def attach(invocation: Invocation, span_id: bytes | None = None) -> Token[Context] | None:
    """Make `invocation`'s span, or its child `span_id`, the parent of what begins from here on.

    For `capture` and `fifo.span`. None where that is current already, as a span that records.
    """
    try:
        own = int.from_bytes(span_id or invocation.span_id, "big")
        if get_current_span().get_span_context().span_id == own:
            return None
        return otel_context.attach(_context_of(invocation, None, span_id))
    except Exception:  # noqa: BLE001 - a fault of a library is not the handler's
        return None


def detach(token: Token[Context] | None) -> None:
    """What was current before `attach` is so again; without a token, before the exporter's."""
    if token is None:
        token = _late.get()
        _late.set(None)
    if token is not None:
        otel_context.detach(token)


def current() -> propagation.Context | None:
    """The span that the SDK's code is in, where that is one of this function's."""
    try:
        span_context = get_current_span().get_span_context()
        if not span_context.is_valid or span_context.is_remote:
            return None
        return _told(span_context)
    except Exception:  # noqa: BLE001 - a fault of a library is not the handler's
        return None


def span_of(request_id: str) -> tuple[propagation.Context, propagation.Context | None] | None:
    """The current span and its parent, where it is the Lambda instrumentation's of `request_id`.

    The invocation's own then takes its place from the start: one invocation, one span.
    """
    try:
        span = get_current_span()
        if not isinstance(span, ReadableSpan) or not span.is_recording():
            return None
        scope = span.instrumentation_scope
        if scope is None or scope.name != LAMBDA_SCOPE.decode():
            return None
        if (span.attributes or {}).get(INVOCATION_ID.decode()) != request_id:
            return None
        parent = span.parent
        return _told(span.get_span_context()), None if parent is None else _told(parent)
    except Exception:  # noqa: BLE001 - a fault of a library is not the handler's
        return None


def _told(span_context: SpanContext) -> propagation.Context:
    return propagation.Context(
        span_context.trace_id.to_bytes(16, "big"),
        span_context.span_id.to_bytes(8, "big"),
        span_context.trace_flags & 0xFF,
        span_context.trace_state.to_header(),
    )


def _context_of(
    invocation: Invocation, context: Context | None, span_id: bytes | None = None
) -> Context:
    around = get_current_span(context).get_span_context()
    # A child of ours is in the trace that the instrumentation has begun, if it has.
    of_theirs = span_id is not None and around.is_valid
    span_context = SpanContext(
        around.trace_id if of_theirs else int.from_bytes(invocation.trace_id, "big"),
        int.from_bytes(span_id or invocation.span_id, "big"),
        is_remote=False,
        trace_flags=TraceFlags(invocation.sdk_flags),
    )
    return set_span_in_context(NonRecordingSpan(span_context), context)


current_state.otel = sys.modules[__name__]
