"""Records to spans, compared whole in the form that leaves."""

import base64
from typing import Any

import pytest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.version import __version__ as sdk_version

from exporter import attributes as names
from exporter.encoder import encoded
from exporter.flattening import MAX_VALUES, flattened
from exporter.otlp_json import to_value
from exporter.record import (
    ChildSpan,
    Environment,
    Event,
    Failure,
    Fate,
    Invocation,
    Partial,
    Payload,
    Report,
    Supplement,
)
from exporter.redaction import Redactor
from exporter.settings import RedactSettings
from exporter.spans import SpanBuilder, resource_id, spanpipe_version
from exporter.values import replace

ARN = "arn:aws:lambda:eu-west-1:123456789012:function:shop"
ENVIRONMENT = Environment(
    "shop",
    "7",
    region="eu-west-1",
    account_id="123456789012",
    memory_mb=128,
    log_group="/aws/lambda/shop",
    log_stream="stream",
)
RETURNED = Invocation(
    ordinal=1,
    request_id="r-1",
    invoked_function_arn=f"{ARN}:live",
    environment=ENVIRONMENT,
    trace_id=bytes(range(16)),
    span_id=bytes(range(8)),
    start_unix_ns=1_000,
    end_unix_ns=2_000,
    fate=Fate.RETURNED,
    deadline_unix_ms=9,
    cold_start=True,
    result=Payload(b'{"a":1}', 7, False, "json"),
)
BARE = replace(
    RETURNED,
    environment=Environment("shop", "$LATEST"),
    invoked_function_arn="",
    cold_start=None,
    result=None,
    fate=Fate.UNREPORTED,
)


def plain(invocations: list[Invocation], **settings: Any) -> dict[str, Any]:
    """(resource, spans) with attributes as plain dictionaries."""
    value = to_value(encoded(SpanBuilder(**settings).spans(invocations)))
    (resource_spans,) = value["resourceSpans"]
    (scope_spans,) = resource_spans["scopeSpans"]
    assert scope_spans["scope"] == {"name": "spanpipe", "version": spanpipe_version()}
    spans = scope_spans["spans"]
    for holder in [*spans, *(event for span in spans for event in span.get("events", ()))]:
        holder["attributes"] = values(holder)
    return {"resource": values(resource_spans["resource"]), "spans": spans}


def values(holder: dict[str, Any]) -> dict[str, Any]:
    return {one["key"]: next(iter(one["value"].values())) for one in holder.get("attributes", ())}


RESOURCE = {
    "cloud.provider": "aws",
    "cloud.platform": "aws_lambda",
    "cloud.region": "eu-west-1",
    "faas.name": "shop",
    "faas.version": "7",
    "faas.instance": "stream",
    "faas.max_memory": "134217728",
    "service.name": "shop",
    "aws.log.group.names": {"values": [{"stringValue": "/aws/lambda/shop"}]},
    "aws.log.stream.names": {"values": [{"stringValue": "stream"}]},
    "telemetry.sdk.language": "python",
    "telemetry.sdk.name": "opentelemetry",
    "telemetry.sdk.version": sdk_version,
    "telemetry.distro.name": "spanpipe",
    "telemetry.distro.version": spanpipe_version(),
}
ATTRIBUTES = {
    "faas.invocation_id": "r-1",
    "faas.trigger": "other",
    "faas.coldstart": True,
    "spanpipe.fate": "returned",
    "aws.lambda.invoked_arn": f"{ARN}:live",
    "cloud.resource_id": f"{ARN}:7",
    "cloud.account.id": "123456789012",
    "spanpipe.result.content_kind": "json",
    "spanpipe.result.body": '{"a":1}',
    "spanpipe.result.truncated": False,
    "spanpipe.result.size_bytes": "7",
}
SPAN = {
    "traceId": "000102030405060708090a0b0c0d0e0f",
    "spanId": "0001020304050607",
    "flags": 257,
    "name": "shop",
    "kind": 2,
    "startTimeUnixNano": "1000",
    "endTimeUnixNano": "2000",
    "attributes": ATTRIBUTES,
    "status": {},
}


