"""The Telemetry API's platform events as values: bytes in, typed events out, no I/O.

Schema 2025-01-29; of each event what is of use here is read, and what is missing is None.
https://docs.aws.amazon.com/lambda/latest/dg/telemetry-schema-reference.html
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from exporter.record import Report, encodable
from exporter.values import dataclass
from fifo.messages import valid_request_id

FUNCTION = "function"
_UUID = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

SUCCESS = "success"
ERROR = "error"
FAILURE = "failure"
TIMEOUT = "timeout"

INIT = "init"
RESTORE = "restore"

MAX_SPANS = 16
"""Of one event; Lambda sends four."""
MAX_TEXT_CHARS = 1_024
"""Of one text, which is cut there: who is connected is not known, and events are remembered."""
_MAX_NUMBER = 2**42
"""Of milliseconds 139 years, of bytes 4 TB: sums and products of it fit OTLP's 64 bits."""
_MAX_UNIX_NS = 2**63
"""In the year 2262."""


@dataclass(frozen=True, slots=True)
class PlatformSpan:
    """A part of an invocation that the platform timed: ``responseLatency`` and the like."""

    name: str
    start_unix_ns: int
    end_unix_ns: int


@dataclass(frozen=True, slots=True)
class Started:
    """``platform.start``: an invocation begins."""

    request_id: str
    time_unix_ns: int | None
    invoked_function_arn: str
    xray_header: str | None
    tenant_id: str | None


@dataclass(frozen=True, slots=True)
class RuntimeDone:
    """``platform.runtimeDone``: an invocation's end as the platform saw it."""

    request_id: str
    status: str
    error_type: str | None
    time_unix_ns: int | None
    duration_ms: float | None
    produced_bytes: int | None = None
    spans: tuple[PlatformSpan, ...] = ()


@dataclass(frozen=True, slots=True)
class Reported:
    """``platform.report``: everything about an invocation is over, extensions included."""

    request_id: str
    status: str
    error_type: str | None
    time_unix_ns: int | None
    report: Report
    spans: tuple[PlatformSpan, ...] = ()

    @property
    def duration_ms(self) -> float | None:
        """The function's part."""
        return self.report.duration_ms


@dataclass(frozen=True, slots=True)
class PhaseStarted:
    """``platform.initStart`` or ``restoreStart``; `name` is ``init`` or ``restore``."""

    name: str
    time_unix_ns: int | None
    initialization_type: str
    phase: str
    """Of an init: ``init``, or ``invoke`` where it happens inside an invocation."""


@dataclass(frozen=True, slots=True)
class PhaseEnded:
    """``initRuntimeDone``, ``initReport`` and the same of a restore."""

    name: str
    status: str
    error_type: str | None
    time_unix_ns: int | None
    duration_ms: float | None


@dataclass(frozen=True, slots=True)
class LogsDropped:
    """``platform.logsDropped``: events that we were too slow for."""

    count: int


@dataclass(frozen=True, slots=True)
class LoggedLine:
    """``function``: a line that the function printed or logged; `event` is the whole event.

    `request_id` is empty where the line names none.
    """

    event: bytes
    time_unix_ns: int
    request_id: str


PlatformEvent = Started | RuntimeDone | Reported | PhaseStarted | PhaseEnded | LogsDropped


def parse(line: bytes) -> PlatformEvent | LoggedLine | None:
    """The event in `line`; None for one that is of no use here, or is none."""
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if isinstance(event, dict) and event.get("type") == FUNCTION:
        return _logged(event, line)
    return event_of(event)


def _logged(event: Mapping[str, Any], line: bytes) -> LoggedLine | None:
    record, time_unix_ns = event.get("record"), _unix_ns(event.get("time"))
    if time_unix_ns is None or not isinstance(record, str | dict):
        return None
    return LoggedLine(line, time_unix_ns, _logged_request_id(record))


def _logged_request_id(record: str | dict[str, Any]) -> str:
    """Of JSON Lambda's own name or Powertools'; of text one of the first fields."""
    if isinstance(record, str) and record.startswith("{"):
        try:
            record = json.loads(record)
        except (ValueError, RecursionError):
            return ""
    if isinstance(record, dict):
        named = [record.get(name) for name in ("requestId", "function_request_id")]
    else:
        named = [*record.split("\t", 3)[1:3]]
    for one in named:
        if isinstance(one, str) and _UUID.fullmatch(one):
            return one
    return ""


def event_of(event: Any) -> PlatformEvent | None:
    """The same of parsed JSON."""
    try:
        make = _MAKERS.get(event["type"])
        record = event["record"]
        if make is None or not isinstance(record, dict):
            return None
        return make(record, _unix_ns(event.get("time")))
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        return None


def _started(record: Mapping[str, Any], time_unix_ns: int | None) -> Started:
    tracing = record.get("tracing")
    header = _text(tracing, "value") if isinstance(tracing, dict) else None
    return Started(
        request_id=_request_id(record),
        time_unix_ns=time_unix_ns,
        invoked_function_arn=_text(record, "functionArn") or "",
        xray_header=header,
        tenant_id=_text(record, "tenantId"),
    )


