"""OTLP's JSON to protobuf's bytes: held to protobuf's descriptors, its encoder and its JSON."""

from __future__ import annotations

import base64
import json
import random
from typing import Any

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.json_format import MessageToDict
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from exporter.otlp_json import to_value
from extension import json_requests, otlp_from_json
from extension.json_requests import protobuf_of
from extension.otlp_from_json import MAX_NESTING, Fields, OtlpJsonError, request_bytes
from fifo.errors import ProtocolError
from fifo.otlp_bytes import TooManyError

_KINDS = {
    FieldDescriptor.TYPE_MESSAGE: 2,
    FieldDescriptor.TYPE_STRING: 2,
    FieldDescriptor.TYPE_BYTES: 2,
    FieldDescriptor.TYPE_FIXED64: 1,
    FieldDescriptor.TYPE_FIXED32: 5,
    FieldDescriptor.TYPE_UINT32: 0,
    FieldDescriptor.TYPE_ENUM: 0,
}
BY_HAND = {"KeyValue", "AnyValue"}
"""Attributes have functions of their own; of them the properties below hold all."""
TABLES = {
    "ExportTraceServiceRequest": otlp_from_json._REQUEST,
    "ResourceSpans": otlp_from_json._RESOURCE_SPANS,
    "Resource": otlp_from_json._RESOURCE,
    "EntityRef": otlp_from_json._ENTITY,
    "ScopeSpans": otlp_from_json._SCOPE_SPANS,
    "InstrumentationScope": otlp_from_json._SCOPE,
    "Span": otlp_from_json._SPAN,
    "Event": otlp_from_json._EVENT,
    "Link": otlp_from_json._LINK,
    "Status": otlp_from_json._STATUS,
}


def described(descriptor: Descriptor, found: dict[str, list[tuple[str, int, int]]]) -> None:
    if descriptor.name in BY_HAND or descriptor.name in found:
        return
    found[descriptor.name] = sorted(
        ((one.json_name, one.number, _KINDS[one.type]) for one in descriptor.fields),
        key=lambda field: field[1],
    )
    for one in descriptor.fields:
        if one.message_type is not None:
            described(one.message_type, found)


def test_the_tables_are_the_protocols() -> None:
    """Each message of a trace request: names, numbers and kinds of its fields, in order."""
    found: dict[str, list[tuple[str, int, int]]] = {}
    described(ExportTraceServiceRequest.DESCRIPTOR, found)
    tables: dict[str, Fields] = TABLES
    assert {name: [field[:3] for field in table.fields] for name, table in tables.items()} == found


