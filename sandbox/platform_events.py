"""What the platform tells of each invocation by the Telemetry API: its start, end and report.

Source: AWS Lambda developer guide, "Lambda Telemetry API Event schema reference".
"""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Callable
from typing import Any

from sandbox.function import Function
from sandbox.memory import MemoryWatch
from sandbox.state import Invocation
from sandbox.telemetry import moment

Emit = Callable[[str, dict[str, Any]], None]
"""Given an event's type and its record."""


class PlatformEvents:
    """Of the invocations of `function`, one after the other; each is told of once.

    The next report has `init_s` and `restore_s`, where these are set, and what `memory` watched.
    """

    def __init__(self, function: Function, emit: Emit) -> None:
        self.init_s: float | None = None
        self.restore_s: float | None = None
        self.memory = MemoryWatch(None, None)
        self._function = function
        self._emit = emit
        self._reported: set[int] = set()
        self._done: dict[int, tuple[str, str | None, float]] = {}
        self._lock = threading.Lock()

    def start(self, invocation: Invocation) -> None:
        """``platform.start``."""
        record: dict[str, Any] = {
            "requestId": invocation.request_id,
            "version": self._function.version,
            **_tracing(invocation),
        }
        if self._function.managed:
            record["functionArn"] = self._function.arn
        if invocation.tenant_id is not None:
            record["tenantId"] = invocation.tenant_id
        self._emit("platform.start", record)

    def answered(self, invocation: Invocation) -> None:
        """``platform.runtimeDone`` of one that has a response."""
        if invocation.failed:
            self.runtime_done(invocation, "error", error_type_of(invocation.response))
        else:
            self.runtime_done(invocation, "success", None)

    def runtime_done(self, invocation: Invocation, status: str, error_type: str | None) -> None:
        """``platform.runtimeDone``, once."""
        with self._lock:
            if invocation.ordinal in self._done:
                return
            duration_s = duration_of(invocation)
            self._done[invocation.ordinal] = (status, error_type, duration_s)
        self._emit(
            "platform.runtimeDone",
            {
                "requestId": invocation.request_id,
                "status": status,
                **({"errorType": error_type} if error_type else {}),
                "metrics": {
                    "durationMs": _milliseconds(duration_s),
                    "producedBytes": len(invocation.response or b""),
                },
                **self._spans(invocation, duration_s),
                **_tracing(invocation),
            },
        )

    def report(self, invocation: Invocation) -> None:
        """``platform.report``, once, after ``runtimeDone``."""
        with self._lock:
            if invocation.ordinal in self._reported or invocation.ordinal not in self._done:
                return
            self._reported.add(invocation.ordinal)
            status, error_type, duration_s = self._done[invocation.ordinal]
        init_s, self.init_s = self.init_s, None
        restore_s, self.restore_s = self.restore_s, None
        size_mb = self._function.memory_mb
        billed_s = duration_s + (init_s or 0.0) + (restore_s or 0.0)
        metrics: dict[str, Any] = {
            "durationMs": _milliseconds(duration_s),
            "billedDurationMs": math.ceil(billed_s * 1000),
            "memorySizeMB": size_mb,
            "maxMemoryUsedMB": self.memory.used_mb(size_mb),
        }
        if init_s is not None:
            metrics["initDurationMs"] = _milliseconds(init_s)
        if restore_s is not None:
            metrics["restoreDurationMs"] = _milliseconds(restore_s)
        over_s = time.monotonic() - invocation.began_s - duration_s
        end_unix_s = invocation.began_unix_s + duration_s
        overhead = {
            "name": "extensionOverhead",
            "start": moment(end_unix_s),
            "durationMs": _milliseconds(max(0.0, over_s)),
        }
        self._emit(
            "platform.report",
            {
                "requestId": invocation.request_id,
                "status": status,
                **({"errorType": error_type} if error_type else {}),
                "metrics": metrics,
                "spans": [overhead],
                **_tracing(invocation),
            },
        )

    def managed_report(self, invocation: Invocation, status: str, error_type: str | None) -> None:
        """``platform.report`` on Managed Instances, which has no ``runtimeDone``."""
        duration_s = duration_of(invocation)
        self._emit(
            "platform.report",
            {
                "requestId": invocation.request_id,
                "status": status,
                **({"errorType": error_type} if error_type else {}),
                "metrics": {"durationMs": _milliseconds(duration_s)},
                **self._spans(invocation, duration_s),
                **_tracing(invocation),
            },
        )

    def _spans(self, invocation: Invocation, duration_s: float) -> dict[str, Any]:
        """The parts of an invocation that has answered; no field at all for one that has not."""
        if invocation.responded_s is None:
            return {}
        latency_s = invocation.responded_s - invocation.began_s
        began, over = invocation.began_unix_s, invocation.began_unix_s + latency_s
        parts = [("responseLatency", began, latency_s), ("responseDuration", over, 0.0)]
        if not self._function.managed:
            parts.append(("runtimeOverhead", over, max(0.0, duration_s - latency_s)))
        spans = [
            {"name": name, "start": moment(start), "durationMs": _milliseconds(length)}
            for name, start, length in parts
        ]
        return {"spans": spans}


def duration_of(invocation: Invocation) -> float:
    """Seconds until its response, or until now."""
    return (invocation.responded_s or time.monotonic()) - invocation.began_s


def error_type_of(payload: bytes | None) -> str | None:
    """What a function's or runtime's error names; None where it names none."""
    try:
        return str(json.loads(payload or b"")["errorType"])
    except (ValueError, KeyError, TypeError):
        return None


def _tracing(invocation: Invocation) -> dict[str, Any]:
    return {} if invocation.tracing is None else {"tracing": invocation.tracing}


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 3)
