"""The configuration: strict, every error with its place, OpenTelemetry's variables over it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.settings import OTLP_GRPC, OTLP_HTTP, ExporterSettings, TlsSettings
from extension.config import default_path, find, load
from extension.schema import Reading, read_settings
from extension.settings import CaptureSettings, FlushSettings, Settings
from extension.yaml_source import SourceError, read

HTTP = ExporterSettings(OTLP_HTTP, "http://localhost:4318/v1/traces")
DEFAULT = Settings(exporter=HTTP)


def parse(text: str, **environ: str) -> tuple[Settings, list[str]]:
    reading = Reading()
    return read_settings(read(text, "f", environ), reading), reading.errors


def test_the_shipped_file_says_the_defaults() -> None:
    """Every key in config.yaml has the value that it would have without the file."""
    config = load({})
    assert (config.settings, config.errors, config.file) == (DEFAULT, (), default_path())
    assert parse("") == (DEFAULT, [])


def test_the_package_carries_the_file_at_the_top() -> None:
    """One file under two paths: what the layer ships is what is documented."""
    root = Path(__file__).resolve().parents[2]
    assert (root / "extension" / "config.yaml").samefile(root / "config.yaml")


def test_every_key_is_read() -> None:
    """A file that changes everything, compared whole."""
    text = """
exporter:
  otlp_grpc:
    endpoint: https://collector:4317
    headers:
      - {name: api-key, value: 12345}
      - {name: other, value: "${VALUE}"}
    compression: none
    timeout: 2500
    tls: {ca_file: ca, cert_file: cert, key_file: key}
resource:
  attributes:
    - {name: team, value: shop}
    - {name: number, value: 7}
    - {name: quoted, value: "7"}