TEXTS = st.text(max_size=9) | st.just("ä" * 200)
ATTRIBUTE_VALUES = st.recursive(
    st.builds(AnyValue)
    | st.builds(AnyValue, string_value=TEXTS)
    | st.builds(AnyValue, bool_value=st.booleans())
    | st.builds(AnyValue, int_value=st.integers(-(2**63), 2**63 - 1))
    | st.builds(AnyValue, double_value=st.floats(allow_nan=False))
    | st.builds(AnyValue, bytes_value=st.binary(max_size=9)),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda values: AnyValue(array_value={"values": values}))
        | st.lists(st.builds(KeyValue, key=TEXTS, value=inner), max_size=3).map(
            lambda values: AnyValue(kvlist_value={"values": values})
        )
    ),
    max_leaves=5,
)
ATTRIBUTES = st.lists(st.builds(KeyValue, key=TEXTS, value=ATTRIBUTE_VALUES), max_size=3)
COUNTS = st.sampled_from([0, 1, 127, 128, 2**32 - 1])
TIMES = st.integers(0, 2**64 - 1) | st.just(0)
TRACE_IDS = st.just(b"") | st.binary(min_size=16, max_size=16)
SPAN_IDS = st.just(b"") | st.binary(min_size=8, max_size=8)
ANY = {"attributes": ATTRIBUTES, "dropped_attributes_count": COUNTS}
EVENTS = st.builds(Span.Event, time_unix_nano=TIMES, name=TEXTS, **ANY)
LINKS = st.builds(
    Span.Link, trace_id=TRACE_IDS, span_id=SPAN_IDS, trace_state=TEXTS, flags=COUNTS, **ANY
)
SPANS = st.builds(
    Span,
    trace_id=TRACE_IDS,
    span_id=SPAN_IDS,
    trace_state=TEXTS,
    parent_span_id=SPAN_IDS,
    name=TEXTS,
    kind=st.integers(0, 5),
    start_time_unix_nano=TIMES,
    end_time_unix_nano=TIMES,
    events=st.lists(EVENTS, max_size=2),
    dropped_events_count=COUNTS,
    links=st.lists(LINKS, max_size=2),
    dropped_links_count=COUNTS,
    status=st.none() | st.fixed_dictionaries({"message": TEXTS, "code": st.integers(0, 2)}),
    flags=COUNTS,
    **ANY,
)
SCOPES = st.fixed_dictionaries({"name": TEXTS, "version": TEXTS, **ANY})
SCOPE_SPANS = st.fixed_dictionaries(
    {"scope": st.none() | SCOPES, "spans": st.lists(SPANS, max_size=2), "schema_url": TEXTS}
)
ENTITIES = st.fixed_dictionaries(
    {
        "schema_url": TEXTS,
        "type": TEXTS,
        "id_keys": st.lists(TEXTS, max_size=2),
        "description_keys": st.lists(TEXTS, max_size=2),
    }
)
RESOURCES = st.fixed_dictionaries({"entity_refs": st.lists(ENTITIES, max_size=1), **ANY})
RESOURCE_SPANS = st.fixed_dictionaries(
    {
        "resource": st.none() | RESOURCES,
        "scope_spans": st.lists(SCOPE_SPANS, max_size=2),
        "schema_url": TEXTS,
    }
)
REQUESTS = st.lists(RESOURCE_SPANS, max_size=2).map(
    lambda found: ExportTraceServiceRequest(resource_spans=found)
)


def shuffled(value: Any, draw: random.Random) -> Any:
    """The same JSON, the keys of its objects in another order."""
    if isinstance(value, dict):
        pairs = [(key, shuffled(one, draw)) for key, one in value.items()]
        return dict(draw.sample(pairs, len(pairs)))
    return [shuffled(one, draw) for one in value] if isinstance(value, list) else value


@given(request=REQUESTS, draw=st.randoms(use_true_random=False))
@settings(max_examples=300, deadline=None)
def test_json_of_a_request_gives_the_requests_own_bytes(
    request: ExportTraceServiceRequest, draw: random.Random
) -> None:
    """From OTLP's JSON, its keys in any order, and from protobuf's own with names and base64."""
    data = request.SerializeToString()
    assert protobuf_of(json.dumps(shuffled(to_value(request), draw)).encode()) == data
    assert request_bytes(MessageToDict(request)) == data


IDS = {"traceId": "0AF7651916cd43dd8448eb211c80319c", "spanId": "b7ad6b7169203331"}


def span(**fields: Any) -> dict[str, Any]:
    return {"resourceSpans": [{"scopeSpans": [{"spans": [{**IDS, **fields}]}]}]}


def attribute(value: Any) -> dict[str, Any]:
    return span(attributes=[{"key": "k", "value": value}])


def read(value: Any) -> Span:
    request = ExportTraceServiceRequest.FromString(protobuf_of(json.dumps(value).encode()))
    ((found,),) = ((one.spans) for one in request.resource_spans[0].scope_spans)
    return found


