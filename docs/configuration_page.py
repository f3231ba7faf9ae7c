"""Writes the reference of the configuration, and its JSON Schema: ``make pages``.

Keys, types and ranges are the loader's, texts are the comments of ``config.yaml``, and which
variable goes before which key is tried out. A test fails when a page is stale.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from exporter.settings import OTLP_GRPC, ExporterSettings
from extension.otel_environment import apply
from extension.problems import Origin
from extension.schema import Reading, Section, settings_of
from spanpipe import json_schema
from spanpipe.json_schema import EMPTY, SUBSTITUTION

FOLDER = Path(__file__).parent
PAGE = FOLDER / "configuration.md"
SCHEMA = FOLDER / "spanpipe.schema.json"

VARIABLES = {
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://host:4318/v1/traces",
    "OTEL_EXPORTER_OTLP_ENDPOINT": "http://host:4318",
    "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://host:4318/v1/metrics",
    "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": "http://host:4318/v1/logs",
    "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
    "OTEL_EXPORTER_OTLP_HEADERS": "a=b",
    "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
    "OTEL_EXPORTER_OTLP_TIMEOUT": "1000",
    "OTEL_EXPORTER_OTLP_CERTIFICATE": "/a.pem",
    "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": "/a.pem",
    "OTEL_EXPORTER_OTLP_CLIENT_KEY": "/a.pem",
    "OTEL_RESOURCE_ATTRIBUTES": "a=b",
    "OTEL_PROPAGATORS": "tracecontext",
    "OTEL_TRACES_SAMPLER": "always_on",
    "SPANPIPE_LOG_LEVEL": "debug",
}
"""Each with a value to try it with. Those of the exporter are there with ``_TRACES`` too."""

HEAD = """\
# Configuration

Written by `make pages` from the loader; do not edit. [`config.yaml`](../config.yaml) is the same
as a file to start from, and `spanpipe schema` prints the [JSON Schema](spanpipe.schema.json) for
editors: keep it beside your `spanpipe.yaml`, whose first line is then
`# yaml-language-server: $schema=spanpipe.schema.json`.

The file is `$SPANPIPE_CONFIG`, else `spanpipe.yaml` in the function's package, else the layer's.
`${VAR}` and `${VAR:-text}` are substituted. A variable in the last column goes before the key;
one of `OTEL_EXPORTER_OTLP_…` is outdone by the same with `OTEL_EXPORTER_OTLP_TRACES_…`. Besides,
`OTEL_SERVICE_NAME` sets `service.name`, `OTEL_TRACES_SAMPLER_ARG` the sampler's ratio, and
`OTEL_SDK_DISABLED=true` turns everything off.

| key | type and range | default | variable |
|---|---|---|---|
"""


def page() -> str:
    """The reference page."""
    schema = json_schema.json_schema()
    variables = _variables()
    rows, texts = [], []
    for path, one in _leaves(schema["properties"], ""):
        # What both protocols have is told once.
        shown = path.replace("exporter.otlp_http.", "exporter.*.")
        if path.startswith(f"exporter.{OTLP_GRPC}.") and not path.endswith(".insecure"):
            continue
        default = one.get("default")
        rows.append(
            f"| `{shown}` | {_kind(one)} | {'' if default is None else f'`{_yaml(default)}`'} "
            f"| {', '.join(f'`{name}`' for name in variables.get(path, ()))} |"
        )
        if "description" in one:
            texts.append(f"- `{shown}`: {_escaped(one['description'])}")
    return HEAD + "\n".join(rows) + "\n\n## What they mean\n\n" + "\n".join(texts) + "\n"


def _variables() -> dict[str, list[str]]:
    """Path → the variables that set it, found by setting each."""
    found: dict[str, list[str]] = {}
    for name, value in VARIABLES.items():
        reading = Reading()
        origins: dict[str, Origin] = {}
        settings, problems = apply(
            settings_of(Section(None, "", reading), reading), {name: value}, origins
        )
        if problems or not origins or not isinstance(settings.exporter, ExporterSettings):
            raise ValueError(f"{name}={value}: {problems or 'sets nothing'}")
        for path in origins:
            found.setdefault(path, []).append(name)
    return found


def _leaves(properties: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for key, schema in properties.items():
        inner = f"{path}.{key}" if path else key
        if "properties" in schema:
            yield from _leaves(schema["properties"], inner)
        else:
            yield inner, schema


def _kind(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        names = json_schema.SAMPLER["properties"]
        return f"one of {', '.join(f'`{name}`' for name in names)}"
    (kind,) = [one for one in schema.get("anyOf", [schema]) if one not in (SUBSTITUTION, EMPTY)]
    if "enum" in kind:
        return ", ".join(f"`{_yaml(value)}`" for value in kind["enum"])
    if kind["type"] == "array":
        pairs = kind["items"]["type"] == "object"
        return (
            "list of `name` and `value`" if pairs else f"list of texts, {kind['maxItems']} at most"
        )
    if "minimum" in kind:
        return f"{kind['type']}, {kind['minimum']} to {kind['maximum']}"
    return "text" if isinstance(kind["type"], list) else str(kind["type"])


def _yaml(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _escaped(text: str) -> str:
    return text.replace("*", r"\*").replace("${", r"\${").replace("<", "&lt;")


def main() -> None:
    """Write both."""
    PAGE.write_text(page(), encoding="utf-8")
    SCHEMA.write_text(json_schema.text() + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