flush: {mode: end, hold_ms: 1, max_age_ms: 2, max_spans: 3, max_bytes: 4096}
capture: {response: false, max_body_bytes: 9}
log_level: debug
"""
    assert parse(text, VALUE="t$1") == (
        Settings(
            exporter=ExporterSettings(
                OTLP_GRPC,
                "https://collector:4317",
                {"api-key": "12345", "other": "t$1"},
                "none",
                2500,
                TlsSettings("ca", "cert", "key"),
            ),
            resource_attributes={"team": "shop", "number": 7, "quoted": "7"},
            flush=FlushSettings("end", 1, 2, 3, 4096),
            capture=CaptureSettings(False, 9),
            log_level="debug",
        ),
        [],
    )


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("flsh: {}", "f:1:1: flsh: unknown key; did you mean flush?"),
        (
            "zzz: 1",
            "f:1:1: zzz: unknown key; known: exporter, resource, flush, capture, log_level",
        ),
        ("flush: [1]", "f:1:8: flush: must be a mapping, not a list"),
        ("- 1", "f:1:1: the file: must be a mapping, not a list"),
        ("flush: {mode: later}", "f:1:15: flush.mode: is 'later', must be one of auto, end, next"),
        ("flush: {hold_ms: -1}", "f:1:18: flush.hold_ms: is -1, must be from 0 to 2000"),
        (
            "flush: {hold_ms: 1.5}",
            "f:1:18: flush.hold_ms: must be a whole number from 0 to 2000, not a number",
        ),
        (
            "capture: {response: yes}",
            "f:1:21: capture.response: must be true or false, not a text",
        ),
        (
            "exporter: {otlp_http: {endpoint: collector:4318}}",
            "f:1:34: exporter.otlp_http.endpoint: must be a URL that begins with http:// or "
            "https:// and names a host",
        ),
        (
            "exporter: {otlp_http: {}, otlp_grpc: {timeout: 5}}",
            "f:1:38: exporter: otlp_http and otlp_grpc exclude each other",
        ),
        (
            "exporter: {otlp_http: {headers: [{name: a}]}}",
            "f:1:34: exporter.otlp_http.headers[0]: needs name and value",
        ),
        (
            "resource: {attributes: [{name: a, value: 1}, {name: a, value: 2}]}",
            "f:1:46: resource.attributes[1]: a stands twice",
        ),
    ],
)
def test_each_error_names_place_key_and_what_to_do(text: str, error: str) -> None:
    """One sentence, compared whole."""
    assert parse(text)[1] == [error]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("a: [", "f:1:5: not YAML: expected the node content, but found '<stream end>'"),
        ("flush: {}\nflush: {}", "f:2:1: flush stands twice, first at f:1:1"),
        ("? [1]\n: 2", "f:1:3: a key must be a text"),
        (
            "log_level: ${NOPE}",
            "f:1:12: the environment variable NOPE is not set; set it, or write ${NOPE:-a default}",
        ),
        ("log_level: ${9}", "f:1:12: '${9}' is no valid substitution; $$ is a dollar sign"),
        ("[" * 40 + "]" * 40, "f:1:34: nested too deep or too many values"),
        (
            "a: &a [1,1,1,1,1,1,1,1,1]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\n"
            "c: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\n"
            "e: [*d,*d,*d,*d,*d,*d,*d,*d,*d]",
            "f:1:12: nested too deep or too many values",
        ),
    ],
)
def test_what_is_no_document_is_one_error(text: str, error: str) -> None:
    """Syntax, duplicates, unset variables and bombs, each with its place."""
    with pytest.raises(SourceError) as caught:
        read(text, "f", {})
    assert str(caught.value).startswith(error.rsplit(":", 1)[0])
    assert str(caught.value) == error or "too many" in error


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${A}", "one"),
        ("${env:A}", "one"),
        ("x${A}y", "xoney"),
        ("${EMPTY:-two}", "two"),
        ("${NOPE:-}", None),
        ("$$A $${A}", "$A ${A}"),
        ("${NUMBER}", 7),
        ('"${NUMBER}"', "7"),
        ("$A", "$A"),
    ],
)
def test_variables_are_substituted_as_opentelemetry_says(text: str, value: Any) -> None:
    """Before the type is read, so that a number stays one and a quoted one a text."""
    environ = {"A": "one", "EMPTY": "", "NUMBER": "7"}
    root = read(f"key: {text}", "f", environ)
    assert isinstance(root.value, dict)
    assert root.value["key"].value == value


@given(st.one_of(st.text(max_size=200), st.binary(max_size=200).map(lambda b: b.decode("latin-1"))))
@settings(max_examples=300, deadline=None)
def test_random_text_raises_the_one_error_or_none(text: str) -> None:
    """A file of anything is an error with a place, never a traceback."""
    try:
        parse(text)
    except SourceError:
        pass


def from_environment(text: str = "", **environ: str) -> tuple[Settings, tuple[str, ...]]:
    from extension.otel_environment import apply

    changed, errors = apply(parse(text)[0], environ, {})
    return changed, tuple(errors)


GRPC = ExporterSettings(OTLP_GRPC, "http://localhost:4317")
PREFIX = "OTEL_EXPORTER_OTLP_"


def replaced(exporter: ExporterSettings, **changes: Any) -> Settings:
    from dataclasses import replace

    return replace(DEFAULT, exporter=replace(exporter, **changes))


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        (
            {f"{PREFIX}ENDPOINT": "http://c:1/base/"},
            replaced(HTTP, endpoint="http://c:1/base/v1/traces"),
        ),
        ({f"{PREFIX}TRACES_ENDPOINT": "http://c:1"}, replaced(HTTP, endpoint="http://c:1/")),
        (
            {f"{PREFIX}TRACES_ENDPOINT": "http://t:1/x", f"{PREFIX}ENDPOINT": "http://g:1"},
            replaced(HTTP, endpoint="http://t:1/x"),
        ),
        ({f"{PREFIX}ENDPOINT": ""}, DEFAULT),
        ({f"{PREFIX}PROTOCOL": "grpc"}, replaced(GRPC)),
        (
            {f"{PREFIX}PROTOCOL": "grpc", f"{PREFIX}ENDPOINT": "c:4317"},
            replaced(GRPC, endpoint="https://c:4317"),
        ),
        (
            {
                f"{PREFIX}TRACES_PROTOCOL": "grpc",
                f"{PREFIX}ENDPOINT": "c:4317",
                f"{PREFIX}INSECURE": "true",
            },
            replaced(GRPC, endpoint="http://c:4317"),
        ),
        (
            {f"{PREFIX}HEADERS": "api-key=a%20b, x = 1"},
            replaced(HTTP, headers={"api-key": "a b", "x": "1"}),
        ),
        ({f"{PREFIX}COMPRESSION": "none"}, replaced(HTTP, compression="none")),
        ({f"{PREFIX}TIMEOUT": "250"}, replaced(HTTP, timeout_ms=250)),
        (
            {
                f"{PREFIX}CERTIFICATE": "ca",
                f"{PREFIX}CLIENT_CERTIFICATE": "cert",
                f"{PREFIX}CLIENT_KEY": "key",
            },
            replaced(HTTP, tls=TlsSettings("ca", "cert", "key")),
        ),
        ({"OTEL_SERVICE_NAME": "s"}, Settings(exporter=HTTP, service_name="s")),
        (
            {"OTEL_RESOURCE_ATTRIBUTES": "a=1,b=x%2Cy"},
            Settings(exporter=HTTP, resource_attributes={"a": "1", "b": "x,y"}),
        ),
        ({"OTEL_SDK_DISABLED": "TRUE"}, Settings(exporter=None, enabled=False)),
        ({"OTEL_SDK_DISABLED": "1"}, DEFAULT),
        ({"SPANPIPE_LOG_LEVEL": "DEBUG"}, Settings(exporter=HTTP, log_level="debug")),
    ],
)
def test_opentelemetrys_variables_are_read_as_it_says(
    environ: dict[str, str], expected: Settings
) -> None:
    """Each variable, the one for traces first, empty as unset; whole settings compared."""
    assert from_environment(**environ) == (expected, ())


@pytest.mark.parametrize(
    ("environ", "error"),
    [
        (
            {f"{PREFIX}PROTOCOL": "http/json"},
            f"{PREFIX}PROTOCOL: is 'http/json', must be one of grpc, http/protobuf",
        ),
        (
            {f"{PREFIX}TIMEOUT": "soon"},
            f"{PREFIX}TIMEOUT: is 'soon', must be milliseconds from 1 to 60000",
        ),
        ({f"{PREFIX}HEADERS": "secret"}, f"{PREFIX}HEADERS: entry 1 is not key=value"),
        (
            {f"{PREFIX}ENDPOINT": "nowhere"},
            f"{PREFIX}ENDPOINT: must be a URL that begins with http:// or https:// and names a "
            "host",
        ),
        (
            {"SPANPIPE_LOG_LEVEL": "loud"},
            "SPANPIPE_LOG_LEVEL: is 'loud', must be one of debug, info, warning, error",
        ),
    ],
)
def test_a_bad_variable_is_named(environ: dict[str, str], error: str) -> None:
    """Name, value where it is no secret, and what it must be."""
    assert from_environment(**environ)[1] == (error,)


def test_the_file_is_found_in_its_order(tmp_path: Path) -> None:
    """SPANPIPE_CONFIG, then the function's spanpipe.yaml, then ours."""
    root = str(tmp_path)
    assert find({}, root) == default_path()
    (tmp_path / "spanpipe.yaml").write_text("")
    assert find({}, root) == f"{root}/spanpipe.yaml"
    assert find({"SPANPIPE_CONFIG": "other"}, root) == "other"


def test_a_broken_file_captures_and_exports_nothing(tmp_path: Path) -> None:
    """The defaults, no exporter, and the reason; a file that is not there is told too."""
    path = tmp_path / "f.yaml"
    path.write_bytes(b"log_level: \xff")
    config = load({}, str(path))
    assert config.settings == Settings(exporter=None)
    assert config.errors == (f"{path}: byte 11 is not UTF-8",)
    gone = load({}, str(tmp_path / "gone.yaml"))
    assert gone.errors == (f"{tmp_path}/gone.yaml: cannot be read: No such file or directory",)
