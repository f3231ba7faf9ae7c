"""What the configuration file may hold: YAML's nodes in, `Settings` out, every error at once."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping, Sequence

from exporter.patterns import PatternError, compile_pattern
from exporter.secret_names import glob_problem
from exporter.settings import (
    OTLP_GRPC,
    OTLP_HTTP,
    ExporterSettings,
    RedactSettings,
    RequestLimits,
    SecretText,
    SigV4Settings,
    TlsSettings,
)
from exporter.values import dataclass, field, replace
from extension import sampling
from extension.log import LEVELS
from extension.pairs import PairsError, parse_pairs
from extension.problems import Origin, Place, Problem, shown
from extension.settings import (
    ALWAYS,
    FALLBACK_NONE,
    FALLBACK_STDOUT,
    FLUSH_AUTO,
    FLUSH_END,
    FLUSH_NEXT,
    MAX_WAITING,
    OFF,
    ON_ERROR,
    CaptureSettings,
    FlushSettings,
    PropagatorSettings,
    ReceiverSettings,
    SampleSettings,
    Settings,
    SignalSettings,
    SpoolSettings,
)
from extension.yaml_source import Node
from fifo import mailbox, propagation
from fifo.sampling import Bounds

DEFAULT_HTTP_ENDPOINT = "http://localhost:4318/v1/traces"
DEFAULT_GRPC_ENDPOINT = "http://localhost:4317"
MIB = 1024 * 1024
MAX_BODY_BYTES = 6 * MIB

MAX_REDACT_KEYS = 256
MAX_REDACT_PATTERNS = 32
"""Each pattern is one more search of every text."""

MAX_INT = 2**63
"""OTLP's integers are signed and have 64 bits."""

SECRET_PATHS = re.compile(r"exporter\.otlp_(http|grpc)\.headers\[[0-9]+\]\.value")
"""Where a value may name secrets of AWS's stores."""

WHEN = (OFF, ON_ERROR, ALWAYS)
"""A body is captured then."""

ResourceValue = str | bool | int | float
_ATTRIBUTE_TYPES: dict[str, type] = {"bool": bool, "int": int, "double": float}
"""OpenTelemetry's names; texts apart."""


