"""Metrics beside the spans: off by default, one switch, each invocation counted once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sandbox.environment import Function, LambdaEnvironment
from sandbox.launcher import write_extensions
from sandbox.receiver import Receiver
from tests.whole.configured import configured
from tests.whole.scenario import FOLDER


def counted(receiver: Receiver) -> dict[str, float]:
    """Sum over all requests, by metric: of a histogram the number of its values."""
    found: dict[str, float] = {}
    metrics: list[Any] = [
        metric
        for request in receiver.metrics
        for resource_metrics in request.resource_metrics
        for scope_metrics in resource_metrics.scope_metrics
        for metric in scope_metrics.metrics
    ]
    for metric in metrics:
        for point in metric.sum.data_points:
            found[metric.name] = found.get(metric.name, 0) + point.as_int
        for point in metric.histogram.data_points:
            found[metric.name] = found.get(metric.name, 0) + point.count
    return found


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_one_switch_sends_the_metrics(tmp_path: Path, protocol: str) -> None:
    """Two returned, one raised, one timed out, in two environments; reports as they came."""
    with Receiver(grpc=protocol == "grpc") as receiver:
        endpoint = receiver.grpc_endpoint if protocol == "grpc" else receiver.http_endpoint
        function = configured(
            tmp_path,
            "signals: {metrics: true}",
            endpoint,
            "fate_function.handler",
            {"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": protocol},
            timeout_s=1.0,
        )
        extensions = str(write_extensions(tmp_path))
        with LambdaEnvironment(function, extensions, telemetry=True) as environment:
            for do in ("fine", "raise", "hang", "fine"):
                environment.invoke(f'{{"do": "{do}"}}'.encode())
        found = counted(receiver)
    # The last invocation's report comes with SHUTDOWN, or is lost where that is slow.
    assert found.pop("faas.mem_usage") in (3, 4)
    assert found == {
        "faas.invoke_duration": 4,
        "faas.init_duration": 1,
        "faas.coldstarts": 2,
        "faas.errors": 2,
        "faas.invocations": 2,
        "faas.timeouts": 1,
    }


def test_without_the_switch_there_are_none(tmp_path: Path) -> None:
    """Off by default."""
    with Receiver() as receiver:
        function = Function(
            "fate_function.handler",
            str(FOLDER),
            environ={"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": receiver.http_endpoint},
        )
        extensions = str(write_extensions(tmp_path))
        with LambdaEnvironment(function, extensions, telemetry=True) as environment:
            environment.invoke(b'{"do": "fine"}')
        assert len(receiver.spans()) > 0
        assert receiver.metrics == []
