"""Requests taken apart and put together again: each span once, each request below a limit. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from exporter import attributes as names

MAX_SEEN = 262_144
"""Spans that are remembered, some 28 MB (`python -m bench.bounds`); one that comes again after more
than half as many others may be sent again, which does no harm."""
_LENGTH_BYTES = 6
"""A tag and a length in protobuf, at most, for a message below 4 GiB."""


@dataclass(slots=True)
class Batch:
    """One request to send. `place` is where its first span was."""

    place: str
    request: ExportTraceServiceRequest = field(default_factory=ExportTraceServiceRequest)
    span_count: int = 0
    invocation_count: int = 0
    max_bytes: int = 0
    """What the request is at most when it is encoded."""


class Batches:
    """Fills requests up to `max_request_bytes`; `again_count` spans had come before.

    A span that is longer alone is in a request of its own: the collector may take more.
    """

    def __init__(self, max_request_bytes: int, max_seen: int = MAX_SEEN) -> None:
        self._max_request_bytes = max_request_bytes
        self._seen = _Seen(max_seen)
        self._batch = Batch("")
        # Resource and scope, encoded → where its spans go; of the batch that is being filled.
        self._homes: dict[tuple[bytes, bytes], Any] = {}
        self._resources: dict[bytes, Any] = {}
        self.again_count = 0

    def add(self, request: ExportTraceServiceRequest, place: str) -> Iterator[Batch]:
        """Take in a request from `place`; the batches that are full."""
        for resource_spans in request.resource_spans:
            for scope_spans in resource_spans.scope_spans:
                spans = list(scope_spans.spans)
                del scope_spans.spans[:]
                scope = scope_spans.SerializeToString(deterministic=True)
                bare = type(resource_spans)(schema_url=resource_spans.schema_url)
                if resource_spans.HasField("resource"):
                    bare.resource.CopyFrom(resource_spans.resource)
                resource = bare.SerializeToString(deterministic=True)
                for span in spans:
                    if self._seen.is_new(span.trace_id + span.span_id):
                        yield from self._add(resource, scope, span, place)
                    else:
                        self.again_count += 1

    def take(self) -> Batch | None:
        """The last batch, which is not full; None where there is nothing in it."""
        batch, self._batch = self._batch, Batch("")
        self._homes.clear()
        self._resources.clear()
        return batch if batch.span_count else None

    def _add(self, resource: bytes, scope: bytes, span: Any, place: str) -> Iterator[Batch]:
        span_bytes = span.ByteSize() + _LENGTH_BYTES
        size_bytes = span_bytes
        if (resource, scope) not in self._homes:
            size_bytes += len(resource) + len(scope) + 2 * _LENGTH_BYTES
        if self._batch.max_bytes + size_bytes > self._max_request_bytes:
            full = self.take()
            if full is not None:
                yield full
            size_bytes = span_bytes + len(resource) + len(scope) + 2 * _LENGTH_BYTES
        batch = self._batch
        batch.place = batch.place or place
        batch.max_bytes += size_bytes
        batch.span_count += 1
        batch.invocation_count += any(one.key == names.FATE for one in span.attributes)
        self._home(resource, scope).spans.append(span)

    def _home(self, resource: bytes, scope: bytes) -> Any:
        home = self._homes.get((resource, scope))
        if home is None:
            of_resource = self._resources.get(resource)
            if of_resource is None:
                of_resource = self._batch.request.resource_spans.add()
                of_resource.MergeFromString(resource)
                self._resources[resource] = of_resource
            home = of_resource.scope_spans.add()
            home.MergeFromString(scope)
            self._homes[resource, scope] = home
        return home


class _Seen:
    """A set that forgets its older half when it is full."""

    def __init__(self, capacity: int) -> None:
        self._half = max(1, capacity // 2)
        self._recent: set[bytes] = set()
        self._older: set[bytes] = set()

    def is_new(self, key: bytes) -> bool:
        if key in self._recent or key in self._older:
            return False
        if len(self._recent) >= self._half:
            self._older, self._recent = self._recent, set()
        self._recent.add(key)
        return True
