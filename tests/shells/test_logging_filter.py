"""Log records carry the span that they were written in."""

from __future__ import annotations

import logging
from typing import Any

import pytest

import fifo
from fifo import current
from fifo.handler import capture
from fifo.writer import Writer
from tests.shells.conftest import ReadingEnd


class LambdaContext:
    aws_request_id = "r-1"


def test_a_record_has_the_current_span(
    reading_end: ReadingEnd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The invocation's, a child's, and none outside."""
    monkeypatch.setattr(current, "made_writer", Writer(str(reading_end.directory), environ={}))
    seen: list[tuple[Any, ...]] = []

    def note() -> None:
        record = logging.LogRecord("n", 20, "p", 1, "m", None, None)
        assert fifo.TraceFilter().filter(record)
        found = vars(record)
        seen.append((found["trace_id"], found["span_id"], found["trace_flags"]))

    @capture
    def handler(event: Any, context: Any) -> None:
        note()
        with fifo.span("query"):
            note()

    handler({}, LambdaContext())
    note()
    start, child, _ = reading_end_messages(reading_end)
    trace_id = start.trace_id.hex()
    assert seen == [
        (trace_id, start.invocation_span_id.hex(), "01"),
        (trace_id, child.span_id.hex(), "01"),
        ("", "", ""),
    ]


def reading_end_messages(end: ReadingEnd) -> list[Any]:
    return list(end.messages())
