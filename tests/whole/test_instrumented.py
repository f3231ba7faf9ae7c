"""OpenTelemetry's own instrumentation, unchanged: by our exporter the spans of the stock one."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from exporter.otlp_json import to_value
from sandbox.environment import Function, LambdaEnvironment
from sandbox.http_server import LoopbackServer, QuietHandler
from sandbox.launcher import write_extensions
from sandbox.receiver import Receiver
from tests.whole.emulator import ROOT
from tests.whole.scenario import FOLDER

WRAP = str(ROOT / "deploy" / "wrap")
EVENTS = (b'{"number": 1}', b'{"number": 2, "fail": true}')
EXITS = b'{"number": 3, "exit": true}'
STATUS = {EVENTS[0]: "returned", EVENTS[1]: "error", EXITS: "crash"}
LAMBDA_SCOPE = "opentelemetry.instrumentation.aws_lambda"
OF_AWS = [("x-amzn-RequestId", "of the loopback")]
VARIES = {
    "faas.invocation_id": "drawn for each invocation",
    "service.instance.id": "drawn for each process",
}


class _Handler(QuietHandler):
    """What the function calls."""

    def do_GET(self) -> None:
        self.reply(404 if self.path == "/missing" else 200, b"{}", OF_AWS)

    def do_POST(self) -> None:
        self.read_body()
        self.reply(200, b'{"Table": {"TableName": "orders", "ItemCount": 7}}', OF_AWS)


@pytest.fixture
def server() -> Iterator[str]:
    serving = LoopbackServer(_Handler)
    yield f"http://{serving.address}"
    serving.close()


def instrument(folder: Path) -> str:
    """A wrapper script as the instrumentation's documentation starts a program."""
    script = folder / "instrument"
    program = Path(sys.executable).with_name("opentelemetry-instrument")
    script.write_text(f'#!/bin/sh\nexec {shlex.quote(str(program))} "$@"\n')
    script.chmod(0o755)
    return str(script)


def told(
    folder: Path,
    server: str,
    environ: Mapping[str, str],
    *,
    extension: bool,
    events: tuple[bytes, ...] = EVENTS,
) -> tuple[list[Any], list[str], list[str]]:
    """(Requests that came, request IDs, the function's lines) of one environment."""
    lines: list[str] = []
    with Receiver() as receiver:
        function = Function(
            "instrumented_function.handler",
            str(FOLDER),
            timeout_s=10,
            init_timeout_s=30,
            environ={
                "TEST_SERVER": server,
                "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": receiver.http_endpoint,
                "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf",
                "OTEL_METRICS_EXPORTER": "none",
                "OTEL_LOGS_EXPORTER": "none",
                "OTEL_RESOURCE_ATTRIBUTES": "team=shop",
                **environ,
            },
        )
        extensions = str(write_extensions(folder)) if extension else None
        with LambdaEnvironment(
            function, extensions, on_line=lambda name, line: lines.append(f"{name}: {line}")
        ) as environment:
            results = [environment.invoke(event) for event in events]
            environment.shutdown()
        assert [one.status for one in results] == [STATUS[event] for event in events], lines
        return list(receiver.requests), [one.request_id for one in results], lines


def spans_of(requests: list[Any]) -> list[dict[str, Any]]:
    """Every span with its resource and scope, in order of start."""
    found = []
    for request in requests:
        for resource_spans in to_value(request)["resourceSpans"]:
            for scope_spans in resource_spans["scopeSpans"]:
                found += [
                    {
                        **span,
                        "attributes": _attributes(span),
                        "events": [
                            {"name": one["name"], "attributes": _attributes(one)}
                            for one in span.get("events", ())
                        ],
                        "resource": _attributes(resource_spans["resource"]),
                        "resource schema": resource_spans.get("schemaUrl"),
                        "scope": scope_spans["scope"],
                        "scope schema": scope_spans.get("schemaUrl"),
                    }
                    for span in scope_spans["spans"]
                ]
    return sorted(found, key=lambda span: int(span["startTimeUnixNano"]))


def _attributes(holder: Mapping[str, Any]) -> dict[str, Any]:
    return {
        one["key"]: "(varies)" if one["key"] in VARIES else one["value"]
        for one in holder.get("attributes", ())
    }


OWN = {"traceId", "spanId", "parentSpanId", "startTimeUnixNano", "endTimeUnixNano"}