def _runtime_done(record: Mapping[str, Any], time_unix_ns: int | None) -> RuntimeDone:
    metrics = _metrics(record)
    return RuntimeDone(
        request_id=_request_id(record),
        status=_status(record),
        error_type=_text(record, "errorType"),
        time_unix_ns=time_unix_ns,
        duration_ms=_number(metrics, "durationMs"),
        produced_bytes=_whole(metrics, "producedBytes"),
        spans=_spans(record),
    )


def _reported(record: Mapping[str, Any], time_unix_ns: int | None) -> Reported:
    metrics = _metrics(record)
    return Reported(
        request_id=_request_id(record),
        status=_status(record),
        error_type=_text(record, "errorType"),
        time_unix_ns=time_unix_ns,
        report=Report(
            billed_duration_ms=_number(metrics, "billedDurationMs"),
            duration_ms=_number(metrics, "durationMs"),
            init_duration_ms=_number(metrics, "initDurationMs"),
            restore_duration_ms=_number(metrics, "restoreDurationMs"),
            memory_used_mb=_whole(metrics, "maxMemoryUsedMB"),
            memory_size_mb=_whole(metrics, "memorySizeMB"),
        ),
        spans=_spans(record),
    )


def _phase_started(name: str) -> Callable[[Mapping[str, Any], int | None], PhaseStarted]:
    def make(record: Mapping[str, Any], time_unix_ns: int | None) -> PhaseStarted:
        return PhaseStarted(
            name=name,
            time_unix_ns=time_unix_ns,
            initialization_type=_text(record, "initializationType") or "",
            phase=_text(record, "phase") or "",
        )

    return make


def _phase_ended(name: str) -> Callable[[Mapping[str, Any], int | None], PhaseEnded]:
    def make(record: Mapping[str, Any], time_unix_ns: int | None) -> PhaseEnded:
        return PhaseEnded(
            name=name,
            status=_status(record),
            error_type=_text(record, "errorType"),
            time_unix_ns=time_unix_ns,
            duration_ms=_number(_metrics(record), "durationMs"),
        )

    return make


def _logs_dropped(record: Mapping[str, Any], time_unix_ns: int | None) -> LogsDropped:
    return LogsDropped(_whole(record, "droppedRecords") or 1)


_MAKERS: Mapping[str, Callable[[Mapping[str, Any], int | None], PlatformEvent]] = {
    "platform.start": _started,
    "platform.runtimeDone": _runtime_done,
    "platform.report": _reported,
    "platform.initStart": _phase_started(INIT),
    "platform.initRuntimeDone": _phase_ended(INIT),
    "platform.initReport": _phase_ended(INIT),
    "platform.restoreStart": _phase_started(RESTORE),
    "platform.restoreRuntimeDone": _phase_ended(RESTORE),
    "platform.restoreReport": _phase_ended(RESTORE),
    "platform.logsDropped": _logs_dropped,
}


def _metrics(record: Mapping[str, Any]) -> Mapping[str, Any]:
    metrics = record.get("metrics")
    return metrics if isinstance(metrics, dict) else {}


def _text(value: Mapping[str, Any], key: str) -> str | None:
    found = value.get(key)
    return encodable(found[:MAX_TEXT_CHARS]) if isinstance(found, str) and found else None


def _request_id(record: Mapping[str, Any]) -> str:
    """Raises ValueError: an event of nobody must not wait for its INVOKE."""
    found = record["requestId"]
    if not isinstance(found, str) or not valid_request_id(found):
        raise ValueError("no request ID")
    return found


def _status(record: Mapping[str, Any]) -> str:
    found = _text(record, "status")
    if found is None:
        raise ValueError("no status")
    return found


def _number(value: Mapping[str, Any], key: str) -> float | None:
    found = value.get(key)
    if isinstance(found, bool) or not isinstance(found, int | float):
        return None
    return float(found) if 0 <= found <= _MAX_NUMBER else None


def _whole(value: Mapping[str, Any], key: str) -> int | None:
    found = _number(value, key)
    return None if found is None else int(found)


def _spans(record: Mapping[str, Any]) -> tuple[PlatformSpan, ...]:
    given = record.get("spans")
    found: list[PlatformSpan] = []
    for one in given[:MAX_SPANS] if isinstance(given, list) else ():
        if not isinstance(one, dict):
            continue
        name, start_ns = _text(one, "name"), _unix_ns(one.get("start"))
        duration_ms = _number(one, "durationMs")
        if name and start_ns is not None and duration_ms is not None:
            end_ns = start_ns + int(duration_ms * 1_000_000)
            found.append(PlatformSpan(name, start_ns, end_ns))
    return tuple(found)


def _unix_ns(text: object) -> int | None:
    if not isinstance(text, str):
        return None
    try:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return None
    if moment.tzinfo is None:
        return None  # it would be read by the machine's own offset
    unix_ns = int(moment.timestamp() * 1_000) * 1_000_000
    return unix_ns if 0 <= unix_ns < _MAX_UNIX_NS else None
