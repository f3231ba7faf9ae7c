"""Records to requests within the limits, sent one after the other until the time is over.

A request holds whole records where they fit. One that alone is too large goes in several,
its invocation span first. A collector that finds a request too large all the same (413) gets
smaller ones, and the limit that it taught is kept.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan

from exporter.adoption import others
from exporter.encoder import encode
from exporter.outcome import FAULT, MIN_EXPORT_S, Outcome, Sender, Verdict
from exporter.record import Invocation, Passed, Record
from exporter.settings import RequestLimits
from exporter.spans import SpanBuilder
from exporter.values import dataclass, field, replace
from exporter.weight import bare, details_count, passed_spans, payloads, weight_bytes

if TYPE_CHECKING:
    from exporter.span_limit import SpanCut

MIN_REQUEST_BYTES = 16_384
"""Below this a limit that a collector teaches is not believed."""
BODY_PART = 4
"""A body that makes its span too large is cut to that part of a request."""


Item = ReadableSpan | Passed
"""What a request is made of: a span of ours, or others' spans, which it takes as they are."""


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of `count` records, the oldest not told of before.

    `outcome` None: there was no time. `arrived_in_part`: some of its spans did, before what
    `outcome` says, and all of them are to be sent again where it is to be tried again.
    `cut_body_bytes` and `lost_details` were left out to make it small enough, `unreadable_bytes`
    because they were no OTLP; of these the spans are among `lost_details` too. `cut_text_bytes`
    are those of other texts that made one span too large.
    """

    count: int
    outcome: Outcome | None
    arrived_in_part: bool = False
    cut_body_bytes: int = 0
    lost_details: int = 0
    unreadable_bytes: int = 0
    cut_text_bytes: int = 0

    @property
    def goes_on(self) -> bool:
        """Whether the next request is worth trying."""
        return self.outcome is not None and self.outcome.verdict is not Verdict.RETRYABLE


@dataclass(slots=True)
class _Group:
    """Records that go in one request, with the spans of each."""

    records: list[Record] = field(default_factory=list)
    items: list[list[Item]] = field(default_factory=list)
    weight_bytes: int = 0
    span_count: int = 0
    fault: Exception | None = None
    """The conversion's, of the one record that is in it then."""
    cut: SpanCut | None = None
    """What made spans of the one record that is in it then fit."""

    def add(self, record: Record, items: list[Item], weight_bytes: int, span_count: int) -> None:
        self.records.append(record)
        self.items.append(items)
        self.weight_bytes += weight_bytes
        self.span_count += span_count


