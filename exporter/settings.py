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
    max_span_bytes: int = 4 * 1024 * 1024
    """Of one span: few backends have a limit below that of a request."""


SECRETS_MANAGER = "secretsmanager"
PARAMETER_STORE = "ssm"


@dataclass(frozen=True, slots=True)
class SecretReference:
    """``${secretsmanager:NAME#key}`` or ``${ssm:NAME}``; without a key the whole text."""

    store: str
    name: str
    key: str = ""

    def __str__(self) -> str:
        return f"{self.store}:{self.name}" + (f"#{self.key}" if self.key else "")


@dataclass(frozen=True, slots=True)
class SecretText:
    """A header's value with secrets in it: texts and references, in their order."""

    parts: tuple[str | SecretReference, ...]

    @property
    def references(self) -> tuple[SecretReference, ...]:
        """Each secret in it."""
        return tuple(part for part in self.parts if isinstance(part, SecretReference))

    def filled(self, values: Mapping[SecretReference, str]) -> str:
        """The whole value; `values` has every reference."""
        return "".join(part if isinstance(part, str) else values[part] for part in self.parts)


HeaderValue = str | SecretText


@dataclass(frozen=True, slots=True)
class SigV4Settings:
    """Each request is signed: the region's name, and the service's signing name."""

    region: str
    service: str


@dataclass(frozen=True, slots=True)
class ExporterSettings:
    """One OTLP endpoint.

    `endpoint` is the whole URL for HTTP (``http://host:4318/v1/traces``) and scheme, host and
    port for gRPC (``http://host:4317``; ``http`` is plain text, ``https`` is TLS).
    """

    protocol: str
    endpoint: str
    headers: Mapping[str, HeaderValue] = field(default_factory=dict)
    compression: str = "gzip"
    """``gzip`` or ``none``."""
    timeout_ms: int = 10_000
    tls: TlsSettings = field(default_factory=TlsSettings)
    endpoints: Mapping[str, str] = field(default_factory=dict)
    """For HTTP: where signals other than traces go, whole URLs. gRPC has one for all signals."""
    sigv4: SigV4Settings | None = None
    """For HTTP."""

    @property
    def secrets(self) -> tuple[SecretReference, ...]:
        """Every secret in the headers, each once, in their order."""
        found: dict[SecretReference, None] = {}
        for value in self.headers.values():
            if isinstance(value, SecretText):
                found |= dict.fromkeys(value.references)
        return tuple(found)

    @property
    def needs_keys(self) -> bool:
        """Whether a request takes more than what stands here."""
        return self.sigv4 is not None or bool(self.secrets)


@dataclass(frozen=True, slots=True)
class RedactSettings:
    """What is left out of whatever was captured.

    `keys` are names whose values go, with ``*`` for any text; `patterns` regular expressions,
    checked by `exporter.patterns`; `defaults` false leaves these two alone.
    """

    keys: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()
    defaults: bool = True
