"""Every attribute, event, span and metric that spanpipe sets: the one table.

`docs/attributes.md` is drawn from it (``make pages``), `tests/conformance.py` checks what
is sent against it. A new attribute is one entry here, beside its name in
`exporter/attributes.py` or its literal in `fifo` and `extension`; tests hold that neither is
there without the other, and want to see it sent (`FULL` and `TRIGGERS` in
`tests/shells/test_conformance.py`). Nothing that runs imports this.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from typing import NamedTuple

from exporter import attributes as names
from exporter.measures import TRIGGERS
from exporter.record import Fate

CONVENTIONS = "1.44"
"""The version of OpenTelemetry's semantic conventions that the names come from."""
SCOPE = "spanpipe"
"""The instrumentation scope of every span and metric that is ours; it has no attributes."""
OURS = "spanpipe."

OF_AN_SDK = frozenset({"exception.escaped"})
"""What an `exception` event may have besides, where an SDK's span of the invocation was adopted."""

Value = str | int | float | bool | tuple[str, ...]

STRING = "string"
INT = "int"
DOUBLE = "double"
BOOL = "boolean"
STRINGS = "string[]"
SCALAR = "string, int, double or boolean"

REQUIRED = "required"
CONDITIONAL = "conditionally required"
RECOMMENDED = "recommended"
OPT_IN = "opt-in"


class Place(enum.Enum):
    """What an attribute stands on."""

    RESOURCE = "resource"
    INVOCATION = "invocation span"
    INIT = "`init` and `restore` spans"
    REPORT = "`report` span"
    PLATFORM = "spans of the platform"
    USER = "spans of the function"
    EXCEPTION = "`exception` event"
    PARTIAL = "`spanpipe.partial_result` event"
    USER_EVENT = "events of the function"
    POINT = "metric points"


class Told(NamedTuple):
    """What a condition may ask: the attributes beside, and whether the span's status is ERROR."""

    attributes: Mapping[str, Value]
    is_error: bool = False


class Level(NamedTuple):
    """A requirement level of the conventions.

    `condition` says when, `holds` computes it where the attributes beside tell; `only`: where it
    does not hold the attribute must not be there.
    """

    name: str
    condition: str = ""
    holds: Callable[[Told], bool] | None = None
    only: bool = False


ALWAYS = Level(REQUIRED)
USUAL = Level(RECOMMENDED)
ASKED = Level(OPT_IN)


class Attribute(NamedTuple):
    """One attribute: its `source`, and the level on each place that has it.

    `values` are all that it may have; () any. `stable` is the conventions' word for a name of
    theirs. `note` gives the reason where we leave the conventions on purpose. A name that ends
    in ``.*`` is every name that begins so.
    """

    name: str
    type: str
    at: Mapping[Place, Level]
    source: str
    brief: str
    values: tuple[str, ...] = ()
    stable: bool = False
    note: str = ""


class Span(NamedTuple):
    """A kind of span; `name` "" where it varies."""

    name: str
    place: Place
    kind: str
    source: str
    brief: str


class Event(NamedTuple):
    """A kind of span event; `name` "" where it varies."""

    name: str
    place: Place
    on: str
    brief: str


class Metric(NamedTuple):
    """A metric, counted where `condition`; its points' attributes stand on `Place.POINT`."""

    name: str
    instrument: str
    unit: str
    condition: str
    brief: str


def when(
    condition: str, holds: Callable[[Told], bool] | None = None, *, only: bool = False
) -> Level:
    """Conditionally required."""
    return Level(CONDITIONAL, condition, holds, only)


# Conditions


def _has(name: str, *values: Value) -> Callable[[Told], bool]:
    """`name` is there, with one of `values` if any are given."""
    return lambda told: name in told.attributes and (not values or told.attributes[name] in values)


def _invoked(told: Told) -> bool:
    return told.attributes.get(names.FATE) != Fate.INIT_FAILED.value


def _failed(told: Told) -> bool:
    fate = told.attributes.get(names.FATE, Fate.RETURNED.value)
    return told.is_error or fate not in (Fate.RETURNED.value, Fate.UNREPORTED.value)


def _has_body(prefix: str) -> Callable[[Told], bool]:
    kind = f"{prefix}.content_kind"
    return lambda told: told.attributes.get(kind, "none") != "none"


def _is_single_message(told: Told) -> bool:
    return (
        "messaging.system" in told.attributes
        and "messaging.batch.message_count" not in told.attributes
    )


