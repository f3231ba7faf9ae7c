"""`docs/backends/xray.yaml` against a receiver that enforces what AWS documents of its endpoint.

The signature is verified by botocore's own implementation, over the body that was sent.
"""

from __future__ import annotations

import datetime
import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import botocore.auth
import botocore.credentials
import pytest
from botocore.awsrequest import AWSRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from extension.config import load
from sandbox.receiver import Receiver
from tests.guard import Guard, Refusal, Request
from tests.secret_stores import ContainerRole
from tests.whole.test_environments import attributes_of, servers
from tests.whole.test_secrets import Life

FILE = Path(__file__).resolve().parents[2] / "docs" / "backends" / "xray.yaml"
REGION = "eu-central-1"
ROLE = {
    "AWS_REGION": REGION,
    "AWS_ACCESS_KEY_ID": "ASIAEXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "secret/of+the-role",
    "AWS_SESSION_TOKEN": "token/of+the-role==",
}
MAX_REQUEST_BYTES = 5_000_000
MAX_SPANS = 10_000
MAX_SPAN_BYTES = 200_000
MAX_SKEW_S = 300
AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/([^/]+)/aws4_request, "
    r"SignedHeaders=([a-z0-9;-]+), Signature=([0-9a-f]{64})"
)


def refused(code: str, message: str = "") -> Refusal:
    return 403, json.dumps({"__type": code, "message": message}).encode()


class XRay:
    """What the endpoint checks; `role` has the credentials that it knows, `now` its clock."""

    def __init__(self, role: dict[str, str], now: Callable[[], float] = time.time) -> None:
        self.role = role
        self._now = now

    def __call__(self, request: Request) -> Refusal | None:
        if request.path != "/v1/traces":
            return 404, b"{}"
        if request.headers.get("Content-Type") != "application/x-protobuf":
            return 415, b"{}"
        if request.headers.get("Content-Encoding", "none") not in ("gzip", "none"):
            return 415, b"{}"
        return self._of_signature(request) or self._of_size(request)

    def _of_signature(self, request: Request) -> Refusal | None:  # noqa: PLR0911 - one a rule
        given = AUTHORIZATION.fullmatch(request.headers.get("Authorization", ""))
        if given is None:
            return refused("MissingAuthenticationTokenException", "Missing Authentication Token")
        key_id, day, region, service, names, signature = given.groups()
        if key_id != self.role["AWS_ACCESS_KEY_ID"]:
            return refused("UnrecognizedClientException")
        if request.headers.get("X-Amz-Security-Token") != self.role["AWS_SESSION_TOKEN"]:
            return refused("UnrecognizedClientException")
        if (region, service) != (REGION, "xray"):
            return refused("InvalidSignatureException", "Credential should be scoped to")
        signed = names.split(";")
        if not {"host", "x-amz-date", "x-amz-security-token"} <= set(signed):
            return refused("InvalidSignatureException", "must be signed")
        moment = datetime.datetime.strptime(
            request.headers["X-Amz-Date"], "%Y%m%dT%H%M%SZ"
        ).replace(tzinfo=datetime.timezone.utc)
        if abs(moment.timestamp() - self._now()) > MAX_SKEW_S or day != f"{moment:%Y%m%d}":
            return refused("InvalidSignatureException", "Signature expired: it is now later")
        theirs = AWSRequest(
            method="POST",
            url=f"https://{request.headers['Host']}{request.path}",
            headers={
                name: request.headers[name]
                for name in signed
                if name not in ("x-amz-date", "x-amz-security-token")
            },
            data=request.body,
        )
        keys = botocore.credentials.Credentials(
            key_id, self.role["AWS_SECRET_ACCESS_KEY"], self.role["AWS_SESSION_TOKEN"]
        )
        with mock.patch.object(botocore.auth, "get_current_datetime", return_value=moment):
            botocore.auth.SigV4Auth(keys, service, region).add_auth(theirs)
        if not theirs.headers["Authorization"].endswith(signature):
            return refused("InvalidSignatureException", "signature we calculated does not match")
        return None

    def _of_size(self, request: Request) -> Refusal | None:
        body = request.plain_body
        spans = spans_of(ExportTraceServiceRequest.FromString(body))
        if len(body) > MAX_REQUEST_BYTES or len(spans) > MAX_SPANS:
            return 413, b"{}"
        if any(span.ByteSize() > MAX_SPAN_BYTES for span in spans):
            return 400, b'{"message": "a span is over 200 KB"}'
        return None


def spans_of(request: ExportTraceServiceRequest) -> list[Any]:
    return [
        span
        for of_resource in request.resource_spans
        for of_scope in of_resource.scope_spans
        for span in of_scope.spans
    ]


def life_with(
    folder: Path,
    guard: Guard,
    *,
    text: str | None = None,
    role: dict[str, str] | None = None,
) -> Life:
    """A life with the file's text, whose spans go to `guard`."""
    # Of the file the endpoint alone is another: its host cannot be reached from here.
    environ = {
        **(ROLE if role is None else role),
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": guard.endpoint,
    }
    return Life(folder, FILE.read_text() if text is None else text, environ)


def sent_with(folder: Path, guard: Guard, **changes: Any) -> Life:
    """Such a life, of one invocation."""
    life = life_with(folder, guard, **changes)
    with life.environment as environment:
        environment.invoke(b'"hello"')
        environment.shutdown()
    return life