@dataclass(slots=True)
class Reading:
    """Problems so far, where each value that was given stands, and every key there is."""

    problems: list[Problem] = field(default_factory=list)
    origins: dict[str, Origin] = field(default_factory=dict)
    known: set[str] = field(default_factory=set)

    def wrong(self, node: Node, path: str, text: str) -> None:
        """Note a problem at `node`, whose key is `path`."""
        self.problems.append(Problem(node.place, path, text))


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
        self._take(key)
        node = self._items.get(key)
        if node is None or node.value is None:
            return None
        self._reading.origins[self.path(key)] = node.place
        return node

    def section(self, key: str) -> Section:
        """The mapping under `key`."""
        self._take(key)
        return Section(self._items.get(key), self.path(key), self._reading)

    def key_places(self) -> list[tuple[str, Place]]:
        """The keys as they are written, with their places: where names are the user's own."""
        places = (self._node.key_places if self._node is not None else None) or {}
        return [(key, places[key]) for key in self._items]

    def wrong_key(self, key: str, text: str) -> None:
        """Note a problem at `key`, which is written."""
        node = self._items[key]
        self._wrong(node, key, text)

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
            self._wrong(node, key, f"is {shown(node.written)}, must be from {low} to {high}")
            return default
        return value

    def number(self, key: str, default: float, low: float, high: float) -> float:
        """A number, whole or not, from `low` to `high`."""
        node = self.node(key)
        if node is None:
            return default
        value = node.value
        if isinstance(value, bool) or not isinstance(value, int | float):
            self._wrong(node, key, f"must be a number from {low:g} to {high:g}, not {node.kind}")
            return default
        if not low <= value <= high:
            self._wrong(node, key, f"is {shown(node.written)}, must be from {low:g} to {high:g}")
            return default
        return float(value)

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
            scalar = not isinstance(node.value, list | dict)
            what = f"is {shown(node.written)!r}" if scalar else f"is {node.kind}"
            self._wrong(node, key, f"{what}, must be one of {', '.join(choices)}")
            return default
        return node.value

    def switch(self, key: str, default: str, choices: Sequence[str], off: str, on: str) -> str:
        """One of `choices`; false and true are short for `off` and `on`."""
        node = self.node(key)
        if node is not None and isinstance(node.value, bool):
            return on if node.value else off
        return self.choice(key, default, choices)

    def texts(
        self, key: str, max_count: int, problem_of: Callable[[str], str | None]
    ) -> tuple[str, ...]:
        """A list of at most `max_count` texts, each without a problem by `problem_of`."""
        node = self.node(key)
        if node is None:
            return ()
        if not isinstance(node.value, list):
            self._wrong(node, key, f"must be a list of texts, not {node.kind}")
            return ()
        if len(node.value) > max_count:
            self._wrong(node, key, f"has {len(node.value)} entries, must have at most {max_count}")
            return ()
        found: list[str] = []
        for index, item in enumerate(node.value):
            path = f"{self.path(key)}[{index}]"
            if item.value is None or isinstance(item.value, list | dict):
                self._reading.wrong(item, path, f"must be a text, not {item.kind}")
                continue
            problem = problem_of(item.text)
            if problem is not None:
                if item.written != item.text:
                    # What a variable holds may be a secret; the reason may quote it.
                    problem = problem.partition(":")[0]
                self._reading.wrong(item, path, f"{shown(item.written)} {problem}")
            found.append(item.text)
        return tuple(found)

    def pairs(
        self, key: str, value_of: Callable[[Section], object], *, has_case: bool = True
    ) -> dict[str, object]:
        """Pairs as OpenTelemetry's configuration writes them, and their short form.

        A list of ``{name: …, value: …}`` under `key`, over the text ``name=value,…`` under
        `key` with ``_list``. An entry whose value is empty is left out, as OpenTelemetry says.
        Without `has_case`, names that differ in case alone are one.
        """
        found = self._short_pairs(f"{key}_list", self.path(key))
        node = self.node(key)
        if node is None:
            return found
        if not isinstance(node.value, list):
            self._wrong(node, key, f"must be a list of name and value, not {node.kind}")
            return found
        listed: dict[str, object] = {}
        seen: set[str] = set()
        for index, item in enumerate(node.value):
            path = f"{self.path(key)}[{index}]"
            entry = Section(item, path, self._reading)
            name = entry.text("name", None)
            value = value_of(entry)
            entry.finish()
            if name is None or not entry.has("value"):
                if isinstance(item.value, dict):
                    self._reading.wrong(item, path, "needs name and value")
                continue
            same = name if has_case else name.lower()
            if same in seen:
                self._reading.wrong(item, path, f"{shown(name)} stands twice")
            seen.add(same)
            if value is not None:
                listed[name] = value
                self._reading.origins[f"{self.path(key)}.{name}"] = item.place
        if has_case:
            return {**found, **listed}
        return {**{k: v for k, v in found.items() if k.lower() not in seen}, **listed}

    def _short_pairs(self, key: str, path: str) -> dict[str, object]:
        node = self.node(key)
        text = self.text(key, None)
        if node is None or text is None:
            return {}
        try:
            found = parse_pairs(text)
        except PairsError as error:
            self._wrong(node, key, str(error))
            return {}
        self._reading.origins.update({f"{path}.{name}": node.place for name in found})
        return dict(found)

    def finish(self) -> None:
        """Every key that nobody took is an error."""
        places = (self._node.key_places if self._node is not None else None) or {}
        for key in self._items:
            if key in self._known:
                continue
            close = difflib.get_close_matches(key, self._known, n=1)
            hint = f"did you mean {close[0]}?" if close else f"known: {', '.join(self._known)}"
            path = self.path(shown(key))
            self._reading.problems.append(Problem(places[key], path, f"unknown key; {hint}"))

    def _take(self, key: str) -> None:
        if key not in self._known:
            self._known.append(key)
            self._reading.known.add(self.path(key))

    def _wrong(self, node: Node, key: str, text: str) -> None:
        self._reading.wrong(node, self.path(key), text)


def read_settings(root: Node, reading: Reading) -> Settings:
    """The settings in `root`; where `reading.problems` is not empty they are not to be used."""
    return settings_of(Section(root, "", reading), reading)