def compared(spans: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without IDs and times, with the parent's name in their place."""
    names = {span["spanId"]: span["name"] for span in spans}
    return [
        {
            **{key: value for key, value in span.items() if key not in OWN},
            "parent": names.get(span.get("parentSpanId", "")),
        }
        for span in spans
    ]


def children(spans: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """All but the invocations' own and what the platform has told."""
    kept = compared(spans)
    return [one for one in kept if one["scope"]["name"] not in (LAMBDA_SCOPE, "spanpipe")]


def test_the_spans_are_those_of_the_stock_exporter(tmp_path: Path, server: str) -> None:
    """Whole: names, kinds, attributes, events, status, scope, resource, and whose child it is."""
    script = instrument(tmp_path)
    stock, _, _ = told(tmp_path, server, {"AWS_LAMBDA_EXEC_WRAPPER": script}, extension=False)
    ours, _, lines = told(
        tmp_path,
        server,
        {
            "AWS_LAMBDA_EXEC_WRAPPER": WRAP,
            "SPANPIPE_EXEC_WRAPPER": script,
            "OTEL_TRACES_EXPORTER": "spanpipe",
        },
        extension=True,
    )
    theirs, all_ours = spans_of(stock), spans_of(ours)
    own = [one for one in all_ours if one["scope"]["name"] == "spanpipe" and one["kind"] == 2]
    scopes = {one["scope"]["name"].rpartition(".")[2] for one in theirs}
    assert scopes == {"aws_lambda", "requests", "dynamodb", "sqlite3"}
    assert children(all_ours) == children(theirs), lines
    # Its span of each invocation has become ours, with all that it says.
    invocations = [one for one in theirs if one["scope"]["name"] == LAMBDA_SCOPE]
    assert [one["attributes"]["faas.invocation_id"] for one in own] == ["(varies)"] * len(EVENTS)
    for mine, its in zip(own, invocations, strict=True):
        assert (mine["name"], mine["kind"], mine["events"]) == (
            its["name"],
            its["kind"],
            its["events"],
        )
        assert mine["attributes"].items() >= its["attributes"].items()
        assert mine["status"].get("code") == its["status"].get("code")
        assert mine.get("parentSpanId") is None
        assert {"spanpipe.fate", "spanpipe.result.content_kind"} & mine["attributes"].keys()
        below = {one["traceId"] for one in all_ours if one.get("parentSpanId") == mine["spanId"]}
        assert below == {mine["traceId"]}


WAYS = {
    "around": {"AWS_LAMBDA_EXEC_WRAPPER": WRAP, "SPANPIPE_EXEC_WRAPPER": "(script)"},
    "inside": {"AWS_LAMBDA_EXEC_WRAPPER": "(script)", "TEST_CAPTURE": "inside"},
}


@pytest.mark.parametrize("mode", ["end", "next"])
@pytest.mark.parametrize("way", WAYS)
def test_an_invocation_has_one_span_whoever_wraps_whom(
    tmp_path: Path, server: str, way: str, mode: str
) -> None:
    """And all that is traced in it hangs below that one, in its trace, where it dies apart."""
    script = instrument(tmp_path)
    config = tmp_path / "spanpipe.yaml"
    config.write_text(f"flush: {{mode: {mode}}}\n")
    environ = {name: script if value == "(script)" else value for name, value in WAYS[way].items()}
    environ |= {"OTEL_TRACES_EXPORTER": "spanpipe", "SPANPIPE_CONFIG": str(config)}
    requests, request_ids, lines = told(
        tmp_path, server, environ, extension=True, events=(*EVENTS, EXITS)
    )
    spans = spans_of(requests)
    own = [one for one in spans if one["kind"] == 2]
    assert [one["scope"]["name"] for one in own] == ["spanpipe"] * 3, lines
    fates = [one["attributes"]["spanpipe.fate"]["stringValue"] for one in own]
    assert fates == ["returned", "raised", "crashed"]
    assert len({one["spanId"] for one in spans}) == len(spans)
    by_id = {one["spanId"]: one for one in spans}
    for one in spans:
        if one["kind"] != 2 and one["scope"]["name"] != "spanpipe":
            parent = by_id[one["parentSpanId"]]
            assert (parent["kind"], parent["traceId"]) == (2, one["traceId"])
    assert len(request_ids) == 3
