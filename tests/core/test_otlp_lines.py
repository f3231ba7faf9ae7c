"""Spans as lines of OTLP JSON: the same values as protobuf's, packed, cut soundly, and back."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags
from opentelemetry.trace.span import TraceState

from exporter.encoder import encoded
from exporter.otlp_json import to_value
from exporter.otlp_lines import MAX_LINE_BYTES, MIN_LINE_BYTES, Line, lines_of
from exporter.passed_lines import passed_lines
from exporter.record import Passed
from extension.otlp_from_json import OtlpJsonError, from_value

BODY, TRUNCATED, KIND = (
    f"spanpipe.result.{name}" for name in ("body", "truncated", "content_kind")
)
LIMIT_BYTES = 256 * 1024

TEXTS = st.text(st.characters(codec="utf-8"), max_size=8)
SCALARS = st.one_of(
    TEXTS,
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(),
    st.binary(max_size=8),
    st.none(),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
ATTRIBUTES = st.dictionaries(TEXTS, VALUES, max_size=4)
TIMES = st.integers(0, 2**63)
STATES = st.sampled_from([None, TraceState(), TraceState([("a", "1"), ("b", "2")])])
CONTEXTS = st.builds(
    SpanContext,
    st.integers(1, 2**128 - 1),
    st.integers(1, 2**64 - 1),
    st.booleans(),
    st.just(TraceFlags(1)),
    STATES,
)
STATUSES = st.one_of(
    st.just(Status()),
    st.builds(Status, st.just(StatusCode.ERROR), TEXTS),
    st.just(Status(StatusCode.OK)),
)
RESOURCES = [
    Resource({}),
    Resource({"a": 1, "b": ("x", "y")}),
    Resource({"é": True}, "https://schema"),
]
SCOPES = [
    None,
    InstrumentationScope("spanpipe", "1"),
    InstrumentationScope("", None, "https://schema", {"a": 1.5}),
]
SPANS = st.builds(
    ReadableSpan,
    TEXTS,
    CONTEXTS,
    parent=st.none() | CONTEXTS,
    resource=st.sampled_from(RESOURCES),
    attributes=ATTRIBUTES,
    events=st.lists(st.builds(Event, TEXTS, ATTRIBUTES, TIMES), max_size=3),
    links=st.lists(st.builds(Link, CONTEXTS, ATTRIBUTES), max_size=3),
    kind=st.sampled_from(SpanKind),
    status=STATUSES,
    start_time=TIMES,
    end_time=TIMES,
    instrumentation_scope=st.sampled_from(SCOPES),
)


def made(**changes: Any) -> ReadableSpan:
    """A span with what matters to a test."""
    context = SpanContext(7, changes.pop("span_id", 9), False, TraceFlags(1))
    return ReadableSpan(
        changes.pop("name", "shop"),
        context,
        resource=changes.pop("resource", RESOURCES[1]),
        kind=SpanKind.SERVER,
        start_time=1,
        end_time=2,
        instrumentation_scope=SCOPES[1],
        **changes,
    )


def spans_in(line: Line) -> list[dict[str, Any]]:
    return [
        span
        for resource_spans in json.loads(line.data)["resourceSpans"]
        for scope_spans in resource_spans["scopeSpans"]
        for span in scope_spans["spans"]
    ]


def values(holder: dict[str, Any]) -> dict[str, Any]:
    return {one["key"]: next(iter(one["value"].values())) for one in holder["attributes"]}


def in_a_log(line: Line) -> int:
    """How many bytes the line has in Lambda's JSON log format, as Go's encoder writes it."""
    record = json.dumps(line.data.decode(), ensure_ascii=False)
    for one in "<>&":
        record = record.replace(one, f"\\u{ord(one):04x}")
    wrapped = f'{{"time":"2026-11-24T13:00:00.123Z","type":"extension","record":{record}}}\n'
    return len(wrapped.encode())


@settings(max_examples=40, deadline=None)
@given(st.lists(SPANS, max_size=4))
def test_a_line_has_the_values_that_protobuf_would_give(spans: list[ReadableSpan]) -> None:
    """Every type of value, events, links, parents, resources and scopes, compared whole."""
    lines = list(lines_of(spans))
    expected = to_value(encoded(spans))
    found = [json.loads(line.data) for line in lines]
    assert found == ([expected] if spans else [])


@settings(max_examples=40, deadline=None)
@given(st.lists(SPANS, min_size=1, max_size=4))
def test_a_line_is_read_back_as_the_request_that_protobuf_would_send(
    spans: list[ReadableSpan],
) -> None:
    """Hex IDs, integers in strings and base64, there and back to the byte."""
    (line,) = lines_of(spans)
    # As values, where a NaN is a text: as a number it is not even equal to itself.
    assert to_value(from_value(json.loads(line.data))) == to_value(encoded(spans))


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(RESOURCES), st.integers(0, 30_000), st.sampled_from('a"\n\0<é😀')
        ),
        max_size=12,
    )
)
def test_spans_are_packed_in_order_and_no_line_is_too_long(
    shapes: list[tuple[Resource, int, str]],
) -> None:
    """Each line is below its bound, wrapped too; together they have every span, in order."""
    spans = [
        made(span_id=index, resource=resource, attributes={"text": char * size})
        for index, (resource, size, char) in enumerate(shapes, 1)
    ]
    lines = list(lines_of(spans, 64 * 1024))
    assert [len(spans_in(line)) for line in lines] == [line.span_count for line in lines]
    assert all(in_a_log(line) <= 64 * 1024 for line in lines)
    groups = iter(spans)
    for line in lines:
        own = [next(groups) for _ in range(line.span_count)]
        if not line.cut_bytes:
            assert from_value(json.loads(line.data)) == encoded(own)
    assert list(groups) == []


def test_two_neighbouring_lines_would_not_fit_into_one() -> None:
    """Packing is not wasteful: a line ends where the next span would have made it too long."""
    spans = [made(span_id=index, attributes={"text": "x" * 900}) for index in range(1, 1001)]
    lines = list(lines_of(spans))
    assert sum(line.span_count for line in lines) == 1000
    longest = max(len(line.data) // line.span_count for line in lines) * 2
    assert all(in_a_log(line) > MAX_LINE_BYTES - 2 * longest for line in lines[:-1])


@pytest.mark.parametrize("unit", ["a", "\1", '"', "\\", "é", "😀", "<", "\ud800"], ids=repr)
def test_a_body_of_six_mebibytes_is_cut_to_one_line(unit: str) -> None:
    """Control characters, which JSON makes six times as long, and every other kind of character."""
    body = unit * (6 * 1024 * 1024 // len(unit.encode("utf-8", "replace")))
    attributes = {"spanpipe.fate": "returned", BODY: body, TRUNCATED: False}
    (line,) = lines_of([made(attributes=attributes)])
    assert len(line.data) < LIMIT_BYTES
    assert LIMIT_BYTES - 4096 < in_a_log(line) < LIMIT_BYTES
    (span,) = spans_in(line)
    found = values(span)
    shown = unit.encode("utf-8", "replace").decode()
    assert found.pop(BODY) == shown * (len(values(span)[BODY]) // len(shown))
    assert found == {"spanpipe.fate": "returned", TRUNCATED: True}
    identity = ("traceId", "spanId", "name", "kind", "startTimeUnixNano", "endTimeUnixNano")
    assert [span[key] for key in identity] == [f"{7:032x}", f"{9:016x}", "shop", 2, "1", "2"]
    assert line.cut_bytes == len(body.encode("utf-8", "replace")) - len(values(span)[BODY].encode())


def test_the_longest_texts_are_cut_and_no_other() -> None:
    """Stack traces, partial bodies, lists and the status share the room; short texts stay whole."""
    long = "x" * 400_000
    events = [
        Event("spanpipe.partial_result", {BODY: long, KIND: "text", "index": 1}, 3),
        Event("exception", {"exception.stacktrace": long, "exception.type": "E"}, 4),
    ]
    span = made(
        attributes={"list": ["short", long], "short": "y" * 1000},
        events=events,
        status=Status(StatusCode.ERROR, long),
    )
    (line,) = lines_of([span])
    (found,) = spans_in(line)
    partial, exception = (values(event) for event in found["events"])
    short, listed = (one["stringValue"] for one in values(found)["list"]["values"])
    cut = [partial.pop(BODY), exception.pop("exception.stacktrace"), listed]
    cut.append(found["status"]["message"])
    assert set(cut) == {"x" * len(listed)}
    assert 60_000 < len(listed) < 66_000
    assert (short, values(found)["short"]) == ("short", "y" * 1000)
    # The mark is on the result's body alone.
    assert partial == {KIND: "text", "index": "1", TRUNCATED: True}
    assert exception == {"exception.type": "E"}
    assert line.cut_bytes == 4 * (400_000 - len(listed))


def test_a_cut_binary_body_is_still_base64() -> None:
    """It ends with a whole unit, so that what is there can be read."""
    body = base64.b64encode(bytes(1_000_000)).decode()
    (line,) = lines_of([made(attributes={BODY: body, KIND: "binary", TRUNCATED: False})])
    (span,) = spans_in(line)
    cut = values(span)[BODY]
    assert base64.b64decode(cut, validate=True) == bytes(len(cut) // 4 * 3)


def test_where_texts_are_not_enough_the_middle_is_left_out_and_counted() -> None:
    """Ten thousand events: the first ones and the exception stay, the rest is a number."""
    events = [Event(f"e{index}", {"index": index}, index + 1) for index in range(10_000)]
    events.append(Event("exception", {"exception.type": "E"}, 4))
    (line,) = lines_of([made(attributes={"spanpipe.fate": "raised"}, events=events)])
    assert in_a_log(line) < LIMIT_BYTES
    (span,) = spans_in(line)
    assert values(span) == {"spanpipe.fate": "raised"}
    kept = [event["name"] for event in span["events"]]
    assert kept == [*(f"e{index}" for index in range(len(kept) - 1)), "exception"]
    assert span["droppedEventsCount"] + len(kept) == len(events)
    assert line.cut_bytes == 0


@pytest.mark.parametrize("max_line_bytes", [MIN_LINE_BYTES, MAX_LINE_BYTES])
def test_an_identity_survives_everything_at_once(max_line_bytes: int) -> None:
    """Endless names, keys, lists and a resource: still one line below the bound, with its fate."""
    long = '"' * 400_000
    kept = ("faas.invocation_id", "spanpipe.fate", "error.type", "service.name", "faas.name")
    attributes: dict[str, Any] = dict.fromkeys(kept, long)
    attributes |= {f"{index}{long[:2000]}": [index] * 100 for index in range(200)}
    span = made(
        name=long,
        resource=Resource({"service.name": long, "faas.name": long, **attributes}),
        attributes=attributes,
        events=[Event(long, {"error.type": long, long: 1}, 1)] * 3,
        links=[Link(SpanContext(1, 2, False), {long: 1})] * 3,
    )
    (line,) = lines_of([span], max_line_bytes)
    assert in_a_log(line) <= max_line_bytes
    (found,) = spans_in(line)
    assert (found["spanId"], found["kind"], found["name"]) == (f"{9:016x}", 2, '"' * 256)
    assert {key: values(found)[key] for key in kept} == dict.fromkeys(kept, '"' * 256)


def test_a_limit_that_holds_no_identity_is_refused() -> None:
    """It would have to be broken."""
    with pytest.raises(ValueError, match="must be at least 32768"):
        next(lines_of([], MIN_LINE_BYTES - 1))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"resourceSpans": 1}, "^resourceSpans: '1' is no list$"),
        ({"resourceSpans": [1]}, r"^resourceSpans\[0\]: '1' is no object$"),
        ({"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": "zz"}]}]}]}, "'zz' is no ID"),
        ({"resourceSpans": [{"scopeSpans": [{"spans": [{"name": "x"}]}]}]}, "a span has no ID"),
        ({"resourceSpans": [{"scopeSpans": [{"spans": [{"kind": {}}]}]}]}, "kind"),
    ],
)
def test_what_is_no_request_is_named(value: dict[str, Any], message: str) -> None:
    """A stranger's JSON is an error with a reason, and nothing else."""
    with pytest.raises(OtlpJsonError, match=message):
        from_value(value)


