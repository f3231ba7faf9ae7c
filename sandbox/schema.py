"""The documented shapes of what Lambda and its extensions say to each other, and their check.

Sources: AWS Lambda developer guide, "Extensions API" and "Telemetry API Event schema
reference" (schema 2025-01-29). A field with ``?`` may be missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Shape = Mapping[str, Any]
"""Field → type, tuple of allowed texts, nested shape, or a list of one of these."""

NUMBER = (int, float)
_PHASE = {"initializationType": str, "phase": ("init", "invoke", "snapshot")}
_STATUS = ("success", "error", "failure", "timeout")
_TRACING = {"type": ("X-Amzn-Trace-Id",), "value": str, "spanId?": str}
_SPANS = [{"name": str, "start": str, "durationMs": NUMBER}]
_RUNTIME = {"runtimeVersion?": str, "runtimeVersionArn?": str}

FUNCTION = "function"
"""The type of the events that carry what the function prints."""

REGISTER: Shape = {"events": [("INVOKE", "SHUTDOWN")]}
SUBSCRIPTION: Shape = {
    "schemaVersion?": ("2022-07-01", "2022-12-13", "2025-01-29"),
    "types": [("platform", "function", "extension")],
    "buffering?": {"maxItems?": int, "maxBytes?": int, "timeoutMs?": int},
    "destination": {"protocol": ("TCP", "HTTP"), "port?": int, "URI?": str},
}
INVOKE: Shape = {
    "eventType": ("INVOKE",),
    "deadlineMs": int,
    "requestId": str,
    "invokedFunctionArn": str,
    "tracing?": _TRACING,
}
SHUTDOWN: Shape = {"eventType": ("SHUTDOWN",), "shutdownReason": str, "deadlineMs": int}

RECORDS: Mapping[str, Shape] = {
    "platform.initStart": {
        **_PHASE,
        **_RUNTIME,
        "functionName?": str,
        "functionVersion?": str,
        "instanceId?": str,
        "instanceMaxMemory?": int,
    },
    "platform.initRuntimeDone": {**_PHASE, "status": _STATUS, "errorType?": str},
    "platform.initReport": {
        **_PHASE,
        "status": _STATUS,
        "errorType?": str,
        "metrics": {"durationMs": NUMBER},
    },
    "platform.restoreStart": {**_RUNTIME, "functionName?": str, "functionVersion?": str},
    "platform.restoreRuntimeDone": {"status": _STATUS, "errorType?": str},
    "platform.restoreReport": {
        "status": _STATUS,
        "errorType?": str,
        "metrics": {"durationMs": NUMBER},
    },
    "platform.start": {
        "requestId": str,
        "version?": str,
        "functionArn?": str,
        "tracing?": _TRACING,
        "tenantId?": str,
    },
    "platform.runtimeDone": {
        "requestId": str,
        "status": _STATUS,
        "errorType?": str,
        "metrics?": {"durationMs": NUMBER, "producedBytes?": int},
        "spans?": _SPANS,
        "tracing?": _TRACING,
    },
    "platform.report": {
        "requestId": str,
        "status": _STATUS,
        "errorType?": str,
        "metrics": {
            "durationMs": NUMBER,
            "billedDurationMs?": int,
            "memorySizeMB?": int,
            "maxMemoryUsedMB?": int,
            "initDurationMs?": NUMBER,
            "restoreDurationMs?": NUMBER,
        },
        "spans?": _SPANS,
        "tracing?": _TRACING,
        "tenantId?": str,
    },
    "platform.extension": {"name": str, "state": str, "events": [str], "errorType?": str},
    "platform.telemetrySubscription": {"name": str, "state": str, "types": [str]},
    "platform.logsDropped": {"reason": str, "droppedRecords": int, "droppedBytes": int},
}


def problem(shape: Any, value: Any, where: str = "") -> str | None:
    """What is wrong with `value`; None where it has `shape`. Unknown fields are wrong too."""
    if isinstance(shape, Mapping):
        return _object_problem(shape, value, where)
    name = where or "the value"
    if isinstance(shape, list):
        if not isinstance(value, list):
            return f"{name} must be a list"
        found = (problem(shape[0], one, f"{where}[{index}]") for index, one in enumerate(value))
        return next((one for one in found if one), None)
    if isinstance(shape, tuple) and all(isinstance(one, str) for one in shape):
        return None if value in shape else f"{name} must be one of {', '.join(shape)}"
    if isinstance(value, bool) or not isinstance(value, shape):
        return f"{name} is of type {type(value).__name__}"
    return None


def _object_problem(shape: Shape, value: Any, where: str) -> str | None:
    if not isinstance(value, dict):
        return f"{where or 'the value'} must be an object"
    known = {name.rstrip("?"): (name, inner) for name, inner in shape.items()}
    for name in value:
        if name not in known:
            return f"{where}.{name} is unknown".lstrip(".")
    for name, (written, inner) in known.items():
        path = f"{where}.{name}".lstrip(".")
        if name in value:
            found = problem(inner, value[name], path)
            if found:
                return found
        elif not written.endswith("?"):
            return f"{path} is missing"
    return None


def check(kind: str, record: Any) -> None:
    """What the sandbox says must be what Lambda documents. Raises AssertionError."""
    if kind == FUNCTION:
        # A text, or what was logged as JSON: then the names in it are the logger's own.
        if not isinstance(record, str | dict):
            raise AssertionError(f"{kind}: a record of type {type(record).__name__}")
        return
    shapes = {"INVOKE": INVOKE, "SHUTDOWN": SHUTDOWN, **RECORDS}
    found = problem(shapes[kind], record)
    if found:
        raise AssertionError(f"{kind}: {found}")
