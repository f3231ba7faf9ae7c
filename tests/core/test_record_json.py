"""Records to JSON and back: nothing is lost, and nothing else is let in."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.record import (
    ChildSpan,
    Environment,
    Event,
    Failure,
    Fate,
    Invocation,
    Partial,
    Passed,
    Payload,
    Record,
    Report,
    Supplement,
)
from exporter.record_json import RecordError, _value, from_json, to_json
from exporter.values import fields, replace

TEXTS = st.text(max_size=20)
NANOSECONDS = st.integers(0, 2**63 - 1)
SCALARS = st.one_of(
    TEXTS, st.booleans(), st.integers(-(2**63) + 1, 2**63 - 1), st.floats(allow_nan=False)
)
ATTRIBUTES = st.dictionaries(TEXTS, st.one_of(SCALARS, st.lists(TEXTS, max_size=3)), max_size=3)
FAILURES = st.builds(Failure, TEXTS, TEXTS, TEXTS)
PAYLOADS = st.builds(Payload, st.binary(max_size=40), st.none() | NANOSECONDS, st.booleans(), TEXTS)
SPAN_IDS = st.binary(min_size=8, max_size=8)
CHILDREN = st.builds(
    ChildSpan,
    SPAN_IDS,
    st.none() | SPAN_IDS,
    TEXTS,
    NANOSECONDS,
    NANOSECONDS,
    ATTRIBUTES,
    st.none() | FAILURES,
    st.booleans(),
)
PASSED = st.builds(Passed, st.binary(max_size=40), st.integers(0, 9))
NUMBERS = st.none() | st.floats(allow_nan=False)
REPORTS = st.builds(Report, NUMBERS, NUMBERS, NUMBERS, NUMBERS, st.none() | st.integers(0, 9))
ENVIRONMENTS = st.builds(Environment, TEXTS, TEXTS, st.none() | TEXTS)
TRACE_IDS = st.binary(min_size=16, max_size=16)
INVOCATIONS = st.builds(
    Invocation,
    ordinal=st.integers(1, 9),
    request_id=TEXTS,
    invoked_function_arn=TEXTS,
    environment=ENVIRONMENTS,
    trace_id=TRACE_IDS,
    span_id=SPAN_IDS,
    start_unix_ns=NANOSECONDS,
    end_unix_ns=NANOSECONDS,
    fate=st.sampled_from(Fate),
    deadline_unix_ms=NANOSECONDS,
    cold_start=st.none() | st.booleans(),
    xray_header=st.none() | TEXTS,
    failure=st.none() | FAILURES,
    exception=st.none() | FAILURES,
    result=st.none() | PAYLOADS,
    report=st.none() | REPORTS,
    partials=st.lists(st.builds(Partial, NANOSECONDS, PAYLOADS), max_size=2).map(tuple),
    events=st.lists(
        st.builds(Event, NANOSECONDS, TEXTS, ATTRIBUTES, st.none() | SPAN_IDS), max_size=2
    ).map(tuple),
    children=st.lists(CHILDREN, max_size=2).map(tuple),
    passed=st.lists(PASSED, max_size=2).map(tuple),
    ledger=st.dictionaries(TEXTS, st.integers(0, 9), max_size=2),
)
SUPPLEMENTS = st.builds(
    Supplement,
    TRACE_IDS,
    st.sampled_from([b"", b"12345678"]),
    ENVIRONMENTS,
    NANOSECONDS,
    st.none() | NANOSECONDS,
    st.none() | REPORTS,
    st.sampled_from([b"", b"12345678"]),
    st.lists(CHILDREN, max_size=2).map(tuple),
    caller_sampled=st.none() | st.booleans(),
    failed=st.booleans(),
)
RECORDS: st.SearchStrategy[Record] = st.one_of(INVOCATIONS, SUPPLEMENTS)

ONE = Invocation(1, "r", "arn", Environment("f", "1"), bytes(16), bytes(8), 1, 2, Fate.RETURNED, 3)


@given(st.lists(RECORDS, max_size=4))
def test_every_record_comes_back_equal(records: list[Record]) -> None:
    """All kinds and fields, and the same bytes again from what was read."""
    data = to_json(records)
    assert from_json(data) == records
    assert to_json(from_json(data)) == data


def changed(**fields: object) -> bytes:
    (entry,) = json.loads(to_json([ONE]))
    for name, value in fields.items():
        if value is ...:
            del entry[1][name]
        else:
            entry[1][name] = value
    return json.dumps([entry]).encode()


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"\xff", "no records"),
        (b"7", "no records"),
        (b"[7]", "no records"),
        (b'[["other",{}]]', "other.ordinal is missing"),
        (b"[" * 100_000, "no records"),
        (changed(trace_id="AAAA"), "invocation.trace_id: 3 bytes"),
        (changed(trace_id="!"), "invocation.trace_id: no base64"),
        (changed(fate="lost"), "invocation.fate: 'lost' is none of its values"),
        (changed(ordinal="1"), "invocation.ordinal: '1' is no <class 'int'>"),
        (changed(ordinal=True), "invocation.ordinal: True is no <class 'int'>"),
        (changed(end_unix_ns=2**70), "invocation.end_unix_ns: 1180591620717411303424 is no"),
        (changed(environment=[]), "invocation.environment: [] is no object"),
        (changed(more=1), "invocation: unknown fields"),
        (changed(request_id=...), "invocation.request_id is missing"),
        (changed(request_id=None), "invocation.request_id: None is no <class 'str'>"),
    ],
)
def test_what_is_no_record_is_refused(data: bytes, error: str) -> None:
    """One error of its own kind that says where."""
    with pytest.raises(RecordError) as raised:
        from_json(data)
    assert str(raised.value).startswith(error)


@given(CHILDREN)
def test_a_child_is_written_as_any_other(child: ChildSpan) -> None:
    """The short way for children gives what the fields' own way gives."""
    given_fields = {field.name: getattr(child, field.name) for field in fields(child)}
    defaults = {"attributes": {}, "failure": None, "of_platform": False}
    expected = {
        name: _value(value)
        for name, value in given_fields.items()
        if name not in defaults or value != defaults[name]
    }
    assert _value(child) == expected


def test_what_has_its_default_is_left_out() -> None:
    """A small record stays small."""
    assert len(to_json([replace(ONE, result=None)])) < 300