class BatchExport:
    """For one thread. `sender` judges each request, `builder` converts."""

    def __init__(self, sender: Sender, builder: SpanBuilder, limits: RequestLimits) -> None:
        self._sender = sender
        self._builder = builder
        self._limits = limits
        self._is_over: Callable[[], bool] = lambda: False

    def send(
        self,
        records: Sequence[Record],
        until_s: float,
        is_aborted: Callable[[], bool] = lambda: False,
    ) -> Iterator[Sent]:
        """Send `records` by `until_s` (monotonic), as far as the time and the collector allow.

        Once `is_aborted` no further request is begun, and nothing more converted. What is not
        told of was not begun. A record that cannot be converted is told of as refused, with
        `FAULT`: it would fail again.
        """
        self._is_over = lambda: is_aborted() or until_s - time.monotonic() < MIN_EXPORT_S
        for group in self._groups(records, until_s):
            for sent in self._send_group(group, until_s):
                yield sent
                if not sent.goes_on:
                    return

    def _groups(self, records: Sequence[Record], until_s: float) -> Iterator[_Group]:
        """What fits, by weight and by time: half of what is left of it is for sending.

        On a small processor the conversion of a whole batch may take longer than there is.
        """
        limits = self._limits
        half_s = _half_way(until_s)
        group = _Group()
        for record in records:
            try:
                items: list[Item] = [*self._builder.spans([record]), *others(record)]
            except Exception as error:  # noqa: BLE001 - one bad record must not stay in the way
                if group.records:
                    yield group
                group = _Group()
                yield _Group([record], fault=error)
                continue
            weight = weight_bytes(record)
            items, cut = self._limited(items, weight)
            if cut is not None:
                # Alone, so that what was cut is counted as its own.
                if group.records:
                    yield group
                group = _Group()
                yield _Group([record], [items], weight, cut=cut)
                half_s = _half_way(until_s)
                continue
            count = _span_count(items)
            full = (
                group.weight_bytes + weight > limits.max_bytes
                or group.span_count + count > limits.max_spans
            )
            if group.records and (full or time.monotonic() >= half_s or self._is_over()):
                yield group
                group = _Group()
                half_s = _half_way(until_s)
            group.add(record, items, weight, count)
        if group.records:
            yield group

    def _limited(self, items: list[Item], weight: int) -> tuple[list[Item], SpanCut | None]:
        """`items` within the limit of one span, and what that took; None: they are.

        The weight of what they are made of is true to a factor of two.
        """
        if weight * 2 <= self._limits.max_span_bytes:
            return items, None
        from exporter.span_limit import limited  # seldom needed

        return limited(items, self._limits.max_span_bytes)

    def _send_group(self, group: _Group, until_s: float) -> Iterator[Sent]:
        if group.fault is not None:
            detail = f"internal: {type(group.fault).__name__}: {group.fault}"
            yield Sent(1, Outcome(Verdict.REFUSED, 1, detail, status=FAULT))
            return
        count = len(group.records)
        if count == 1:
            yield self._send_one(group.records[0], group.items[0], until_s, group.cut)
            return
        outcome = self._request([item for items in group.items for item in items], until_s)
        if outcome is None or not outcome.too_large:
            yield Sent(count, outcome)
            return
        for part in (slice(None, count // 2), slice(count // 2, None)):
            half = _Group(group.records[part], group.items[part])
            for sent in self._send_group(half, until_s):
                yield sent
                if not sent.goes_on:
                    return

    def _send_one(
        self, record: Record, items: list[Item], until_s: float, made_fit: SpanCut | None
    ) -> Sent:
        """One record, in as many requests as it takes, its own span in the first of them.

        `made_fit` has been cut from its spans before.
        """
        parts = _parts(items, self._limits.max_spans)
        lighter = self._lighter(record)
        cut, lost, unreadable, cut_text_bytes = 0, 0, 0, 0
        if made_fit is not None:
            cut, lost = made_fit.body_bytes, made_fit.details
            cut_text_bytes = made_fit.text_bytes
        arrived: Outcome | None = None
        while parts:
            part = parts.pop(0)
            outcome = self._request(part, until_s)
            if outcome is None or outcome.verdict is Verdict.RETRYABLE:
                return Sent(1, outcome, arrived_in_part=arrived is not None)
            if outcome.too_large and len(part) > 1:
                half = len(part) // 2
                parts[:0] = [part[:half], part[half:]]
                continue
            if outcome.too_large and arrived is None:
                left = next(lighter, None)
                if left is not None:
                    cut, lost = _left_out(record, left)
                    spans, more = self._limited([*self._builder.spans([left])], weight_bytes(left))
                    cut_text_bytes = 0
                    if more is not None:
                        cut, lost = cut + more.body_bytes, lost + more.details
                        cut_text_bytes = more.text_bytes
                    parts.insert(0, spans)
                    continue
            if outcome.verdict is not Verdict.REFUSED:
                arrived = arrived or outcome
            elif arrived is None:
                return Sent(1, outcome)
            else:
                # Its own span has arrived; what hangs on it is not taken.
                lost += _span_count(part)
                size = sum(len(one.data) for one in part if isinstance(one, Passed))
                if outcome.status == FAULT:
                    unreadable += size
                else:
                    cut += size
        return Sent(
            1,
            arrived,
            cut_body_bytes=cut,
            lost_details=lost,
            unreadable_bytes=unreadable,
            cut_text_bytes=cut_text_bytes,
        )

    def _lighter(self, record: Record) -> Iterator[Invocation]:
        """`record` without its children, in forms whose own span is smaller and smaller."""
        if not isinstance(record, Invocation):
            return
        if record.result is not None:
            body = record.result.body[: self._limits.max_bytes // BODY_PART]
            if len(body) < len(record.result.body):
                result = replace(record.result, body=body, truncated=True)
                yield replace(record, request=None, result=result, children=(), passed=())
        yield bare(record)

    def _request(self, items: list[Item], until_s: float) -> Outcome | None:
        """One request; what is over our limit, or cannot be encoded, is told as too large."""
        if not items:
            # What the platform told late, and nobody wants as spans.
            return Outcome(Verdict.ACCEPTED, 0, "nothing to send")
        if self._is_over():
            return None
        count = _span_count(items)
        try:
            request = _encoded(items)
        except Exception as error:  # noqa: BLE001 - the others of them may be sent
            detail = f"internal: {type(error).__name__}: {error}"
            if isinstance(error, DecodeError):
                detail = "a function's OTLP bytes that are none"
            return Outcome(Verdict.REFUSED, count, detail, status=FAULT, too_large=True)
        size_bytes = len(request)
        if size_bytes > self._limits.max_bytes:
            detail = f"a request of {size_bytes} bytes, over {self._limits.max_bytes}"
            return Outcome(Verdict.REFUSED, count, detail, too_large=True)
        if self._is_over():
            return None
        outcome = self._sender.send_request(request, count, until_s - time.monotonic())
        if outcome.too_large:
            self._learn(size_bytes)
        return outcome

    def _learn(self, refused_bytes: int) -> None:
        """The collector takes less than that."""
        learned = max(MIN_REQUEST_BYTES, refused_bytes // 2)
        if learned < self._limits.max_bytes:
            self._limits = replace(self._limits, max_bytes=learned)


def _left_out(record: Record, left: Invocation) -> tuple[int, int]:
    """(Body bytes, details) that `record` has and `left` has not, spans beside its own apart."""
    whole = sum(len(one.body) for one in payloads(record))
    kept = sum(len(one.body) for one in payloads(left))
    spans = len(record.children) + passed_spans(record)
    return whole - kept, details_count(record) - details_count(left) - spans


def _encoded(items: Sequence[Item]) -> bytes:
    """One request; raises DecodeError where bytes that were passed on are no OTLP after all.

    Messages behind each other are one message. Protobuf reads those that were passed on without
    making objects of them: that is cheap beside the conversion, and what a collector could not
    read never reaches it.
    """
    parts = [encode([item for item in items if isinstance(item, ReadableSpan)])]
    for item in items:
        if isinstance(item, Passed):
            ExportTraceServiceRequest.FromString(item.data)
            parts.append(item.data)
    return b"".join(parts)


def _span_count(items: Sequence[Item]) -> int:
    return sum(item.span_count if isinstance(item, Passed) else 1 for item in items)


def _parts(items: Sequence[Item], max_spans: int) -> list[list[Item]]:
    """`items` in requests of at most `max_spans`, or of one item; one request at least."""
    parts: list[list[Item]] = [[]]
    count = 0
    for item in items:
        size = _span_count([item])
        if parts[-1] and count + size > max_spans:
            parts.append([])
            count = 0
        parts[-1].append(item)
        count += size
    return parts


def _half_way(until_s: float) -> float:
    now_s = time.monotonic()
    return now_s + (until_s - now_s) / 2
