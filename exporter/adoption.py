"""What OpenTelemetry's Lambda instrumentation says of an invocation, taken into our span of it.

The lifecycle has given the record its IDs; here its attributes, events, links and status go over
to the record's span, and it is left out of the spans that are sent as they are. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.trace import Link, SpanContext, Status, StatusCode, TraceFlags
from opentelemetry.util.types import AnyValue

from exporter.otlp_values import attributes_of
from exporter.record import Event, Invocation, Passed, Record


class Adopted(NamedTuple):
    """What the instrumentation's span says of the invocation."""

    attributes: dict[str, AnyValue]
    events: list[Event]
    links: list[Link]
    status: Status


def adopted(invocation: Invocation) -> Adopted | None:
    """What is said of `invocation` by the span of its own IDs; None where there is none."""
    for one in invocation.passed:
        if invocation.span_id in one.invocation_span_ids:
            for scope_spans in _scopes(_read(one)):
                for span in scope_spans.spans:
                    if span.span_id == invocation.span_id:
                        return _adopted(span)
    return None


def others(record: Record) -> tuple[Passed, ...]:
    """What `record` passes on, without any span that stands for an invocation.

    Each invocation has one, and it is the record's: it was adopted, or had left before.
    """
    return tuple(found for one in record.passed if (found := _without(one)).span_count)


def _without(one: Passed) -> Passed:
    if not one.invocation_span_ids:
        return one
    request = _read(one)
    count = 0
    for scope_spans in _scopes(request):
        for index in reversed(range(len(scope_spans.spans))):
            if scope_spans.spans[index].span_id in one.invocation_span_ids:
                del scope_spans.spans[index]
            else:
                count += 1
    for resource_spans in request.resource_spans:
        for index in reversed(range(len(resource_spans.scope_spans))):
            if not resource_spans.scope_spans[index].spans:
                del resource_spans.scope_spans[index]
    return Passed(request.SerializeToString(), count) if count else Passed(b"", 0)


def _read(one: Passed) -> Any:
    """Of no spans where it cannot be read: what cannot is named when it is to be sent."""
    try:
        return ExportTraceServiceRequest.FromString(one.data)
    except DecodeError:
        return ExportTraceServiceRequest()


def _scopes(request: Any) -> Iterator[Any]:
    for resource_spans in request.resource_spans:
        yield from resource_spans.scope_spans


def _adopted(span: Any) -> Adopted:
    return Adopted(
        attributes_of(span.attributes),
        [
            Event(event.time_unix_nano, event.name, attributes_of(event.attributes))
            for event in span.events
        ],
        [_link(link) for link in span.links],
        _status(span.status),
    )


def _link(link: Any) -> Link:
    context = SpanContext(
        int.from_bytes(link.trace_id, "big"),
        int.from_bytes(link.span_id, "big"),
        is_remote=True,
        trace_flags=TraceFlags(link.flags & 0xFF),
    )
    return Link(context, attributes_of(link.attributes))


def _status(status: Any) -> Status:
    known = any(code.value == status.code for code in StatusCode)
    code = StatusCode(status.code) if known else StatusCode.UNSET
    # The SDK takes a description for an error alone.
    return Status(code, status.message or None if code is StatusCode.ERROR else None)
