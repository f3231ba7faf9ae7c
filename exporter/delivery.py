"""The sender for a configuration: the one place that knows both protocols."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.outcome import Authorization, Sender
from exporter.settings import OTLP_GRPC, ExporterSettings
from exporter.signals import TRACES

if TYPE_CHECKING:
    from exporter.keys import KeySource


class GrpcMissingError(Exception):
    """The configuration asks for gRPC, and it is not installed: a layer has it on request."""


def open_sender(
    settings: ExporterSettings, signal: str = TRACES, source: KeySource | None = None
) -> Sender:
    """The sender of `signal` for `settings`; imports what it needs, connects to nothing yet.

    `source` has the secrets that `settings` name, and what to sign with: without them nothing
    is sent. Raises GrpcMissingError.
    """
    authorization: Authorization | None = None
    if settings.needs_keys:
        from exporter.keys import FixedKeys, KeyedAuthorization

        authorization = KeyedAuthorization(settings, signal, source or FixedKeys())
    if settings.protocol == OTLP_GRPC:
        try:
            from exporter.otlp_grpc import GrpcSender
        except ModuleNotFoundError as error:
            if error.name != "grpc":
                raise
            raise GrpcMissingError(
                "nothing can be exported: this layer is built without gRPC; "
                "take otlp_http, or a layer built with it (make layer GRPC=1)"
            ) from error
        return GrpcSender(settings, signal, authorization)
    import exporter.lean_requests  # noqa: F401 - before others import `requests`
    from exporter.otlp_http import HttpSender

    return HttpSender(settings, signal, authorization)