_is_request = _has("http.request.method")
_is_datasource = _has(names.FAAS_TRIGGER, "datasource")
_is_messaging = _has(names.FAAS_TRIGGER, "pubsub")

FAILED = when("the span's status is ERROR", _failed, only=True)
_INVOKED = when("it was invoked: `spanpipe.fate` is not `init_failed`", _invoked)
_MESSAGING = when("`faas.trigger` is `pubsub`", _is_messaging, only=True)

_KNOWN = {Place.RESOURCE: ALWAYS}
_SEEN = {Place.RESOURCE: USUAL}
_ON_SPAN = {Place.INVOCATION: USUAL}
_REPORTED = {Place.INVOCATION: USUAL, Place.REPORT: USUAL}

_ENVIRONMENT = "environment variables"
_EVENT = "START: the event"
_REPORT = "Telemetry API: platform.report"
_START_LOGS = "START: the function's environment"

_INIT_TYPE_NAMES = (
    "`on-demand`, `provisioned-concurrency`, `snap-start`, `lambda-managed-instances`"
)


def _body(
    names_of: names.BodyNames, what: str, body: Level, places: tuple[Place, ...]
) -> list[Attribute]:
    """The attributes of one captured body."""
    prefix = names_of.body.rpartition(".")[0]
    has_body = _has_body(prefix)
    source = "RESULT: the writer, a line or a file" if what == "result" else "REQUEST: the writer"
    there = when("a body is sent: its content kind is not `none`", has_body, only=True)
    partly = Level(body.name, "a body is sent", has_body, only=True)

    def at(level: Level) -> dict[Place, Level]:
        return dict.fromkeys(places, level)

    kind = at(body) | ({Place.PARTIAL: ALWAYS} if Place.PARTIAL in places else {})
    flat = "one value of the JSON body, where `capture.format` is `attributes`"
    return [
        Attribute(
            names_of.content_kind,
            STRING,
            kind,
            source,
            "What the body is; `none` where `capture` or the writer sends none.",
            ("json", "text", "binary", "none"),
        ),
        Attribute(
            names_of.body,
            SCALAR,
            at(partly),
            source,
            "The body, redacted, binary as base64. Text, save where `capture.format` is "
            "`attributes` and the body is one JSON number or boolean.",
        ),
        Attribute(f"{names_of.body}.*", SCALAR, at(partly), source, f"The {what}: {flat}."),
        Attribute(
            names_of.truncated, BOOL, at(there), source, "Whether a part of the body was cut off."
        ),
        Attribute(
            names_of.redacted,
            INT,
            at(when("a value was left out")),
            "the extension",
            "How many values were replaced by `[REDACTED]`.",
        ),
        Attribute(
            names_of.dropped_values,
            INT,
            at(when("a value was left out")),
            "the extension",
            "How many values were over the 64 of one body, where `capture.format` is `attributes`.",
        ),
        Attribute(
            names_of.size_bytes, INT, at(body), source, f"Bytes of the whole {what}, where known."
        ),
    ]


_LEDGER = {
    "accepted": "Invocations that were accepted.",
    "recovered": "Of them, found in the spool of an environment before.",
    "exported": "Taken by the collector.",
    "printed": "Printed into the log.",
    "spooled": "Written to the spool.",
    "waiting": "Waiting to be sent.",
    "dropped": "Given up, for whatever reason.",
    "uncertain": "Sent again though the collector may have had them.",
}

