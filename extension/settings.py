"""The configuration in force, as values: made by `extension.config`, read by the shells."""

from __future__ import annotations

from collections.abc import Mapping

from exporter.settings import ExporterSettings, RedactSettings, RequestLimits
from exporter.values import dataclass, field
from fifo.propagation import DEFAULT
from fifo.sampling import Bounds

FLUSH_AUTO = "auto"
FLUSH_END = "end"
FLUSH_NEXT = "next"

MAX_WAITING = 2_048
"""Finished invocations in memory for a collector that does not answer."""


@dataclass(frozen=True, slots=True)
class FlushSettings:
    """When spans leave; see "When `/next` is asked, and flush" in the reference."""

    mode: str = FLUSH_AUTO
    hold_ms: int = 200
    """At most this long is `/next` held for an export in mode ``next``."""
    max_age_ms: int = 5_000
    max_spans: int = 512
    max_bytes: int = 1_048_576
    """A batch is due at this age, number of invocations or bytes of captured bodies."""


OFF = "off"
ON_ERROR = "on_error"
ALWAYS = "always"


@dataclass(frozen=True, slots=True)
class CaptureSettings:
    """What of bodies leaves the function, and what of them the extension.

    `response` and `request` are ``off``, ``on_error`` (where the invocation failed, which is
    known at its end: the function sends them anyway) or ``always``. `format` is ``json`` or
    ``attributes``.
    """

    response: str = ALWAYS
    request: str = OFF
    format: str = "json"
    max_body_bytes: int = 65_536


@dataclass(frozen=True, slots=True)
class PropagatorSettings:
    """How the function learns its caller's span and tells its own."""

    composite: tuple[str, ...] = DEFAULT
    event_path: str = ""
    """Keys into the event, with dots between, of a carrier of the user's own."""


@dataclass(frozen=True, slots=True)
class SampleSettings:
    """Which invocations leave; `sampler` None: all, and the caller's flag is passed on.

    `on_error`: one that has failed leaves, whatever the sampler says.
    """

    sampler: Bounds | None = None
    on_error: bool = True


@dataclass(frozen=True, slots=True)
class SignalSettings:
    """What is sent beside the invocations and their own spans."""

    platform_spans: bool = True
    """The parts of an invocation that Lambda times, as child spans."""
    metrics: bool = False
    logs: bool = False
    """The function's log lines, as the Telemetry API tells them."""


@dataclass(frozen=True, slots=True)
class ReceiverSettings:
    """OTLP/HTTP on loopback, for SDKs in the function."""

    enabled: bool = False
    port: int = 4_318
    """OpenTelemetry's own for OTLP/HTTP."""


@dataclass(frozen=True, slots=True)
class SpoolSettings:
    """What may lie in `/tmp` for a collector that does not answer; 0 bytes: nothing."""

    max_bytes: int = 16 * 1024 * 1024
    max_age_s: int = 86_400


FALLBACK_NONE = "none"
FALLBACK_STDOUT = "stdout"


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that can be set.

    `exporter` None means: capture and count, send nowhere (a broken file, or
    ``OTEL_SDK_DISABLED``, which also makes `enabled` false).
    """

    exporter: ExporterSettings | None
    service_name: str | None = None
    resource_attributes: Mapping[str, str | bool | int | float] = field(default_factory=dict)
    flush: FlushSettings = field(default_factory=FlushSettings)
    propagator: PropagatorSettings = field(default_factory=PropagatorSettings)
    capture: CaptureSettings = field(default_factory=CaptureSettings)
    redact: RedactSettings = field(default_factory=RedactSettings)
    sample: SampleSettings = field(default_factory=SampleSettings)
    signals: SignalSettings = field(default_factory=SignalSettings)
    limits: RequestLimits = field(default_factory=RequestLimits)
    spool: SpoolSettings = field(default_factory=SpoolSettings)
    fallback: str = FALLBACK_NONE
    """``none`` or ``stdout``: where goes what could not leave by the last deadline."""
    receiver: ReceiverSettings = field(default_factory=ReceiverSettings)
    secret_max_age_s: int = 300
    """Secrets and passing credentials that are older are fetched again."""
    enabled: bool = True
    log_level: str = "info"
    """``debug``, ``info``, ``warning`` or ``error``."""
