"""Records to requests within the limits, sent to real collectors that have limits of their own."""

from __future__ import annotations

import itertools
import socket
import threading
import time

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from collectors import breaking
from exporter.batch import BatchExport, Sent
from exporter.delivery import open_sender
from exporter.outcome import FAULT, Outcome, Verdict
from exporter.record import ChildSpan, Invocation, Passed, Payload, Record, Supplement
from exporter.settings import OTLP_GRPC, OTLP_HTTP, ExporterSettings, RequestLimits
from exporter.spans import SpanBuilder
from exporter.values import replace
from sandbox.receiver import Receiver
from tests.core.test_backlog import ONE

LONG_S = 10.0


def invocation(index: int, body_bytes: int = 0, children: int = 0) -> Invocation:
    return replace(
        ONE,
        request_id=f"r-{index}",
        span_id=(1_000_000 + index).to_bytes(8, "big"),
        result=Payload(b"x" * body_bytes, body_bytes, False, "text"),
        children=tuple(
            ChildSpan((index << 20 | number).to_bytes(8, "big"), None, f"child {number}", 1, 2)
            for number in range(1, children + 1)
        ),
    )


def send(
    endpoint: str, records: list[Record], limits: RequestLimits, protocol: str = OTLP_HTTP
) -> list[Sent]:
    """What became of `records`, without what differs from run to run."""
    sender = open_sender(ExporterSettings(protocol, endpoint, compression="none"))
    try:
        batch = BatchExport(sender, SpanBuilder(), limits)
        return [
            replace(one, outcome=one.outcome and replace(one.outcome, detail="", duration_s=0.0))
            for one in batch.send(records, time.monotonic() + LONG_S)
        ]
    finally:
        sender.close()


def accepted(count: int, spans: int, **values: int) -> Sent:
    return Sent(count, Outcome(Verdict.ACCEPTED, spans, "", status="200"), **values)


def names(request: ExportTraceServiceRequest) -> list[str]:
    """Request ID of an invocation's span, name of another."""
    told = []
    for span in (s for r in request.resource_spans for c in r.scope_spans for s in c.spans):
        ids = [one.value.string_value for one in span.attributes if "invocation_id" in one.key]
        told.append(ids[0] if ids else span.name)
    return told


def test_small_records_share_one_request() -> None:
    """Far below the limits nothing is split."""
    with Receiver() as receiver:
        records: list[Record] = [invocation(index) for index in range(3)]
        assert send(receiver.http_endpoint, records, RequestLimits()) == [accepted(3, 3)]
        assert [names(one) for one in receiver.requests] == [["r-0", "r-1", "r-2"]]


def test_requests_are_split_by_bytes_and_by_spans() -> None:
    """Whole records as long as they fit, and each request is within the limit."""
    with Receiver() as receiver:
        heavy: list[Record] = [invocation(index, body_bytes=40_000) for index in range(5)]
        sent = send(receiver.http_endpoint, heavy, RequestLimits(max_bytes=100_000))
        assert sent == [accepted(2, 2), accepted(2, 2), accepted(1, 1)]
        assert max(one.ByteSize() for one in receiver.requests) <= 100_000
        many: list[Record] = [invocation(index, children=2) for index in range(4)]
        sent = send(receiver.http_endpoint, many, RequestLimits(max_spans=7))
        assert sent == [accepted(2, 6), accepted(2, 6)]


def test_one_record_that_is_too_large_goes_in_several_requests() -> None:
    """Its invocation span first, and all its children."""
    with Receiver() as receiver:
        sent = send(
            receiver.http_endpoint,
            [invocation(1, children=2_500), invocation(2)],
            RequestLimits(max_spans=1_000),
        )
        assert sent == [accepted(1, 1_000), accepted(1, 1)]
        told = [names(one) for one in receiver.requests]
        assert [len(one) for one in told] == [1_000, 1_000, 501, 1]
        assert told[0][0] == "r-1"
        assert sorted(itertools.chain(*told[:3])) == sorted(
            ["r-1", *(f"child {number}" for number in range(1, 2_501))]
        )


