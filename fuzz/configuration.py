"""Target `configuration`: the file and OpenTelemetry's variables, through `config.load`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from exporter.settings import ExporterSettings
from extension import config
from extension.destination import endpoint_problem
from extension.settings import Settings
from extension.yaml_source import MAX_NODES
from fuzz.draw import Draw, block
from fuzz.folder import folder_of

SECRET = "hunter2-and-more"  # noqa: S105 - it is looked for in messages
SHOWN = ("PROTOCOL", "COMPRESSION", "TIMEOUT", "LOG_LEVEL", "CONFIG")
"""Variables that an error repeats: what is wrong in them is no secret."""
VARIABLES = (
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
    "OTEL_EXPORTER_OTLP_HEADERS",
    "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
    "OTEL_EXPORTER_OTLP_PROTOCOL",
    "OTEL_EXPORTER_OTLP_COMPRESSION",
    "OTEL_EXPORTER_OTLP_TIMEOUT",
    "OTEL_EXPORTER_OTLP_INSECURE",
    "OTEL_EXPORTER_OTLP_CERTIFICATE",
    "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE",
    "OTEL_EXPORTER_OTLP_CLIENT_KEY",
    "OTEL_SERVICE_NAME",
    "OTEL_RESOURCE_ATTRIBUTES",
    "OTEL_SDK_DISABLED",
    "SPANPIPE_LOG_LEVEL",
    "SPANPIPE_CONFIG",
    "NAME",
)
MAX_MESSAGE_CHARS = 1_000
AMPLIFY = 0xE1
"""It wants several bits, since it is dear."""
MAX_TEXT_BYTES = 65_536
"""A quarter of what may be read: PyYAML takes 12 µs for a byte of short pairs."""


def check(data: bytes) -> None:
    """`config.load` raises nothing, whatever stands in the file and the variables, and:

    - with an error there is no exporter, and without one it is such that it can work;
    - every message is one short line that a log can hold, and none shows a variable's value;
    - numbers are within their ranges, and no more values come out than the file may hold.
    """
    draw, path = Draw(data), f"{folder_of('configuration').path}/f.yaml"
    flags = draw.byte()
    environ = {"SECRET": SECRET}
    for _ in range(draw.byte() % 8):
        name, value = draw.pick(VARIABLES), draw.block().replace(b"\0", b"")
        secret = "" if name.endswith(SHOWN) else SECRET
        environ[name] = os.fsdecode(value).replace("SECRET", secret)
    text = draw.rest()
    if flags & AMPLIFY == AMPLIFY:
        text = (text * flags)[:MAX_TEXT_BYTES]
    with open(path, "wb") as stream:
        stream.write(text)
    loaded = config.load(environ, None if flags & 2 and "SPANPIPE_CONFIG" in environ else path)
    settings = loaded.settings
    for problem in loaded.errors:
        message = str(problem).replace(loaded.file or "", "FILE")
        assert len(message) < MAX_MESSAGE_CHARS
        assert "\n" not in message
        assert SECRET not in message
    if loaded.errors:
        assert settings == Settings(None, enabled=settings.enabled, log_level=settings.log_level)
    elif settings.exporter is not None:
        _check_exporter(settings.exporter)
    assert 0 <= settings.flush.hold_ms <= 2_000
    assert 1 <= settings.flush.max_spans <= 4_096
    assert 0 <= settings.capture.max_body_bytes <= 6 * 1024 * 1024
    assert len(settings.resource_attributes) <= MAX_NODES + sum(map(len, environ.values()))


def _check_exporter(exporter: ExporterSettings) -> None:
    assert endpoint_problem(exporter.endpoint, exporter.protocol) is None
    assert 1 <= exporter.timeout_ms <= 60_000
    for name, value in exporter.headers.items():
        assert f"{name}{value}".isprintable()
        assert f"{name}{value}".isascii()


def seeds() -> Iterator[tuple[str, bytes]]:
    """Our own file, each key, each variable, and YAML as nobody means it."""
    root = Path(__file__).resolve().parents[1]
    whole = (root / "config.yaml").read_bytes()
    lines = [line for line in whole.splitlines() if not line.strip().startswith(b"#")]
    yield "layer", b"\0\0" + b"\n".join(lines)
    files = (
        b"exporter: {otlp_http: {endpoint: https://c, headers: [{name: a, value: b}],\n"
        b"  headers_list: 'c=d', compression: none, timeout: 5,\n"
        b"  tls: {ca_file: /x, cert_file: /y}}}",
        b"exporter: {otlp_grpc: {endpoint: 'c:4317', tls: {insecure: true}}}",
        b"exporter: {otlp_http: {headers:\n"
        b"  [{name: a, value: 'b ${ssm:/c} ${secretsmanager:d#e}$$'}]}}",
        b"auth: {sigv4: {service: xray, region: eu-west-1}, secret_max_age_s: 60}",
        b"resource: {attributes: [{name: a, value: 1, type: int}, {name: b, value: .nan}],\n"
        b"  attributes_list: 'c=%ff'}",
        b"flush: {mode: end, hold_ms: 0x7d0, max_age_ms: 1, max_spans: 1, max_bytes: 1024}",
        b"capture: {response: no, max_body_bytes: 99999999999999999999}",
        b"signals: {platform_spans: false, metrics: true}\nlog_level: debug",
        b"redact: {keys: [a*b, 1, '[x'], patterns: ['(a+)+$', '(', \"\\\\x00\", ${SECRET}]}",
        b"spool: {max_bytes: 0, max_age_s: 1}\nfallback: stdout\nlimits: {max_request_spans: 1}",
        b"log_level: ${NAME:-info} $$ ${SECRET} ${",
        b"log_level: ${SECRET}\nflush: {hold_ms: ${SECRET}, mode: ${SECRET}}",
        b"exporter: {otlp_http: {endpoint: ${SECRET}, headers_list: ${SECRET}}}",
        b"a: &a [*a]",
        b"a: &a {<<: *a, ? [x] : !!int 1}",
        b"&a [&b [&c [1,1],*c,*c],*b,*b]",
        b"%YAML 1" + b"1" * 5_00 + b".1\n---\na",
        b'log_level: "\\U00110000 \\ud800"',
        b"a: 1\na: 2\n\xff",
        b"\xef\xbb\xbflog_level: 1e999",
        b"--- a\n--- b\n",
    )
    for text in files:
        yield "file", b"\0\0" + text
    values = (
        (0, b"http://[::1"),
        (0, b"https://u:SECRET@h:0/x?y"),
        (1, "http://ä".encode()),
        (3, b"a=SECRET,b"),
        (3, b"a=%0d%0aSECRET"),
        (5, b"grpc"),
        (6, b"SECRET"),
        (7, b"1" * 5_00),
        (7, b"-1"),
        (9, b"/"),
        (12, b"\xff"),
        (13, b"a=1,,b=%80"),
        (14, b"TRUE"),
        (15, b"loud"),
        (16, b"/dev/zero"),
    )
    for index, value in values:
        yield "variable", bytes((2, 1, index)) + block(value) + b"log_level: info"
        yield (
            "grpc",
            bytes((0, 2, index)) + block(value) + bytes((5,)) + block(b"grpc") + b"signals: {}",
        )
    for text in (b"- a\n", b"[", b"{a: ", b"${", b"a,", b"? ", b'"', b"a: |\n ", b"&a "):
        yield "many", bytes((255, 0)) + text * 64
