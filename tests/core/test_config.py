"""The configuration: strict, every error with its place, OpenTelemetry's variables over it."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.secret_names import DEFAULT_KEYS, NOT_SECRET
from exporter.settings import (
    OTLP_GRPC,
    OTLP_HTTP,
    ExporterSettings,
    RedactSettings,
    RequestLimits,
    TlsSettings,
)
from exporter.values import replace
from extension.config import LoadedConfig, default_path, find, load
from extension.settings import (
    CaptureSettings,
    FlushSettings,
    ReceiverSettings,
    SampleSettings,
    Settings,
    SignalSettings,
    SpoolSettings,
)

HTTP = ExporterSettings(OTLP_HTTP, "http://localhost:4318/v1/traces")
DEFAULT = Settings(exporter=HTTP)


def parse(text: str = "", **environ: str) -> tuple[Settings, tuple[str, ...]]:
    """The settings of a file `f` that holds `text`, and its errors."""
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/f"
        Path(path).write_text(text, encoding="utf-8")
        config = load(environ, path)
    return config.settings, tuple(str(error).replace(path, "f") for error in config.errors)


def test_the_shipped_file_says_the_defaults() -> None:
    """Every key in config.yaml has the value that it would have without the file."""
    config = load({})
    assert (config.settings, config.errors, config.file) == (DEFAULT, (), default_path())
    assert parse("") == (DEFAULT, ())


def test_the_package_carries_the_file_at_the_top() -> None:
    """One file under two paths: what the layer ships is what is documented."""
    root = Path(__file__).resolve().parents[2]
    assert (root / "extension" / "config.yaml").samefile(root / "config.yaml")


def test_the_shipped_file_writes_the_default_names_out() -> None:
    """The list in config.yaml is the one in force."""
    text = Path(default_path() or "").read_text(encoding="utf-8")
    written = text.partition("  # The names in this list as well, unless false:\n")[2].partition(
        "  defaults:"
    )[0]
    assert written.replace("#", "").split() == [*DEFAULT_KEYS, "but", *NOT_SECRET]


def test_every_key_is_read(tmp_path: Path) -> None:
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
    tls: {ca_file: FOLDER/ca, cert_file: FOLDER/cert, key_file: FOLDER/key}
resource:
  attributes:
    - {name: team, value: shop}
    - {name: number, value: 7}
    - {name: quoted, value: "7"}
    - {name: typed, value: 7, type: double}
    - {name: tagged, value: !!str 7}
flush: {mode: end, hold_ms: 1, max_age_ms: 2, max_spans: 3, max_bytes: 4096}
capture: {response: false, request: on_error, format: attributes, max_body_bytes: 9}
redact: {keys: [iban, "*tax*", 7], patterns: ['\\d{16}', "${VALUE}"], defaults: false}
sample:
  sampler: {parent_based: {root: {trace_id_ratio_based: {ratio: 0.25}}}}
  on_error: false
signals: {platform_spans: false, metrics: true, logs: true}
limits: {max_request_bytes: 100000, max_request_spans: 5}
spool: {max_bytes: 0, max_age_s: 6}
receiver: {otlp_http: {enabled: true, port: 7}}
fallback: stdout
log_level: debug
"""
    for name in ("ca", "cert", "key"):
        (tmp_path / name).write_text("")
    text = text.replace("FOLDER", str(tmp_path))
    assert parse(text, VALUE="t$1") == (
        Settings(
            exporter=ExporterSettings(
                OTLP_GRPC,
                "https://collector:4317",
                {"api-key": "12345", "other": "t$1"},
                "none",
                2500,
                TlsSettings(f"{tmp_path}/ca", f"{tmp_path}/cert", f"{tmp_path}/key"),
            ),
            resource_attributes={
                "team": "shop",
                "number": 7,
                "quoted": "7",
                "typed": 7.0,
                "tagged": "7",
            },
            flush=FlushSettings("end", 1, 2, 3, 4096),
            capture=CaptureSettings("off", "on_error", "attributes", 9),
            redact=RedactSettings(("iban", "*tax*", "7"), (r"\d{16}", "t$1"), False),
            sample=SampleSettings((1 << 62, 1 << 64, 0), False),
            signals=SignalSettings(False, True, True),
            limits=RequestLimits(100_000, 5),
            spool=SpoolSettings(0, 6),
            fallback="stdout",
            receiver=ReceiverSettings(True, 7),
            log_level="debug",
        ),
        (),
    )


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("flsh: {}", "f:1:1: flsh: unknown key; did you mean flush?"),
        (
            "zzz: 1",
            "f:1:1: zzz: unknown key; known: exporter, auth, resource, flush, propagator, capture, "
            "redact, sample, signals, limits, spool, receiver, fallback, log_level",
        ),
        ("flush: [1]", "f:1:8: flush: must be a mapping, not a list"),
        ("- 1", "f:1:1: the file: must be a mapping, not a list"),
        ("flush: {mode: later}", "f:1:15: flush.mode: is 'later', must be one of auto, end, next"),
        ("sample: {sampler: always_on}", "f:1:19: sample.sampler: must be a mapping, not a text"),
        (
            "sample: {sampler: {}}",
            "f:1:19: sample.sampler: must have one of always_on, always_off, trace_id_ratio_based, "
            "parent_based",
        ),
        (
            "sample: {sampler: {always_on: , parent_based: }}",
            "f:1:46: sample.sampler.parent_based: always_on and parent_based exclude each other; "
            "keep one",
        ),
        (
            "sample: {sampler: {trace_id_ratio_based: {ratio: 2}}}",
            "f:1:50: sample.sampler.trace_id_ratio_based.ratio: is 2, must be from 0 to 1",
        ),
        (
            "sample: {sampler: {parent_based: {root: {jaeger: }}}}",
            "f:1:42: sample.sampler.parent_based.root.jaeger: unknown key; known: always_on, "
            "always_off, trace_id_ratio_based, parent_based",
        ),
        ("flush: {hold_ms: -1}", "f:1:18: flush.hold_ms: is -1, must be from 0 to 2000"),
        (
            "flush: {hold_ms: 1.5}",
            "f:1:18: flush.hold_ms: must be a whole number from 0 to 2000, not a number",
        ),
        (
            "capture: {response: yes}",
            "f:1:21: capture.response: is 'yes', must be one of off, on_error, always",
        ),
        ("redact: {keys: iban}", "f:1:16: redact.keys: must be a list of texts, not a text"),
        ("redact: {keys: [[a]]}", "f:1:17: redact.keys[0]: must be a text, not a list"),
        (
            'redact: {keys: ["*"]}',
            "f:1:17: redact.keys[0]: * holds no letter and no digit; capture: {response: false} "
            "sends no body at all",
        ),
        (
            f"redact: {{patterns: [{', '.join(33 * ['a'])}]}}",
            "f:1:20: redact.patterns: has 33 entries, must have at most 32",
        ),
        (
            "redact: {patterns: ['a(']}",
            "f:1:21: redact.patterns[0]: a( is no regular expression: missing ), unterminated "
            "subpattern at position 1",
        ),
        (
            "redact: {patterns: [a, '${PATTERN}']}",
            "f:1:24: redact.patterns[1]: ${PATTERN} is no regular expression",
        ),
        (
            "redact: {patterns: ['(a+)+b']}",
            "f:1:21: redact.patterns[0]: (a+)+b could take for ever: a repeat in a repeat without "
            "an end; write it as one repeat, or give the outer an end, as in {1,8}",
        ),
        (
            "exporter: {otlp_http: {endpoint: collector:4318}}",
            "f:1:34: exporter.otlp_http.endpoint: must be a URL that begins with http:// or "
            "https:// and names a host",
        ),
        (
            "exporter: {otlp_http: {}, otlp_grpc: {timeout: 5}}",
            "f:1:38: exporter.otlp_grpc: otlp_http and otlp_grpc exclude each other; keep one",
        ),
        (
            "exporter: {otlp_http: {headers: [{name: a}]}}",
            "f:1:34: exporter.otlp_http.headers[0]: needs name and value",
        ),
        (
            "exporter: {otlp_http: {headers: [{name: A, value: 1}, {name: a, value: 2}]}}",
            "f:1:55: exporter.otlp_http.headers[1]: a stands twice",
        ),
        (
            'exporter: {otlp_http: {headers: [{name: "a b", value: 1}]}}',
            "f:1:34: exporter.otlp_http.headers.a b: is no header's name: letters, digits and - "
            "for most",
        ),
        (
            'exporter: {otlp_http: {headers: [{name: a, value: "${SECRET}\\n"}]}}',
            "f:1:34: exporter.otlp_http.headers.a: its value must be printable ASCII without a "
            "line break or outer spaces",
        ),
        (
            "exporter: {otlp_grpc: {headers: [{name: a-bin, value: 1}]}}",
            "f:1:34: exporter.otlp_grpc.headers.a-bin: is no name that gRPC can carry: letters, "
            "digits, - _ .",
        ),
        (
            "exporter: {otlp_grpc: {endpoint: http://c:4317/v1/traces}}",
            "f:1:34: exporter.otlp_grpc.endpoint: for gRPC is scheme, host and port alone; with "
            "a path it is for otlp_http",
        ),
        (
            "exporter: {otlp_http: {tls: {cert_file: c}}}",
            "f:1:41: exporter.otlp_http.tls.cert_file: needs key_file too",
        ),
        (
            "exporter: {otlp_http: {endpoint: https://c, tls: {ca_file: /nowhere/ca}}}",
            "f:1:60: exporter.otlp_http.tls.ca_file: cannot be read: No such file or directory",
        ),
        (
            "exporter: {otlp_grpc: {endpoint: http://c, tls: {insecure: true}}}",
            "f:1:60: exporter.otlp_grpc.tls.insecure: counts only for an endpoint without "
            "http:// or https://; leave it out",
        ),
        (
            "resource: {attributes: [{name: a, value: 1}, {name: a, value: 2}]}",
            "f:1:46: resource.attributes[1]: a stands twice",
        ),
        (
            "resource: {attributes: [{name: a, value: 9223372036854775808}]}",
            "f:1:42: resource.attributes[0].value: is over 64 bits; in quotes it is a text",
        ),
        (
            "resource: {attributes: [{name: a, value: x, type: int}]}",
            "f:1:42: resource.attributes[0].value: is a text, but its type is int",
        ),
        (
            "log_level: ${SECRET}",
            "f:1:12: log_level: is '${SECRET}', must be one of debug, info, warning, error",
        ),
        (
            "flush:\n  hold_ms: ${NUMBER}",
            "f:2:12: flush.hold_ms: is ${NUMBER}, must be from 0 to 2000",
        ),
        (
            "log_level: ${NOPE}",
            "f:1:12: log_level: the environment variable NOPE is not set; set it, or write "
            "${NOPE:-a default}",
        ),
        (
            "log_level: ${9}",
            "f:1:12: log_level: ${9} is no valid substitution; write ${NAME}, "
            "${NAME:-a default}, or $$ for a dollar sign",
        ),
        (
            "receiver: {otlp_http: {enabled: true}}",
            "f:1:33: receiver.otlp_http: listens at port 4318, where the exporter sends to: name "
            "the collector in exporter.otlp_http.endpoint, or another port",
        ),
        (
            "exporter: {otlp_http: {endpoint: http://c:1/x}}\nsignals: {metrics: true}",
            "f:2:20: signals.metrics: needs an endpoint that ends in /v1/traces, or "
            "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
        ),
        (
            "exporter: {otlp_http: {endpoint: http://c:1/x}}\nsignals: {logs: true}",
            "f:2:17: signals.logs: needs an endpoint that ends in /v1/traces, or "
            "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT",
        ),
        ("log_level: !info info", "f:1:12: log_level: the tag !info is not known; leave it out"),
        ("flush: {}\nflush: {}", "f:2:1: flush: stands twice, first in line 1"),
        ("? [1]\n: 2", "f:1:3: a key must be a text"),
        ("a: [", "f:1:5: not YAML: expected the node content, but found '<stream end>'"),
        (
            'a: "\\UFFFFFFFF"',
            "f:1:1: not YAML: an escape or a version has a number that is out of range",
        ),
        ("[" * 40 + "]" * 40, "f:1:34: nested deeper than 32, or more than 10000 values"),
        (
            "a: &a [1,1,1,1,1,1,1,1,1]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\n"
            "c: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\n"
            "e: [*d,*d,*d,*d,*d,*d,*d,*d,*d]",
            "f:1:12: nested deeper than 32, or more than 10000 values",
        ),
    ],
)
def test_each_error_names_place_key_and_what_to_do(text: str, error: str) -> None:
    """One sentence, compared whole; what a variable holds is never in it."""
    environ = {"SECRET": "s3cret", "NUMBER": "987654", "PATTERN": "s3cret[z-a]"}
    assert parse(text, **environ) == (Settings(exporter=None), (error,))


