"""Others' spans as lines of OTLP JSON for a log; pure. See `exporter.otlp_lines`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from exporter.fitting import logged_bytes
from exporter.otlp_json import to_json
from exporter.otlp_lines import MAX_LINE_BYTES, WRAPPER_BYTES, Line
from exporter.record import Passed


def passed_lines(passed: Iterable[Passed], max_line_bytes: int = MAX_LINE_BYTES) -> Iterator[Line]:
    """Each of `passed` in one line, or in several where that were too long.

    What is no OTLP, or one span that is too long alone, is a line of no bytes whose `cut_bytes`
    are all that it had.
    """
    room_bytes = max_line_bytes - WRAPPER_BYTES
    for one in passed:
        try:
            request = ExportTraceServiceRequest.FromString(one.data)
        except DecodeError:
            yield Line(b"", 0, len(one.data))
            continue
        yield from _lines(request, one.span_count, room_bytes)


def _lines(request: Any, span_count: int, room_bytes: int) -> Iterator[Line]:
    text = to_json(request)
    if logged_bytes(text) <= room_bytes:
        yield Line(f"{text}\n".encode("utf-8", "replace"), span_count)
    elif span_count <= 1:
        yield Line(b"", 0, request.ByteSize())
    else:
        half = span_count // 2
        yield from _lines(_kept(request, 0, half), half, room_bytes)
        yield from _lines(_kept(request, half, span_count), span_count - half, room_bytes)


def _kept(request: Any, start: int, end: int) -> Any:
    """A copy with the spans from `start` to `end`, in order, and what stands around them."""
    kept = ExportTraceServiceRequest()
    index = 0
    for resource_spans in request.resource_spans:
        resource = None
        for scope_spans in resource_spans.scope_spans:
            first, last = max(start - index, 0), min(end - index, len(scope_spans.spans))
            index += len(scope_spans.spans)
            if first >= last:
                continue
            if resource is None:
                resource = kept.resource_spans.add(schema_url=resource_spans.schema_url)
                resource.resource.CopyFrom(resource_spans.resource)
            scope = resource.scope_spans.add(schema_url=scope_spans.schema_url)
            scope.scope.CopyFrom(scope_spans.scope)
            scope.spans.extend(scope_spans.spans[first:last])
    return kept
