"""Secrets and signing in the configuration: where they may stand, and what is wrong with them."""

from __future__ import annotations

from typing import Any

import pytest

from exporter.settings import (
    OTLP_GRPC,
    OTLP_HTTP,
    ExporterSettings,
    RequestLimits,
    SecretReference,
    SecretText,
    SigV4Settings,
)
from exporter.values import replace
from extension.settings import Settings
from tests.core.test_config import DEFAULT, HTTP, parse

KEY = SecretReference("secretsmanager", "team/backend", "api key")
XRAY = "auth: {sigv4: {service: xray}}"


def header(value: str, protocol: str = "otlp_http") -> str:
    return f"exporter: {{{protocol}: {{headers: [{{name: a, value: '{value}'}}]}}}}"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("${secretsmanager:team/backend#api key}", (KEY,)),
        ("Bearer ${secretsmanager:team/backend#api key}", ("Bearer ", KEY)),
        ("${ssm:/a/b}", (SecretReference("ssm", "/a/b"),)),
        ("${ssm:plain:3}", (SecretReference("ssm", "plain:3"),)),
        (
            "${secretsmanager:arn:aws:secretsmanager:eu-west-1:1:secret:a-B#k}",
            (
                SecretReference(
                    "secretsmanager", "arn:aws:secretsmanager:eu-west-1:1:secret:a-B", "k"
                ),
            ),
        ),
        (
            "${A}$$${ssm:/a}-${ssm:/b}!",
            ("one$", SecretReference("ssm", "/a"), "-", SecretReference("ssm", "/b"), "!"),
        ),
        # What a variable holds is not looked at again, and an escape is no reference.
        ("${NAMES}", "${ssm:/a}"),
        ("$${ssm:/a}", "${ssm:/a}"),
        ("${NOPE:-${ssm:/a}", "${ssm:/a"),
    ],
)
def test_a_headers_value_may_name_secrets(value: str, expected: Any) -> None:
    """Alone or within a text, several too; beside variables."""
    settings, errors = parse(header(value), A="one", NAMES="${ssm:/a}")
    assert errors == ()
    assert settings.exporter is not None
    whole = SecretText(expected) if isinstance(expected, tuple) else expected
    assert settings.exporter.headers == {"a": whole}


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (
            "exporter: {otlp_http: {endpoint: 'http://${ssm:/host}/'}}",
            "f:1:34: exporter.otlp_http.endpoint: ${ssm:/host} may stand in the value of a header "
            "alone",
        ),
        (
            "exporter: {otlp_http: {headers_list: 'a=${ssm:/key}'}}",
            "f:1:38: exporter.otlp_http.headers_list: ${ssm:/key} may stand in the value of a "
            "header alone",
        ),
        (
            "resource: {attributes: [{name: a, value: '${secretsmanager:x}'}]}",
            "f:1:42: resource.attributes[0].value: ${secretsmanager:x} may stand in the value of a "
            "header alone",
        ),
        (
            header("${ssm:/key#json}"),
            "f:1:51: exporter.otlp_http.headers[0].value: ${ssm:/key#json} is no name of a secret; "
            "write ${secretsmanager:NAME#key}, ${secretsmanager:NAME} or ${ssm:/path}",
        ),
        (
            header("${secretsmanager:}"),
            "f:1:51: exporter.otlp_http.headers[0].value: ${secretsmanager:} is no name of a "
            "secret; write ${secretsmanager:NAME#key}, ${secretsmanager:NAME} or ${ssm:/path}",
        ),
        (
            header("é ${ssm:/key}"),
            "f:1:34: exporter.otlp_http.headers.a: its value must be printable ASCII without a "
            "line break or outer spaces",
        ),
        (
            header("".join(f"${{ssm:/{number}}}" for number in range(17))),
            "f:1:33: exporter.otlp_http.headers: name 17 secrets, must be at most 16",
        ),
        (
            "exporter: {otlp_grpc: {}}\n" + XRAY,
            "f:2:25: auth.sigv4.service: signs HTTP requests alone, and AWS takes no gRPC: use "
            "otlp_http",
        ),
        (
            "auth: {sigv4: {region: eu-west-1}}",
            "f:1:24: auth.sigv4.region: needs service too: the name that AWS signs by, such as "
            "xray",
        ),
        (
            "auth: {sigv4: {service: xray, region: 'eu/west'}}",
            "f:1:39: auth.sigv4.region: is 'eu/west', must be a region's name, such as eu-west-1",
        ),
        (
            "auth: {sigv4: {service: 'x ray'}}",
            "f:1:25: auth.sigv4.service: is 'x ray', must be a signing name, such as xray",
        ),
        (
            "exporter: {otlp_http: {endpoint: 'https://u:p@c/v1/traces'}}\n" + XRAY,
            "f:2:25: auth.sigv4.service: and a user in the endpoint exclude each other; keep one",
        ),
        (
            "exporter: {otlp_http: {headers: [{name: authorization, value: x}]}}\n" + XRAY,
            "f:2:25: auth.sigv4.service: writes the header authorization itself; leave it out of "
            "headers",
        ),
        (
            "auth: {secret_max_age_s: 1}",
            "f:1:26: auth.secret_max_age_s: is 1, must be from 10 to 86400",
        ),
        ("auth: {sigv5: {}}", "f:1:8: auth.sigv5: unknown key; did you mean sigv4?"),
    ],
)
def test_each_mistake_names_place_key_and_what_to_do(text: str, error: str) -> None:
    """As everywhere in the file."""
    assert parse(text, AWS_REGION="eu-west-1") == (Settings(exporter=None), (error,))


def test_signing_without_a_region_is_an_error() -> None:
    """None in the file, and none in the environment."""
    (error,) = parse(XRAY)[1]
    assert error == "default: needs a region: write one, or set AWS_REGION"


def test_a_variable_replaces_a_headers_secret() -> None:
    """OpenTelemetry's own, for the same name without case."""
    settings, errors = parse(header("${ssm:/a}"), OTEL_EXPORTER_OTLP_HEADERS="A=plain")
    assert errors == ()
    assert settings.exporter == replace(HTTP, headers={"A": "plain"})
    assert not settings.exporter.needs_keys


def test_grpc_takes_secrets() -> None:
    """A header is metadata there."""
    settings, errors = parse(header("${ssm:/a}", "otlp_grpc"))
    assert errors == ()
    assert settings.exporter == ExporterSettings(
        OTLP_GRPC,
        "http://localhost:4317",
        {"a": SecretText((SecretReference("ssm", "/a"),))},
    )


def test_the_services_limits_follow_from_its_name() -> None:
    """Where they are lower than what the file says; the region is the function's own."""
    sigv4 = replace(DEFAULT, exporter=replace(HTTP, sigv4=SigV4Settings("eu-west-1", "xray")))
    text = f"{XRAY}\nlimits: {{max_request_bytes: 8388608, max_request_spans: 9000}}"
    assert parse(text, AWS_REGION="eu-west-1") == (
        replace(sigv4, limits=RequestLimits(5_000_000, 9_000, 200_000)),
        (),
    )
    other = "auth: {sigv4: {service: osis, region: us-gov-west-1}, secret_max_age_s: 60}"
    assert parse(other, AWS_REGION="eu-west-1") == (
        replace(
            DEFAULT,
            exporter=ExporterSettings(
                OTLP_HTTP,
                "http://localhost:4318/v1/traces",
                sigv4=SigV4Settings("us-gov-west-1", "osis"),
            ),
            secret_max_age_s=60,
        ),
        (),
    )
