"""What has arrived, as the page wants it: bounded, no I/O.

A trace is kept or forgotten whole, and the oldest go first.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from exporter import attributes as names
from exporter.otlp_values import attributes_of

MAX_SPANS = 50_000
MAX_BYTES = 128 * 1024 * 1024
"""Of the spans as they came; as Python's objects they take a few times as much."""

MAX_SAFE_INTEGER = 2**53 - 1
"""JavaScript's ``Number.MAX_SAFE_INTEGER``."""

_SERVER = 2
"""``Span.SpanKind.SPAN_KIND_SERVER``."""
_ERROR = 2
"""``Status.StatusCode.STATUS_CODE_ERROR``."""
_KINDS = ("unspecified", "internal", "server", "client", "producer", "consumer")

Value = dict[str, Any]
"""Made of what JSON has."""


@dataclass(slots=True)
class _Trace:
    number: int
    spans: dict[str, tuple[Any, Value]] = field(default_factory=dict)
    """Span ID → the span and the attributes of its resource."""
    size_bytes: int = 0


class Store:
    """Takes requests; gives rows, spans of a trace, and counts.

    `version` grows with each change. `forgotten_count` counts the spans that the bounds cost.
    """

    def __init__(self, max_spans: int = MAX_SPANS, max_bytes: int = MAX_BYTES) -> None:
        self.version = 0
        self.forgotten_count = 0
        self._max_spans = max_spans
        self._max_bytes = max_bytes
        self._span_count = 0
        self._size_bytes = 0
        self._traces: dict[str, _Trace] = {}
        self._rows: dict[str, tuple[int, Value]] = {}
        self._ledgers: dict[str, tuple[int, Value]] = {}
        self._gone_version = 0

    def add(self, request: Any) -> None:
        """Take the spans of an ``ExportTraceServiceRequest``; one that comes again replaces."""
        self.version += 1
        for resource_spans in request.resource_spans:
            resource = _attributes(resource_spans.resource.attributes)
            for scope_spans in resource_spans.scope_spans:
                for span in scope_spans.spans:
                    self._add(span, resource)
        self._forget()

    def note_ledger(self, instance: str, counts: Mapping[str, int]) -> None:
        """What the extension of `instance` says of itself, told by others than its spans."""
        self.version += 1
        self._ledgers[instance] = (self.version, {"instance": instance, "counts": dict(counts)})

    def changes(self, after: int) -> Value:
        """What is new after `version`: rows, ledgers and counts.

        ``anew``: rows that were told before are gone, and what comes is all there is.
        """
        anew = after < self._gone_version
        after = 0 if anew else after
        return {
            "version": self.version,
            "anew": anew,
            "rows": [row for version, row in self._rows.values() if version > after],
            "ledgers": [one for version, one in self._ledgers.values() if version > after],
            "spans": self._span_count,
            "forgotten": self.forgotten_count,
        }

    def trace(self, trace_id: str) -> list[Value]:
        """The spans of a trace, each after its parent, siblings by their start."""
        trace = self._traces.get(trace_id)
        if trace is None:
            return []
        children: dict[str, list[str]] = {}
        for span_id, (span, _) in trace.spans.items():
            parent = span.parent_span_id.hex()
            children.setdefault(parent if parent in trace.spans else "", []).append(span_id)
        ordered = list(_tree(children, trace.spans))
        if len(ordered) < len(trace.spans):
            # Parents in a circle: a stranger's. They are shown at the top.
            reached = {span_id for span_id, _ in ordered}
            ordered += [(span_id, 0) for span_id in trace.spans if span_id not in reached]
        return [_span(*trace.spans[span_id], depth) for span_id, depth in ordered]

    def _add(self, span: Any, resource: Value) -> None:
        trace_id, span_id = span.trace_id.hex(), span.span_id.hex()
        trace = self._traces.get(trace_id)
        if trace is None:
            trace = self._traces[trace_id] = _Trace(self.version)
        before = trace.spans.get(span_id)
        size = span.ByteSize() - (before[0].ByteSize() if before is not None else 0)
        trace.spans[span_id] = (span, resource)
        trace.size_bytes += size
        self._size_bytes += size
        self._span_count += before is None
        attributes = _attributes(span.attributes)
        if span.kind == _SERVER or not span.parent_span_id:
            row = _row(span, attributes, resource)
            self._rows[f"{trace_id}/{span_id}"] = (self.version, row)
        ledger = {
            name.removeprefix(names.LEDGER_PREFIX): value
            for name, value in attributes.items()
            if name.startswith(names.LEDGER_PREFIX)
        }
        if ledger:
            instance = _instance(resource)
            self._ledgers[instance] = (self.version, {"instance": instance, "counts": ledger})

    def _forget(self) -> None:
        """The newest trace stays, whatever its size: somebody looks at it."""
        while len(self._traces) > 1 and (
            self._span_count > self._max_spans or self._size_bytes > self._max_bytes
        ):
            trace_id = next(iter(self._traces))
            trace = self._traces.pop(trace_id)
            self._span_count -= len(trace.spans)
            self._size_bytes -= trace.size_bytes
            self.forgotten_count += len(trace.spans)
            for span_id in trace.spans:
                self._rows.pop(f"{trace_id}/{span_id}", None)
            self._gone_version = self.version