def test_the_file_sends_a_span_that_the_endpoint_takes(tmp_path: Path) -> None:
    """Path, protocol, compression, signature over the body that is sent, and sizes."""
    with Receiver() as receiver, Guard(receiver, XRay(ROLE)) as guard:
        life = sent_with(tmp_path, guard)
        assert guard.statuses == [200]
        (span,) = servers(receiver)
        assert attributes_of(span)["spanpipe.result.body"] == '"hello"'
        assert guard.requests[0].headers["Content-Encoding"] == "gzip"
        assert "content-encoding;content-type;host;" in guard.requests[0].headers["Authorization"]
    assert life.ledgers() == ["accepted 1 = exported 1 + waiting 0 + dropped 0"]


def test_the_files_own_endpoint_is_the_regions() -> None:
    """What the test above replaces; in GovCloud it is the same."""
    for region in ("eu-central-1", "us-gov-west-1"):
        config = load({"AWS_REGION": region}, str(FILE))
        assert config.errors == ()
        exporter = config.settings.exporter
        assert exporter is not None
        assert exporter.endpoint == f"https://xray.{region}.amazonaws.com/v1/traces"
        assert exporter.sigv4 is not None
        assert (exporter.sigv4.region, exporter.sigv4.service) == (region, "xray")


def test_without_authentication_nothing_is_taken(tmp_path: Path) -> None:
    """The same file with its auth removed: refused, and kept."""
    text = re.sub(r"(?m)^auth:\n(?:  .*\n)+", "", FILE.read_text())
    assert "sigv4" not in text
    with Receiver() as receiver, Guard(receiver, XRay(ROLE)) as guard:
        life = sent_with(tmp_path, guard, text=text)
        assert set(guard.statuses) == {403}
        assert servers(receiver) == []
    (line,) = life.ledgers()
    assert line.startswith("accepted 1 = exported 0 + waiting 0 + spooled 1 + dropped 0")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"AWS_SECRET_ACCESS_KEY": "another"}, "the signature does not match"),
        ({"AWS_ACCESS_KEY_ID": "ASIAOTHER"}, "the credentials are not known there"),
    ],
)
def test_another_roles_signature_is_refused_and_the_log_says_why(
    tmp_path: Path, change: dict[str, str], reason: str
) -> None:
    """Kept and named; neither key nor token is in the log."""
    role = {**ROLE, **change}
    with Receiver() as receiver, Guard(receiver, XRay(ROLE)) as guard:
        life = sent_with(tmp_path, guard, role=role)
        assert set(guard.statuses) == {403}
    shown = "\n".join(life.lines)
    assert f"answered 403 Forbidden: {reason}" in shown
    assert not [one for name, one in role.items() if name != "AWS_REGION" and one in shown]


def test_a_clock_that_is_off_is_told(tmp_path: Path) -> None:
    """The endpoint's clock is ten minutes ahead of ours."""
    with Receiver() as receiver:
        xray = XRay(ROLE, now=lambda: time.time() + 600)
        with Guard(receiver, xray, ahead_s=600) as guard:
            life = sent_with(tmp_path, guard)
            assert set(guard.statuses) == {403}
    told = [line for line in life.lines if "the clock here is wrong" in line]
    assert re.search(r"the clock here is wrong by (599|600|601) s \(behind\)", told[0])


def test_what_is_over_the_services_limits_is_made_to_fit(tmp_path: Path) -> None:
    """A result of 1 MB in a span of 200 KB at most, though the file says nothing of limits."""
    payload = json.dumps("x" * 1_000_000).encode()
    text = FILE.read_text() + "capture: {max_body_bytes: 2097152}\nflush: {max_age_ms: 0}\n"
    with Receiver() as receiver, Guard(receiver, XRay(ROLE)) as guard:
        life = life_with(tmp_path, guard, text=text)
        with life.environment as environment:
            # Until the function has read the configuration's limit it sends 64 KiB.
            life.invoke_until(
                lambda: any(one.ByteSize() > 150_000 for one in servers(receiver)), payload
            )
            environment.shutdown()
        assert set(guard.statuses) == {200}
        largest = max(servers(receiver), key=lambda span: span.ByteSize())
        assert MAX_SPAN_BYTES * 0.99 < largest.ByteSize() <= MAX_SPAN_BYTES
        told = attributes_of(largest)
        assert (told["spanpipe.result.truncated"], told["spanpipe.result.size_bytes"]) == (
            True,
            len(payload),
        )
    count = len(environment.invocations)
    assert life.ledgers() == [f"accepted {count} = exported {count} + waiting 0 + dropped 0"]


def test_with_snap_start_the_container_gives_the_role(tmp_path: Path) -> None:
    """Credentials from the endpoint on loopback that Lambda names then."""
    answer = {
        "AccessKeyId": ROLE["AWS_ACCESS_KEY_ID"],
        "SecretAccessKey": ROLE["AWS_SECRET_ACCESS_KEY"],
        "Token": ROLE["AWS_SESSION_TOKEN"],
        "Expiration": "2099-01-01T00:00:00Z",
    }
    with (
        Receiver() as receiver,
        Guard(receiver, XRay(ROLE)) as guard,
        ContainerRole(answer) as container,
    ):
        sent_with(tmp_path, guard, role={"AWS_REGION": REGION, **container.environ()})
        assert guard.statuses == [200]
        assert container.asked == 1
