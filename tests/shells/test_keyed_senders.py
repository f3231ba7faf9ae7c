"""Requests with secrets and signatures: never without them, over both protocols and all signals."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from collectors.ports import free_port
from exporter.delivery import open_sender
from exporter.keys import FixedKeys, KeyedAuthorization, Keys
from exporter.outcome import Outcome, Verdict
from exporter.settings import (
    OTLP_GRPC,
    OTLP_HTTP,
    ExporterSettings,
    SecretReference,
    SecretText,
    SigV4Settings,
)
from exporter.signals import LOGS, TRACES
from exporter.sigv4 import Credentials
from exporter.values import replace
from sandbox.receiver import Receiver
from spanpipe import cli
from tests.guard import Guard, wants_header
from tests.secret_stores import ParametersAndSecrets
from tests.shells.test_delivery import GrpcCollector, accept

ROOT = Path(__file__).resolve().parents[2]
KEY = SecretReference("ssm", "/key")
HEADERS = {"Api-Key": SecretText(("key ", KEY))}
VALUE = "xs-hidden-5"
TIMEOUT_S = 5.0


class Source:
    """Keys that a test changes, and those that were refused."""

    def __init__(self, keys: Keys) -> None:
        self.now = keys
        self.told: list[int] = []

    def keys(self) -> Keys:
        return self.now

    def refused(self, keys: Keys) -> None:
        self.told.append(keys.number)


def sent(settings: ExporterSettings, source: Any) -> Outcome:
    sender = open_sender(settings, source=source)
    try:
        outcome = sender.send_request(b"", 1, TIMEOUT_S)
    finally:
        sender.close()
    return replace(outcome, duration_s=0.0)


@pytest.mark.parametrize("protocol", [OTLP_HTTP, OTLP_GRPC])
def test_without_its_secret_nothing_is_sent(protocol: str) -> None:
    """Told as to be tried again, by the secret's name; no connection is made."""
    endpoint = f"http://127.0.0.1:{free_port()}"
    settings = ExporterSettings(protocol, endpoint, HEADERS)
    expected = Outcome(Verdict.RETRYABLE, 1, f"{endpoint}: nothing was sent: waits for ssm:/key")
    assert sent(settings, None) == expected
    assert sent(settings, FixedKeys()) == expected


def test_without_credentials_nothing_is_signed_or_sent() -> None:
    """By the same way."""
    endpoint = f"http://127.0.0.1:{free_port()}/"
    settings = ExporterSettings(OTLP_HTTP, endpoint, sigv4=SigV4Settings("eu-west-1", "xray"))
    assert sent(settings, FixedKeys()) == Outcome(
        Verdict.RETRYABLE, 1, f"{endpoint}: nothing was sent: waits for credentials to sign with"
    )


def test_a_renewed_secret_is_in_the_next_request() -> None:
    """On the same sender; the refusal is told with the keys that it was of."""
    source = Source(Keys({KEY: "old"}, number=1))
    with (
        Receiver() as receiver,
        Guard(receiver, wants_header("Api-Key", lambda: f"key {VALUE}")) as guard,
    ):
        settings = ExporterSettings(OTLP_HTTP, guard.endpoint, HEADERS)
        sender = open_sender(settings, source=source)
        verdicts = [sender.send_request(b"", 1, TIMEOUT_S).verdict]
        source.now = Keys({KEY: VALUE}, number=2)
        verdicts.append(sender.send_request(b"", 1, TIMEOUT_S).verdict)
        sender.close()
        assert verdicts == [Verdict.RETRYABLE, Verdict.ACCEPTED]
        assert (source.told, guard.statuses) == ([1], [401, 200])


def test_over_grpc_a_secret_is_metadata() -> None:
    """And a refusal is told as over HTTP."""
    import grpc

    collector = GrpcCollector(accept)
    source = Source(Keys({KEY: VALUE}, number=7))
    with collector.serve() as port:
        settings = ExporterSettings(OTLP_GRPC, f"http://127.0.0.1:{port}", HEADERS)
        assert sent(settings, source).verdict is Verdict.ACCEPTED
        assert collector.metadata["api-key"] == f"key {VALUE}"
        collector.answer = lambda context: context.abort(grpc.StatusCode.UNAUTHENTICATED, "who?")
        assert sent(settings, source).verdict is Verdict.RETRYABLE
    assert source.told == [7]


@pytest.mark.parametrize(
    ("url", "signal", "service"),
    [
        ("https://xray.eu-west-1.amazonaws.com/v1/traces", TRACES, "xray"),
        ("https://logs.eu-west-1.amazonaws.com/v1/logs", LOGS, "logs"),
        ("https://logs.cn-north-1.amazonaws.com.cn/v1/logs", LOGS, "logs"),
        ("https://vpce-1.logs.eu-west-1.vpce.amazonaws.com/v1/logs", LOGS, "logs"),
        ("http://127.0.0.1:4318/v1/logs", LOGS, "xray"),
    ],
)
def test_each_signal_is_signed_for_its_own_service(url: str, signal: str, service: str) -> None:
    """AWS has one for each; what is no endpoint of AWS's is signed as the file says."""
    settings = ExporterSettings(OTLP_HTTP, url, sigv4=SigV4Settings("eu-west-1", "xray"))
    keys = FixedKeys(Keys(credentials=Credentials("AKID", "hidden", "token")))
    authorization = KeyedAuthorization(settings, signal, keys)
    assert authorization.headers() == {}
    signature: Mapping[str, str] = authorization.signature("POST", url, {}, b"body")
    assert f"/eu-west-1/{service}/aws4_request, " in signature["Authorization"]


