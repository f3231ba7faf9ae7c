"""What the Extensions API answers, typed; JSON in, values out."""

from __future__ import annotations

import json

from exporter.record import encodable
from exporter.values import dataclass

MAX_UNIX_MS = 2**53
"""What a JSON number can hold exactly, and 280,000 years."""


class EventError(Exception):
    """An answer that is none of the documented ones; the message says what is wrong."""


@dataclass(frozen=True, slots=True)
class InvokeEvent:
    """An invocation begins. `deadline_unix_ms` is a moment, not a duration."""

    request_id: str
    deadline_unix_ms: int
    invoked_function_arn: str
    xray_header: str | None


@dataclass(frozen=True, slots=True)
class ShutdownEvent:
    """The end. `reason` is in lower case, and may be one that nobody has documented."""

    reason: str
    deadline_unix_ms: int


@dataclass(frozen=True, slots=True)
class Registration:
    """What `/register` tells of the function."""

    function_name: str
    function_version: str
    handler: str
    account_id: str | None


def _object(body: bytes) -> dict[str, object]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise EventError(f"no JSON: {error}") from error
    if not isinstance(value, dict):
        raise EventError(f"no JSON object but {type(value).__name__}")
    return value


def _text(value: dict[str, object], key: str) -> str:
    found = value.get(key)
    if not isinstance(found, str):
        return ""
    # JSON can name lone surrogates, and OTLP cannot carry them.
    return encodable(found)


def _milliseconds(value: dict[str, object], key: str) -> int:
    found = value.get(key)
    if isinstance(found, bool) or not isinstance(found, (int, float)):
        raise EventError(f'"{key}" is {type(found).__name__}, not milliseconds since 1970')
    if not 0 <= found <= MAX_UNIX_MS:
        raise EventError(f'"{key}" is no moment in milliseconds since 1970')
    return int(found)


def parse_registration(body: bytes) -> Registration:
    """The answer to `/register`. Raises EventError."""
    value = _object(body)
    return Registration(
        function_name=_text(value, "functionName"),
        function_version=_text(value, "functionVersion"),
        handler=_text(value, "handler"),
        account_id=_text(value, "accountId") or None,
    )


def parse_event(body: bytes) -> InvokeEvent | ShutdownEvent:
    """The answer to `/event/next`. Raises EventError."""
    value = _object(body)
    kind = value.get("eventType")
    if kind == "INVOKE":
        request_id = _text(value, "requestId")
        if not request_id:
            raise EventError('INVOKE without "requestId"')
        tracing = value.get("tracing")
        header = _text(tracing, "value") if isinstance(tracing, dict) else ""
        return InvokeEvent(
            request_id=request_id,
            deadline_unix_ms=_milliseconds(value, "deadlineMs"),
            invoked_function_arn=_text(value, "invokedFunctionArn"),
            xray_header=header or None,
        )
    if kind == "SHUTDOWN":
        return ShutdownEvent(
            reason=_text(value, "shutdownReason").lower(),
            deadline_unix_ms=_milliseconds(value, "deadlineMs"),
        )
    named = repr(kind[:40]) if isinstance(kind, str) else type(kind).__name__
    raise EventError(f"unknown eventType {named}")