def with_attributes(**changes: Any) -> dict[str, Any]:
    """SPAN's attributes without a result, changed."""
    kept = {key: value for key, value in ATTRIBUTES.items() if ".result." not in key}
    kept.update({key.replace("__", "."): value for key, value in changes.items()})
    return kept


def test_a_returned_invocation_is_compared_whole() -> None:
    """Resource, span and every attribute of a result are exactly these."""
    assert plain([RETURNED]) == {"resource": RESOURCE, "spans": [SPAN]}


def test_what_is_not_known_is_not_there() -> None:
    """Optional values that nobody told leave no attribute behind."""
    found = plain([BARE])
    assert found["resource"] == {
        key: "$LATEST" if key == "faas.version" else value
        for key, value in RESOURCE.items()
        if key
        not in (
            "cloud.region",
            "faas.instance",
            "faas.max_memory",
            "aws.log.group.names",
            "aws.log.stream.names",
        )
    }
    assert found["spans"] == [
        {
            **SPAN,
            "attributes": {
                "faas.invocation_id": "r-1",
                "faas.trigger": "other",
                "spanpipe.fate": "unreported",
            },
        }
    ]


def test_a_raised_error_is_an_exception_event_and_the_status() -> None:
    """Type, message and stack trace, once as conventions say, and error.type on the span."""
    failure = Failure("ValueError", "bad", "Traceback …")
    raised = replace(RETURNED, fate=Fate.RAISED, failure=failure, exception=failure, result=None)
    assert plain([raised])["spans"] == [
        {
            **SPAN,
            "attributes": with_attributes(spanpipe__fate="raised", error__type="ValueError"),
            "status": {"code": 2, "message": "bad"},
            "events": [
                {
                    "name": "exception",
                    "timeUnixNano": "2000",
                    "attributes": {
                        "exception.type": "ValueError",
                        "exception.message": "bad",
                        "exception.stacktrace": "Traceback …",
                    },
                }
            ],
        }
    ]


@pytest.mark.parametrize(
    ("fate", "failure", "error_type", "message"),
    [
        (Fate.TIMED_OUT, Failure("Sandbox.Timedout", "late"), "Sandbox.Timedout", "late"),
        (Fate.TIMED_OUT, None, "Sandbox.Timedout", "Sandbox.Timedout"),
        (Fate.CRASHED, None, "Runtime.ExitError", "Runtime.ExitError"),
    ],
)
def test_a_platform_failure_is_an_error_without_an_exception(
    fate: Fate, failure: Failure | None, error_type: str, message: str
) -> None:
    """A timeout or a crash was raised by nobody: error.type and status say it."""
    failed = replace(RETURNED, fate=fate, failure=failure, result=None)
    assert plain([failed])["spans"] == [
        {
            **SPAN,
            "attributes": with_attributes(spanpipe__fate=fate.value, error__type=error_type),
            "status": {"code": 2, "message": message},
        }
    ]


