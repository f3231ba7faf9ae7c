"""An OpenTelemetry SDK in the function, its spans through the FIFO to a real collector."""

from __future__ import annotations

from pathlib import Path

from sandbox.environment import Function, LambdaEnvironment
from sandbox.launcher import write_extensions
from sandbox.receiver import Receiver
from tests.whole.scenario import FOLDER

TOLD = ("in init", "outer", "inner")


def test_spans_of_the_sdk_hang_on_the_invocations_span(tmp_path: Path) -> None:
    """Two invocations: each with its own spans, once; those of init are in a trace of their own."""
    with Receiver() as receiver:
        environ = {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": receiver.http_endpoint}
        function = Function("otel_function.handler", str(FOLDER), timeout_s=10, environ=environ)
        with LambdaEnvironment(function, str(write_extensions(tmp_path))) as environment:
            for _ in range(2):
                environment.invoke(b"{}")
        spans = [
            span
            for request in receiver.requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]
    names = {span.span_id: span.name for span in spans}
    traces = {span.trace_id for span in spans if span.name == "function"}
    told = sorted(
        (span.name, names.get(span.parent_span_id, ""), span.trace_id in traces)
        for span in spans
        if span.name in TOLD
    )
    assert told == [
        ("in init", "", False),
        ("inner", "outer", True),
        ("inner", "outer", True),
        ("outer", "function", True),
        ("outer", "function", True),
    ]
