"""Where spans go, as values: what the configuration's loader makes and the senders take."""

from __future__ import annotations

from collections.abc import Mapping

from exporter.values import dataclass, field

OTLP_HTTP = "otlp_http"
OTLP_GRPC = "otlp_grpc"


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """Paths of PEM files; None is the system's own certificates and no client certificate."""

    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    insecure: bool = False
    """For gRPC, and the loader alone: an endpoint that names no scheme is plain text."""


@dataclass(frozen=True, slots=True)
class RequestLimits:
    """What one request may hold; backends differ. Sizes are before compression."""

    max_bytes: int = 4 * 1024 * 1024
    """The Collector's own default for gRPC; over HTTP it takes 20 MiB."""
    max_spans: int = 2_000
    """Encoding cannot be interrupted: that many take some 50 ms."""


@dataclass(frozen=True, slots=True)
class ExporterSettings:
    """One OTLP endpoint.

    `endpoint` is the whole URL for HTTP (``http://host:4318/v1/traces``) and scheme, host and
    port for gRPC (``http://host:4317``; ``http`` is plain text, ``https`` is TLS).
    """

    protocol: str
    endpoint: str
    headers: Mapping[str, str] = field(default_factory=dict)
    compression: str = "gzip"
    """``gzip`` or ``none``."""
    timeout_ms: int = 10_000
    tls: TlsSettings = field(default_factory=TlsSettings)
    endpoints: Mapping[str, str] = field(default_factory=dict)
    """For HTTP: where signals other than traces go, whole URLs. gRPC has one for all signals."""


@dataclass(frozen=True, slots=True)
class RedactSettings:
    """What is left out of whatever was captured.

    `keys` are names whose values go, with ``*`` for any text; `patterns` regular expressions,
    checked by `exporter.patterns`; `defaults` false leaves these two alone.
    """

    keys: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()
    defaults: bool = True