def test_children_events_and_partials_hang_where_they_belong() -> None:
    """Parents, events of a child and of the invocation, partial results in order."""
    child = ChildSpan(b"child--1", None, "query", 1_100, 1_200, {"n": 1, "f": 0.5, "b": True})
    inner = ChildSpan(b"child--2", b"child--1", "row", 1_110, 1_120, {}, Failure("KeyError", "k"))
    orphan = ChildSpan(b"child--3", b"unknown!", "lost", 1_110, 1_120)
    story = replace(
        RETURNED,
        children=(child, inner, orphan),
        events=(Event(1_150, "hit", {"k": "v"}, b"child--1"), Event(1_160, "own")),
        partials=(Partial(1_170, Payload(b"1", 1, False, "json")),),
    )
    own, first, second, third = plain([story])["spans"]
    assert own["events"] == [
        {"name": "own", "timeUnixNano": "1160", "attributes": {}},
        {
            "name": "spanpipe.partial_result",
            "timeUnixNano": "1170",
            "attributes": {
                "spanpipe.partial_result.index": "0",
                "spanpipe.result.content_kind": "json",
                "spanpipe.result.body": "1",
                "spanpipe.result.truncated": False,
                "spanpipe.result.size_bytes": "1",
            },
        },
    ]
    common = {"traceId": SPAN["traceId"], "flags": 257, "kind": 1, "status": {}}
    assert first == {
        **common,
        "spanId": b"child--1".hex(),
        "parentSpanId": SPAN["spanId"],
        "name": "query",
        "startTimeUnixNano": "1100",
        "endTimeUnixNano": "1200",
        "attributes": {"n": "1", "f": 0.5, "b": True},
        "events": [{"name": "hit", "timeUnixNano": "1150", "attributes": {"k": "v"}}],
    }
    assert second == {
        **common,
        "spanId": b"child--2".hex(),
        "parentSpanId": b"child--1".hex(),
        "name": "row",
        "startTimeUnixNano": "1110",
        "endTimeUnixNano": "1120",
        "attributes": {"error.type": "KeyError"},
        "status": {"code": 2, "message": "k"},
        "events": [
            {
                "name": "exception",
                "timeUnixNano": "1120",
                "attributes": {"exception.type": "KeyError", "exception.message": "k"},
            }
        ],
    }
    assert third["parentSpanId"] == SPAN["spanId"]


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (Payload(b"\xff\x00", 2, False, "binary"), "/wA="),
        (Payload(b"\xffa", 2, True, "text"), "\\xffa"),
    ],
)
def test_a_body_that_is_no_text_is_sent_all_the_same(payload: Payload, expected: str) -> None:
    """Binary is base64; bytes that are no UTF-8 are escaped; nothing is fatal."""
    (span,) = plain([replace(RETURNED, result=payload)])["spans"]
    assert span["attributes"]["spanpipe.result.body"] == expected


def test_a_body_that_was_not_captured_leaves_its_size_alone() -> None:
    """With capture off there is no body attribute at all."""
    (span,) = plain([replace(RETURNED, result=Payload(b"", 9, False, "none"))])["spans"]
    assert span["attributes"] == with_attributes(
        spanpipe__result__content_kind="none", spanpipe__result__size_bytes="9"
    )


def test_the_users_resource_attributes_win() -> None:
    """OTEL_RESOURCE_ATTRIBUTES may replace ours, and the service's name goes before both."""
    given = {"cloud.region": "moon", "service.name": "from attributes", "team": "a"}
    assert plain([RETURNED], resource_attributes=given)["resource"] == {**RESOURCE, **given}
    named = plain([RETURNED], service_name="named", resource_attributes=given)["resource"]
    assert named["service.name"] == "named"


def test_a_variable_that_is_no_utf8_stops_no_export() -> None:
    """os.environ hands bytes that are no UTF-8 on as lone surrogates."""
    given = {"team\udcff": "a\udcff"}
    found = plain([RETURNED], service_name="s\udcff", resource_attributes=given)["resource"]
    assert (found["service.name"], found["team?"]) == ("s?", "a?")


@pytest.mark.parametrize(
    ("arn", "version", "expected"),
    [
        (f"{ARN}:live", "7", f"{ARN}:7"),
        (f"{ARN}:7", "7", f"{ARN}:7"),
        (ARN, "$LATEST", ARN),
        (f"{ARN}:live", "$LATEST", ARN),
    ],
)
def test_the_alias_is_replaced_by_the_version(arn: str, version: str, expected: str) -> None:
    """cloud.resource_id names what ran, not the alias under which it was invoked."""
    assert resource_id(arn, version) == expected


def test_the_ledger_is_told_by_the_span() -> None:
    """Where its record has figures, each is an attribute."""
    plain_one = plain([RETURNED])["spans"][0]["attributes"]
    told = plain([replace(RETURNED, ledger={"accepted": 2, "dropped": 1})])["spans"][0]
    assert told["attributes"] == {
        **plain_one,
        "spanpipe.ledger.accepted": "2",
        "spanpipe.ledger.dropped": "1",
    }