def settings_of(top: Section, reading: Reading) -> Settings:
    """Asks `top` for every key there is, with its default and its range."""
    exporter = _exporter(top.section("exporter"), reading)
    auth = top.section("auth")
    exporter = replace(exporter, sigv4=_sigv4(auth.section("sigv4")))
    secret_max_age_s = auth.integer("secret_max_age_s", 300, 10, 86_400)
    auth.finish()
    resource = top.section("resource")
    attributes = resource.pairs("attributes", _resource_value)
    resource.finish()
    flush = top.section("flush")
    flush_settings = FlushSettings(
        mode=flush.choice("mode", FLUSH_AUTO, (FLUSH_AUTO, FLUSH_END, FLUSH_NEXT)),
        hold_ms=flush.integer("hold_ms", 200, 0, 2_000),
        max_age_ms=flush.integer("max_age_ms", 5_000, 0, 600_000),
        max_spans=flush.integer("max_spans", 512, 1, MAX_WAITING),
        max_bytes=flush.integer("max_bytes", MIB, 1_024, 16 * MIB),
    )
    flush.finish()
    propagator = top.section("propagator")
    composite = propagator.texts("composite", len(propagation.NAMES), _propagator_problem)
    propagator_settings = PropagatorSettings(
        composite=tuple(dict.fromkeys(composite))
        if propagator.node("composite") is not None
        else propagation.DEFAULT,
        event_path=_event_path(propagator, reading),
    )
    propagator.finish()
    capture = top.section("capture")
    capture_settings = CaptureSettings(
        response=capture.switch("response", ALWAYS, WHEN, OFF, ALWAYS),
        request=capture.switch("request", OFF, WHEN, OFF, ALWAYS),
        format=capture.choice("format", "json", ("json", "attributes")),
        max_body_bytes=capture.integer("max_body_bytes", 65_536, 0, MAX_BODY_BYTES),
    )
    capture.finish()
    redact = top.section("redact")
    redact_settings = RedactSettings(
        keys=redact.texts("keys", MAX_REDACT_KEYS, glob_problem),
        patterns=redact.texts("patterns", MAX_REDACT_PATTERNS, _pattern_problem),
        defaults=redact.boolean("defaults", True),
    )
    redact.finish()
    sample = top.section("sample")
    sample_settings = SampleSettings(
        sampler=_sampler(sample, "sampler", reading),
        on_error=sample.boolean("on_error", True),
    )
    sample.finish()
    signals = top.section("signals")
    signal_settings = SignalSettings(
        platform_spans=signals.boolean("platform_spans", True),
        metrics=signals.boolean("metrics", False),
        logs=signals.boolean("logs", False),
    )
    signals.finish()
    limits = top.section("limits")
    limit_settings = RequestLimits(
        max_bytes=limits.integer("max_request_bytes", 4 * MIB, 65_536, 64 * MIB),
        max_spans=limits.integer("max_request_spans", 2_000, 1, 100_000),
        max_span_bytes=limits.integer("max_span_bytes", 4 * MIB, 16_384, 64 * MIB),
    )
    limits.finish()
    spool = top.section("spool")
    spool_settings = SpoolSettings(
        max_bytes=spool.integer("max_bytes", 16 * MIB, 0, 8_192 * MIB),
        max_age_s=spool.integer("max_age_s", 86_400, 1, 30 * 86_400),
    )
    spool.finish()
    receiver = top.section("receiver")
    receiver_settings = _receiver(receiver)
    receiver.finish()
    fallback = top.choice("fallback", FALLBACK_NONE, (FALLBACK_NONE, FALLBACK_STDOUT))
    level = top.choice("log_level", "info", tuple(LEVELS))
    top.finish()
    return Settings(
        exporter=exporter,
        secret_max_age_s=secret_max_age_s,
        resource_attributes={
            name: value for name, value in attributes.items() if isinstance(value, ResourceValue)
        },
        flush=flush_settings,
        propagator=propagator_settings,
        capture=capture_settings,
        redact=redact_settings,
        sample=sample_settings,
        signals=signal_settings,
        limits=limit_settings,
        spool=spool_settings,
        fallback=fallback,
        receiver=receiver_settings,
        log_level=level,
    )


def _receiver(section: Section) -> ReceiverSettings:
    http = section.section("otlp_http")
    settings = ReceiverSettings(
        enabled=http.boolean("enabled", False),
        port=http.integer("port", 4_318, 1, 65_535),
    )
    http.finish()
    return settings


def _sigv4(section: Section) -> SigV4Settings | None:
    """A service without a region: the function's own, which the environment tells."""
    service = section.text("service", None) or ""
    region = section.text("region", None) or ""
    if region and not service:
        section.wrong_key("region", "needs service too: the name that AWS signs by, such as xray")
    section.finish()
    return SigV4Settings(region, service) if service else None


def _propagator_problem(text: str) -> str | None:
    if text in propagation.NAMES:
        return None
    return f"is no propagator: must be one of {', '.join(propagation.NAMES)}"


def _event_path(section: Section, reading: Reading) -> str:
    node = section.node("event_path")
    path = section.text("event_path", None) or ""
    if node is not None and len(path.encode()) > mailbox.MAX_TEXT_BYTES:
        text = f"has {len(path.encode())} bytes, must have at most {mailbox.MAX_TEXT_BYTES}"
        reading.wrong(node, section.path("event_path"), text)
    return path


