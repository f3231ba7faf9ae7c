"""The function's log lines to OpenTelemetry log records: a pure conversion.

Sources: OpenTelemetry specification, "Logs Data Model" and "Trace Context in non-OTLP Log
Formats"; AWS Lambda developer guide, "Using Lambda advanced logging controls" for the names in
lines of JSON. Redacted as captured bodies are, names and texts alike.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import TraceFlags

from exporter import attributes as names
from exporter.log_lines import LogLine
from exporter.record import AttributeValue, Environment, encodable
from exporter.redaction import Redactor

MAX_ATTRIBUTES = 128
"""A line of JSON with more members is one text."""
_SCOPE = "spanpipe"

_SEVERITIES: Mapping[str, SeverityNumber] = {
    "TRACE": SeverityNumber.TRACE,
    "DEBUG": SeverityNumber.DEBUG,
    "INFO": SeverityNumber.INFO,
    "WARN": SeverityNumber.WARN,
    "WARNING": SeverityNumber.WARN,
    "ERROR": SeverityNumber.ERROR,
    "FATAL": SeverityNumber.FATAL,
    "CRITICAL": SeverityNumber.FATAL,
}
_MESSAGES = ("message", "msg")
_LEVELS = ("level", "severity")
_TIMES = ("timestamp", "time")
_TAKEN = frozenset({"trace_id", "span_id", "trace_flags", "requestId", "function_request_id"})
"""They are elsewhere in the record."""
_FIELDS = 4
"""Of a text line of Lambda's runtimes, with tabs between: time, request ID, level, message."""


class LogBuilder:
    """Builds records; `resource_of` is the spans'."""

    def __init__(
        self, resource_of: Callable[[Environment], Resource], redactor: Redactor, version: str
    ) -> None:
        self._resource_of = resource_of
        self._redactor = redactor
        self._scope = InstrumentationScope(_SCOPE, version)

    def record(self, line: LogLine) -> ReadableLogRecord:
        """The record of `line`. Raises ValueError, KeyError where it is no event."""
        logged = json.loads(line.event)["record"]
        if isinstance(logged, str):
            logged = _members(logged) or logged
        text = logged if isinstance(logged, str) else json.dumps(logged, ensure_ascii=False)
        text = encodable(self._redactor.text(text.rstrip("\r\n"))[0])
        members = None if isinstance(logged, str) else _members(text)
        attributes: dict[str, AttributeValue] = {}
        if line.request_id:
            attributes[names.FAAS_INVOCATION_ID] = line.request_id
        body, level, time_unix_ns = text, _level_in_text(text), line.time_unix_ns
        trace_id, span_id, flags = line.trace_id, line.span_id, TraceFlags.SAMPLED
        if members is not None:
            own = own_context(members)
            if own is not None:
                trace_id, span_id, flags = own
            level = _first_text(members, _LEVELS) or ""
            time_unix_ns = _unix_ns(_first_text(members, _TIMES)) or time_unix_ns
            if len(members) <= MAX_ATTRIBUTES:
                message = _first_text(members, _MESSAGES)
                told = {*_LEVELS, *_TIMES, *_TAKEN}
                if message is not None:
                    body = message
                    told.update(_MESSAGES)
                attributes.update(
                    (name, _attribute(value))
                    for name, value in members.items()
                    if name and name not in told and value is not None
                )
        return ReadableLogRecord(
            LogRecord(
                timestamp=time_unix_ns,
                observed_timestamp=line.time_unix_ns,
                trace_id=int.from_bytes(trace_id, "big"),
                span_id=int.from_bytes(span_id, "big"),
                trace_flags=TraceFlags(flags if trace_id else 0),
                severity_text=level or None,
                severity_number=_SEVERITIES.get(level.upper()),
                body=body,
                attributes=attributes,
            ),
            self._resource_of(line.environment),
            self._scope,
        )


def own_context(members: Mapping[str, Any]) -> tuple[bytes, bytes, int] | None:
    """(Trace ID, span ID, flags) that a line of JSON names itself; None where it names none."""
    trace_id, span_id = _hex(members.get("trace_id"), 16), _hex(members.get("span_id"), 8)
    if not trace_id or not span_id:
        return None
    flags = _hex(members.get("trace_flags"), 1)
    return trace_id, span_id, flags[0] if flags else TraceFlags.SAMPLED


def _hex(text: object, size: int) -> bytes:
    """`size` bytes that `text` writes, not all zero, else none."""
    if not isinstance(text, str) or len(text) != 2 * size or not text.isalnum():
        return b""
    try:
        found = bytes.fromhex(text)
    except ValueError:
        return b""
    return found if any(found) else b""


def _members(text: str) -> dict[str, Any] | None:
    """What a text that is a JSON object holds."""
    if not text.startswith("{"):
        return None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _attribute(value: object) -> AttributeValue:
    if isinstance(value, bool | str | float):
        return value
    if isinstance(value, int) and -(2**63) <= value < 2**63:
        return value
    return json.dumps(value, ensure_ascii=False)


def _first_text(members: Mapping[str, Any], keys: tuple[str, ...]) -> str | None:
    return next((members[key] for key in keys if isinstance(members.get(key), str)), None)


def _level_in_text(text: str) -> str:
    """Of Lambda's formats: Python's begins with ``[LEVEL]``, in Node's the level comes third."""
    parts = text.split("\t", _FIELDS - 1)
    if len(parts) < _FIELDS:
        return ""
    for level in (parts[0].removeprefix("[").removesuffix("]"), parts[2]):
        if level in _SEVERITIES:
            return level
    return ""


def _unix_ns(text: str | None) -> int | None:
    """Of ISO 8601 with its offset, to the microsecond."""
    try:
        moment = datetime.fromisoformat((text or "").replace("Z", "+00:00"))
    except ValueError:
        return None
    if moment.tzinfo is None:
        return None
    unix_us = round(moment.timestamp() * 1e6)
    return unix_us * 1_000 if 0 <= unix_us < 2**63 // 1_000 else None
