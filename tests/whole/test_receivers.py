"""Receivers that nobody here wrote: what they print is what was meant."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from collectors.ports import free_ports
from sandbox.environment import Function, LambdaEnvironment
from sandbox.launcher import write_extensions
from tests.whole.configured import configured
from tests.whole.fetch import program
from tests.whole.otel_collector import collector_program
from tests.whole.printing import Printing
from tests.whole.scenario import FOLDER, HANDLER

READY_S = 30.0
ARRIVED_S = 10.0


@contextmanager
def rotel(folder: Path) -> Iterator[tuple[Printing, int, int]]:
    """(output, gRPC port, HTTP port)."""
    grpc_port, http_port = free_ports(2)
    command = [str(program("rotel")), "start"]
    command += ["--otlp-grpc-endpoint", f"127.0.0.1:{grpc_port}"]
    command += ["--otlp-http-endpoint", f"127.0.0.1:{http_port}"]
    command += ["--exporter", "blackhole", "--debug-log", "traces"]
    command += ["--debug-log-verbosity", "detailed"]
    output = Printing(command, folder)
    try:
        output.wait_for("Starting Rotel|listening|Ready", READY_S)
        yield output, grpc_port, http_port
    finally:
        output.close()


@contextmanager
def otel_collector(folder: Path, http_tls: str = "") -> Iterator[tuple[Printing, int, int]]:
    """(output, gRPC port, HTTP port); `http_tls` is YAML for the HTTP receiver's `tls`."""
    grpc_port, http_port = free_ports(2)
    config = folder / "collector.yaml"
    config.write_text(
        "receivers:\n"
        "  otlp:\n"
        "    protocols:\n"
        f"      grpc: {{endpoint: '127.0.0.1:{grpc_port}'}}\n"
        f"      http: {{endpoint: '127.0.0.1:{http_port}'{http_tls and f', tls: {http_tls}'}}}\n"
        "exporters:\n"
        "  debug: {verbosity: detailed}\n"
        "service:\n"
        "  telemetry: {metrics: {level: none}}\n"
        "  pipelines:\n"
        "    traces: {receivers: [otlp], exporters: [debug]}\n"
        "    metrics: {receivers: [otlp], exporters: [debug]}\n"
    )
    output = Printing([str(collector_program()), "--config", str(config)], folder)
    try:
        output.wait_for("Everything is ready", READY_S)
        yield output, grpc_port, http_port
    finally:
        output.close()


RECEIVERS = {"rotel": rotel, "OpenTelemetry Collector": otel_collector}


@pytest.mark.receiver
@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
@pytest.mark.parametrize("name", RECEIVERS)
def test_a_foreign_receiver_prints_what_was_meant(tmp_path: Path, name: str, protocol: str) -> None:
    """Real invocations through the real extension: the receiver names every attribute meant."""
    with RECEIVERS[name](tmp_path) as (output, grpc_port, http_port):
        endpoint = f"http://127.0.0.1:{http_port}/v1/traces"
        if protocol == "grpc":
            endpoint = f"http://127.0.0.1:{grpc_port}"
        function = Function(
            HANDLER,
            str(FOLDER),
            timeout_s=5,
            environ={
                "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": endpoint,
                "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": protocol,
                "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=test%20ring",
            },
        )
        with LambdaEnvironment(function, str(write_extensions(tmp_path))) as environment:
            first = environment.invoke(b'{"id": 7}')
            second = environment.invoke(b'{"id": 8, "fail": true}')
        printed = output.wait_for(re.escape(second.request_id), ARRIVED_S)
        # Both print `name: Str(value)`, spaced in their own ways.
        said = re.sub(r"[ \t]+", " ", printed)
        for name_and_value in (
            rf"faas\.invocation_id: Str\({first.request_id}\)",
            rf"faas\.invocation_id: Str\({second.request_id}\)",
            r"faas\.coldstart: Bool\(true\)",
            r"faas\.coldstart: Bool\(false\)",
            r"faas\.trigger: Str\(other\)",
            r"faas\.name: Str\(function\)",
            r"faas\.max_memory: Int\(134217728\)",
            r"cloud\.platform: Str\(aws_lambda\)",
            r"deployment\.environment\.name: Str\(test ring\)",
            r'spanpipe\.result\.body: Str\(\{"id":7,"text":""\}\)',
            r"spanpipe\.fate: Str\(raised\)",
            r"error\.type: Str\(ValueError\)",
            r"exception\.message: Str\(as asked\)",
        ):
            assert re.search(name_and_value, said), (name_and_value, printed)


@pytest.mark.receiver
@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_the_collector_prints_the_metrics(tmp_path: Path, protocol: str) -> None:
    """Sums and histograms with their temporality and unit, as the Collector reads them."""
    with otel_collector(tmp_path) as (output, grpc_port, http_port):
        endpoint = f"http://127.0.0.1:{http_port}/v1/traces"
        if protocol == "grpc":
            endpoint = f"http://127.0.0.1:{grpc_port}"
        environ = {"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": protocol}
        function = configured(tmp_path, "signals: {metrics: true}", endpoint, HANDLER, environ)
        with LambdaEnvironment(
            function, str(write_extensions(tmp_path)), telemetry=True
        ) as environment:
            environment.invoke(b'{"id": 7}')
            environment.invoke(b'{"id": 8, "fail": true}')
        printed = output.wait_for("faas.errors", ARRIVED_S)
        said = re.sub(r"[ \t]+", " ", printed)
        for name, unit in (
            ("faas.invoke_duration", "s"),
            ("faas.coldstarts", "{coldstart}"),
            ("faas.errors", "{error}"),
            ("faas.invocations", "{invocation}"),
        ):
            assert f"-> Name: {name}\n -> Description: \n -> Unit: {unit}\n" in said, printed
        assert "AggregationTemporality: Cumulative" not in said
        assert "AggregationTemporality: Delta" in said
