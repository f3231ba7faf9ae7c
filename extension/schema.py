"""What the configuration file may hold: YAML's nodes in, `Settings` out, every error at once."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from exporter.settings import OTLP_GRPC, OTLP_HTTP, ExporterSettings, TlsSettings
from extension.log import LEVELS
from extension.settings import (
    FLUSH_AUTO,
    FLUSH_END,
    FLUSH_NEXT,
    CaptureSettings,
    FlushSettings,
    Settings,
)
from extension.yaml_source import Node

DEFAULT_HTTP_ENDPOINT = "http://localhost:4318/v1/traces"
DEFAULT_GRPC_ENDPOINT = "http://localhost:4317"
MAX_BODY_BYTES = 6 * 1024 * 1024

ResourceValue = str | bool | int | float


@dataclass(slots=True)
class Reading:
    """Errors so far, and where each value that was given stands."""

    errors: list[str] = field(default_factory=list)
    origins: dict[str, str] = field(default_factory=dict)

    def wrong(self, node: Node, path: str, text: str) -> None:
        """Note an error at `node`, whose key is `path`."""
        self.errors.append(f"{node.place}: {path}: {text}")


class Section:
    """One mapping of the file: take its keys one by one, then `finish`."""

    def __init__(self, node: Node | None, path: str, reading: Reading) -> None:
        self._reading = reading
        self._path = path
        self._known: list[str] = []
        self._node = node
        self._items: Mapping[str, Node] = {}
        if node is None or node.value is None:
            return
        if isinstance(node.value, dict):
            self._items = node.value
        else:
            reading.wrong(node, path or "the file", f"must be a mapping, not {node.kind}")

    def path(self, key: str) -> str:
        """The key's whole path, as the errors name it."""
        return f"{self._path}.{key}" if self._path else key

    def node(self, key: str) -> Node | None:
        """The value of `key`, None where it is not given or empty."""
        self._known.append(key)
        node = self._items.get(key)
        if node is None or node.value is None:
            return None
        self._reading.origins[self.path(key)] = str(node.place)
        return node

    def section(self, key: str) -> Section:
        """The mapping under `key`."""
        self._known.append(key)
        return Section(self._items.get(key), self.path(key), self._reading)

    def has(self, key: str) -> bool:
        """Whether `key` is written, even with nothing after it."""
        return key in self._items

    def integer(self, key: str, default: int, low: int, high: int) -> int:
        """A whole number from `low` to `high`."""
        node = self.node(key)
        if node is None:
            return default
        value = node.value
        if isinstance(value, bool) or not isinstance(value, int):
            self._wrong(node, key, f"must be a whole number from {low} to {high}, not {node.kind}")
            return default
        if not low <= value <= high:
            self._wrong(node, key, f"is {value}, must be from {low} to {high}")
            return default
        return value

    def boolean(self, key: str, default: bool) -> bool:
        """true or false."""
        node = self.node(key)
        if node is None:
            return default
        if not isinstance(node.value, bool):
            self._wrong(node, key, f"must be true or false, not {node.kind}")
            return default
        return node.value

    def text(self, key: str, default: str | None) -> str | None:
        """A text; numbers are taken as they are written."""
        node = self.node(key)
        if node is None:
            return default
        if not isinstance(node.value, list | dict):
            return node.text
        self._wrong(node, key, f"must be a text, not {node.kind}")
        return default

    def choice(self, key: str, default: str, choices: Sequence[str]) -> str:
        """One of `choices`."""
        node = self.node(key)
        if node is None:
            return default
        if not isinstance(node.value, str) or node.value not in choices:
            shown = f"is {node.value!r}" if not isinstance(node.value, list | dict) else node.kind
            self._wrong(node, key, f"{shown}, must be one of {', '.join(choices)}")
            return default
        return node.value

    def pairs(self, key: str, value_of: Callable[[Section], object]) -> dict[str, object]:
        """A list of ``{name: …, value: …}``, as OpenTelemetry's configuration writes pairs."""
        node = self.node(key)
        if node is None:
            return {}
        if not isinstance(node.value, list):
            self._wrong(node, key, f"must be a list of name and value, not {node.kind}")
            return {}
        found: dict[str, object] = {}
        for index, item in enumerate(node.value):
            entry = Section(item, f"{self.path(key)}[{index}]", self._reading)
            name = entry.text("name", None)
            value = value_of(entry)
            entry.finish()
            if name is None or value is None:
                if isinstance(item.value, dict):
                    self._reading.wrong(item, f"{self.path(key)}[{index}]", "needs name and value")
                continue
            if name in found:
                self._reading.wrong(item, f"{self.path(key)}[{index}]", f"{name} stands twice")
            found[name] = value
        return found

    def finish(self) -> None:
        """Every key that nobody took is an error."""
        places = (self._node.key_places if self._node is not None else None) or {}
        for key in self._items:
            if key in self._known:
                continue
            close = difflib.get_close_matches(key, self._known, n=1)
            hint = f"did you mean {close[0]}?" if close else f"known: {', '.join(self._known)}"
            self._reading.errors.append(f"{places[key]}: {self.path(key)}: unknown key; {hint}")

    def _wrong(self, node: Node, key: str, text: str) -> None:
        self._reading.wrong(node, self.path(key), text)