ATTRIBUTES: tuple[Attribute, ...] = (
    # Resource
    Attribute(names.CLOUD_PROVIDER, STRING, _KNOWN, "constant", "The cloud.", ("aws",)),
    Attribute(names.CLOUD_PLATFORM, STRING, _KNOWN, "constant", "The platform.", ("aws_lambda",)),
    Attribute(names.CLOUD_REGION, STRING, _SEEN, f"{_ENVIRONMENT}: AWS_REGION", "The region."),
    Attribute(names.FAAS_NAME, STRING, _KNOWN, "/register", "The function's name."),
    Attribute(names.FAAS_VERSION, STRING, _KNOWN, "/register", "Its version, or `$LATEST`."),
    Attribute(names.FAAS_INSTANCE, STRING, _SEEN, _START_LOGS, "The log stream's name."),
    Attribute(
        names.FAAS_MAX_MEMORY,
        INT,
        _SEEN,
        f"{_ENVIRONMENT}: AWS_LAMBDA_FUNCTION_MEMORY_SIZE; {_REPORT}",
        "The memory that the function may use, in bytes.",
    ),
    Attribute(
        names.SERVICE_NAME,
        STRING,
        _KNOWN,
        "configuration, OTEL_SERVICE_NAME; else the function's name",
        "The service that the function is a part of.",
        stable=True,
    ),
    Attribute(names.AWS_LOG_GROUP_NAMES, STRINGS, _SEEN, _START_LOGS, "The one log group's name."),
    Attribute(
        names.AWS_LOG_STREAM_NAMES, STRINGS, _SEEN, _START_LOGS, "The one log stream's name."
    ),
    Attribute(
        names.TELEMETRY_SDK_LANGUAGE,
        STRING,
        _KNOWN,
        "constant",
        "The language that the spans are made in, whatever the function's is.",
        ("python",),
        stable=True,
    ),
    Attribute(
        names.TELEMETRY_SDK_NAME,
        STRING,
        _KNOWN,
        "constant",
        "The SDK.",
        ("opentelemetry",),
        stable=True,
    ),
    Attribute(
        names.TELEMETRY_SDK_VERSION,
        STRING,
        _KNOWN,
        "the package",
        "The SDK's version.",
        stable=True,
    ),
    Attribute(
        names.TELEMETRY_DISTRO_NAME,
        STRING,
        _KNOWN,
        "constant",
        "This distribution.",
        ("spanpipe",),
        stable=True,
    ),
    Attribute(
        names.TELEMETRY_DISTRO_VERSION, STRING, _KNOWN, "the package", "Its version.", stable=True
    ),
    # Invocation
    Attribute(
        names.FATE,
        STRING,
        {Place.INVOCATION: ALWAYS},
        "the writer, Telemetry API, SHUTDOWN, the next INVOKE",
        "How the invocation ended.",
        tuple(fate.value for fate in Fate),
    ),
    Attribute(
        names.FAAS_TRIGGER,
        STRING,
        {
            Place.INVOCATION: ALWAYS,
            Place.POINT: when("the record tells it: no report that came late"),
        },
        f"{_EVENT}; else `other`",
        "What invoked the function.",
        TRIGGERS,
    ),
    Attribute(
        names.FAAS_INVOCATION_ID,
        STRING,
        {Place.INVOCATION: _INVOKED},
        "INVOKE event, platform.start, START",
        "The request ID; a retry has the same again.",
    ),
    Attribute(
        names.AWS_LAMBDA_INVOKED_ARN,
        STRING,
        {Place.INVOCATION: USUAL},
        "INVOKE event, platform.start, START",
        "The ARN that was invoked, alias or version included.",
    ),
    Attribute(
        names.CLOUD_RESOURCE_ID,
        STRING,
        {Place.INVOCATION: when("the ARN is known", _has(names.AWS_LAMBDA_INVOKED_ARN), only=True)},
        "the invoked ARN",
        "The ARN with an alias replaced by the version.",
    ),
    Attribute(
        names.CLOUD_ACCOUNT_ID,
        STRING,
        {Place.INVOCATION: when("the ARN is known", _has(names.AWS_LAMBDA_INVOKED_ARN))},
        "/register, the invoked ARN",
        "The function's account.",
        note="On the span, as the conventions for AWS Lambda have it, not on the resource as the "
        "entity `cloud`: it may be known from the invoked ARN only.",
    ),
    Attribute(
        names.FAAS_COLDSTART,
        BOOL,
        _ON_SPAN,
        "START, the first INVOKE, AWS_LAMBDA_INITIALIZATION_TYPE",
        "Whether the caller waited for an init; absent where nobody said.",
    ),
    Attribute(
        names.ERROR_TYPE,
        STRING,
        dict.fromkeys((Place.INVOCATION, Place.INIT, Place.USER), FAILED),
        "the writer, Telemetry API, SHUTDOWN; the result's status where it is 5xx",
        "The exception's type, Lambda's error type, or the HTTP status.",
        stable=True,
    ),
    Attribute(
        names.INIT_TYPE,
        STRING,
        {Place.INVOCATION: USUAL, Place.INIT: ALWAYS},
        "platform.initStart, AWS_LAMBDA_INITIALIZATION_TYPE",
        f"How the environment was initialised, of its first invocation alone: {_INIT_TYPE_NAMES}, "
        "or what Lambda says next.",
    ),
    Attribute(
        names.INIT_PHASE,
        STRING,
        {Place.INIT: USUAL},
        "Telemetry API: platform.initStart",
        "Lambda's `phase`: `init`, or `invoke` where the init was done again.",
    ),
    Attribute(
        names.INIT_PROACTIVE,
        BOOL,
        _ON_SPAN,
        "when INVOKE came",
        "true on the first invocation of an environment that Lambda had initialised ahead.",
    ),
    Attribute(
        names.TENANT_ID,
        STRING,
        {Place.INVOCATION: when("the function is isolated by tenant")},
        "START, platform.start",
        "The tenant that the environment serves.",
    ),
    Attribute(
        names.DURABLE_EXECUTION_ARN,
        STRING,
        {Place.INVOCATION: when("the function is durable")},
        _EVENT,
        "The durable execution that this invocation replays.",
    ),
    Attribute(
        names.PRODUCED_BYTES,
        INT,
        _ON_SPAN,
        "Telemetry API: platform.runtimeDone",
        "Bytes of the response.",
    ),
    Attribute(names.BILLED_DURATION_MS, DOUBLE, _REPORTED, _REPORT, "What is billed, in ms."),
    Attribute(names.DURATION_MS, DOUBLE, _REPORTED, _REPORT, "Lambda's own duration, in ms."),
    Attribute(names.INIT_DURATION_MS, DOUBLE, _REPORTED, _REPORT, "The init's, in ms."),
    Attribute(
        names.RESTORE_DURATION_MS, DOUBLE, _REPORTED, _REPORT, "A SnapStart restore's, in ms."
    ),
    Attribute(names.MEMORY_USED_BYTES, INT, _REPORTED, _REPORT, "The most memory that was used."),
    Attribute(names.MEMORY_SIZE_BYTES, INT, _REPORTED, _REPORT, "The memory that there is."),
    *_body(names.RESULT, "result", USUAL, (Place.INVOCATION, Place.PARTIAL)),
    *_body(names.REQUEST, "request", ASKED, (Place.INVOCATION,)),
    *(
        Attribute(
            names.LEDGER_PREFIX + name,
            INT,
            {
                Place.INVOCATION: when(
                    "something was lost or held up before",
                    _has(f"{names.LEDGER_PREFIX}accepted"),
                    only=True,
                )
            },
            "the ledger, when the invocation was accepted",
            brief,
        )
        for name, brief in _LEDGER.items()
    ),
    Attribute(
        "spanpipe.batch.failed_count",
        INT,
        _ON_SPAN,
        "the result: `batchItemFailures`",
        "Messages of a batch that the handler gave back.",
    ),
    Attribute(
        "spanpipe.links.cut",
        INT,
        _ON_SPAN,
        _EVENT,
        "Messages of a batch, over 128, whose context was not looked at.",
    ),
    # HTTP
    Attribute(
        "http.request.method",
        STRING,
        {
            Place.INVOCATION: when(
                "an HTTP request is told: `url.scheme` is `http` or `https`",
                _has("url.scheme", "http", "https"),
                only=True,
            )
        },
        _EVENT,
        "The method.",
        (
            *("GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"),
            *("QUERY", "_OTHER"),
        ),
        stable=True,
        note="Absent for a WebSocket's message and for AppSync, whose events tell none.",
    ),
    Attribute(
        "http.request.method_original",
        STRING,
        {Place.INVOCATION: when("the method came in another spelling, or is not known")},
        _EVENT,
        "The method as it came.",
        stable=True,
    ),
    Attribute(
        "http.route",
        STRING,
        {Place.INVOCATION: when("the event has one")},
        _EVENT,
        "API Gateway's resource or route; a WebSocket's route key.",
        stable=True,
    ),
    Attribute(
        "url.path",
        STRING,
        {Place.INVOCATION: when("the event has a method", _is_request, only=True)},
        _EVENT,
        "The path.",
        stable=True,
    ),
    Attribute(
        "url.query",
        STRING,
        {Place.INVOCATION: when("the event has one")},
        _EVENT,
        "The query, redacted.",
        stable=True,
    ),
    Attribute(
        "url.scheme",
        STRING,
        {Place.INVOCATION: when("the event has a method", _is_request)},
        _EVENT,
        "`X-Forwarded-Proto`, else `https`; `wss` for a WebSocket.",
        stable=True,
    ),
    Attribute(
        "server.address", STRING, _ON_SPAN, _EVENT, "`Host`, or a WebSocket's domain.", stable=True
    ),
    Attribute("user_agent.original", STRING, _ON_SPAN, _EVENT, "`User-Agent`.", stable=True),
    Attribute(
        names.HTTP_STATUS,
        INT,
        {Place.INVOCATION: when("`faas.trigger` is `http` and the result has one")},
        "the result: `statusCode`",
        "The status; from 500 on the span's status is ERROR.",
        stable=True,
        note="Absent where the result has none: what API Gateway or a function URL makes of it "
        "is theirs to say.",
    ),
    Attribute(
        "graphql.operation.type",
        STRING,
        {Place.INVOCATION: when("AppSync resolves a field of an operation's own type")},
        _EVENT,
        "The operation.",
        ("query", "mutation", "subscription"),
    ),
    # Messaging
    Attribute(
        "messaging.system",
        STRING,
        {Place.INVOCATION: _MESSAGING},
        _EVENT,
        "What the message came through.",
        ("aws_sqs", "aws.sns", "aws.kinesis", "aws.iot", "aws.eventbridge", "kafka"),
        note="`aws.kinesis`, `aws.iot` and `aws.eventbridge` are our own values: the conventions "
        "have none for them, and allow others.",
    ),
    Attribute(
        "messaging.operation.type",
        STRING,
        {Place.INVOCATION: _MESSAGING},
        "constant",
        "The kind of operation.",
        ("process",),
    ),
    Attribute(
        "messaging.operation.name",
        STRING,
        {Place.INVOCATION: _MESSAGING},
        "constant",
        "The operation.",
        ("process",),
    ),
    Attribute(
        "messaging.destination.name",
        STRING,
        {Place.INVOCATION: when("the event names it")},
        _EVENT,
        "The queue, topic or stream.",
    ),
    Attribute(
        "messaging.message.id",
        STRING,
        {
            Place.INVOCATION: Level(
                RECOMMENDED, "the event is one message", _is_single_message, only=True
            )
        },
        _EVENT,
        "The message's ID.",
    ),
    Attribute(
        "messaging.batch.message_count",
        INT,
        {Place.INVOCATION: when("the event is a batch of more than one message")},
        _EVENT,
        "Messages of the batch.",
    ),
    Attribute(
        "messaging.destination.partition.id",
        STRING,
        _ON_SPAN,
        _EVENT,
        "The partition, where all records are of one.",
    ),
    Attribute(
        "messaging.kafka.offset", INT, _ON_SPAN, _EVENT, "The record's offset, where it is one."
    ),
    Attribute(
        "spanpipe.tracestate.cut",
        INT,
        _ON_SPAN,
        _EVENT,
        "Characters of a caller's tracestate that was left out.",
    ),
    Attribute("aws.sns.topic.arn", STRING, _ON_SPAN, _EVENT, "The topic."),
    # Timers and data sources
    Attribute("faas.time", STRING, _ON_SPAN, _EVENT, "When the schedule was due, ISO 8601."),
    Attribute(
        "faas.document.collection",
        STRING,
        {Place.INVOCATION: when("`faas.trigger` is `datasource`", _is_datasource, only=True)},
        _EVENT,
        "The table or the bucket.",
    ),
    Attribute(
        "faas.document.operation",
        STRING,
        {
            Place.INVOCATION: when(
                "`faas.trigger` is `datasource` and the event is one of the three"
            )
        },
        _EVENT,
        "What was done.",
        ("insert", "edit", "delete"),
        note="The conventions require it: S3 tells of restores, replication and lifecycles too, "
        "which are none of their values.",
    ),
    Attribute("faas.document.time", STRING, _ON_SPAN, _EVENT, "When it was done, ISO 8601."),
    Attribute("faas.document.name", STRING, _ON_SPAN, _EVENT, "The object's key."),
    # Events, and what is said of a span's own attributes
    Attribute(
        names.EXCEPTION_TYPE,
        STRING,
        {Place.EXCEPTION: ALWAYS},
        "the writer",
        "The exception's class.",
        stable=True,
    ),
    Attribute(
        names.EXCEPTION_MESSAGE,
        STRING,
        {Place.EXCEPTION: USUAL},
        "the writer",
        "Its message, redacted.",
        stable=True,
        note="Absent where the exception has none; its type always stands there instead.",
    ),
    Attribute(
        names.EXCEPTION_STACKTRACE,
        STRING,
        {Place.EXCEPTION: USUAL},
        "the writer",
        "Its stack trace, redacted.",
        stable=True,
    ),
    Attribute(
        names.PARTIAL_INDEX, INT, {Place.PARTIAL: ALWAYS}, "the extension", "Its place, from 0."
    ),
    Attribute(
        "spanpipe.attributes",
        STRING,
        {Place.USER: USUAL, Place.USER_EVENT: USUAL},
        "the writer",
        "Stands for attributes that were too large: `over 32768 bytes`.",
        ("over 32768 bytes",),
    ),
)