def test_what_a_sender_may_write_otherwise() -> None:
    """Numbers for texts and texts for numbers, null for nothing, and fields of a later version."""
    found = read(
        span(
            startTimeUnixNano=5,
            endTimeUnixNano="18446744073709551615",
            kind="SPAN_KIND_CLIENT",
            flags="257",
            droppedLinksCount=2.0,
            parentSpanId="",
            traceState=None,
            status={"code": 2, "later": {}},
            attributes=[
                {"key": "url", "value": {"bytesValue": "-_8"}},
                {"key": "double", "value": {"doubleValue": "1.5"}},
                {"key": "whole", "value": {"doubleValue": 2}},
                {"key": "none", "value": {"doubleValue": None}},
                {"key": "later", "value": {"newValue": 1}},
                {"value": {"intValue": 7}, "later": 1},
            ],
            later=[1],
        )
    )
    expected = Span(
        trace_id=bytes.fromhex(IDS["traceId"]),
        span_id=bytes.fromhex(IDS["spanId"]),
        start_time_unix_nano=5,
        end_time_unix_nano=2**64 - 1,
        kind=3,
        flags=257,
        dropped_links_count=2,
        status={"code": 2},
        attributes=[
            KeyValue(key="url", value=AnyValue(bytes_value=b"\xfb\xff")),
            KeyValue(key="double", value=AnyValue(double_value=1.5)),
            KeyValue(key="whole", value=AnyValue(double_value=2.0)),
            KeyValue(key="none", value=AnyValue()),
            KeyValue(key="later", value=AnyValue()),
            KeyValue(value=AnyValue(int_value=7)),
        ],
    )
    assert found == expected


def test_half_a_surrogate_pair_costs_a_character_and_no_span() -> None:
    """JavaScript's text that was cut inside of one; a whole pair stays as it is."""
    found = read(attribute({"stringValue": "a\ud83d and 😀"}))
    assert found.attributes[0].value.string_value == "a� and 😀"


def nested(depth: int, value: Any) -> Any:
    for _ in range(depth):
        value = {"arrayValue": {"values": [value]}}
    return value


def test_the_deepest_value_that_is_taken_can_be_read() -> None:
    """By protobuf's own library, whose limit the bound is for."""
    found = read(attribute(nested(MAX_NESTING, {"intValue": 1}))).attributes[0].value
    for _ in range(MAX_NESTING):
        (found,) = found.array_value.values
    assert found.int_value == 1


SPAN_AT = "resourceSpans[0].scopeSpans[0].spans[0]"
VALUE_AT = f"{SPAN_AT}.attributes[0].value"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([], "'[]' is no object"),
        ({"resourceSpans": {}}, "resourceSpans: '{}' is no list"),
        (span(traceId="zz"), f"{SPAN_AT}.traceId: 'zz' is no ID of 16 bytes"),
        (span(spanId=7), f"{SPAN_AT}.spanId: '7' is no ID of 8 bytes"),
        (span(spanId="g" * 16), f"{SPAN_AT}.spanId: '{'g' * 16}' is no ID of 8 bytes"),
        (span(name=1), f"{SPAN_AT}.name: '1' is no text"),
        (span(kind=1.5), f"{SPAN_AT}.kind: '1.5' is no integer of 32 bits"),
        (span(kind="SERVER"), f"{SPAN_AT}.kind: 'SERVER' is no integer of 32 bits"),
        (
            span(startTimeUnixNano=-1),
            f"{SPAN_AT}.startTimeUnixNano: '-1' is no integer from 0 to 2^64-1",
        ),
        (
            span(endTimeUnixNano="1" * 5000),
            f"{SPAN_AT}.endTimeUnixNano: '{'1' * 64}' is no integer from 0 to 2^64-1",
        ),
        (span(flags=True), f"{SPAN_AT}.flags: 'True' is no integer from 0 to 2^32-1"),
        (span(status=[]), f"{SPAN_AT}.status: '[]' is no object"),
        (
            span(links=[IDS, {"flags": -1}]),
            f"{SPAN_AT}.links[1].flags: '-1' is no integer from 0 to 2^32-1",
        ),
        (span(attributes=[3]), f"{SPAN_AT}.attributes[0]: '3' is no object"),
        (span(attributes=[{"key": 3}]), f"{SPAN_AT}.attributes[0].key: '3' is no text"),
        (attribute("x"), f"{VALUE_AT}: 'x' is no object"),
        (attribute({"stringValue": 1}), f"{VALUE_AT}.stringValue: '1' is no text"),
        (attribute({"boolValue": 1}), f"{VALUE_AT}.boolValue: '1' is no true or false"),
        (attribute({"intValue": "x"}), f"{VALUE_AT}.intValue: 'x' is no integer of 64 bits"),
        (
            attribute({"intValue": 2**63}),
            f"{VALUE_AT}.intValue: '{2**63}' is no integer of 64 bits",
        ),
        (attribute({"doubleValue": "x"}), f"{VALUE_AT}.doubleValue: 'x' is no number"),
        (attribute({"doubleValue": True}), f"{VALUE_AT}.doubleValue: 'True' is no number"),
        (attribute({"bytesValue": "é"}), f"{VALUE_AT}.bytesValue: 'é' is no base64"),
        (attribute({"arrayValue": []}), f"{VALUE_AT}.arrayValue: '[]' is no object"),
        (
            attribute(nested(1, {"intValue": ""})),
            f"{VALUE_AT}.arrayValue.values[0].intValue: '' is no integer of 64 bits",
        ),
        (
            attribute({"kvlistValue": {"values": [{}, {"value": {"boolValue": 0}}]}}),
            f"{VALUE_AT}.kvlistValue.values[1].value.boolValue: '0' is no true or false",
        ),
    ],
)
def test_a_wrong_value_is_named_with_its_place(value: Any, message: str) -> None:
    """One error for the first of them."""
    with pytest.raises(OtlpJsonError) as caught:
        request_bytes(value)
    assert str(caught.value) == message