def read_settings(root: Node, reading: Reading) -> Settings:
    """The settings in `root`; where `reading.errors` is not empty they are not to be used."""
    top = Section(root, "", reading)
    exporter = _exporter(top.section("exporter"), reading)
    resource = top.section("resource")
    attributes = resource.pairs("attributes", _resource_value)
    resource.finish()
    flush = top.section("flush")
    flush_settings = FlushSettings(
        mode=flush.choice("mode", FLUSH_AUTO, (FLUSH_AUTO, FLUSH_END, FLUSH_NEXT)),
        hold_ms=flush.integer("hold_ms", 200, 0, 2_000),
        max_age_ms=flush.integer("max_age_ms", 5_000, 0, 600_000),
        max_spans=flush.integer("max_spans", 512, 1, 4_096),
        max_bytes=flush.integer("max_bytes", 1_048_576, 1_024, 16 * 1024 * 1024),
    )
    flush.finish()
    capture = top.section("capture")
    capture_settings = CaptureSettings(
        response=capture.boolean("response", True),
        max_body_bytes=capture.integer("max_body_bytes", 65_536, 0, MAX_BODY_BYTES),
    )
    capture.finish()
    level = top.choice("log_level", "info", tuple(LEVELS))
    top.finish()
    return Settings(
        exporter=exporter,
        resource_attributes={
            name: value for name, value in attributes.items() if isinstance(value, ResourceValue)
        },
        flush=flush_settings,
        capture=capture_settings,
        log_level=level,
    )


def _exporter(section: Section, reading: Reading) -> ExporterSettings:
    grpc = section.has(OTLP_GRPC)
    if grpc and section.has(OTLP_HTTP):
        node = section.node(OTLP_GRPC)
        where = f"{node.place}: " if node is not None else ""
        reading.errors.append(f"{where}exporter: {OTLP_HTTP} and {OTLP_GRPC} exclude each other")
    protocol = OTLP_GRPC if grpc else OTLP_HTTP
    chosen = section.section(protocol)
    # Both names are known, whichever is chosen.
    section.section(OTLP_HTTP)
    section.section(OTLP_GRPC)
    section.finish()
    endpoint_node = chosen.node("endpoint")
    default = DEFAULT_GRPC_ENDPOINT if grpc else DEFAULT_HTTP_ENDPOINT
    endpoint = chosen.text("endpoint", default) or default
    problem = endpoint_problem(endpoint)
    if problem and endpoint_node is not None:
        reading.wrong(endpoint_node, chosen.path("endpoint"), problem)
    tls = chosen.section("tls")
    settings = ExporterSettings(
        protocol=protocol,
        endpoint=endpoint,
        headers={
            name: str(value)
            for name, value in chosen.pairs(
                "headers", lambda entry: entry.text("value", None)
            ).items()
        },
        compression=chosen.choice("compression", "gzip", ("gzip", "none")),
        timeout_ms=chosen.integer("timeout", 10_000, 1, 60_000),
        tls=TlsSettings(
            ca_file=tls.text("ca_file", None),
            cert_file=tls.text("cert_file", None),
            key_file=tls.text("key_file", None),
        ),
    )
    tls.finish()
    chosen.finish()
    return settings


def _resource_value(entry: Section) -> object:
    node = entry.node("value")
    if node is None or isinstance(node.value, list | dict):
        return None
    return node.value


def endpoint_problem(endpoint: str) -> str | None:
    """What is wrong with an endpoint; None where nothing is."""
    try:
        parts = urlsplit(endpoint)
        port = parts.port
    except ValueError:
        return "is no URL with a valid port"
    del port
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return "must be a URL that begins with http:// or https:// and names a host"
    return None