_TELEMETRY = "Telemetry API"
_DONE = f"{_TELEMETRY}: spans of platform.runtimeDone or platform.report"

SPANS: tuple[Span, ...] = (
    Span(
        "",
        Place.INVOCATION,
        "SERVER",
        "INVOKE event",
        "One for each INVOKE, named after the function or `METHOD /route`; SERVER for every "
        "trigger, as the conventions for AWS Lambda have it.",
    ),
    Span(
        "init", Place.INIT, "INTERNAL", f"{_TELEMETRY}: platform.init*", "The environment's init."
    ),
    Span(
        "restore",
        Place.INIT,
        "INTERNAL",
        f"{_TELEMETRY}: platform.restore*",
        "A SnapStart restore.",
    ),
    Span("responseLatency", Place.PLATFORM, "INTERNAL", _DONE, "From INVOKE to the first byte."),
    Span("responseDuration", Place.PLATFORM, "INTERNAL", _DONE, "From the first byte to the last."),
    Span(
        "runtimeOverhead", Place.PLATFORM, "INTERNAL", _DONE, "The runtime's own work afterwards."
    ),
    Span("extensionOverhead", Place.PLATFORM, "INTERNAL", _DONE, "Extensions' work afterwards."),
    Span(
        "report",
        Place.REPORT,
        "INTERNAL",
        _REPORT,
        "A report that came after its invocation's span had left; without duration.",
    ),
    Span(
        "",
        Place.USER,
        "INTERNAL",
        "SPAN: `fifo.span`",
        "A part of the handler's work, with attributes of the user's own.",
    ),
)

