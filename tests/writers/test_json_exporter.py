"""JavaScript's own OTLP exporter, which sends JSON, in a function: its spans reach a collector."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from google.protobuf.json_format import ParseDict
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from collectors.ports import free_port
from sandbox.environment import Function, LambdaEnvironment
from sandbox.launcher import write_extensions
from sandbox.receiver import Receiver
from tests.whole.test_otlp_receiver import connected
from tests.writers.languages import WRITERS, node_modules, tool

PACKAGES = (
    "@opentelemetry/api@1.9.0",
    "@opentelemetry/core@2.12.1",
    "@opentelemetry/exporter-trace-otlp-http@0.223.1",
    "@opentelemetry/sdk-trace-base@2.12.1",
)


@pytest.mark.registry
@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_the_json_of_javascripts_exporter_is_taken(tmp_path: Path, compression: str) -> None:
    """Under the invocation's span, each once, and whole: a value of every type is what it was."""
    node = tool("node")
    code = tmp_path / "code"
    code.mkdir()
    shutil.copy(Path(__file__).parent / "node" / "function.mjs", code)
    shutil.copy(WRITERS / "node" / "example" / "bootstrap.mjs", code)
    packages = node_modules("javascript-exporter", PACKAGES)
    (code / "node_modules").symlink_to(packages)
    port = free_port()
    config = tmp_path / "spanpipe.yaml"
    config.write_text(f"receiver: {{otlp_http: {{enabled: true, port: {port}}}}}\n")
    with Receiver() as receiver:
        environ = {
            "SPANPIPE_CONFIG": str(config),
            "PORT": str(port),
            "COMPRESSION": compression,
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": receiver.http_endpoint,
        }
        function = Function("function.handler", str(code), timeout_s=20, environ=environ)
        extensions = str(write_extensions(tmp_path))
        command = (node, str(code / "bootstrap.mjs"))
        with LambdaEnvironment(function, extensions, runtime_command=command) as environment:
            environment.init()
            connected(port).close()
            assert environment.invoke(b"{}").payload == b'"flushed"'
        spans = {span.name: span for span in receiver.spans()}
        assert len(receiver.spans()) == len(spans)
    (invocation,) = (span for span in spans.values() if span.name == "function")
    names = {"function", "own", *(f"item {number}" for number in range(500))}
    assert set(spans) == names
    assert {span.trace_id for span in spans.values()} == {invocation.trace_id}
    assert {one.parent_span_id for one in spans.values() if one is not invocation} == {
        invocation.span_id
    }
    own = spans["own"]
    attributes = {
        "text": {"stringValue": "ä€😀"},
        "whole": {"intValue": 7},
        "negative": {"intValue": -1},
        "half": {"doubleValue": 1.5},
        "yes": {"boolValue": True},
        "list": {"arrayValue": {"values": [{"stringValue": "a"}, {"stringValue": "b"}]}},
        "cut": {"stringValue": "x" * 63 + "�"},
    }
    expected = ParseDict(
        {
            "name": "own",
            "kind": 1,
            "attributes": [{"key": key, "value": value} for key, value in attributes.items()],
            "status": {"code": 2, "message": "as asked"},
        },
        Span(),
    )
    kept = Span(name=own.name, kind=own.kind, attributes=own.attributes, status=own.status)
    assert kept == expected
    (event,), (link,) = own.events, own.links
    assert (event.name, event.attributes[0].value.int_value) == ("noted", 3)
    assert (link.trace_id, link.span_id) == (invocation.trace_id, invocation.span_id)
    started, noted, ended = own.start_time_unix_nano, event.time_unix_nano, own.end_time_unix_nano
    assert 1_700_000_000 * 10**9 < started <= noted <= ended
