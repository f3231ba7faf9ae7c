"""Records to requests within the limits, sent one after the other until the time is over.

A request holds whole records where they fit. One that alone is too large goes in several,
its invocation span first. A collector that finds a request too large all the same (413) gets
smaller ones, and the limit that it taught is kept.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import ReadableSpan

from exporter.outcome import FAULT, Outcome, Sender, Verdict
from exporter.record import Invocation, Record
from exporter.settings import RequestLimits
from exporter.spans import SpanBuilder
from exporter.weight import bare, details_count, payloads, weight_bytes, without_body

MIN_EXPORT_S = 0.005
"""With less time than this no request is begun."""
MIN_REQUEST_BYTES = 16_384
"""Below this a limit that a collector teaches is not believed."""
_SURELY = 4
"""A record may be that many times its weight on the wire, at the most."""


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of `count` records, the oldest not told of before.

    `outcome` None: there was no time. `arrived_in_part`: some of its spans did, before what
    `outcome` says, and all of them are to be sent again where it is to be tried again.
    `cut_body_bytes` and `lost_details` were left out to make it small enough.
    """

    count: int
    outcome: Outcome | None
    arrived_in_part: bool = False
    cut_body_bytes: int = 0
    lost_details: int = 0

    @property
    def goes_on(self) -> bool:
        """Whether the next request is worth trying."""
        return self.outcome is not None and self.outcome.verdict is not Verdict.RETRYABLE


@dataclass(slots=True)
class _Group:
    """Whole records in one request, or one record in several."""

    records: list[Record] = field(default_factory=list)
    spans: list[list[ReadableSpan]] = field(default_factory=list)
    size_bytes: int = 0
    fault: Exception | None = None
    """The conversion's, of the one record that is in it then."""

    @property
    def span_count(self) -> int:
        return sum(map(len, self.spans))


