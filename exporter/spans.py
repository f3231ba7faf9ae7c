"""Finished invocations to OpenTelemetry spans: a pure conversion.

One `Invocation` gives one SERVER span and an INTERNAL span for each of its children, all in
one trace; a `Supplement` the children that came behind. Source: OpenTelemetry semantic
conventions 1.44, "FaaS spans", "AWS Lambda" and "Exceptions on spans".
"""

from __future__ import annotations

import base64
import codecs
from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event as SdkEvent
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.sdk.version import __version__ as sdk_version
from opentelemetry.trace import (
    Link,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    TraceState,
)

from exporter import attributes as names
from exporter import xray
from exporter.adoption import adopted
from exporter.flattening import flattened
from exporter.record import (
    AttributeValue,
    ChildSpan,
    Environment,
    Event,
    Failure,
    Invocation,
    Partial,
    Payload,
    Record,
    Report,
    Supplement,
    encodable,
)
from exporter.redaction import Redactor
from exporter.status import error_type
from exporter.values import dataclass, replace

Attributes = dict[str, AttributeValue]

_BYTES_PER_MB = 1024 * 1024
_ARN_PARTS = 7
"""``arn:aws:lambda:region:account:function:name``; a qualifier is the eighth."""
_NO_ALIAS = "$LATEST"
MAX_ARNS = 64
"""By which a function may be invoked, and of which the resource is remembered."""
_NO_BODY = "none"
_BINARY = "binary"
_MESSAGE_IS_CUT_BYTES = 4_093
_STACK_TRACE_IS_CUT_BYTES = 16_381
"""The function cuts them at three bytes more, between characters, and does not say so."""
_JSON = "json"
_OFF = "off"
_ALWAYS = "always"
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)
_UNSET = Status(StatusCode.UNSET)


def spanpipe_version() -> str:
    """The installed distribution's; "0" in a tree that was never installed."""
    try:
        return version("spanpipe")
    except PackageNotFoundError:
        return "0"


class _OneResource(Resource):
    """Hashed once: the encoder hashes it for every span, and the SDK's way is a JSON dump."""

    def __init__(self, attributes: Mapping[str, AttributeValue]) -> None:
        super().__init__(attributes)
        self._hash = super().__hash__()

    def __eq__(self, other: object) -> bool:
        return self is other or super().__eq__(other)

    def __hash__(self) -> int:
        return self._hash


@dataclass(slots=True)
class Span(ReadableSpan):
    """Of ours: what an SDK's span copies or wraps for whoever asks is there as it is."""

    name: str
    context: SpanContext
    parent: SpanContext | None
    resource: Resource
    instrumentation_scope: InstrumentationScope
    attributes: Attributes
    events: Sequence[SdkEvent]
    links: Sequence[Link]
    kind: SpanKind
    status: Status
    start_time: int
    end_time: int
    dropped_attributes = dropped_events = dropped_links = 0

    def get_span_context(self) -> SpanContext:
        """As `context`."""
        return self.context


