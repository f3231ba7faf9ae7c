"""The function's log lines to OTLP log records, compared whole."""

from __future__ import annotations

import json
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs

from exporter.log_lines import LogLine
from exporter.logs import MAX_ATTRIBUTES, LogBuilder
from exporter.record import Environment
from exporter.redaction import Redactor
from exporter.settings import RedactSettings
from exporter.spans import SpanBuilder

ENVIRONMENT = Environment("shop", "7")
TRACE, SPAN = b"\x0a" * 16, b"\x0b" * 8
OWN_TRACE, OWN_SPAN = "0c" * 16, "0d" * 8
BUILDER = SpanBuilder()
TIME_NS = 1_767_323_045_678_000_000


def converted(record: object, **more: Any) -> dict[str, Any]:
    """The record as protobuf's JSON, attributes as a mapping; without resource and scope."""
    event = json.dumps({"time": "x", "type": "function", "record": record}).encode()
    given = {"request_id": "r-1", "trace_id": TRACE, "span_id": SPAN, **more}
    line = LogLine(event, TIME_NS, ENVIRONMENT, **given)
    redactor = Redactor(RedactSettings(patterns=(r"\b\d{16}\b",)))
    made = LogBuilder(BUILDER.resource, redactor, "1").record(line)
    request = encode_logs([made])
    (resource_logs,) = request.resource_logs
    (scope_logs,) = resource_logs.scope_logs
    assert scope_logs.scope.name == "spanpipe"
    named = {one.key: one.value.string_value for one in resource_logs.resource.attributes}
    assert (named["faas.name"], named["service.name"]) == ("shop", "shop")
    (log_record,) = scope_logs.log_records
    found: dict[str, Any] = MessageToDict(log_record)
    found["traceId"] = log_record.trace_id.hex()
    found["spanId"] = log_record.span_id.hex()
    found["attributes"] = {
        one["key"]: next(iter(one["value"].values())) for one in found.get("attributes", ())
    }
    found["body"] = found["body"]["stringValue"]
    return found


def expected(body: str, **more: Any) -> dict[str, Any]:
    return {
        "timeUnixNano": str(TIME_NS),
        "observedTimeUnixNano": str(TIME_NS),
        "body": body,
        "attributes": {"faas.invocation_id": "r-1"},
        "traceId": TRACE.hex(),
        "spanId": SPAN.hex(),
        "flags": 1,
        **more,
    }


WARN = {"severityNumber": "SEVERITY_NUMBER_WARN", "severityText": "WARNING"}
INFO = {"severityNumber": "SEVERITY_NUMBER_INFO", "severityText": "INFO"}
EARLIER_NS = TIME_NS - 5_000_000


@pytest.mark.parametrize(
    ("record", "whole"),
    [
        ("hello\n", expected("hello")),
        ("", expected("")),
        ("card 1234567890123456", expected("card [REDACTED]")),
        ("password=hunter2 x", expected("password=[REDACTED] x")),
        ("[WARNING]\tt\tr-1\tlow\tdisk", expected("[WARNING]\tt\tr-1\tlow\tdisk", **WARN)),
        ("t\tr-1\tINFO\thello", expected("t\tr-1\tINFO\thello", **INFO)),
        ("lone \ud800", expected("lone ?")),
        ("{no json", expected("{no json")),
        (
            {
                "timestamp": "2026-01-02T03:04:05.673Z",
                "level": "INFO",
                "requestId": "r-1",
                "message": "paid 1234567890123456",
                "amount": 7,
                "rate": 0.5,
                "ok": True,
                "none": None,
                "password": "hunter2",
                "nested": {"apiKey": "k", "a": [1]},
                "list": [["authorization", "x"]],
            },
            expected(
                "paid [REDACTED]",
                **INFO,
                timeUnixNano=str(EARLIER_NS),
                attributes={
                    "faas.invocation_id": "r-1",
                    "amount": "7",
                    "rate": 0.5,
                    "ok": True,
                    "password": "[REDACTED]",
                    "nested": '{"apiKey": "[REDACTED]", "a": [1]}',
                    "list": '[["authorization", "[REDACTED]"]]',
                },
            ),
        ),
        (
            json.dumps({"message": "own", "trace_id": OWN_TRACE, "span_id": OWN_SPAN}),
            expected("own", traceId=OWN_TRACE, spanId=OWN_SPAN),
        ),
        ({"message": "m", "trace_id": "0" * 32, "span_id": OWN_SPAN}, expected("m")),
        (
            {"event": "no message", "level": "verbose"},
            expected(
                '{"event": "no message", "level": "verbose"}',
                severityText="verbose",
                attributes={"faas.invocation_id": "r-1", "event": "no message"},
            ),
        ),
        (
            {f"k{index}": index for index in range(MAX_ATTRIBUTES + 1)},
            expected(json.dumps({f"k{index}": index for index in range(MAX_ATTRIBUTES + 1)})),
        ),
    ],
)
def test_each_line_is_a_whole_record(record: object, whole: dict[str, Any]) -> None:
    """Text and JSON, what Lambda's runtimes and loggers write, redacted."""
    assert converted(record) == whole


def test_a_line_of_no_invocation_has_no_trace() -> None:
    """As in init: neither IDs nor flags nor a request."""
    found = converted("hello", request_id="", trace_id=b"", span_id=b"")
    whole = expected("hello", traceId="", spanId="", attributes={})
    del whole["flags"]
    assert found == whole