def test_foreign_writers_are_understood() -> None:
    """Base64 IDs, names of enum values, unknown fields and numbers for 64-bit integers."""
    span = {
        "traceId": base64.b64encode(bytes(15) + b"\7").decode(),
        "spanId": "000000000000000A",
        "kind": "SPAN_KIND_SERVER",
        "startTimeUnixNano": 1,
        "newField": [1],
    }
    request = from_value({"resourceSpans": [{"scopeSpans": [{"spans": [span]}], "x": 1}], "y": {}})
    expected = ExportTraceServiceRequest()
    expected.resource_spans.add().scope_spans.add().spans.add(
        trace_id=bytes(15) + b"\7", span_id=bytes(7) + b"\n", kind=2, start_time_unix_nano=1
    )
    assert request == expected


def test_others_spans_are_printed_whole_in_lines_that_stay_whole() -> None:
    """All of them, split between spans; what cannot be a line is counted."""
    whole = ExportTraceServiceRequest()
    for part in range(2):
        resource = whole.resource_spans.add(schema_url="url")
        resource.resource.attributes.add(key="service.name").value.string_value = f"s{part}"
        scope = resource.scope_spans.add()
        scope.scope.name = "shop"
        for index in range(1, 21):
            scope.spans.add(
                name="x" * 10_000, trace_id=b"t" * 16, span_id=bytes([part * 20 + index]) * 8
            )
    long = ExportTraceServiceRequest()
    long.resource_spans.add().scope_spans.add().spans.add(
        name="x" * 300_000, trace_id=b"t" * 16, span_id=b"s" * 8
    )
    data = whole.SerializeToString()
    bad, alone = b"\x0a\x01", long.SerializeToString()
    lines = list(passed_lines([Passed(data, 40), Passed(bad, 1), Passed(alone, 1)]))
    assert all(len(line.data) <= MAX_LINE_BYTES for line in lines)
    assert [(line.span_count, line.cut_bytes) for line in lines] == [
        (20, 0),
        (20, 0),
        (0, 2),
        (0, len(alone)),
    ]
    again = ExportTraceServiceRequest()
    for line in lines[:2]:
        again.MergeFrom(from_value(json.loads(line.data)))
    assert again == whole