class SpanBuilder:
    """Builds spans; keeps the last environment's resource, since it hardly ever changes.

    `service_name` None: the resource attributes' own, else the function's name.
    `platform_spans` False: what Lambda has timed inside an invocation is left out.

    What leaves is decided here, whatever was captured before the configuration was known:
    `response` and `request` are ``off``, ``on_error`` or ``always``, a body over `max_body_bytes`
    is cut (None: as it came), `flat` makes an attribute of each value in it, and `redactor`
    leaves out secrets (None: the default rules).
    """

    def __init__(
        self,
        service_name: str | None = None,
        resource_attributes: Mapping[str, str | bool | int | float] | None = None,
        *,
        platform_spans: bool = True,
        response: str = _ALWAYS,
        request: str = _OFF,
        flat: bool = False,
        max_body_bytes: int | None = None,
        redactor: Redactor | None = None,
    ) -> None:
        self._platform_spans = platform_spans
        self._response = response
        self._request = request
        self._flat = flat
        self._max_body_bytes = max_body_bytes
        self._redactor = redactor or Redactor()
        self._service_name = encodable(service_name or "")
        self._resource_attributes = {
            encodable(name): encodable(value) if isinstance(value, str) else value
            for name, value in (resource_attributes or {}).items()
        }
        self._environment: Environment | None = None
        self._resource = _OneResource({})
        self._version = spanpipe_version()
        self._scope = InstrumentationScope("spanpipe", self._version)

    def spans(self, records: Sequence[Record]) -> list[ReadableSpan]:
        """The spans of `records`, each invocation's own span before its children's."""
        built: list[ReadableSpan] = []
        for record in records:
            if isinstance(record, Invocation):
                self._add_spans(record, built)
            else:
                self._add_late_spans(record, built)
        return built

    def resource(self, environment: Environment) -> Resource:
        """The resource of every span from `environment`."""
        if environment is not self._environment:
            if environment != self._environment:
                self._resource = _OneResource(self._resource_attributes_of(environment))
            self._environment = environment
        return self._resource

    def _resource_attributes_of(self, environment: Environment) -> Attributes:
        found: Attributes = {
            names.CLOUD_PROVIDER: "aws",
            names.CLOUD_PLATFORM: "aws_lambda",
            names.FAAS_NAME: environment.function_name,
            names.FAAS_VERSION: environment.function_version,
            names.SERVICE_NAME: environment.function_name,
            names.TELEMETRY_SDK_LANGUAGE: "python",
            names.TELEMETRY_SDK_NAME: "opentelemetry",
            names.TELEMETRY_SDK_VERSION: sdk_version,
            names.TELEMETRY_DISTRO_NAME: "spanpipe",
            names.TELEMETRY_DISTRO_VERSION: self._version,
        }
        if environment.region:
            found[names.CLOUD_REGION] = environment.region
        if environment.memory_mb:
            found[names.FAAS_MAX_MEMORY] = environment.memory_mb * _BYTES_PER_MB
        if environment.log_group:
            found[names.AWS_LOG_GROUP_NAMES] = (environment.log_group,)
        if environment.log_stream:
            found[names.FAAS_INSTANCE] = environment.log_stream
            found[names.AWS_LOG_STREAM_NAMES] = (environment.log_stream,)
        found.update(self._resource_attributes)
        if self._service_name:
            found[names.SERVICE_NAME] = self._service_name
        return found

    def _add_spans(self, invocation: Invocation, built: list[ReadableSpan]) -> None:
        flags = TraceFlags(invocation.trace_flags)
        state = TraceState.from_header([invocation.tracestate]) if invocation.tracestate else None
        context = _context(invocation.trace_id, invocation.span_id, flags, state)
        caller = None
        if invocation.parent_span_id is not None:
            caller = _context(
                invocation.trace_id, invocation.parent_span_id, flags, state, is_remote=True
            )
        resource = self.resource(invocation.environment)
        kind = error_type(invocation)
        theirs = adopted(invocation)
        attributes = self._invocation_attributes(invocation, kind)
        status = self._status(invocation.failure, kind)
        links = _links(invocation)
        if theirs is not None:
            attributes.update(self._redactor.attributes(theirs.attributes))
            links += theirs.links
            if status.status_code is StatusCode.UNSET:
                status = theirs.status
        of_child: dict[bytes, list[Event]] = {}
        own: list[Event] = []
        children = self._wanted(invocation.children)
        told = invocation
        if theirs is not None:
            own += theirs.events
            if any(event.name == names.EXCEPTION for event in theirs.events):
                told = replace(invocation, exception=None)  # once is enough
        child_ids = {child.span_id for child in children}
        for event in invocation.events:
            # An event of a child that never ended is kept, in the invocation span.
            if event.span_id is not None and event.span_id in child_ids:
                of_child.setdefault(event.span_id, []).append(event)
            else:
                own.append(event)
        built.append(
            Span(
                self._redactor.text(invocation.span_name)[0]
                or invocation.environment.function_name,
                context,
                caller,
                resource,
                self._scope,
                attributes,
                self._invocation_events(told, own, failed=kind is not None),
                links,
                SpanKind.SERVER,
                status,
                invocation.start_unix_ns,
                invocation.end_unix_ns,
            )
        )
        for child in children:
            parent = context
            if child.parent_span_id is not None and child.parent_span_id in child_ids:
                parent = _context(invocation.trace_id, child.parent_span_id, flags, state)
            events = [self._event(event) for event in of_child.get(child.span_id, ())]
            own_context = _context(invocation.trace_id, child.span_id, flags, state)
            built.append(self._child(own_context, child, parent, resource, events))

    def _add_late_spans(self, late: Supplement, built: list[ReadableSpan]) -> None:
        """The platform's spans of an invocation that left before them; the report as one too."""
        parent = _context(late.trace_id, late.span_id) if late.span_id else None
        resource = self.resource(late.environment)
        children = self._wanted(late.children)
        if late.report is not None and self._platform_spans:
            attributes = _report_attributes(late.report)
            moment_ns = late.time_unix_ns
            children.append(
                ChildSpan(late.report_span_id, None, "report", moment_ns, moment_ns, attributes)
            )
        for child in children:
            own_context = _context(late.trace_id, child.span_id)
            built.append(self._child(own_context, child, parent, resource, []))

    def _wanted(self, children: Sequence[ChildSpan]) -> list[ChildSpan]:
        return [one for one in children if self._platform_spans or not one.of_platform]

    def _child(
        self,
        context: SpanContext,
        child: ChildSpan,
        parent: SpanContext | None,
        resource: Resource,
        events: list[SdkEvent],
    ) -> ReadableSpan:
        attributes = self._redactor.attributes(child.attributes)
        status = _UNSET
        if child.failure is not None:
            failure = self._failure(child.failure)
            attributes[names.ERROR_TYPE] = failure.error_type
            events.append(_exception(failure, child.end_unix_ns))
            status = Status(StatusCode.ERROR, failure.message or None)
        return Span(
            child.name,
            context,
            parent,
            resource,
            self._scope,
            attributes,
            events,
            (),
            SpanKind.INTERNAL,
            status,
            child.start_unix_ns,
            child.end_unix_ns,
        )

    def _invocation_attributes(self, invocation: Invocation, kind: str | None) -> Attributes:
        failed = kind is not None
        # A trigger's word never replaces what is known here.
        found = {
            names.FAAS_TRIGGER: "other",
            **self._redactor.attributes(invocation.attributes),
            **_invocation_attributes(invocation, kind),
        }
        if invocation.request is not None and _wants(self._request, failed):
            found.update(self._body_attributes(invocation.request, names.REQUEST))
        if invocation.result is not None:
            found.update(self._result_attributes(invocation.result, failed))
        if invocation.produced_bytes is not None:
            found[names.PRODUCED_BYTES] = invocation.produced_bytes
        if invocation.report is not None:
            found.update(_report_attributes(invocation.report))
        for name, count in invocation.ledger.items():
            found[names.LEDGER_PREFIX + name] = count
        return found

    def _result_attributes(self, payload: Payload, failed: bool) -> Attributes:
        if not _wants(self._response, failed):
            payload = replace(payload, body=b"", content_kind=_NO_BODY)
        return self._body_attributes(payload, names.RESULT)

    def _body_attributes(self, payload: Payload, of: names.BodyNames) -> Attributes:
        found: Attributes = {of.content_kind: payload.content_kind}
        if payload.content_kind != _NO_BODY:
            body = _cut(payload, self._max_body_bytes)
            truncated = payload.truncated or len(body) < len(payload.body)
            text, redacted = self._body_text(body, payload.content_kind, cut=truncated)
            flat = None
            if self._flat and not truncated and payload.content_kind == _JSON:
                flat = flattened(of.body, text)
            if flat is None:
                found[of.body] = text
            else:
                found.update(flat[0])
                if flat[1]:
                    found[of.dropped_values] = flat[1]
            found[of.truncated] = truncated
            if redacted:
                found[of.redacted] = redacted
        if payload.size_bytes is not None:
            found[of.size_bytes] = payload.size_bytes
        return found

    def _body_text(self, body: bytes, content_kind: str, *, cut: bool) -> tuple[str, int]:
        """OTLP attributes are text: binary bodies as base64 (RFC 4648).

        Bytes that are text all the same are read as text before; others hold no names.
        """
        if content_kind != _BINARY:
            return self._redactor.text(body.decode("utf-8", "backslashreplace"), cut=cut)
        try:
            # A cut may have left a part of a character at the end.
            text = codecs.getincrementaldecoder("utf-8")().decode(body, final=not cut)
        except UnicodeDecodeError:
            return base64.b64encode(body).decode("ascii"), 0
        text, redacted = self._redactor.text(text, cut=cut)
        kept = text.encode() if redacted else body
        return base64.b64encode(kept).decode("ascii"), redacted

    def _invocation_events(
        self, invocation: Invocation, own: Sequence[Event], *, failed: bool
    ) -> list[SdkEvent]:
        events = [self._event(event) for event in own]
        partials = enumerate(invocation.partials)
        events += [self._partial(index, one, failed) for index, one in partials]
        if invocation.exception is not None:
            exception = self._failure(invocation.exception)
            events.append(_exception(exception, invocation.end_unix_ns))
        return events

    def _event(self, event: Event) -> SdkEvent:
        attributes = self._redactor.attributes(event.attributes)
        return SdkEvent(event.name, attributes, event.time_unix_ns)

    def _partial(self, index: int, partial: Partial, failed: bool) -> SdkEvent:
        attributes = {
            names.PARTIAL_INDEX: index,
            **self._result_attributes(partial.payload, failed),
        }
        return SdkEvent(names.PARTIAL_RESULT, attributes, partial.time_unix_ns)

    def _status(self, failure: Failure | None, kind: str | None) -> Status:
        if kind is None:
            return _UNSET
        message = self._failure(failure).message if failure is not None else ""
        return Status(StatusCode.ERROR, message or kind)

    def _failure(self, failure: Failure) -> Failure:
        return replace(
            failure,
            message=self._text(failure.message, _MESSAGE_IS_CUT_BYTES),
            stack_trace=self._text(failure.stack_trace, _STACK_TRACE_IS_CUT_BYTES),
        )

    def _text(self, text: str, is_cut_bytes: int) -> str:
        return self._redactor.text(text, cut=len(text.encode("utf-8", "replace")) >= is_cut_bytes)[
            0
        ]


