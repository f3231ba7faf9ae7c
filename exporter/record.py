"""What the lifecycle hands to the exporter: one finished invocation, as plain values.

These are the core's only output. They hold no OpenTelemetry type, so the loop that
makes them never waits for OpenTelemetry to be imported.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence

from exporter.values import dataclass, field, replace

AttributeValue = str | bool | int | float | Sequence[str]


class Fate(enum.Enum):
    """How an invocation ended, as far as anybody could tell."""

    __hash__ = object.__hash__  # it is looked up for each: `Enum`'s own is a call in Python

    RETURNED = "returned"
    RAISED = "raised"
    TIMED_OUT = "timed_out"
    CRASHED = "crashed"
    OUT_OF_MEMORY = "out_of_memory"
    INIT_FAILED = "init_failed"
    """It never reached the handler: import or init raised, exited or took too long."""
    UNREPORTED = "unreported"
    """It was invoked and over, and nobody said how: a function without a writer."""


def encodable(text: str) -> str:
    """Without lone surrogates: JSON can name them, and protobuf refuses a whole batch for one."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


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
    of_platform: bool = False
    """A part of the invocation that Lambda has timed, not the function."""


@dataclass(frozen=True, slots=True)
class RemoteSpan:
    """A span elsewhere that this one has to do with; IDs of 16 and 8 bytes."""

    trace_id: bytes
    span_id: bytes
    trace_flags: int


@dataclass(frozen=True, slots=True)
class Passed:
    """Spans of an OpenTelemetry SDK in the function, to be sent as they are.

    `data` is an ExportTraceServiceRequest of `span_count` spans. `invocation_span_ids` are those
    among them that stand for an invocation, as OpenTelemetry's own instrumentation makes them:
    the record's own takes their place.
    """

    data: bytes
    span_count: int
    invocation_span_ids: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """What Lambda reports when everything about an invocation is over; None: not told.

    Source: Telemetry API schema, ``platform.report``, ``metrics``.
    """

    billed_duration_ms: float | None = None
    duration_ms: float | None = None
    init_duration_ms: float | None = None
    restore_duration_ms: float | None = None
    memory_used_mb: int | None = None
    memory_size_mb: int | None = None


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
    ID it is the key, because a retry brings the same request ID again. `request_id` is empty
    where init failed and nobody told for which request.
    `trace_id` is 16 bytes, `span_id` 8: the writer's from START, else drawn here.
    `failure` is why it failed; `exception`, where the handler raised one, its details.
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
    initialization_type: str | None = None
    """How its environment was initialised, ``on-demand`` for one; of its first alone."""
    proactive_init: bool = False
    """It was the first, in an environment that Lambda had initialised before any request."""
    xray_header: str | None = None
    tenant_id: str | None = None
    durable_execution_arn: str | None = None
    parent_span_id: bytes | None = None
    trace_flags: int = 1
    tracestate: str = ""
    """The caller's span, and its trace's flags and state; a trace begun here is sampled."""
    span_name: str = ""
    """Where the trigger's conventions name the span, else empty."""
    attributes: Mapping[str, AttributeValue] = field(default_factory=dict)
    """What the trigger and the result say."""
    links: tuple[RemoteSpan, ...] = ()
    failure: Failure | None = None
    exception: Failure | None = None
    request: Payload | None = None
    """The handler's event, where it is captured."""
    result: Payload | None = None
    produced_bytes: int | None = None
    report: Report | None = None
    partials: tuple[Partial, ...] = ()
    events: tuple[Event, ...] = ()
    children: tuple[ChildSpan, ...] = ()
    passed: tuple[Passed, ...] = ()
    ledger: Mapping[str, int] = field(default_factory=dict)
    """The ledger's figures when this was accepted, where something had been lost or held up."""

    @property
    def caller_sampled(self) -> bool | None:
        """What its caller's flag says; None where the trace begins here."""
        return None if self.parent_span_id is None else bool(self.trace_flags & 1)


@dataclass(frozen=True, slots=True)
class Supplement:
    """What was told of an invocation whose record was out already.

    `trace_id` and `span_id` are the invocation's, `span_id` empty where there was none, but an
    init that failed. `time_unix_ns` is when it was told, `report_span_id` drawn for a span that
    carries the report. `caller_sampled` and `failed` are the invocation's: by them it was sampled.
    """

    trace_id: bytes
    span_id: bytes
    environment: Environment
    time_unix_ns: int
    produced_bytes: int | None = None
    report: Report | None = None
    report_span_id: bytes = b""
    children: tuple[ChildSpan, ...] = ()
    passed: tuple[Passed, ...] = ()
    caller_sampled: bool | None = None
    failed: bool = False


Record = Invocation | Supplement


def merged(invocation: Invocation, late: Supplement) -> Invocation:
    """`invocation` with what came after it."""
    return replace(
        invocation,
        produced_bytes=(
            invocation.produced_bytes if late.produced_bytes is None else late.produced_bytes
        ),
        report=late.report or invocation.report,
        children=invocation.children + late.children,
        passed=invocation.passed + late.passed,
    )