def test_a_body_over_the_limit_is_cut_and_said_to_be() -> None:
    """The invocation span always leaves; what was cut is told in bytes."""
    with Receiver() as receiver:
        limits = RequestLimits(max_bytes=65_536)
        sent = send(receiver.http_endpoint, [invocation(1, body_bytes=6_000_000)], limits)
        assert sent == [accepted(1, 1, cut_body_bytes=6_000_000 - 65_536 // 4)]
        (span,) = receiver.spans()
        values = {one.key: one.value for one in span.attributes}
        assert values["spanpipe.result.truncated"].bool_value
        assert values["spanpipe.result.size_bytes"].int_value == 6_000_000


def limited(max_bytes: int) -> breaking.Collector:
    """Answers 413 to a body over `max_bytes`, else 200."""

    def behave(connection: socket.socket, stopped: threading.Event) -> None:
        head = made.heads[-1].lower()
        length = int(head.partition("content-length:")[2].split()[0])
        answer = breaking.http_answer("413 Content Too Large")
        connection.sendall(answer if length > max_bytes else breaking.OK)

    made = breaking.Collector(behave)
    return made


def test_a_collector_that_takes_less_is_sent_less() -> None:
    """413 halves the request until it fits; nothing is lost."""
    with limited(70_000) as collector:
        endpoint = f"http://127.0.0.1:{collector.port}/v1/traces"
        records: list[Record] = [invocation(index, body_bytes=30_000) for index in range(8)]
        sent = send(endpoint, records, RequestLimits())
        assert sum(one.count for one in sent) == 8
        assert {one.outcome.verdict for one in sent if one.outcome} == {Verdict.ACCEPTED}
        assert {one.cut_body_bytes for one in sent} == {0}


def test_a_record_that_is_too_large_for_it_loses_its_details_last_of_all_itself() -> None:
    """Children apart, then the body; the bare invocation span arrives."""
    with limited(20_000) as collector:
        endpoint = f"http://127.0.0.1:{collector.port}/v1/traces"
        sent = send(endpoint, [invocation(1, body_bytes=60_000, children=90)], RequestLimits())
        (only,) = sent
        assert (only.count, only.lost_details) == (1, 0)
        assert 40_000 < only.cut_body_bytes < 60_000
        assert sent[0].outcome is not None
        assert sent[0].outcome.verdict is Verdict.ACCEPTED


def test_what_nothing_makes_small_enough_is_refused() -> None:
    """A collector that takes nothing is no reason to try for ever."""
    with limited(10) as collector:
        endpoint = f"http://127.0.0.1:{collector.port}/v1/traces"
        sent = send(endpoint, [invocation(1, 60_000, 3), invocation(2)], RequestLimits())
        assert [one.outcome and one.outcome.verdict for one in sent] == [Verdict.REFUSED] * 2
        assert collector.requests < 20


def after(count: int, answer: bytes) -> breaking.Collector:
    """200 for the first `count` requests, then `answer`."""

    def behave(connection: socket.socket, stopped: threading.Event) -> None:
        connection.sendall(breaking.OK if made.requests <= count else answer)

    made = breaking.Collector(behave)
    return made


def test_it_stops_at_the_first_request_that_is_to_be_tried_again() -> None:
    """What was begun before it has arrived; what comes after was not begun."""
    busy = breaking.http_answer("503 Busy", b"", "Retry-After: 3")
    with after(1, busy) as collector:
        endpoint = f"http://127.0.0.1:{collector.port}/v1/traces"
        records: list[Record] = [invocation(index, body_bytes=40_000) for index in range(6)]
        sent = send(endpoint, records, RequestLimits(max_bytes=100_000))
        again = Outcome(Verdict.RETRYABLE, 2, "", status="503", retry_after_s=3.0)
        assert sent == [accepted(2, 2), Sent(2, again)]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (
            breaking.http_answer("503 Busy"),
            Sent(1, Outcome(Verdict.RETRYABLE, 5, "", status="503"), arrived_in_part=True),
        ),
        (breaking.http_answer("400 Bad"), accepted(1, 5, lost_details=6)),
    ],
    ids=["again", "refused"],
)
def test_a_record_that_arrived_in_part(answer: bytes, expected: Sent) -> None:
    """To be tried again, the whole of it is; refused, its invocation span has arrived."""
    with after(1, answer) as collector:
        endpoint = f"http://127.0.0.1:{collector.port}/v1/traces"
        sent = send(endpoint, [invocation(1, children=10)], RequestLimits(max_spans=5))
        assert sent == [expected]