def _wants(when: str, failed: bool) -> bool:
    return failed if when == "on_error" else when == _ALWAYS


def _context(
    trace_id: bytes,
    span_id: bytes,
    flags: TraceFlags = _SAMPLED,
    state: TraceState | None = None,
    *,
    is_remote: bool = False,
) -> SpanContext:
    return SpanContext(
        int.from_bytes(trace_id, "big"),
        int.from_bytes(span_id, "big"),
        is_remote=is_remote,
        trace_flags=flags,
        trace_state=state,
    )


def _invocation_attributes(invocation: Invocation, kind: str | None) -> Attributes:
    found: Attributes = {names.FATE: invocation.fate.value}
    if invocation.request_id:
        found[names.FAAS_INVOCATION_ID] = invocation.request_id
    arn = invocation.invoked_function_arn
    if arn:
        found[names.AWS_LAMBDA_INVOKED_ARN] = arn
        found[names.CLOUD_RESOURCE_ID] = resource_id(arn, invocation.environment.function_version)
    account_id = invocation.environment.account_id or _account_id(arn)
    if account_id:
        found[names.CLOUD_ACCOUNT_ID] = account_id
    if invocation.cold_start is not None:
        found[names.FAAS_COLDSTART] = invocation.cold_start
    if kind:
        found[names.ERROR_TYPE] = kind
    if invocation.initialization_type:
        found[names.INIT_TYPE] = invocation.initialization_type
    if invocation.proactive_init:
        found[names.INIT_PROACTIVE] = True
    if invocation.tenant_id:
        found[names.TENANT_ID] = invocation.tenant_id
    if invocation.durable_execution_arn:
        found[names.DURABLE_EXECUTION_ARN] = invocation.durable_execution_arn
    return found