def _tree(
    children: dict[str, list[str]], spans: dict[str, tuple[Any, Value]]
) -> Iterator[tuple[str, int]]:
    waiting = [(span_id, 0) for span_id in _by_start(children.get("", []), spans)]
    while waiting:
        span_id, depth = waiting.pop()
        yield span_id, depth
        inner = _by_start(children.get(span_id, []), spans)
        waiting += [(one, depth + 1) for one in inner]


def _by_start(span_ids: list[str], spans: dict[str, tuple[Any, Value]]) -> list[str]:
    """Latest first, since they are taken from the end."""
    return sorted(span_ids, key=lambda one: spans[one][0].start_time_unix_nano, reverse=True)


def _row(span: Any, attributes: Value, resource: Value) -> Value:
    return {
        "trace": span.trace_id.hex(),
        "span": span.span_id.hex(),
        "name": span.name,
        "function": _function(resource),
        "fate": str(attributes.get(names.FATE) or ("error" if _failed(span) else "")),
        "failed": _failed(span),
        "request": str(attributes.get(names.FAAS_INVOCATION_ID) or ""),
        "error": str(attributes.get(names.ERROR_TYPE) or ""),
        "start_ms": span.start_time_unix_nano / 1e6,
        "duration_ms": _duration_ms(span),
        "cold": attributes.get(names.FAAS_COLDSTART) is True,
        "size": attributes.get(names.RESULT.size_bytes),
    }


def _span(span: Any, resource: Value, depth: int) -> Value:
    return {
        "span": span.span_id.hex(),
        "parent": span.parent_span_id.hex(),
        "name": span.name,
        "kind": _KINDS[span.kind] if span.kind < len(_KINDS) else str(span.kind),
        "depth": depth,
        "function": _function(resource),
        "start_ms": span.start_time_unix_nano / 1e6,
        "duration_ms": _duration_ms(span),
        "failed": _failed(span),
        "message": span.status.message,
        "attributes": _attributes(span.attributes),
        "resource": resource,
        "events": [
            {
                "name": event.name,
                "after_ms": (event.time_unix_nano - span.start_time_unix_nano) / 1e6,
                "attributes": _attributes(event.attributes),
            }
            for event in span.events
        ],
        "links": [{"trace": one.trace_id.hex(), "span": one.span_id.hex()} for one in span.links],
    }


def _function(resource: Value) -> str:
    return str(resource.get(names.FAAS_NAME) or resource.get(names.SERVICE_NAME) or "")


def _instance(resource: Value) -> str:
    return str(resource.get(names.FAAS_INSTANCE) or _function(resource))


def _failed(span: Any) -> bool:
    return bool(span.status.code == _ERROR)


def _duration_ms(span: Any) -> float:
    length_ms: float = (span.end_time_unix_nano - span.start_time_unix_nano) / 1e6
    return max(0.0, length_ms)


def _attributes(pairs: Any) -> Value:
    return {name: _shown(value) for name, value in attributes_of(pairs).items()}


def _shown(value: Any) -> Any:
    """As JSON has it; bytes in hex, and numbers that JavaScript has not, as texts."""
    if isinstance(value, list):
        return [_shown(one) for one in value]
    if isinstance(value, dict):
        return {name: _shown(one) for name, one in value.items()}
    if isinstance(value, bytes):
        return value.hex()
    if (isinstance(value, int) and abs(value) > MAX_SAFE_INTEGER) or (
        isinstance(value, float) and not math.isfinite(value)
    ):
        return str(value)
    return value