EVENTS: tuple[Event, ...] = (
    Event(
        names.EXCEPTION,
        Place.EXCEPTION,
        "an invocation or a child span that raised",
        "The exception, as the conventions tell it.",
    ),
    Event(names.PARTIAL_RESULT, Place.PARTIAL, "the invocation span", "A result from `fifo.emit`."),
    Event(
        "",
        Place.USER_EVENT,
        "an invocation or a child span",
        "From `fifo.event`, with attributes of the user's own.",
    ),
)

METRICS: tuple[Metric, ...] = (
    Metric(
        names.INVOKE_DURATION, "histogram", "s", "where the end is known", "The handler's time."
    ),
    Metric(names.INIT_DURATION, "histogram", "s", "where a report tells it", "The init's time."),
    Metric(names.MEM_USAGE, "histogram", "By", "where a report tells it", "The most memory used."),
    Metric(names.COLDSTARTS, "counter", "{coldstart}", "`faas.coldstart` is true", "Cold starts."),
    Metric(names.ERRORS, "counter", "{error}", "it failed", "Failed invocations."),
    Metric(names.INVOCATIONS, "counter", "{invocation}", "it did not fail", "Successful ones."),
    Metric(names.TIMEOUTS, "counter", "{timeout}", "it timed out", "Those that timed out."),
)

LEFT_OUT: Mapping[str, str] = {
    "aws.lambda.resource_mapping.id": "Lambda does not tell it to the function or an extension.",
    "faas.cron": "A scheduled event does not have the expression.",
    "cloud.availability_zone": "Lambda does not tell it.",
    "aws.log.group.arns": "Made of the region, the account and the name, which are sent.",
    "aws.log.stream.arns": "Made of the region, the account and the names, which are sent.",
    "service.version": "The user's to say: `resource.attributes`; `faas.version` is Lambda's.",
    "service.criticality": "The user's to say: `resource.attributes`.",
    "faas.cpu_usage": "Lambda does not report it.",
    "faas.net_io": "Lambda does not report it.",
}
"""What the conventions recommend for a Lambda function and we do not send, and why."""