def _pattern_problem(text: str) -> str | None:
    try:
        compile_pattern(text)
    except PatternError as error:
        return str(error)
    return None


_SAMPLERS = ("always_on", "always_off", "trace_id_ratio_based", "parent_based")


def _sampler(section: Section, key: str, reading: Reading) -> Bounds | None:
    """A sampler as OpenTelemetry's declarative configuration writes it; None: not given."""
    node = section.node(key)
    one = section.section(key)
    if node is None or not isinstance(node.value, dict):
        return None
    names = ", ".join(_SAMPLERS)
    parts = {name: one.section(name) for name in _SAMPLERS}
    given = [name for name in _SAMPLERS if one.has(name)]
    one.finish()
    if len(given) > 1:
        one.wrong_key(given[1], f"{given[0]} and {given[1]} exclude each other; keep one")
    if not node.value:
        reading.wrong(node, section.path(key), f"must have one of {names}")
    if not given:
        return None
    part = parts[given[0]]
    bounds = _bounds(given[0], part, reading)
    part.finish()
    return bounds


def _bounds(name: str, part: Section, reading: Reading) -> Bounds:
    if name == "always_on":
        return sampling.ALWAYS_ON
    if name == "always_off":
        return sampling.ALWAYS_OFF
    if name == "trace_id_ratio_based":
        return sampling.trace_id_ratio_based(part.number("ratio", 1.0, 0.0, 1.0))
    return sampling.parent_based(
        _sampler(part, "root", reading) or sampling.ALWAYS_ON,
        _sampler(part, "remote_parent_sampled", reading) or sampling.ALWAYS_ON,
        _sampler(part, "remote_parent_not_sampled", reading) or sampling.ALWAYS_OFF,
    )


def _exporter(section: Section, reading: Reading) -> ExporterSettings:
    grpc = section.has(OTLP_GRPC)
    if grpc and section.has(OTLP_HTTP):
        section.wrong_key(OTLP_GRPC, f"{OTLP_HTTP} and {OTLP_GRPC} exclude each other; keep one")
    # Both names are known, whichever is chosen.
    http_section = section.section(OTLP_HTTP)
    grpc_section = section.section(OTLP_GRPC)
    section.finish()
    chosen = grpc_section if grpc else http_section
    default = DEFAULT_GRPC_ENDPOINT if grpc else DEFAULT_HTTP_ENDPOINT
    endpoint = chosen.text("endpoint", default) or default
    headers = chosen.pairs("headers", _header_value, has_case=False)
    tls = chosen.section("tls")
    settings = ExporterSettings(
        protocol=OTLP_GRPC if grpc else OTLP_HTTP,
        endpoint=endpoint,
        headers={
            name: value if isinstance(value, SecretText) else str(value)
            for name, value in headers.items()
        },
        compression=chosen.choice("compression", "gzip", ("gzip", "none")),
        timeout_ms=chosen.integer("timeout", 10_000, 1, 60_000),
        tls=TlsSettings(
            ca_file=tls.text("ca_file", None),
            cert_file=tls.text("cert_file", None),
            key_file=tls.text("key_file", None),
            insecure=grpc and _insecure(tls, endpoint, reading),
        ),
    )
    tls.finish()
    chosen.finish()
    return settings


def _header_value(entry: Section) -> object:
    value = entry.text("value", None)
    node = entry.node("value")
    return node.secret if node is not None and node.secret is not None else value


def _insecure(tls: Section, endpoint: str, reading: Reading) -> bool:
    node = tls.node("insecure")
    insecure = tls.boolean("insecure", False)
    if insecure and node is not None and "://" in endpoint:
        text = "counts only for an endpoint without http:// or https://; leave it out"
        reading.wrong(node, tls.path("insecure"), text)
    return insecure


def _resource_value(entry: Section) -> object:
    node = entry.node("value")
    kind = entry.choice("type", "", ("string", *_ATTRIBUTE_TYPES))
    if node is None:
        return None
    value = node.value
    problem = None
    if isinstance(value, list | dict):
        problem = f"must be a text, a number, true or false, not {node.kind}"
    elif kind == "string":
        value = node.text
    elif kind == "double" and type(value) is int:
        value = float(value)
    elif kind and type(value) is not _ATTRIBUTE_TYPES[kind]:
        problem = f"is {node.kind}, but its type is {kind}"
    elif type(value) is int and not -MAX_INT <= value < MAX_INT:
        problem = "is over 64 bits; in quotes it is a text"
    if problem is not None:
        entry.wrong_key("value", problem)
        return None
    return value