def test_the_platforms_parts_are_left_out_where_they_are_not_wanted() -> None:
    """In the record and behind it; an init's span and the function's own stay."""
    parts = tuple(
        ChildSpan(bytes([index]) * 8, None, name, 1, 2, of_platform=of_platform)
        for index, (name, of_platform) in enumerate(
            [("init", False), ("responseLatency", True), ("mine", False)], 1
        )
    )
    whole = replace(RETURNED, children=parts)
    late = Supplement(
        RETURNED.trace_id,
        RETURNED.span_id,
        RETURNED.environment,
        3,
        report=Report(duration_ms=1.0),
        report_span_id=bytes(8),
        children=parts[1:2],
    )
    wanted = SpanBuilder(platform_spans=False).spans([whole, late])
    assert [span.name for span in wanted] == ["shop", "init", "mine"]
    everything = SpanBuilder().spans([whole, late])
    assert [span.name for span in everything] == [
        *("shop", "init", "responseLatency", "mine"),
        *("responseLatency", "report"),
    ]


def test_a_resource_is_hashed_once_and_equals_the_sdks_own() -> None:
    """The encoder groups spans by it, and hashes it for each of them."""
    builder = SpanBuilder()
    (own, *_) = builder.spans([RETURNED])
    plain = Resource(own.resource.attributes)
    assert (own.resource, hash(own.resource)) == (plain, hash(plain))
    assert own.resource is builder.spans([RETURNED])[0].resource


def test_secrets_are_left_out_of_everything_that_was_captured() -> None:
    """Result, partial results, attributes, exceptions, stack traces, status: by default."""
    left_out = "[REDACTED]"
    failure = Failure("ValueError", "password=x", "File …\nValueError: password=x")
    child = ChildSpan(b"child--1", None, "query", 1, 2, {"password": "x", "n": 1}, failure)
    story = replace(
        RETURNED,
        fate=Fate.RAISED,
        failure=failure,
        exception=failure,
        result=Payload(b'{"token":"x","a":{"pin":1}}', 27, False, "json"),
        children=(child,),
        events=(Event(1, "hit", {"url": "/?token=x&a=1"}),),
        partials=(Partial(1, Payload(b"a=1&password=x", 14, False, "text")),),
    )
    own, inner = plain([story])["spans"]
    assert own["attributes"] == {
        **ATTRIBUTES,
        "spanpipe.fate": "raised",
        "error.type": "ValueError",
        "spanpipe.result.body": f'{{"token":"{left_out}","a":{{"pin":"{left_out}"}}}}',
        "spanpipe.result.redacted": "2",
        "spanpipe.result.size_bytes": "27",
    }
    exception = {
        "exception.type": "ValueError",
        "exception.message": f"password={left_out}",
        "exception.stacktrace": f"File …\nValueError: password={left_out}",
    }
    assert [event["attributes"] for event in own["events"]] == [
        {"url": f"/?token={left_out}&a=1"},
        {
            "spanpipe.partial_result.index": "0",
            "spanpipe.result.content_kind": "text",
            "spanpipe.result.body": f"a=1&password={left_out}",
            "spanpipe.result.redacted": "1",
            "spanpipe.result.truncated": False,
            "spanpipe.result.size_bytes": "14",
        },
        exception,
    ]
    assert own["status"] == inner["status"] == {"code": 2, "message": f"password={left_out}"}
    assert inner["attributes"] == {"password": left_out, "n": "1", "error.type": "ValueError"}
    assert [event["attributes"] for event in inner["events"]] == [exception]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"password":"x"}', b'{"password":"[REDACTED]"}'),
        (b'{"a":"\xc3\xa4"}', b'{"a":"\xc3\xa4"}'),
        (b'{"password":"\xc3', b'{"password":"[REDACTED]"'),
        (b'\x00\xff{"password":"x"}', b'\x00\xff{"password":"x"}'),
    ],
)
def test_bytes_that_are_text_are_read_as_text(body: bytes, expected: bytes) -> None:
    """Others are sent as they are: there is no name in them to go by."""
    payload = Payload(body, len(body), body.endswith(b"\xc3"), "binary")
    (span,) = plain([replace(RETURNED, result=payload)])["spans"]
    assert base64.b64decode(span["attributes"]["spanpipe.result.body"]) == expected


