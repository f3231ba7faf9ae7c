"""Our encoder against the SDK's own: the same message for any spans."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags
from opentelemetry.trace.span import TraceState

from fifo import otlp_encoding
from fifo.otlp_encoding import SpanEncoder

TEXTS = st.text(max_size=200)
TIMES = st.none() | st.integers(0, 2**64 - 1)
SCALARS = (
    TEXTS
    | st.booleans()
    | st.integers(-(2**65), 2**65)
    | st.floats(allow_nan=False)
    | st.binary(max_size=200)
    | st.none()
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
ATTRIBUTES = st.none() | st.dictionaries(TEXTS, VALUES, max_size=5)
STATES = st.builds(
    TraceState,
    st.dictionaries(
        st.from_regex(r"[a-z][a-z0-9]{0,9}", fullmatch=True),
        st.from_regex(r"[a-z0-9]{1,9}", fullmatch=True),
        max_size=3,
    ).map(lambda found: list(found.items())),
)
CONTEXTS = st.builds(
    SpanContext,
    st.integers(1, 2**128 - 1),
    st.integers(1, 2**64 - 1),
    st.booleans(),
    st.integers(0, 255).map(TraceFlags),
    st.none() | STATES,
)
RESOURCES = st.builds(Resource, ATTRIBUTES.map(lambda found: found or {}), st.none() | TEXTS)
SCOPES = st.builds(
    InstrumentationScope,
    TEXTS,
    st.none() | TEXTS,
    st.none() | TEXTS,
    st.none() | st.dictionaries(st.text(min_size=1, max_size=9), TEXTS, max_size=2),
)
EVENTS = st.builds(Event, TEXTS, ATTRIBUTES, st.integers(0, 2**63))
LINKS = st.builds(Link, CONTEXTS, ATTRIBUTES)
STATUSES = st.builds(Status, st.sampled_from(StatusCode), st.just(None)) | st.builds(
    Status, st.just(StatusCode.ERROR), TEXTS
)


def spans(resources: list[Resource], scopes: list[InstrumentationScope | None]) -> Any:
    return st.lists(
        st.builds(
            ReadableSpan,
            name=TEXTS,
            context=CONTEXTS,
            parent=st.none() | CONTEXTS,
            resource=st.sampled_from(resources),
            attributes=ATTRIBUTES,
            events=st.lists(EVENTS, max_size=2),
            links=st.lists(LINKS, max_size=2),
            kind=st.sampled_from(SpanKind),
            status=STATUSES,
            start_time=TIMES,
            end_time=TIMES,
            instrumentation_scope=st.sampled_from(scopes),
        ),
        min_size=1,
        max_size=5,
    )


ANY_SPANS = st.tuples(
    st.lists(RESOURCES, min_size=1, max_size=2),
    st.lists(SCOPES | st.none(), min_size=1, max_size=2),
).flatmap(lambda found: spans(*found))


def read(data: bytes) -> Any:
    return ExportTraceServiceRequest.FromString(data)


def with_surroundings(request: Any) -> list[tuple[bytes, ...]]:
    """Each span with its resource and scope, and their schemas."""
    found = []
    for resource_spans in request.resource_spans:
        for scope_spans in resource_spans.scope_spans:
            around = [
                resource_spans.resource.SerializeToString(deterministic=True),
                resource_spans.schema_url.encode(),
                scope_spans.scope.SerializeToString(deterministic=True),
                scope_spans.schema_url.encode(),
            ]
            found += [(*around, one.SerializeToString()) for one in scope_spans.spans]
    return sorted(found)


@settings(max_examples=300, deadline=None)
@given(ANY_SPANS)
def test_any_spans_give_the_message_that_the_sdks_encoder_gives(given_spans: Any) -> None:
    """Whatever is in them, what OTLP cannot carry included: it is left out.

    Of two scopes that differ in Python alone (no version, and an empty one) it makes two groups.
    """
    encoder = SpanEncoder()
    expected = with_surroundings(encode_spans(given_spans))
    assert with_surroundings(read(encoder.encode(given_spans))) == expected
    assert with_surroundings(read(encoder.encode(given_spans))) == expected  # from what it has kept


def test_what_the_sdk_dropped_is_told() -> None:
    """The counts of attributes, events and links beyond the SDK's limits."""
    memory = InMemorySpanExporter()
    limits = SpanLimits(
        max_span_attributes=1,
        max_events=1,
        max_links=1,
        max_event_attributes=1,
        max_link_attributes=1,
    )
    provider = TracerProvider(span_limits=limits, shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(memory))
    link = Link(SpanContext(1, 2, is_remote=True), {"a": 1, "b": 2})
    many = {f"name {index}": index for index in range(300)}
    with provider.get_tracer("t").start_as_current_span(
        "span", attributes=many, links=[link] * 3
    ) as span:
        for _ in range(3):
            span.add_event("event", many)
    found = memory.get_finished_spans()
    (encoded,) = read(SpanEncoder().encode(found)).resource_spans[0].scope_spans[0].spans
    assert (
        encoded.dropped_attributes_count,
        encoded.dropped_events_count,
        encoded.dropped_links_count,
        encoded.events[0].dropped_attributes_count,
    ) == (299, 2, 2, 299)
    assert read(SpanEncoder().encode(found)) == encode_spans(found)


def test_an_attribute_that_is_no_text_is_left_out_and_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A lone surrogate, an object, a number of more than 64 bits: the others of it stay."""
    span = ReadableSpan(
        "span",
        SpanContext(1, 2, is_remote=False),
        attributes={"a": "\ud800", "b": object(), "c": 2**63, "d": [1, 2**64], "e": 1},  # type: ignore[dict-item, list-item]
    )
    encoded = read(SpanEncoder().encode([span]))
    assert encoded == encode_spans([span])
    attributes = encoded.resource_spans[0].scope_spans[0].spans[0].attributes
    assert [one.key for one in attributes] == ["e"]
    told = [one.getMessage() for one in caplog.records if one.name == otlp_encoding.__name__]
    assert [text.partition(" is left out")[0] for text in told] == [
        f"the attribute {name!r}" for name in "abcd"
    ]


def test_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ever new scopes, resources and names take no more and more memory, and change nothing."""
    monkeypatch.setattr(otlp_encoding, "MAX_KEPT", 2)
    monkeypatch.setattr(otlp_encoding, "MAX_KEYS", 2)
    encoder = SpanEncoder()
    for index in range(5):
        span = ReadableSpan(
            "span",
            SpanContext(1, 2, is_remote=False),
            resource=Resource({f"r{index}": index}),
            attributes={f"a{index}": index, f"b{index}": "text"},
            instrumentation_scope=InstrumentationScope(f"s{index}"),
        )
        assert read(encoder.encode([span])) == encode_spans([span])
    kept = (encoder._resources, encoder._scopes, encoder._keys, encoder._pairs)
    assert list(map(len, kept)) == [1, 1, 2, 1]