NEW = """
import json, sys
from extension import loop
from extension.pipeline import Pipeline
pipeline = Pipeline({"SPANPIPE_CONFIG": sys.argv[1], "AWS_REGION": "eu-west-1"})
pipeline.load()
pipeline.prepare()
from exporter import otlp_http
ours = [name for name in sys.modules if name.split(".")[0] in ("exporter", "extension")]
print(json.dumps([sorted(ours), pipeline.keys is not None, "hmac" in sys.modules]))
"""
ONLY_WITH_KEYS = {
    "exporter.aws_answers",
    "exporter.keys",
    "exporter.service_limits",
    "exporter.sigv4",
    "exporter.span_limit",
    "extension.aws_credentials",
    "extension.aws_endpoints",
    "extension.key_delivery",
    "extension.keyring",
    "extension.secret_fetch",
    "extension.secret_requests",
}


@pytest.mark.parametrize(
    ("text", "has_keys"),
    [
        ("", False),
        ("exporter: {otlp_http: {headers: [{name: a, value: b}]}}", False),
        ("exporter: {otlp_http: {headers: [{name: a, value: '${ssm:/a}'}]}}", True),
        ("auth: {sigv4: {service: xray}}", True),
    ],
)
def test_without_keys_in_the_configuration_nothing_more_is_imported(
    tmp_path: Path, text: str, has_keys: bool
) -> None:
    """From start to ready to export: none of the modules that keys take."""
    file = tmp_path / "spanpipe.yaml"
    file.write_text(text)
    done = subprocess.run(
        [sys.executable, "-c", NEW, str(file)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    imported, keys, _ = json.loads(done.stdout)
    assert keys == has_keys
    found = ONLY_WITH_KEYS & set(imported)
    assert bool(found) == has_keys, found


def command(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: str
) -> tuple[int, str]:
    capsys.readouterr()
    status = cli.main(list(arguments))
    told = capsys.readouterr()
    return status, told.out + told.err


def test_commands_fetch_what_they_need_and_show_none_of_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`check`, `check --send` and `doctor`, with the secret and without it."""
    monkeypatch.chdir(tmp_path)
    with (
        Receiver() as receiver,
        Guard(receiver, wants_header("Api-Key", lambda: f"key {VALUE}")) as guard,
        ParametersAndSecrets() as store,
    ):
        Path("spanpipe.yaml").write_text(
            f"exporter: {{otlp_http: {{endpoint: '{guard.endpoint}', headers: "
            "[{name: Api-Key, value: 'key ${ssm:/key}'}]}}\n"
        )
        environ = {
            **store.environ(),
            "AWS_REGION": "eu-west-1",
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{free_port()}",
        }
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        status, told = command(capsys, monkeypatch, "check")
        assert status == 0
        assert "exporter.otlp_http.headers.Api-Key  ******** ${ssm:/key}" in told
        status, told = command(capsys, monkeypatch, "check", "--send")
        assert status == 1
        assert "send: ssm:/key: " in told
        status, told = command(capsys, monkeypatch, "doctor")
        assert "credentials_missing" in told
        assert guard.requests == []
        store.parameters["/key"] = VALUE
        status, told = command(capsys, monkeypatch, "check", "--send")
        assert (status, guard.statuses) == (0, [200])
        assert "send: accepted in " in told
        status, doctors = command(capsys, monkeypatch, "doctor")
        assert "keys: secrets and credentials are there" in doctors
        assert VALUE not in told + doctors


def test_send_has_the_secret_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the fallback has printed is delivered as the extension would have."""
    span = {"traceId": "0" * 31 + "1", "spanId": "0" * 15 + "1", "name": "n", "kind": 2}
    line = json.dumps({"resourceSpans": [{"resource": {}, "scopeSpans": [{"spans": [span]}]}]})
    log = tmp_path / "log"
    log.write_text(line + "\n")
    config = tmp_path / "spanpipe.yaml"
    with (
        Receiver() as receiver,
        Guard(receiver, wants_header("Api-Key", lambda: f"key {VALUE}")) as guard,
        ParametersAndSecrets() as store,
    ):
        config.write_text(
            f"exporter: {{otlp_http: {{endpoint: '{guard.endpoint}', headers: "
            "[{name: Api-Key, value: 'key ${ssm:/key}'}]}}\n"
        )
        store.parameters["/key"] = VALUE
        for name, value in store.environ().items():
            monkeypatch.setenv(name, value)
        status, _ = command(capsys, monkeypatch, "send", str(log), "--config", str(config))
        assert (status, len(receiver.spans())) == (0, 1)