def test_the_policy_holds_for_what_was_read_before_it_was_known() -> None:
    """The limit and `response: false` are the conversion's, whatever the record holds."""
    record = replace(
        RETURNED,
        result=Payload("äöü".encode(), 6, False, "text"),
        partials=(Partial(1, Payload(b"\x80" * 6, 6, False, "binary")),),
    )
    (span,) = plain([record], max_body_bytes=3)["spans"]
    result = {"spanpipe.result.truncated": True, "spanpipe.result.size_bytes": "6"}
    assert span["attributes"] == {
        **ATTRIBUTES,
        **result,
        "spanpipe.result.content_kind": "text",
        "spanpipe.result.body": "ä",
    }
    assert span["events"][0]["attributes"] == {
        "spanpipe.partial_result.index": "0",
        **result,
        "spanpipe.result.content_kind": "binary",
        "spanpipe.result.body": "gICA",
    }
    (span,) = plain([record], response="off")["spans"]
    none = {"spanpipe.result.content_kind": "none", "spanpipe.result.size_bytes": "6"}
    assert span["attributes"] == {**with_attributes(), **none}
    assert span["events"][0]["attributes"] == {"spanpipe.partial_result.index": "0", **none}


@pytest.mark.parametrize(("size", "is_cut"), [(4_092, False), (4_093, True), (4_096, True)])
def test_with_patterns_the_last_line_of_a_cut_message_goes(size: int, is_cut: bool) -> None:
    """The function cuts a message at 4,096 bytes, between characters, and does not say so."""
    failure = Failure("E", "first\n" + "x" * (size - 6))
    raised = replace(RETURNED, fate=Fate.RAISED, failure=failure)
    redactor = Redactor(RedactSettings(patterns=("y+z",)))
    (span,) = plain([raised], redactor=redactor)["spans"]
    expected = "first\n[REDACTED]" if is_cut else failure.message
    assert span["status"]["message"] == expected


@pytest.mark.parametrize(
    ("when", "fate", "sent"),
    [
        ("off", Fate.TIMED_OUT, False),
        ("on_error", Fate.TIMED_OUT, True),
        ("on_error", Fate.RETURNED, False),
        ("always", Fate.RETURNED, True),
    ],
)
def test_a_request_is_sent_when_the_policy_says_so(when: str, fate: Fate, sent: bool) -> None:
    """What is known at the end decides; its secrets go as a response's do."""
    body = b'{"a":[1,{"b":true}],"password":"x","c":null}'
    record = replace(RETURNED, fate=fate, request=Payload(body, len(body), False, "json"))
    expected = {
        "spanpipe.request.content_kind": "json",
        "spanpipe.request.truncated": False,
        "spanpipe.request.redacted": "1",
        "spanpipe.request.size_bytes": str(len(body)),
    }
    whole = {"spanpipe.request.body": body.decode().replace('"x"', '"[REDACTED]"')}
    flat = {
        "spanpipe.request.body.a.0": "1",
        "spanpipe.request.body.a.1.b": True,
        "spanpipe.request.body.password": "[REDACTED]",
    }
    for is_flat, values in ((False, whole), (True, flat)):
        (span,) = plain([record], request=when, flat=is_flat)["spans"]
        told = {k: v for k, v in span["attributes"].items() if k.startswith("spanpipe.request.")}
        assert told == ({**expected, **values} if sent else {})


def test_a_flat_body_has_so_many_values_and_no_more() -> None:
    """What is over the bound is counted; what is no JSON, or too deep, is no flat body."""
    found, dropped = flattened("b", str(list(range(MAX_VALUES + 3)))) or ({}, 0)
    assert (found, dropped) == ({f"b.{n}": n for n in range(MAX_VALUES)}, 3)
    assert flattened("b", '{"big":9223372036854775808,"s":"\\ud800"}') == (
        {"b.big": "9223372036854775808", "b.s": "?"},
        0,
    )
    assert (flattened("b", "{"), flattened("b", "[" * 100_000)) == (None, None)


def test_large_bodies_are_encoded_as_small_ones_are() -> None:
    """The same message but for the bodies, whose bytes are no part of what is kept."""

    def request(body: bytes) -> Any:
        result = Payload(body, 7, False, "text")
        records = [replace(RETURNED, ordinal=number, result=result) for number in (1, 2)]
        return encoded(SpanBuilder().spans(records))

    large, small = request(b"a" * 300_000), request(b"a")
    for span in large.resource_spans[0].scope_spans[0].spans:
        for attribute in span.attributes:
            if attribute.key == names.RESULT.body:
                attribute.value.string_value = "a"
    assert large == small
