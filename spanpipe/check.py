"""``spanpipe check``: the configuration in force, where each value is from, and a test send."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from contextlib import closing
from typing import Any

from exporter.outcome import Verdict, shown_endpoint
from exporter.settings import ExporterSettings, HeaderValue, SecretText
from extension import sampling
from extension.config import LoadedConfig
from extension.problems import shown
from extension.settings import Settings
from spanpipe.configured import DISABLED, KeysMissingError, in_force, open_with_keys

OK_STATUS = 0
WRONG_STATUS = 1
MASKED = "********"


def add_parser(commands: Any) -> None:
    """Add the sub-command to the parser."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "check",
        help="print the configuration in force and where each value came from",
        description="Print the configuration in force and where each value came from; secrets "
        "are masked. Exit status 1 where something is wrong.",
    )
    parser.add_argument("file", nargs="?", help="a configuration file; else the one that is found")
    parser.add_argument(
        "--send", action="store_true", help="send an empty request to the endpoint as a test"
    )
    parser.set_defaults(main=check)


def check(options: argparse.Namespace) -> int:
    """Print; 0 where all is well, 1 where the configuration or the endpoint is not."""
    config = in_force(os.environ, options.file)
    print(f"file: {config.file or 'none: defaults'}")
    for error in config.errors:
        print(f"error: {error}")
    if config.errors:
        print("With these errors the extension captures and counts, and exports nothing.")
        return WRONG_STATUS
    rows = _rows(config)
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    for path, value, origin in rows:
        print(f"{path:{widths[0]}}  {value:{widths[1]}}  {origin}".rstrip())
    if not options.send:
        return OK_STATUS
    return _send(config.settings)


def _send(settings: Settings) -> int:
    if settings.exporter is None:
        print(f"send: {DISABLED}")
        return WRONG_STATUS
    try:
        opened = open_with_keys(settings.exporter, os.environ)
    except KeysMissingError as error:
        for problem in error.problems:
            print(f"send: {problem}")
        return WRONG_STATUS
    with closing(opened) as sender:
        outcome = sender.send([], 0, settings.exporter.timeout_ms / 1000)
    print(f"send: {outcome.verdict.value} in {outcome.duration_s * 1000:.0f} ms: {outcome.detail}")
    return OK_STATUS if outcome.verdict is Verdict.ACCEPTED else WRONG_STATUS


def _rows(config: LoadedConfig) -> list[tuple[str, str, str]]:
    """(key path, value, origin) of every setting."""
    settings = config.settings
    attributes = dict(settings.resource_attributes)
    named = "resource.attributes.service.name"
    of_attributes = attributes.pop("service.name", None)
    values: dict[str, object] = {}
    if settings.exporter is not None:
        values.update(_exporter_values(settings.exporter))
        sigv4 = settings.exporter.sigv4
        values["auth.sigv4.service"] = sigv4.service if sigv4 is not None else None
        values["auth.sigv4.region"] = sigv4.region if sigv4 is not None else None
    values["auth.secret_max_age_s"] = settings.secret_max_age_s
    if settings.service_name or of_attributes is None:
        named = "service.name"
    values[named] = settings.service_name or of_attributes or "(the function's name)"
    values.update(_pairs("resource.attributes", attributes))
    flush = settings.flush
    for name in ("mode", "hold_ms", "max_age_ms", "max_spans", "max_bytes"):
        values[f"flush.{name}"] = getattr(flush, name)
    values["propagator.composite"] = ", ".join(settings.propagator.composite) or "none"
    values["propagator.event_path"] = settings.propagator.event_path or None
    for name in ("response", "request", "format", "max_body_bytes"):
        values[f"capture.{name}"] = getattr(settings.capture, name)
    values["redact.keys"] = ", ".join(settings.redact.keys) or None
    # A pattern may be the secret itself, from a variable.
    values["redact.patterns"] = f"{len(settings.redact.patterns)} (not shown)"
    values["redact.defaults"] = settings.redact.defaults
    values["sample.sampler"] = sampling.shown(settings.sample.sampler)
    values["sample.on_error"] = settings.sample.on_error
    values["signals.platform_spans"] = settings.signals.platform_spans
    values["signals.metrics"] = settings.signals.metrics
    values["signals.logs"] = settings.signals.logs
    values["limits.max_request_bytes"] = settings.limits.max_bytes
    values["limits.max_request_spans"] = settings.limits.max_spans
    values["limits.max_span_bytes"] = settings.limits.max_span_bytes
    values["spool.max_bytes"] = settings.spool.max_bytes
    values["spool.max_age_s"] = settings.spool.max_age_s
    values["receiver.otlp_http.enabled"] = settings.receiver.enabled
    values["receiver.otlp_http.port"] = settings.receiver.port
    values["fallback"] = settings.fallback
    values["log_level"] = settings.log_level
    values["enabled"] = settings.enabled
    return [
        (path, _shown(value), str(config.origins.get(path, "default")))
        for path, value in values.items()
    ]


def _exporter_values(exporter: ExporterSettings) -> dict[str, object]:
    path = f"exporter.{exporter.protocol}"
    endpoint = shown_endpoint(exporter.endpoint)
    return {
        f"{path}.endpoint": endpoint if endpoint == exporter.endpoint else f"{endpoint} {MASKED}",
        **_pairs(f"{path}.headers", {k: _masked(v) for k, v in exporter.headers.items()}),
        f"{path}.compression": exporter.compression,
        f"{path}.timeout": f"{exporter.timeout_ms} ms",
        f"{path}.tls.ca_file": exporter.tls.ca_file,
        f"{path}.tls.cert_file": exporter.tls.cert_file,
        f"{path}.tls.key_file": exporter.tls.key_file,
    }


def _masked(value: HeaderValue) -> str:
    """The names of secrets in it may be shown, what stands around them may not."""
    if not isinstance(value, SecretText):
        return MASKED
    return " ".join(
        f"${{{part}}}" if not isinstance(part, str) else MASKED for part in value.parts if part
    )


def _pairs(path: str, values: Mapping[str, object]) -> dict[str, object]:
    """Each with its own path, since each has its own origin."""
    return {f"{path}.{name}": value for name, value in values.items()} or {path: None}


def _shown(value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    return shown(str(value), 200)
