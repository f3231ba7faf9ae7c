"""OpenTelemetry's environment variables over the file's settings.

Sources: OpenTelemetry specification, "Environment Variable Specification" and "OpenTelemetry
Protocol Exporter". An empty variable counts as unset; one for traces goes before the general.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from exporter.settings import OTLP_GRPC, OTLP_HTTP, ExporterSettings
from exporter.signals import LOGS, METRICS
from exporter.values import dataclass, field, replace
from extension import sampling
from extension.destination import TRACES_PATH, with_endpoint
from extension.log import LEVELS
from extension.pairs import PairsError, merged_headers, parse_pairs
from extension.problems import Origin, Problem, is_encodable, shown
from extension.schema import DEFAULT_GRPC_ENDPOINT, DEFAULT_HTTP_ENDPOINT
from extension.settings import Settings
from fifo import propagation
from fifo.sampling import Bounds

MAX_TIMEOUT_MS = 60_000

_PROTOCOLS = {"grpc": OTLP_GRPC, "http/protobuf": OTLP_HTTP}
_PREFIX = "OTEL_EXPORTER_OTLP_"
_SAMPLER, _SAMPLER_ARG = "OTEL_TRACES_SAMPLER", "OTEL_TRACES_SAMPLER_ARG"
_PARENT_BASED = "parentbased_"
_SAMPLERS = {
    parent + name: make
    for parent in ("", _PARENT_BASED)
    for name, make in (
        ("always_on", lambda ratio: sampling.ALWAYS_ON),
        ("always_off", lambda ratio: sampling.ALWAYS_OFF),
        ("traceidratio", sampling.trace_id_ratio_based),
    )
}


@dataclass(slots=True)
class _Variables:
    """The variables, which of them were used for what, and what is wrong with them."""

    environ: Mapping[str, str]
    origins: dict[str, Origin]
    problems: list[Problem] = field(default_factory=list)

    def get(self, name: str, path: str) -> str | None:
        value = self.environ.get(name)
        if not value:
            return None
        if not is_encodable(value):
            self.wrong(name, path, "is not UTF-8")
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

    def pairs(self, variable: str, text: str, path: str) -> dict[str, str]:
        """The pairs in `text`, each name with its own origin."""
        try:
            found = parse_pairs(text)
        except PairsError as error:
            self.wrong(variable, path, str(error))
            return {}
        self.origins.update({f"{path}.{name}": variable for name in found})
        return found

    def wrong(self, variable: str, path: str, text: str) -> None:
        self.problems.append(Problem(variable, path, text))


def apply(
    settings: Settings, environ: Mapping[str, str], origins: dict[str, Origin]
) -> tuple[Settings, list[Problem]]:
    """`settings` as the environment changes them; and what is wrong with its variables."""
    variables = _Variables(environ, origins)
    exporter = settings.exporter
    if exporter is not None:
        exporter = _exporter(exporter, variables)
    attributes = dict(settings.resource_attributes)
    text = variables.get("OTEL_RESOURCE_ATTRIBUTES", "resource.attributes")
    if text is not None:
        attributes.update(variables.pairs("OTEL_RESOURCE_ATTRIBUTES", text, "resource.attributes"))
    service_name = variables.get("OTEL_SERVICE_NAME", "service.name") or settings.service_name
    level = (variables.get("SPANPIPE_LOG_LEVEL", "log_level") or settings.log_level).lower()
    if level not in LEVELS:
        variables.wrong(
            "SPANPIPE_LOG_LEVEL",
            "log_level",
            f"is {shown(level)!r}, must be one of {', '.join(LEVELS)}",
        )
        level = settings.log_level
    propagator = settings.propagator
    named = variables.get("OTEL_PROPAGATORS", "propagator.composite")
    if named is not None:
        # What is not known here is another's, and left out, as the specification says.
        propagator = replace(propagator, composite=propagation.names_in(named)[0])
    sample = settings.sample
    name = variables.get(_SAMPLER, "sample.sampler")
    if name is not None:
        sample = replace(sample, sampler=_sampler(name, variables) or sample.sampler)
    disabled = (variables.get("OTEL_SDK_DISABLED", "enabled") or "").lower() == "true"
    changed = replace(
        settings,
        exporter=None if disabled else exporter,
        service_name=service_name,
        resource_attributes=attributes,
        propagator=propagator,
        sample=sample,
        enabled=settings.enabled and not disabled,
        log_level=level,
    )
    return changed, variables.problems


def _sampler(given: str, variables: _Variables) -> Bounds | None:
    """The sampler of that name; the argument counts for a ratio alone, and is 1 where not set."""
    name = given.strip().lower()
    if name not in _SAMPLERS:
        text = f"is {shown(given)!r}, must be one of {', '.join(_SAMPLERS)}"
        variables.wrong(_SAMPLER, "sample.sampler", text)
        return None
    ratio = 1.0
    argument = variables.environ.get(_SAMPLER_ARG)
    if argument and name.endswith("traceidratio"):
        try:
            ratio = float(argument)
        except ValueError:
            ratio = -1.0
        if not 0.0 <= ratio <= 1.0:
            text = f"is {shown(argument)!r}, must be a number from 0 to 1"
            variables.wrong(_SAMPLER_ARG, "sample.sampler", text)
            return None
    sampler = _SAMPLERS[name](ratio)
    return sampling.parent_based(sampler) if name.startswith(_PARENT_BASED) else sampler


def _exporter(exporter: ExporterSettings, variables: _Variables) -> ExporterSettings:
    exporter = _with_protocol(exporter, variables)
    exporter = _with_endpoint(exporter, variables)
    path = f"exporter.{exporter.protocol}"
    found = variables.exporter("HEADERS", f"{path}.headers")
    if found is not None:
        headers = variables.pairs(*found, f"{path}.headers")
        exporter = replace(exporter, headers=merged_headers(exporter.headers, headers))
    for signal in (METRICS, LOGS):
        endpoint = variables.get(f"{_PREFIX}{signal.upper()}_ENDPOINT", f"{path}.{signal}_endpoint")
        if endpoint is not None and exporter.protocol == OTLP_HTTP:
            exporter = with_endpoint(exporter, signal, endpoint.strip())
    found = variables.exporter("COMPRESSION", f"{path}.compression")
    if found is not None:
        if found[1] in ("gzip", "none"):
            exporter = replace(exporter, compression=found[1])
        else:
            text = f"is {shown(found[1])!r}, must be one of gzip, none"
            variables.wrong(found[0], f"{path}.compression", text)
    found = variables.exporter("TIMEOUT", f"{path}.timeout")
    if found is not None:
        exporter = _with_timeout(exporter, variables, *found)
    files: dict[str, Any] = {}
    for name, attribute in (
        ("CERTIFICATE", "ca_file"),
        ("CLIENT_CERTIFICATE", "cert_file"),
        ("CLIENT_KEY", "key_file"),
    ):
        found = variables.exporter(name, f"{path}.tls.{attribute}")
        if found is not None:
            files[attribute] = found[1]
    return replace(exporter, tls=replace(exporter.tls, **files))


def _with_protocol(exporter: ExporterSettings, variables: _Variables) -> ExporterSettings:
    found = variables.exporter("PROTOCOL", "exporter")
    if found is None:
        return exporter
    protocol = _PROTOCOLS.get(found[1].strip())
    if protocol is None:
        text = f"is {shown(found[1])!r}, must be one of {', '.join(_PROTOCOLS)}"
        variables.wrong(found[0], "exporter", text)
        return exporter
    if protocol == exporter.protocol:
        return exporter
    # The file's endpoint is the other protocol's: its port and path would not fit.
    old, new = f"exporter.{exporter.protocol}.", f"exporter.{protocol}."
    for path in [path for path in variables.origins if path.startswith(old)]:
        origin = variables.origins.pop(path)
        if path != f"{old}endpoint":
            variables.origins[new + path.removeprefix(old)] = origin
    endpoint = DEFAULT_GRPC_ENDPOINT if protocol == OTLP_GRPC else DEFAULT_HTTP_ENDPOINT
    return replace(exporter, protocol=protocol, endpoint=endpoint)


def _with_endpoint(exporter: ExporterSettings, variables: _Variables) -> ExporterSettings:
    path = f"exporter.{exporter.protocol}.endpoint"
    grpc = exporter.protocol == OTLP_GRPC
    found = variables.exporter("INSECURE", f"exporter.{exporter.protocol}.tls.insecure")
    if grpc and found is not None:
        plain = found[1].lower() == "true"
        exporter = replace(exporter, tls=replace(exporter.tls, insecure=plain))
    found = variables.exporter("ENDPOINT", path)
    if found is None:
        return exporter
    endpoint = found[1].strip()
    if not grpc:
        endpoint = _for_traces(endpoint, is_base=found[0] == f"{_PREFIX}ENDPOINT")
    return replace(exporter, endpoint=endpoint)


def _for_traces(endpoint: str, *, is_base: bool) -> str:
    """The URL to post to: a base gets the path of traces, another at least a slash."""
    try:
        parts = urlsplit(endpoint)
    except ValueError:
        return endpoint  # `extension.destination` says what is wrong with it
    if is_base:
        return urlunsplit(parts._replace(path=parts.path.rstrip("/") + TRACES_PATH))
    return endpoint if parts.path else urlunsplit(parts._replace(path="/"))


def _with_timeout(
    exporter: ExporterSettings, variables: _Variables, variable: str, text: str
) -> ExporterSettings:
    digits = text.strip()
    # Six digits are enough, and Python refuses to read thousands.
    if digits.isascii() and digits.isdigit() and len(digits) <= 6:
        timeout_ms = int(digits)
        if 1 <= timeout_ms <= MAX_TIMEOUT_MS:
            return replace(exporter, timeout_ms=timeout_ms)
    variables.wrong(
        variable,
        f"exporter.{exporter.protocol}.timeout",
        f"is {shown(text)!r}, must be milliseconds from 1 to {MAX_TIMEOUT_MS}",
    )
    return exporter