def test_grpc_says_too_large_in_its_own_words() -> None:
    """RESOURCE_EXHAUSTED for the size is split as well; for anything else it is tried again."""
    with Receiver(grpc=True, max_grpc_bytes=4_194_304) as receiver:
        records: list[Record] = [invocation(index, body_bytes=1_000_000) for index in range(8)]
        sent = send(
            receiver.grpc_endpoint, records, RequestLimits(max_bytes=64 * 1024 * 1024), OTLP_GRPC
        )
        assert sum(one.count for one in sent) == 8
        assert {one.outcome.verdict for one in sent if one.outcome} == {Verdict.ACCEPTED}
        assert len(receiver.requests) > 1


def test_one_bad_record_does_not_stand_in_the_way() -> None:
    """What cannot be converted is told of as a fault of ours, and the others leave."""
    bad = replace(invocation(2), trace_id=None)  # type: ignore[arg-type]
    with Receiver() as receiver:
        sent = send(receiver.http_endpoint, [invocation(1), bad, invocation(3)], RequestLimits())
        fault = Outcome(Verdict.REFUSED, 1, "", status=FAULT)
        assert sent == [accepted(1, 1), Sent(1, fault), accepted(1, 1)]


def test_one_span_that_cannot_be_encoded_is_all_that_is_lost() -> None:
    """A time that OTLP cannot hold, in one child of one record of several."""
    bad = ChildSpan(b"badchild", None, "bad", -1, 2)
    spoiled = replace(
        invocation(2, children=3), children=(*invocation(2, children=3).children, bad)
    )
    with Receiver() as receiver:
        sent = send(
            receiver.http_endpoint, [invocation(1), spoiled, invocation(3)], RequestLimits()
        )
        assert sum(one.count for one in sent) == 3
        assert [one.lost_details for one in sent if one.lost_details] == [1]
        told = sorted(itertools.chain(*map(names, receiver.requests)))
        assert told == ["child 1", "child 2", "child 3", "r-1", "r-2", "r-3"]


def test_what_gives_no_span_sends_no_request() -> None:
    """A late word of the platform's that nobody wants as a span."""
    late = Supplement(bytes(16), bytes(8), ONE.environment, 1, produced_bytes=3)
    nothing = Outcome(Verdict.ACCEPTED, 0, "")
    with Receiver() as receiver:
        assert send(receiver.http_endpoint, [late], RequestLimits()) == [Sent(1, nothing)]
        assert receiver.requests == []


def test_once_aborted_no_further_request_is_begun() -> None:
    """What is on its way is its sender's to end; what comes behind stays."""
    with Receiver() as receiver:
        sender = open_sender(ExporterSettings(OTLP_HTTP, receiver.http_endpoint))
        batch = BatchExport(sender, SpanBuilder(), RequestLimits(max_spans=1))
        records: list[Record] = [invocation(index) for index in range(9)]
        sent = batch.send(records, time.monotonic() + LONG_S, lambda: len(receiver.requests) >= 2)
        assert [one.outcome and one.outcome.verdict for one in sent] == [
            Verdict.ACCEPTED,
            Verdict.ACCEPTED,
            None,
        ]
        sender.close()


def test_without_time_nothing_is_begun() -> None:
    """The deadline is over: no request, and no word of the rest."""
    with Receiver() as receiver:
        sender = open_sender(ExporterSettings(OTLP_HTTP, receiver.http_endpoint))
        batch = BatchExport(sender, SpanBuilder(), RequestLimits())
        assert list(batch.send([ONE, ONE], time.monotonic())) == [Sent(1, None)]
        assert receiver.requests == []


def others(*names: str) -> Passed:
    """Spans of those names, as an SDK in a function encodes them."""
    request = ExportTraceServiceRequest()
    scope = request.resource_spans.add().scope_spans.add()
    for index, name in enumerate(names, 1):
        scope.spans.add(name=name, trace_id=bytes([1]) * 16, span_id=bytes([index]) * 8)
    return Passed(request.SerializeToString(), len(names))