def test_every_error_of_a_file_and_of_the_variables_is_told() -> None:
    """In the file's order, then the variables'."""
    errors = parse("log_level: ${NOPE}\nflush: {mode: x}", OTEL_EXPORTER_OTLP_TIMEOUT="soon")[1]
    assert [error.split(": ")[:2] for error in errors] == [
        ["f:1:12", "log_level"],
        ["f:2:15", "flush.mode"],
        ["OTEL_EXPORTER_OTLP_TIMEOUT", "is 'soon', must be milliseconds from 1 to 60000"],
    ]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${A}", "one"),
        ("${env:A}", "one"),
        ("x${A}y", "xoney"),
        ("${EMPTY:-two}", "two"),
        ("${NOPE:-two}", "two"),
        ("${NOPE:-}", None),
        ("${EMPTY}", None),
        ("a ${EMPTY} b", "a  b"),
        ("${A}${A}", "oneone"),
        ("$${A}", "${A}"),
        ("$$${A}", "$one"),
        ("$$$${A}", "$${A}"),
        ("$$A $${A}", "$A ${A}"),
        ("$${NOPE:-${A}}", "${NOPE:-one}"),
        ("a $$ b", "a $ b"),
        ("a $ b", "a $ b"),
        ("${RECURSIVE}", "${A}"),
        ("${NUMBER}", 7),
        ('"${NUMBER}"', "7"),
        ("${BOOL}", True),
        ("${HEX}", 0xBEEF),
        ("${LINES}", "a\nkey: b"),
        ("$A", "$A"),
    ],
)
def test_variables_are_substituted_as_opentelemetry_says(text: str, value: Any) -> None:
    """The specification's table: before the type is read, once, and never into structure."""
    environ = {
        "A": "one",
        "EMPTY": "",
        "NUMBER": "7",
        "BOOL": "true",
        "HEX": "0xbeef",
        "RECURSIVE": "${A}",
        "LINES": "a\nkey: b",
    }
    document = f"resource:\n  attributes:\n    - name: key\n      value: {text}\n"
    settings, errors = parse(document, **environ)
    assert errors == ()
    assert settings.resource_attributes.get("key") == value