def test_a_value_nested_too_deep_is_refused() -> None:
    """Nobody could read it."""
    with pytest.raises(OtlpJsonError, match=f"nested more than {MAX_NESTING} deep$"):
        request_bytes(attribute(nested(MAX_NESTING + 1, {})))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "no JSON: Expecting value: line 1 column 1 (char 0)"),
        (
            b"{",
            "no JSON: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)",
        ),
        (b'{"a":NaN}', "no JSON: NaN is no JSON"),
        (b'{"\xff":1}', "JSON that is no UTF-8, at byte 2"),
        (b"[" * 100_000, "JSON that is nested too deep"),
        (b"[]", "no trace request in JSON: '[]' is no object"),
        (
            json.dumps(attribute({"doubleValue": 1})).replace("1}", "1e999}").encode(),
            f"no trace request in JSON: {VALUE_AT}.doubleValue: 'inf' is no number",
        ),
    ],
)
def test_what_is_no_json_is_one_clear_error(body: bytes, message: str) -> None:
    """Whatever stands there."""
    with pytest.raises(ProtocolError) as caught:
        protobuf_of(body)
    assert str(caught.value) == message


def test_values_are_bounded_before_they_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those in texts do not count, wherever quotation marks and backslashes stand."""
    monkeypatch.setattr(json_requests, "MAX_VALUES", 30)
    monkeypatch.setattr(json_requests, "_PART_BYTES", 7)
    text = 'a,[{",\\,"' * 20
    assert read(attribute({"stringValue": text})).attributes[0].value.string_value == text
    for body in (b'{"a":[' + b"{}," * 30, b'{"a":"\\' + b"," * 40 + b'","b":[' + b"[" * 30):
        with pytest.raises(TooManyError, match=r"^JSON of over 30 values$"):
            protobuf_of(body)
    # A text without an end, of nothing but what could be a beginning.
    with pytest.raises(ProtocolError, match=r"^no JSON: "):
        protobuf_of(b'{"' + b'\\",' * 100_000)


def test_the_seventeenth_byte_of_base64_is_no_trace_id() -> None:
    """A length tells hex from base64, and base64 of another is neither."""
    for size in (15, 17):
        text = base64.b64encode(bytes(size)).decode()
        with pytest.raises(OtlpJsonError, match="is no ID of 16 bytes"):
            request_bytes(span(traceId=text))
