"""What the lifecycle hands to the exporter: one finished invocation, as plain values.

These are the core's only output. They hold no OpenTelemetry type, so the loop that
makes them never waits for OpenTelemetry to be imported.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

AttributeValue = str | bool | int | float | Sequence[str]


class Fate(enum.Enum):
    """How an invocation ended, as far as anybody could tell."""

    RETURNED = "returned"
    RAISED = "raised"
    TIMED_OUT = "timed_out"
    CRASHED = "crashed"
    UNREPORTED = "unreported"
    """It was invoked and over, and nobody said how: a function without a writer."""


@dataclass(frozen=True, slots=True)
class Payload:
    """A captured body: `size_bytes` is what the function had, `body` what was kept of it."""

    body: bytes
    size_bytes: int | None
    truncated: bool
    content_kind: str
    """``json``, ``text`` or ``binary``."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why something failed; `error_type` becomes ``error.type``, low in cardinality."""

    error_type: str
    message: str = ""
    stack_trace: str = ""


@dataclass(frozen=True, slots=True)
class Event:
    """A moment inside an invocation or a child span."""

    time_unix_ns: int
    name: str
    attributes: Mapping[str, AttributeValue] = field(default_factory=dict)
    span_id: bytes | None = None
    """The child span (8 bytes) it belongs to; None is the invocation span."""


@dataclass(frozen=True, slots=True)
class Partial:
    """A partial result that the function streamed before its end."""

    time_unix_ns: int
    payload: Payload


@dataclass(frozen=True, slots=True)
class ChildSpan:
    """Work inside an invocation; `parent_span_id` None is the invocation span."""

    span_id: bytes
    parent_span_id: bytes | None
    name: str
    start_unix_ns: int
    end_unix_ns: int
    attributes: Mapping[str, AttributeValue] = field(default_factory=dict)
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class Environment:
    """The execution environment; every span's resource comes from it.

    `log_group` and `log_stream` are seen by the function alone, and arrive with START.
    """

    function_name: str
    function_version: str
    region: str | None = None
    account_id: str | None = None
    memory_mb: int | None = None
    log_group: str | None = None
    log_stream: str | None = None


@dataclass(frozen=True, slots=True)
class Invocation:
    """One INVOKE delivery, finished. Times are Unix epoch nanoseconds.

    `ordinal` counts INVOKE deliveries in this extension process from 1: with the request
    ID it is the key, because a retry brings the same request ID again.
    `trace_id` is 16 bytes, `span_id` 8: the writer's from START, else drawn here.
    """

    ordinal: int
    request_id: str
    invoked_function_arn: str
    environment: Environment
    trace_id: bytes
    span_id: bytes
    start_unix_ns: int
    end_unix_ns: int
    fate: Fate
    deadline_unix_ms: int
    cold_start: bool | None = None
    """None where nobody said: no START came and it was not this environment's first."""
    xray_header: str | None = None
    failure: Failure | None = None
    result: Payload | None = None
    partials: tuple[Partial, ...] = ()
    events: tuple[Event, ...] = ()
    children: tuple[ChildSpan, ...] = ()