@given(st.one_of(st.text(max_size=200), st.binary(max_size=200).map(lambda b: b.decode("latin-1"))))
@settings(max_examples=300, deadline=None)
def test_random_text_is_errors_with_places(text: str) -> None:
    """A file of anything is settings or errors that begin with its name, never a traceback."""
    errors = parse(text.encode("utf-8", "replace").decode())[1]
    assert [error[:1] for error in errors] == ["f"] * len(errors)


GRPC = ExporterSettings(OTLP_GRPC, "http://localhost:4317")
PREFIX = "OTEL_EXPORTER_OTLP_"


def replaced(exporter: ExporterSettings, **changes: Any) -> Settings:
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
        (
            {f"{PREFIX}PROTOCOL": "grpc", f"{PREFIX}ENDPOINT": "http://c:4317/"},
            replaced(GRPC, endpoint="http://c:4317/"),
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
        (
            {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": " 0.5 "},
            Settings(exporter=HTTP, sample=SampleSettings((1 << 63, 1 << 63, 1 << 63))),
        ),
        (
            {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio"},
            Settings(exporter=HTTP, sample=SampleSettings((1 << 64, 1 << 64, 0))),
        ),
        (
            {"OTEL_TRACES_SAMPLER": "Always_Off", "OTEL_TRACES_SAMPLER_ARG": "unused"},
            Settings(exporter=HTTP, sample=SampleSettings((0, 0, 0))),
        ),
        ({"OTEL_TRACES_SAMPLER": "", "OTEL_TRACES_SAMPLER_ARG": "0.5"}, DEFAULT),
        ({"SPANPIPE_LOG_LEVEL": "DEBUG"}, Settings(exporter=HTTP, log_level="debug")),
    ],
)
def test_opentelemetrys_variables_are_read_as_it_says(
    environ: dict[str, str], expected: Settings
) -> None:
    """Each variable, the one for traces first, empty as unset; whole settings compared."""
    assert parse(**environ) == (expected, ())


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
        ({f"{PREFIX}HEADERS": "secret"}, f"{PREFIX}HEADERS: entry 1 is not name=value"),
        (
            {f"{PREFIX}ENDPOINT": "nowhere"},
            f"{PREFIX}ENDPOINT: must be a URL that begins with http:// or https:// and names a "
            "host",
        ),
        (
            {"OTEL_TRACES_SAMPLER": "xray"},
            "OTEL_TRACES_SAMPLER: is 'xray', must be one of always_on, always_off, traceidratio, "
            "parentbased_always_on, parentbased_always_off, parentbased_traceidratio",
        ),
        (
            {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "nan"},
            "OTEL_TRACES_SAMPLER_ARG: is 'nan', must be a number from 0 to 1",
        ),
        (
            {"SPANPIPE_LOG_LEVEL": "loud"},
            "SPANPIPE_LOG_LEVEL: is 'loud', must be one of debug, info, warning, error",
        ),
    ],
)
def test_a_bad_variable_is_named(environ: dict[str, str], error: str) -> None:
    """Name, value where it is no secret, and what it must be."""
    assert parse(**environ)[1] == (error,)


