"""OTLP JSON trace requests in a log, wherever they stand in a line: text in, requests out.

A request may be the whole line, follow a time, a stream's name or a request ID, or be a string
in another JSON object, which may be in a string again: Lambda's JSON log format (``record``),
``aws logs get-log-events`` and ``filter-log-events`` (``message``), both at once. In a CSV its
quotation marks are doubled. What begins one is the same everywhere: a brace and its only key,
escaped as many times as it is deep; from there the text is unescaped as deep, and parsed.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from json import JSONDecodeError, JSONDecoder
from json.decoder import scanstring  # type: ignore[attr-defined]  # not in its stub
from typing import TYPE_CHECKING, Any, TextIO

from extension.otlp_from_json import OtlpJsonError, from_value

if TYPE_CHECKING:
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

MAX_RECORD_CHARACTERS = 64 * 1024 * 1024
"""Of one request, escaped as it stands; a collector takes no longer one."""
PIECE_CHARACTERS = 1024 * 1024
"""A line is read in such pieces: an export may be one line of any length."""

_MARK = re.compile(r"""\{[ ]*(\\*)("{1,2})resourceSpans\1\2[ ]*:""")
_MARK_CHARACTERS = 128
"""No mark is longer, so one that a piece cuts off is whole with the next."""
_SPREAD = re.compile(r"""\s*"resourceSpans"[ ]*:""")
"""The second line of a request that somebody has indented."""
_CSV_FIELD = re.compile(r'(?:[^"]|"")*')
_DEPTHS = {0: 0, 1: 1, 3: 2, 7: 3, 15: 4}
"""Backslashes before a quotation mark → strings in strings."""
_decoder = JSONDecoder()


@dataclass(frozen=True, slots=True)
class Found:
    """A request, and the number of its line, from 1."""

    line_number: int
    request: ExportTraceServiceRequest


@dataclass(frozen=True, slots=True)
class Damaged:
    """What began as a request and is none."""

    line_number: int
    reason: str


class LogReader:
    """One log. `line_count` lines have been read, `ignored_count` of them had nothing in them."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._depth_limit = max(_DEPTHS.values())
        self._has_any = True
        self.line_count = 0
        self.ignored_count = 0

    def requests(self) -> Iterator[Found | Damaged]:
        """What is found, in order. Holds one request at a time, at most `MAX_RECORD_CHARACTERS`.

        Raises what the stream raises.
        """
        held, is_whole = "", True
        # As much again as is held: what is looked at twice is no more than what is read.
        while piece := self._stream.readline(max(PIECE_CHARACTERS, len(held))):
            if is_whole:
                self._begin_line()
            is_whole = piece.endswith("\n")
            held = yield from self._scan(held + piece, is_whole)
        if not is_whole:
            yield from self._scan(held, True)
        self._end_line()

    def _begin_line(self) -> None:
        self._end_line()
        self.line_count += 1
        self._has_any = False
        self._depth_limit = max(_DEPTHS.values())

    def _end_line(self) -> None:
        if not self._has_any:
            self.ignored_count += 1
            self._has_any = True

    def _scan(self, text: str, is_whole: bool) -> Generator[Found | Damaged, None, str]:
        """Everything in `text`; returns what only more of the line can complete."""
        position = 0
        while mark := _MARK.search(text, position):
            depth = _DEPTHS.get(len(mark[1]))
            position = mark.end()
            if depth is None or depth > self._depth_limit:
                continue
            try:
                value, position = _value(text, mark.start(), depth, is_csv=mark[2] == '""')
            except _UnfinishedError as error:
                if not is_whole and len(text) - mark.start() < MAX_RECORD_CHARACTERS:
                    return text[mark.start() :]
                yield self._damaged(depth, str(error))
            except (ValueError, RecursionError) as error:
                yield self._damaged(depth, str(error))
            else:
                yield self._parsed(value)
        if not self._has_any and _SPREAD.match(text):
            yield self._damaged(0, "is one of several lines of a request; it must be in one line")
        return "" if is_whole else text[max(position, len(text) - _MARK_CHARACTERS) :]

    def _damaged(self, depth: int, reason: str) -> Damaged:
        # What stands deeper in it is a text of its own, such as a captured body: no request.
        self._depth_limit = depth
        self._has_any = True
        return Damaged(self.line_count, reason)

    def _parsed(self, value: Any) -> Found | Damaged:
        self._has_any = True
        try:
            return Found(self.line_count, from_value(value))
        except OtlpJsonError as error:
            return Damaged(self.line_count, f"no trace request: {' '.join(str(error).split())}")


class _UnfinishedError(ValueError):
    """It does not end; more of the line may end it."""


def _value(text: str, start: int, depth: int, *, is_csv: bool) -> tuple[Any, int]:
    """The JSON value that begins at `start`, and where what holds it ends. Raises ValueError."""
    end = None
    if is_csv:
        field = _CSV_FIELD.match(text, start)
        end = field.end() if field else start
        text, start = text[start:end].replace('""', '"'), 0
    for _ in range(depth):
        try:
            text, stop = scanstring(text, start, False)
        except ValueError as error:
            raise _UnfinishedError(_reason(error)) from error
        end, start = stop if end is None else end, 0
    try:
        value, stop = _decoder.raw_decode(text, start)
    except ValueError as error:
        kind = _UnfinishedError if end is None or is_csv else ValueError
        raise kind(_reason(error)) from error
    return value, stop if end is None else end


def _reason(error: ValueError) -> str:
    what = f"{error.msg} {error.pos}" if isinstance(error, JSONDecodeError) else str(error)
    return f"cut off or damaged: {what}"
