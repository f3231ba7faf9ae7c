"""The sender for a configuration: the one place that knows both protocols."""

from __future__ import annotations

from exporter.outcome import Sender
from exporter.settings import OTLP_GRPC, ExporterSettings
from exporter.signals import TRACES


def open_sender(settings: ExporterSettings, signal: str = TRACES) -> Sender:
    """The sender of `signal` for `settings`; imports what it needs, connects to nothing yet."""
    if settings.protocol == OTLP_GRPC:
        from exporter.otlp_grpc import GrpcSender

        return GrpcSender(settings, signal)
    from exporter.otlp_http import HttpSender

    return HttpSender(settings, signal)
