"""A limit for each span: held whatever a span has in it, and only its texts pay for it."""

from __future__ import annotations

import base64
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from exporter.batch import Item
from exporter.fitting import KEPT_ATTRIBUTES
from exporter.record import ChildSpan, Passed, Payload, Record
from exporter.record import Event as RecordEvent
from exporter.span_limit import SpanCut, limited
from exporter.spans import SpanBuilder
from exporter.values import replace
from tests.core.test_backlog import ONE

LIMIT = 20_000


def items_of(record: Record) -> list[Item]:
    return [*SpanBuilder().spans([record])]


def spans_in(items: list[Item]) -> list[Any]:
    """Of what was cut, as protobuf has it."""
    return [
        span
        for item in items
        if isinstance(item, Passed)
        for of_resource in ExportTraceServiceRequest.FromString(item.data).resource_spans
        for of_scope in of_resource.scope_spans
        for span in of_scope.spans
    ]


def attributes(span: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in span.attributes}


def test_what_fits_is_not_touched() -> None:
    """The same objects, which nobody has encoded."""
    items = items_of(replace(ONE, result=Payload(b"x" * 9_000, 9_000, False, "text")))
    kept, cut = limited(items, LIMIT)
    assert [one is other for one, other in zip(kept, items, strict=True)] == [True]
    assert cut is None


def test_a_body_loses_its_end_and_says_so() -> None:
    """Cut to what there is room for, counted, and marked; who and what stay."""
    record = replace(ONE, result=Payload(b"x" * 60_000, 60_000, False, "text"))
    (item,), cut = limited(items_of(record), LIMIT)
    (span,) = spans_in([item])
    told = attributes(span)
    body = told["spanpipe.result.body"]
    assert cut == SpanCut(body_bytes=60_000 - len(body))
    assert told["spanpipe.result.truncated"] is True
    assert told["faas.invocation_id"] == record.request_id
    assert LIMIT - 200 < span.ByteSize() <= LIMIT


def test_a_binary_body_is_cut_to_whole_units() -> None:
    """What is left of its base64 can be read."""
    record = replace(ONE, result=Payload(bytes(range(256)) * 200, 51_200, False, "binary"))
    (item,), _ = limited(items_of(record), LIMIT)
    body = attributes(spans_in([item])[0])["spanpipe.result.body"]
    assert (
        bytes(range(256)) * 200
        == base64.b64decode(body) + (bytes(range(256)) * 200)[len(base64.b64decode(body)) :]
    )


def test_only_the_span_that_is_too_large_is_cut() -> None:
    """Its siblings leave as they are."""
    children = tuple(
        ChildSpan(bytes([index] * 8), None, f"child {index}", 1, 2, attributes={"text": text})
        for index, text in ((1, "short"), (2, "y" * 50_000))
    )
    items = items_of(replace(ONE, children=children))
    kept, cut = limited(items, LIMIT)
    assert [isinstance(one, Passed) for one in kept] == [
        span.name == "child 2" for span in items if not isinstance(span, Passed)
    ]
    assert cut is not None
    assert cut.body_bytes == 0
    assert 30_000 < cut.text_bytes < 32_000


def test_an_sdks_span_is_cut_as_ours_is() -> None:
    """Bytes in, bytes out; what is no OTLP is left for whoever reads it."""
    request = ExportTraceServiceRequest()
    span = request.resource_spans.add().scope_spans.add().spans.add(name="sdk")
    value = span.attributes.add(key="list").value.array_value.values.add()
    value.string_value = "é" * 30_000
    data = request.SerializeToString()
    kept, cut = limited([Passed(data, 1), Passed(b"\xff" * 50_000, 3)], LIMIT)
    assert kept[1] == Passed(b"\xff" * 50_000, 3)
    (made,) = spans_in(kept[:1])
    assert made.ByteSize() <= LIMIT
    left = made.attributes[0].value.array_value.values[0].string_value
    assert left == "é" * len(left)
    assert cut == SpanCut(text_bytes=60_000 - 2 * len(left))


TEXT = st.one_of(st.text(max_size=40), st.integers(1_000, 40_000).map(lambda count: "ö" * count))
VALUE = st.one_of(TEXT, st.booleans(), st.integers(-(2**63), 2**63 - 1))
ATTRIBUTES = st.dictionaries(st.text(min_size=1, max_size=20), VALUE, max_size=20)


@settings(deadline=None, max_examples=40)
@given(
    attributes_=ATTRIBUTES,
    events=st.lists(ATTRIBUTES, max_size=30),
    copies=st.integers(1, 40),
    max_span_bytes=st.integers(16_384, 60_000),
)
def test_no_span_is_ever_over_the_limit(
    attributes_: dict[str, Any], events: list[dict[str, Any]], copies: int, max_span_bytes: int
) -> None:
    """Whatever is in it, and its identity with what is kept of it is what it was."""
    record = replace(
        ONE,
        attributes=attributes_,
        events=tuple(RecordEvent(5, "e", one) for one in events) * copies,
    )
    before = items_of(record)
    kept, _ = limited(before, max_span_bytes)
    assert len(kept) == len(before)
    for made in spans_in(kept):
        assert made.ByteSize() <= max_span_bytes
        assert made.span_id == record.span_id
        whole = {one: value for one, value in attributes(made).items() if one in KEPT_ATTRIBUTES}
        assert whole["faas.invocation_id"] == record.request_id
