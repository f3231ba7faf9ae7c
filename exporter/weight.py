"""What a record weighs, and what it is when it must weigh less; pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from exporter.record import (
    AttributeValue,
    Failure,
    Invocation,
    Payload,
    Record,
    Supplement,
)
from exporter.values import replace

_RECORD_BYTES = 1_024
_DETAIL_BYTES = 256
"""What a record and each of its details take in memory beside their texts, roughly."""
MAX_BARE_TEXT = 1_024
"""Characters of each text of a failure that stay in a bare record."""


def weight_bytes(record: Record) -> int:
    """About what `record` takes in memory and, within a factor of two, on the wire."""
    details, texts = len(record.children) + len(record.passed), passed_bytes(record)
    for child in record.children:
        texts += len(child.name) + _attributes_bytes(child.attributes) + _text_of(child.failure)
    if isinstance(record, Invocation):
        details += len(record.events) + len(record.partials) + len(record.links)
        texts += _attributes_bytes(record.attributes)
        for event in record.events:
            texts += len(event.name) + _attributes_bytes(event.attributes)
        for payload in payloads(record):
            texts += len(payload.body)
        texts += _text_of(record.failure)
        if record.exception is not record.failure:
            texts += _text_of(record.exception)
    return _RECORD_BYTES + details * _DETAIL_BYTES + texts


def payloads(record: Record) -> list[Payload]:
    """The captured bodies: the request's, the partial results', the result's."""
    if not isinstance(record, Invocation):
        return []
    found = [] if record.request is None else [record.request]
    found += [partial.payload for partial in record.partials]
    if record.result is not None:
        found.append(record.result)
    return found


def passed_bytes(record: Record) -> int:
    """Of the spans that are sent as they are."""
    return sum([len(one.data) for one in record.passed])


def passed_spans(record: Record) -> int:
    """How many spans are sent as they are."""
    return sum(one.span_count for one in record.passed)


def body_bytes(record: Record) -> tuple[int, int]:
    """(Bytes that were to be captured: bodies, and spans that are sent as they are; those of
    them that were cut before)."""
    kept, cut = passed_bytes(record), 0
    for payload in payloads(record):
        kept += len(payload.body)
        if payload.truncated and payload.size_bytes is not None:
            cut += max(0, payload.size_bytes - len(payload.body))
    return kept + cut, cut


def without_passed(record: Supplement) -> Supplement:
    """`record` without others' spans."""
    return replace(record, passed=())


def bare(record: Invocation) -> Invocation:
    """`record` without bodies, children, events, others' spans and long texts: the last to go."""
    failure, exception = _short(record.failure), _short(record.exception)
    is_short = failure is record.failure and exception is record.exception
    has_body = any(one.body for one in payloads(record))
    if is_short and not has_body and not details_count(record):
        return record
    return replace(
        record,
        request=None if record.request is None else without_body(record.request),
        result=None if record.result is None else without_body(record.result),
        failure=failure,
        exception=exception,
        partials=(),
        events=(),
        children=(),
        passed=(),
    )


def details_count(record: Record) -> int:
    """How many details `bare` leaves out."""
    if not isinstance(record, Invocation):
        return 0
    details = len(record.children) + len(record.events) + len(record.partials)
    return details + passed_spans(record)


def without_body(payload: Payload) -> Payload:
    """The same, its body cut to nothing."""
    return replace(payload, body=b"", truncated=payload.truncated or bool(payload.body))


def _short(failure: Failure | None) -> Failure | None:
    if failure is None or len(failure.message) + len(failure.stack_trace) <= MAX_BARE_TEXT:
        return failure
    return replace(
        failure,
        message=failure.message[:MAX_BARE_TEXT],
        # The end of a stack trace says what was raised.
        stack_trace=failure.stack_trace[-MAX_BARE_TEXT:],
    )


def _text_of(failure: Failure | None) -> int:
    return 0 if failure is None else len(failure.message) + len(failure.stack_trace)


def _attributes_bytes(attributes: Mapping[str, AttributeValue]) -> int:
    size = 0
    for name, value in attributes.items():
        size += len(name) + _value_bytes(value)
    return size


def _value_bytes(value: AttributeValue) -> int:
    if isinstance(value, str):
        return len(value)
    if isinstance(value, Iterable):
        return sum(len(one) for one in value)
    return 8
