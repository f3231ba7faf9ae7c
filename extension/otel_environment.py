"""OpenTelemetry's environment variables over the file's settings.

Sources: OpenTelemetry specification, "Environment Variable Specification" and "OpenTelemetry
Protocol Exporter". An empty variable counts as unset; one for traces goes before the general.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import unquote, urlsplit, urlunsplit

from exporter.settings import OTLP_GRPC, OTLP_HTTP, ExporterSettings
from extension.log import LEVELS
from extension.schema import DEFAULT_GRPC_ENDPOINT, DEFAULT_HTTP_ENDPOINT, endpoint_problem
from extension.settings import Settings

TRACES_PATH = "/v1/traces"
MAX_TIMEOUT_MS = 60_000

_PROTOCOLS = {"grpc": OTLP_GRPC, "http/protobuf": OTLP_HTTP}
_PREFIX = "OTEL_EXPORTER_OTLP_"


@dataclass(slots=True)
class _Variables:
    """The variables, which of them were used for what, and what is wrong with them."""

    environ: Mapping[str, str]
    origins: dict[str, str]
    errors: list[str] = field(default_factory=list)

    def get(self, name: str, path: str) -> str | None:
        value = self.environ.get(name)
        if not value:
            return None
        self.origins[path] = name
        return value

    def exporter(self, name: str, path: str) -> tuple[str, str] | None:
        """(variable, value) of the one for traces, else the general one."""
        for variable in (f"{_PREFIX}TRACES_{name}", f"{_PREFIX}{name}"):
            value = self.get(variable, path)
            if value is not None:
                return variable, value
        return None


def apply(
    settings: Settings, environ: Mapping[str, str], origins: dict[str, str]
) -> tuple[Settings, list[str]]:
    """`settings` as the environment changes them; and the errors, each naming its variable."""
    variables = _Variables(environ, origins)
    exporter = settings.exporter
    if exporter is not None:
        exporter = _exporter(exporter, variables)
    attributes = dict(settings.resource_attributes)
    text = variables.get("OTEL_RESOURCE_ATTRIBUTES", "resource.attributes")
    if text is not None:
        attributes.update(_pairs(text, "OTEL_RESOURCE_ATTRIBUTES", variables))
    service_name = variables.get("OTEL_SERVICE_NAME", "service.name") or settings.service_name
    level = variables.get("SPANPIPE_LOG_LEVEL", "log_level")
    if level is not None and level.lower() not in LEVELS:
        variables.errors.append(
            f"SPANPIPE_LOG_LEVEL: is {level!r}, must be one of {', '.join(LEVELS)}"
        )
        level = None
    disabled = (variables.get("OTEL_SDK_DISABLED", "enabled") or "").lower() == "true"
    changed = replace(
        settings,
        exporter=None if disabled else exporter,
        service_name=service_name,
        resource_attributes=attributes,
        enabled=settings.enabled and not disabled,
        log_level=level.lower() if level else settings.log_level,
    )
    return changed, variables.errors


def _exporter(exporter: ExporterSettings, variables: _Variables) -> ExporterSettings:
    exporter = _with_protocol(exporter, variables)
    exporter = _with_endpoint(exporter, variables)
    path = f"exporter.{exporter.protocol}"
    found = variables.exporter("HEADERS", f"{path}.headers")
    if found is not None:
        exporter = replace(
            exporter, headers={**exporter.headers, **_pairs(found[1], found[0], variables)}
        )
    found = variables.exporter("COMPRESSION", f"{path}.compression")
    if found is not None:
        if found[1] in ("gzip", "none"):
            exporter = replace(exporter, compression=found[1])
        else:
            variables.errors.append(f"{found[0]}: is {found[1]!r}, must be one of gzip, none")
    found = variables.exporter("TIMEOUT", f"{path}.timeout")
    if found is not None:
        text = found[1].strip()
        if text.isascii() and text.isdigit() and 1 <= int(text) <= MAX_TIMEOUT_MS:
            exporter = replace(exporter, timeout_ms=int(text))
        else:
            variables.errors.append(
                f"{found[0]}: is {found[1]!r}, must be milliseconds from 1 to {MAX_TIMEOUT_MS}"
            )
    tls = exporter.tls
    for name, attribute in (
        ("CERTIFICATE", "ca_file"),
        ("CLIENT_CERTIFICATE", "cert_file"),
        ("CLIENT_KEY", "key_file"),
    ):
        found = variables.exporter(name, f"{path}.tls.{attribute}")
        if found is not None:
            tls = replace(tls, **{attribute: found[1]})
    return replace(exporter, tls=tls)


def _with_protocol(exporter: ExporterSettings, variables: _Variables) -> ExporterSettings:
    found = variables.exporter("PROTOCOL", "exporter.protocol")
    if found is None:
        return exporter
    protocol = _PROTOCOLS.get(found[1].strip())
    if protocol is None:
        variables.errors.append(
            f"{found[0]}: is {found[1]!r}, must be one of {', '.join(_PROTOCOLS)}"
        )
        return exporter
    if protocol == exporter.protocol:
        return exporter
    # The file's endpoint is the other protocol's: its port and path would not fit.
    endpoint = DEFAULT_GRPC_ENDPOINT if protocol == OTLP_GRPC else DEFAULT_HTTP_ENDPOINT
    return replace(exporter, protocol=protocol, endpoint=endpoint)


def _with_endpoint(exporter: ExporterSettings, variables: _Variables) -> ExporterSettings:
    path = f"exporter.{exporter.protocol}.endpoint"
    found = variables.exporter("ENDPOINT", path)
    if found is None:
        return exporter
    variable, endpoint = found[0], found[1].strip()
    grpc = exporter.protocol == OTLP_GRPC
    if grpc and "://" not in endpoint:
        insecure = variables.exporter("INSECURE", f"{path}.insecure")
        plain = insecure is not None and insecure[1].lower() == "true"
        endpoint = f"{'http' if plain else 'https'}://{endpoint}"
    problem = endpoint_problem(endpoint)
    if problem:
        variables.errors.append(f"{variable}: {problem}")
        return exporter
    if not grpc:
        parts = urlsplit(endpoint)
        if variable == f"{_PREFIX}ENDPOINT":
            endpoint = urlunsplit(parts._replace(path=parts.path.rstrip("/") + TRACES_PATH))
        elif not parts.path:
            endpoint = urlunsplit(parts._replace(path="/"))
    return replace(exporter, endpoint=endpoint)


def _pairs(text: str, variable: str, variables: _Variables) -> dict[str, str]:
    """``key=value,key2=value2``, URL-encoded (the specification's W3C Baggage form)."""
    found: dict[str, str] = {}
    for index, part in enumerate(text.split(",")):
        if not part.strip():
            continue
        name, equals, value = part.partition("=")
        if not equals or not name.strip():
            # The value may be a secret: it is not repeated.
            variables.errors.append(f"{variable}: entry {index + 1} is not key=value")
            continue
        found[unquote(name.strip())] = unquote(value.strip())
    return found