@pytest.mark.parametrize("protocol", [OTLP_HTTP, OTLP_GRPC])
def test_others_spans_leave_as_they_are_in_the_invocations_request(protocol: str) -> None:
    """Whole resources, scopes and spans, behind ours, over both protocols."""
    passed = others("GET", "SELECT")
    with Receiver(grpc=protocol == OTLP_GRPC) as receiver:
        endpoint = receiver.grpc_endpoint if receiver.grpc_endpoint[-2:] != ":0" else ""
        record = replace(invocation(1), passed=(passed, others("POST")))
        sent = send(endpoint or receiver.http_endpoint, [record], RequestLimits(), protocol)
        assert [one.outcome.verdict for one in sent if one.outcome] == [Verdict.ACCEPTED]
        (request,) = receiver.requests
        assert names(request) == ["r-1", "GET", "SELECT", "POST"]
        (first,) = ExportTraceServiceRequest.FromString(passed.data).resource_spans
        assert request.resource_spans[1] == first


def test_others_spans_that_no_collector_could_read_are_left_out() -> None:
    """The invocation's own span and its neighbours arrive, and what is missing is told."""
    bad = Passed(b"\x0a\x04\x12\x02\x12\xff", 2)
    with Receiver() as receiver:
        records: list[Record] = [
            invocation(1),
            replace(invocation(2), passed=(others("GET"), bad)),
            invocation(3),
        ]
        sent = send(receiver.http_endpoint, records, RequestLimits())
        assert [
            (one.count, one.lost_details, one.cut_body_bytes, one.unreadable_bytes) for one in sent
        ] == [(1, 0, 0, 0), (1, 2, 0, 6), (1, 0, 0, 0)]
        assert all(one.outcome and one.outcome.verdict is Verdict.ACCEPTED for one in sent)
        found = [name for request in receiver.requests for name in names(request)]
        assert sorted(found) == ["GET", "r-1", "r-2", "r-3"]


def test_others_spans_keep_to_the_limits() -> None:
    """Spans are counted whoever made them, and a request takes no more than it may."""
    with Receiver() as receiver:
        record = replace(invocation(1), passed=(others("a", "b"), others("c", "d")))
        limits = RequestLimits(max_spans=3)
        assert send(receiver.http_endpoint, [record], limits) == [accepted(1, 3)]
        assert [names(one) for one in receiver.requests] == [["r-1", "a", "b"], ["c", "d"]]


def test_a_span_over_its_own_limit_is_cut_and_goes_alone() -> None:
    """The others share a request; what was cut is told with the record that it was of."""
    with Receiver() as receiver:
        limits = RequestLimits(max_span_bytes=20_000)
        records: list[Record] = [invocation(1), invocation(2, body_bytes=60_000), invocation(3)]
        first, second, third = send(receiver.http_endpoint, records, limits)
        assert (first, third) == (accepted(1, 1), accepted(1, 1))
        assert second == accepted(1, 1, cut_body_bytes=second.cut_body_bytes)
        spans = receiver.spans()
        assert [names(one) for one in receiver.requests] == [["r-1"], ["r-2"], ["r-3"]]
        assert max(one.ByteSize() for one in spans) <= 20_000
        values = {one.key: one.value for one in spans[1].attributes}
        left = len(values["spanpipe.result.body"].string_value)
        assert second.cut_body_bytes == 60_000 - left
        assert values["spanpipe.result.truncated"].bool_value


def test_what_is_over_both_limits_keeps_to_both() -> None:
    """A request of one span is within the request's limit first, then within the span's."""
    with Receiver() as receiver:
        limits = RequestLimits(max_bytes=65_536, max_span_bytes=20_000)
        (sent,) = send(receiver.http_endpoint, [invocation(1, body_bytes=3_000_000)], limits)
        (span,) = receiver.spans()
        values = {one.key: one.value for one in span.attributes}
        left = len(values["spanpipe.result.body"].string_value)
        assert sent == accepted(1, 1, cut_body_bytes=3_000_000 - left)
        assert 19_000 < span.ByteSize() <= 20_000