class BatchExport:
    """For one thread. `sender` judges each request, `builder` converts."""

    def __init__(self, sender: Sender, builder: SpanBuilder, limits: RequestLimits) -> None:
        self._sender = sender
        self._builder = builder
        self._limits = limits

    def send(self, records: Sequence[Record], until_s: float) -> Iterator[Sent]:
        """Send `records` by `until_s` (monotonic), as far as the time and the collector allow.

        What is not told of was not begun. A record that cannot be converted is told of as
        refused, with `FAULT`: it would fail again.
        """
        for group in self._groups(records, until_s):
            for sent in self._send_group(group, until_s):
                yield sent
                if not sent.goes_on:
                    return

    def _groups(self, records: Sequence[Record], until_s: float) -> Iterator[_Group]:
        """What fits, by size and by time: half of what is left of it is for sending.

        On a small processor the conversion of a whole batch may take longer than there is.
        """
        limits = self._limits
        half_s = _half_way(until_s)
        # Measuring means encoding: only where it may matter.
        exact = _SURELY * sum(map(weight_bytes, records)) > limits.max_bytes
        group = _Group()
        for record in records:
            try:
                spans = self._builder.spans([record])
                size = _size_bytes(spans) if exact else 0
            except Exception as error:  # noqa: BLE001 - one bad record must not stay in the way
                if group.records:
                    yield group
                group = _Group()
                yield _Group([record], fault=error)
                continue
            full = (
                group.size_bytes + size > limits.max_bytes
                or group.span_count + len(spans) > limits.max_spans
            )
            if group.records and (full or time.monotonic() >= half_s):
                yield group
                group = _Group()
                half_s = _half_way(until_s)
            group.records.append(record)
            group.spans.append(spans)
            group.size_bytes += size
        if group.records:
            yield group

    def _send_group(self, group: _Group, until_s: float) -> Iterator[Sent]:
        if group.fault is not None:
            detail = f"internal: {type(group.fault).__name__}: {group.fault}"
            yield Sent(1, Outcome(Verdict.REFUSED, 1, detail, status=FAULT))
            return
        if len(group.records) == 1:
            yield self._send_one(group.records[0], group.spans[0], group.size_bytes, until_s)
            return
        outcome = self._request([span for spans in group.spans for span in spans], until_s)
        if outcome is None or not outcome.too_large:
            yield Sent(len(group.records), outcome)
            return
        self._learn(group.size_bytes or sum(map(_size_bytes, group.spans)))
        half = len(group.records) // 2
        for part in (slice(None, half), slice(half, None)):
            records, spans = group.records[part], group.spans[part]
            size = sum(map(_size_bytes, spans))
            for sent in self._send_group(_Group(records, spans, size), until_s):
                yield sent
                if not sent.goes_on:
                    return

    def _send_one(
        self, record: Record, spans: list[ReadableSpan], size_bytes: int, until_s: float
    ) -> Sent:
        """One record, in as many requests as it takes."""
        cut, lost = 0, 0
        parts = [spans]
        if size_bytes > self._limits.max_bytes or len(spans) > self._limits.max_spans:
            record, cut, lost = self._fitting(record)
            parts = list(self._parts(self._builder.spans([record])))
        arrived, own = False, True
        last: Outcome | None = None
        while parts:
            part = parts.pop(0)
            outcome = self._request(part, until_s)
            if outcome is not None and outcome.too_large:
                self._learn(_size_bytes(part))
                if len(part) > 1:
                    half = 1 if own else len(part) // 2
                    parts[:0] = [part[:half], part[half:]]
                    continue
                if own and isinstance(record, Invocation) and bare(record) != record:
                    cut += sum(len(one.body) for one in payloads(record))
                    lost += details_count(record) - len(record.children)
                    record = bare(record)
                    parts.insert(0, self._builder.spans([record]))
                    continue
            if outcome is None or outcome.verdict is Verdict.RETRYABLE:
                return Sent(1, outcome, arrived_in_part=arrived)
            if outcome.verdict is Verdict.REFUSED:
                if own:
                    return Sent(1, outcome)
                # Its invocation span has arrived; what hangs on it is not taken.
                lost += len(part)
            else:
                arrived = True
                last = last or outcome
            own = False
        return Sent(1, last, cut_body_bytes=cut, lost_details=lost)

    def _fitting(self, record: Record) -> tuple[Record, int, int]:
        """(The record with an own span within the limit, body bytes and details cut for it)."""
        if not isinstance(record, Invocation):
            return record, 0, 0
        before = sum(len(one.body) for one in payloads(record))
        most = self._limits.max_bytes // _SURELY
        lighter = record
        if record.result is not None and len(record.result.body) > most:
            body = record.result.body[:most]
            lighter = replace(record, result=replace(record.result, body=body, truncated=True))
        own = self._builder.spans([replace(lighter, children=())])
        if _size_bytes(own) <= self._limits.max_bytes:
            return lighter, before - sum(len(one.body) for one in payloads(lighter)), 0
        result = record.result and without_body(record.result)
        left = replace(bare(record), result=result, children=record.children)
        return left, before, details_count(record) - len(record.children)

    def _parts(self, spans: Sequence[ReadableSpan]) -> Iterator[list[ReadableSpan]]:
        part: list[ReadableSpan] = []
        size = 0
        for span in spans:
            own = _size_bytes([span])
            full = size + own > self._limits.max_bytes or len(part) >= self._limits.max_spans
            if part and full:
                yield part
                part, size = [], 0
            part.append(span)
            size += own
        yield part

    def _request(self, spans: list[ReadableSpan], until_s: float) -> Outcome | None:
        if not spans:
            # What the platform told late, and nobody wants as spans.
            return Outcome(Verdict.ACCEPTED, 0, "nothing to send")
        left_s = until_s - time.monotonic()
        if left_s < MIN_EXPORT_S:
            return None
        return self._sender.send(spans, len(spans), left_s)

    def _learn(self, refused_bytes: int) -> None:
        """The collector takes less than that."""
        learned = max(MIN_REQUEST_BYTES, refused_bytes // 2)
        if learned < self._limits.max_bytes:
            self._limits = replace(self._limits, max_bytes=learned)


def _half_way(until_s: float) -> float:
    now_s = time.monotonic()
    return now_s + (until_s - now_s) / 2


def _size_bytes(spans: Sequence[ReadableSpan]) -> int:
    """On the wire, before compression."""
    return encode_spans(spans).ByteSize()
