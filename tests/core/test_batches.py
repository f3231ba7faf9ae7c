"""Requests put together again, and the patience with which they are sent."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan

from exporter.encoder import encoded
from exporter.otlp_lines import MIN_LINE_BYTES, lines_of
from exporter.outcome import Outcome, Verdict
from exporter.values import replace
from extension.otlp_from_json import from_value
from spanpipe.batches import Batch, Batches
from spanpipe.patience import Patience
from tests.core.test_otlp_lines import RESOURCES, made


def batched(batches: Batches, *requests: ExportTraceServiceRequest) -> list[Batch]:
    made = [batch for one in requests for batch in batches.add(one, "line 1 of log")]
    last = batches.take()
    return made if last is None else [*made, last]


def spans_of(count: int, size: int = 0, resources: Sequence[Resource] = ()) -> list[ReadableSpan]:
    return [
        made(
            span_id=index + 1,
            resource=resources[index % len(resources)] if resources else RESOURCES[1],
            attributes={"text": "x" * size, "spanpipe.fate": "returned"},
        )
        for index in range(count)
    ]


def test_many_lines_are_one_request_again() -> None:
    """What was split for the log is what would have been sent, resources and scopes shared."""
    spans = spans_of(300, 500, RESOURCES)
    lines = [from_value(json.loads(line.data)) for line in lines_of(spans, MIN_LINE_BYTES)]
    assert len(lines) > 3
    (batch,) = batched(Batches(4 * 1024 * 1024), *lines)
    assert batch.request == encoded(spans)
    assert (batch.span_count, batch.invocation_count, batch.place) == (300, 300, "line 1 of log")


@given(st.lists(st.integers(0, 3000), max_size=20), st.integers(1024, 8192))
def test_no_request_is_over_its_limit(sizes: list[int], limit: int) -> None:
    """Save for a span that is longer alone; every span is in exactly one of them."""
    spans = [
        made(span_id=index, resource=RESOURCES[index % 3], attributes={"text": "x" * size})
        for index, size in enumerate(sizes, 1)
    ]
    batches = batched(Batches(limit), encoded(spans))
    assert all(one.request.ByteSize() <= limit or one.span_count == 1 for one in batches)
    assert all(one.request.ByteSize() <= one.max_bytes for one in batches)
    found = [
        int.from_bytes(span.span_id, "big")
        for one in batches
        for resource_spans in one.request.resource_spans
        for scope_spans in resource_spans.scope_spans
        for span in scope_spans.spans
    ]
    assert sorted(found) == list(range(1, len(sizes) + 1))


def test_a_span_that_comes_again_is_left_out_within_a_bound() -> None:
    """Once for each ID; after as many others as are remembered it would be sent again."""
    request = encoded(spans_of(4))
    batches = Batches(1 << 20, max_seen=8)
    (batch,) = batched(batches, copy(request), copy(request))
    assert (batch.span_count, batches.again_count) == (4, 4)
    others = [replace_id(request, trace_id=index) for index in range(1, 4)]
    batched(batches, *others)
    (batch,) = batched(batches, copy(request))
    assert batch.span_count == 4


def copy(request: ExportTraceServiceRequest) -> ExportTraceServiceRequest:
    copied = ExportTraceServiceRequest()
    copied.CopyFrom(request)
    return copied


def replace_id(request: ExportTraceServiceRequest, trace_id: int) -> ExportTraceServiceRequest:
    copied = copy(request)
    for span in copied.resource_spans[0].scope_spans[0].spans:
        span.trace_id = trace_id.to_bytes(16, "big")
    return copied


RETRYABLE = Outcome(Verdict.RETRYABLE, 1, "busy", status="503")
ACCEPTED = Outcome(Verdict.ACCEPTED, 1, "ok", status="200")
REFUSED = Outcome(Verdict.REFUSED, 1, "bad", status="400")


class Scripted:
    """A sender and a clock: each try takes a tenth of a second and has the next outcome."""

    def __init__(self, *outcomes: Outcome) -> None:
        self.outcomes = list(outcomes)
        self.now_s = 0.0
        self.tries: list[tuple[float, float]] = []
        self.told: list[str] = []

    def send_request(self, request: bytes, count: int, timeout_s: float) -> Outcome:
        self.tries.append((round(self.now_s, 3), round(timeout_s, 3)))
        self.now_s += 0.1
        return self.outcomes.pop(0) if len(self.outcomes) > 1 else self.outcomes[0]

    def wait(self, seconds: float) -> None:
        self.now_s += seconds

    def send(self, whole_s: float) -> Outcome:
        patience = Patience(2.0, whole_s, lambda: self.now_s, self.wait)
        sender: Any = self
        return patience.send(sender, b"", 1, self.told.append)


def test_a_busy_collector_is_asked_again_less_and_less_often() -> None:
    """Half a second, doubled, five at most; the user is told once; the last try is in time."""
    scripted = Scripted(RETRYABLE)
    assert scripted.send(20.0) == RETRYABLE
    assert scripted.tries == [
        (0.0, 2.0),
        (0.6, 2.0),
        (1.7, 2.0),
        (3.8, 2.0),
        (7.9, 2.0),
        (13.0, 2.0),
        (18.1, 1.9),
    ]
    assert scripted.told == ["busy; trying again for 20 s"]


def test_retry_after_is_kept_to_and_too_long_a_one_ends_it() -> None:
    """The collector's word goes before our own pause."""
    scripted = Scripted(replace(RETRYABLE, retry_after_s=3.0), ACCEPTED)
    assert scripted.send(20.0) == ACCEPTED
    assert scripted.tries == [(0.0, 2.0), (3.1, 2.0)]
    later = replace(RETRYABLE, retry_after_s=60.0)
    scripted = Scripted(later, ACCEPTED)
    assert (scripted.send(20.0), len(scripted.tries), scripted.told) == (later, 1, [])


@pytest.mark.parametrize(
    "outcome",
    [
        REFUSED,
        replace(RETRYABLE, status="401"),
        replace(RETRYABLE, status="302"),
        replace(RETRYABLE, status="UNAUTHENTICATED"),
        Outcome(Verdict.PARTIAL, 1, "some", rejected_count=1),
    ],
)
def test_what_waiting_does_not_change_is_tried_once(outcome: Outcome) -> None:
    """A wrong key or address is the user's to correct, and a judged request is judged."""
    scripted = Scripted(outcome, ACCEPTED)
    assert (scripted.send(20.0), len(scripted.tries)) == (outcome, 1)