def _report_attributes(report: Report) -> Attributes:
    told = {
        names.BILLED_DURATION_MS: report.billed_duration_ms,
        names.DURATION_MS: report.duration_ms,
        names.INIT_DURATION_MS: report.init_duration_ms,
        names.RESTORE_DURATION_MS: report.restore_duration_ms,
        names.MEMORY_USED_BYTES: _bytes(report.memory_used_mb),
        names.MEMORY_SIZE_BYTES: _bytes(report.memory_size_mb),
    }
    return {name: value for name, value in told.items() if value is not None}


def _bytes(megabytes: int | None) -> int | None:
    return None if megabytes is None else megabytes * _BYTES_PER_MB


def _links(invocation: Invocation) -> list[Link]:
    found = [
        Link(
            _context(one.trace_id, one.span_id, TraceFlags(one.trace_flags), is_remote=True),
        )
        for one in invocation.links
    ]
    of_xray = xray.link(invocation.xray_header)
    if of_xray is not None:
        parent_id = int.from_bytes(invocation.parent_span_id or b"", "big")
        # Where X-Ray's is the parent, a link would say the same again.
        if of_xray.context.span_id != parent_id:
            found.append(of_xray)
    return found


@lru_cache(MAX_ARNS)
def resource_id(invoked_arn: str, function_version: str) -> str:
    """``cloud.resource_id``: the invoked ARN with an alias replaced by the version."""
    parts = invoked_arn.split(":")
    if len(parts) <= _ARN_PARTS or function_version in ("", _NO_ALIAS):
        return ":".join(parts[:_ARN_PARTS])
    return ":".join([*parts[:_ARN_PARTS], function_version])


def _account_id(arn: str) -> str:
    parts = arn.split(":")
    return parts[4] if len(parts) >= _ARN_PARTS else ""


def _cut(payload: Payload, limit: int | None) -> bytes:
    """The body within `limit` bytes, never a part of a character of text."""
    body = payload.body
    if limit is not None and len(body) > limit and payload.content_kind != _BINARY:
        while limit > 0 and body[limit] & 0xC0 == 0x80:
            limit -= 1
    return body[:limit]


def _exception(failure: Failure, time_unix_ns: int) -> SdkEvent:
    attributes: Attributes = {names.EXCEPTION_TYPE: failure.error_type}
    if failure.message:
        attributes[names.EXCEPTION_MESSAGE] = failure.message
    if failure.stack_trace:
        attributes[names.EXCEPTION_STACKTRACE] = failure.stack_trace
    return SdkEvent(names.EXCEPTION, attributes, time_unix_ns)