def test_the_file_is_found_in_its_order(tmp_path: Path) -> None:
    """SPANPIPE_CONFIG, then the function's spanpipe.yaml, then ours."""
    root = str(tmp_path)
    assert find({}, root) == default_path()
    (tmp_path / "spanpipe.yaml").write_text("")
    assert find({}, root) == f"{root}/spanpipe.yaml"
    assert find({"SPANPIPE_CONFIG": "other"}, root) == "other"


def told(config: LoadedConfig) -> list[str]:
    return [str(error) for error in config.errors]


def test_a_broken_file_captures_and_exports_nothing(tmp_path: Path) -> None:
    """The defaults, no exporter, and the reason; a file that is not there is told too."""
    path = tmp_path / "f.yaml"
    path.write_bytes(b"log_level: \xff")
    config = load({}, str(path))
    assert config.settings == Settings(exporter=None)
    assert told(config) == [f"{path}:1:12: is not UTF-8; save the file as UTF-8"]
    gone = load({}, str(tmp_path / "gone.yaml"))
    assert told(gone) == [f"{tmp_path}/gone.yaml: cannot be read: No such file or directory"]
    os.mkfifo(tmp_path / "fifo")
    fifo = load({}, str(tmp_path / "fifo"))
    assert told(fifo) == [f"{tmp_path}/fifo: is no regular file"]
    tls = f"{{endpoint: https://c, tls: {{ca_file: {tmp_path}/fifo}}}}"
    path.write_text(f"exporter: {{otlp_http: {tls}}}")
    assert told(load({}, str(path))) == [
        f"{path}:1:60: exporter.otlp_http.tls.ca_file: is no regular file"
    ]


@pytest.mark.parametrize(
    ("environ", "endpoint"),
    [
        ({}, "http://localhost:4318/v1/logs"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:1/a"}, "http://c:1/a/v1/logs"),
        ({"OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": " http://l:2/x "}, "http://l:2/x"),
    ],
)
def test_logs_go_beside_traces_or_to_their_own_url(environ: dict[str, str], endpoint: str) -> None:
    """As OTLP lays its paths out; the variable goes first."""
    settings, errors = parse("signals: {logs: true}", **environ)
    assert errors == ()
    assert settings.exporter is not None
    assert settings.exporter.endpoints["logs"] == endpoint
