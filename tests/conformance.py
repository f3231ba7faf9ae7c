"""What was sent, against the table of attributes: pure functions from OTLP to deviations.

One deviation is one sentence: where, which name, what is wrong; none is an empty list. What the
user has made is told apart: spans, events and resources of other scopes are not looked at,
attributes of the function's own spans and events may have any name outside ``spanpipe.``, and
the resource any name whose first part the table does not use there, or one of `users`.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from docs import attribute_table as table
from docs.attribute_table import Attribute, Level, Place, Told, Value

_TYPES = {
    "string_value": table.STRING,
    "bool_value": table.BOOL,
    "int_value": table.INT,
    "double_value": table.DOUBLE,
}
_SCALARS = frozenset(_TYPES.values())
_OPEN = (Place.USER, Place.USER_EVENT)
"""The user names what stands there."""
_USERS = ("service.", "telemetry.")
"""Namespaces of the resource in which a user may well say more than we do."""
_SPANS = {span.name: span for span in table.SPANS if span.name}
_EVENTS = {event.name: event.place for event in table.EVENTS if event.name}
_METRICS = {metric.name: metric for metric in table.METRICS}


def _rows(place: Place) -> dict[str, tuple[Attribute, Level]]:
    return {one.name: (one, one.at[place]) for one in table.ATTRIBUTES if place in one.at}


_ROWS = {place: _rows(place) for place in Place}
_NAMESPACES = frozenset(name.partition(".")[0] + "." for name in _ROWS[Place.RESOURCE])


def deviations(
    request: ExportTraceServiceRequest, users: Container[str] | None = None
) -> list[str]:
    """Of every span of ours in `request` and of its resource; `users` as `of_resource` has it."""
    found: list[str] = []
    for resource_spans in request.resource_spans:
        ours = [one for one in resource_spans.scope_spans if one.scope.name == table.SCOPE]
        if ours:
            found += of_resource(resource_spans.resource, users)
        for scope_spans in ours:
            found += _of_scope(scope_spans.scope)
            for span in scope_spans.spans:
                found += of_span(span)
    return found


def metric_deviations(
    request: ExportMetricsServiceRequest, users: Container[str] | None = None
) -> list[str]:
    """Of every metric in `request` and of its resource."""
    found: list[str] = []
    for resource_metrics in request.resource_metrics:
        found += of_resource(resource_metrics.resource, users)
        for scope_metrics in resource_metrics.scope_metrics:
            found += _of_scope(scope_metrics.scope)
            for metric in scope_metrics.metrics:
                found += _of_metric(metric)
    return found


def log_deviations(request: ExportLogsServiceRequest) -> list[str]:
    """Of the resource and the scope of every log record in `request`."""
    found: list[str] = []
    for resource_logs in request.resource_logs:
        found += of_resource(resource_logs.resource)
        for scope_logs in resource_logs.scope_logs:
            found += _of_scope(scope_logs.scope)
    return found


def place_of(span: Span) -> Place:
    """What `span` is: by its kind and its name."""
    if span.kind == Span.SPAN_KIND_SERVER:
        return Place.INVOCATION
    known = _SPANS.get(span.name)
    return Place.USER if known is None else known.place


def of_span(span: Span) -> list[str]:
    """The deviations of one span in our scope, its events and its links."""
    place = place_of(span)
    where = f"{place.value} {span.name!r}"
    is_error = span.status.code == Status.STATUS_CODE_ERROR
    found = _of_attributes(span.attributes, place, where, is_error=is_error)
    kinds = (Span.SPAN_KIND_SERVER, Span.SPAN_KIND_INTERNAL)
    if span.kind not in kinds:
        found.append(f"{where}: kind {span.kind} is neither SERVER nor INTERNAL")
    if not span.name:
        found.append(f"{where}: it has no name")
    if span.end_time_unix_nano < span.start_time_unix_nano:
        found.append(f"{where}: it ends before it starts")
    has_error_type = any(one.key == "error.type" for one in span.attributes)
    if has_error_type and not is_error:
        found.append(f"{where}: error.type, and the status is not ERROR")
    for event in span.events:
        event_place = _EVENTS.get(event.name, Place.USER_EVENT)
        on = f"{where}, {event_place.value} {event.name!r}"
        found += _of_attributes(event.attributes, event_place, on)
    found += [f"{where}: a link has attributes" for link in span.links if link.attributes]
    return found


def of_resource(resource: Any, users: Container[str] | None = None) -> list[str]:
    """The deviations of a resource of ours.

    `users` has the names that its user has set; None where nobody knows: then any name outside
    of the namespaces of Lambda's.
    """
    return _of_attributes(resource.attributes, Place.RESOURCE, Place.RESOURCE.value, users=users)


def _of_scope(scope: Any) -> list[str]:
    found = []
    if scope.name != table.SCOPE or not scope.version:
        found.append(f"scope {scope.name!r}: it is not {table.SCOPE} with a version")
    if scope.attributes:
        found.append(f"scope {scope.name!r}: it has attributes")
    return found


def _of_metric(metric: Any) -> list[str]:
    where = f"metric {metric.name!r}"
    row = _METRICS.get(metric.name)
    if row is None:
        return [f"{where}: it is not in the table"]
    found = []
    if metric.unit != row.unit:
        found.append(f"{where}: unit {metric.unit!r} is not {row.unit!r}")
    kind = metric.WhichOneof("data")
    if kind != {"histogram": "histogram", "counter": "sum"}[row.instrument]:
        return [*found, f"{where}: {kind} is no {row.instrument}"]
    data = getattr(metric, kind)
    if data.aggregation_temporality != AggregationTemporality.AGGREGATION_TEMPORALITY_DELTA:
        found.append(f"{where}: it is not delta")
    if kind == "sum" and not data.is_monotonic:
        found.append(f"{where}: it is not monotonic")
    for point in data.data_points:
        if kind == "sum" and point.WhichOneof("value") != "as_int":
            found.append(f"{where}: a point is no integer")
        found += _of_attributes(point.attributes, Place.POINT, where)
    return found


def _of_attributes(
    given: Iterable[Any],
    place: Place,
    where: str,
    *,
    is_error: bool = False,
    users: Container[str] | None = None,
) -> list[str]:
    found: list[str] = []
    values: dict[str, Value] = {}
    rows = _ROWS[place]
    for one in given:
        name = one.key
        type_, value = typed(one.value)
        if name in values:
            found.append(f"{where}: {name} is there twice")
        values[name] = value
        row = _row(rows, name)
        if row is None:
            if not _is_users(name, place, users):
                found.append(f"{where}: {name} is not in docs/attribute_table.py for this place")
            continue
        found += [f"{where}: {name} {wrong}" for wrong in _wrong(row, type_, value)]
    told = Told(values, is_error)
    for name, (_, level) in rows.items():
        found += [f"{where}: {wrong}" for wrong in _missing_or_unwanted(name, level, told)]
    return found


def _row(rows: Mapping[str, tuple[Attribute, Level]], name: str) -> Attribute | None:
    if name in rows:
        return rows[name][0]
    for pattern, (row, _) in rows.items():
        if pattern.endswith(".*") and name.startswith(pattern[:-1]):
            return row
    return None


def _is_users(name: str, place: Place, users: Container[str] | None) -> bool:
    if name.startswith(table.OURS):
        return False
    if place is Place.EXCEPTION:
        return name in table.OF_AN_SDK
    if place is not Place.RESOURCE:
        return place in _OPEN
    if users is not None:
        return name in users
    return name.startswith(_USERS) or name.partition(".")[0] + "." not in _NAMESPACES


def _wrong(row: Attribute, type_: str, value: Value) -> Iterable[str]:
    if type_ != row.type and not (row.type == table.SCALAR and type_ in _SCALARS):
        yield f"is {type_}, not {row.type}"
    elif row.values and value not in row.values:
        yield f"is {value!r}, none of {', '.join(row.values)}"
    elif value in ("", ()) and row.type in (table.STRING, table.STRINGS):
        yield "is empty"


def _missing_or_unwanted(name: str, level: Level, told: Told) -> Iterable[str]:
    is_there = name in told.attributes
    if level.holds is None:
        if level.name == table.REQUIRED and not is_there:
            yield f"{name} is missing: it is required"
        return
    holds = level.holds(told)
    if level.name == table.CONDITIONAL and holds and not is_there:
        yield f"{name} is missing: {level.condition}"
    if level.only and is_there and not holds:
        yield f"{name} is there, though only where {level.condition}"


def typed(value: Any) -> tuple[str, Value]:
    """Type, in the conventions' words, and value of an OTLP AnyValue."""
    kind = value.WhichOneof("value")
    if kind in _TYPES:
        return _TYPES[kind], getattr(value, kind)
    if kind == "array_value":
        items = tuple(typed(one) for one in value.array_value.values)
        types = {type_ for type_, _ in items}
        return (f"{types.pop()}[]" if len(types) == 1 else "mixed[]"), tuple(
            str(item) for _, item in items
        )
    return str(kind), ""
