"""Every span, metric and log record that a test of this ring receives is held to the table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from sandbox.receiver import Receiver
from tests.conformance import deviations, log_deviations, metric_deviations


@pytest.fixture(autouse=True)
def conforming(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fails a test whose receiver was sent what the table does not have."""
    received: list[Any] = []
    take = Receiver.take

    def noting(receiver: Receiver, request: Any) -> None:
        received.append(request)
        take(receiver, request)

    monkeypatch.setattr(Receiver, "take", noting)
    yield
    found: dict[str, None] = {}
    for request in received:
        if isinstance(request, ExportTraceServiceRequest):
            found |= dict.fromkeys(deviations(request))
        elif isinstance(request, ExportLogsServiceRequest):
            found |= dict.fromkeys(log_deviations(request))
        else:
            found |= dict.fromkeys(metric_deviations(request))
    assert list(found) == []
