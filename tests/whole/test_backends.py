"""The ready-made configurations in docs/backends, each against what its back end documents."""

from __future__ import annotations

import base64
import os
import random
import re
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import requests
import trustme
import yaml

from collectors.ports import free_ports
from exporter.batch import Sent
from exporter.outcome import Verdict
from exporter.record import Invocation, Payload
from exporter.values import replace
from extension.pipeline import Exported, Loaded, Pipeline
from sandbox.environment import Function, LambdaEnvironment
from sandbox.launcher import write_extensions
from tests.backend import MIB, Backend, Rules
from tests.core.test_backlog import ONE
from tests.whole.scenario import FOLDER, HANDLER
from tests.whole.test_receivers import ARRIVED_S, READY_S, Printing, otel_collector

BACKENDS = Path(__file__).resolve().parents[2] / "docs" / "backends"
LONG_S = 10.0
KEY = "of-this-test"
BASIC = base64.b64encode(b"123456:of-this-test").decode()


@dataclass(frozen=True, slots=True)
class Documented:
    """A back end: what it asks for, and how its file is told where it is.

    `variables` makes the function's environment from the receiver's URL; `grpc` is whether it
    documents OTLP over gRPC, `client_certificate` whether that is what it knows a client by.
    """

    rules: Rules
    variables: Callable[[str], Mapping[str, str]]
    grpc: bool = True
    client_certificate: bool = False


DOCUMENTED = {
    "collector": Documented(
        Rules(headers={"authorization": f"Bearer {KEY}"}, max_request_bytes=20 * MIB),
        lambda url: {"OTEL_COLLECTOR_URL": url, "OTEL_COLLECTOR_TOKEN": KEY},
    ),
    "jaeger": Documented(
        Rules(max_request_bytes=20 * MIB),
        lambda url: {"JAEGER_URL": url},
        client_certificate=True,
    ),
    "tempo": Documented(
        Rules(headers={"x-scope-orgid": KEY}, max_request_bytes=20 * MIB),
        lambda url: {"TEMPO_URL": url, "TEMPO_TENANT": KEY},
    ),
    "grafana-cloud": Documented(
        Rules("/otlp/v1/traces", {"authorization": f"Basic {BASIC}"}),
        lambda url: {
            "GRAFANA_CLOUD_OTLP_URL": f"{url}/otlp",
            "GRAFANA_CLOUD_BASIC_AUTH": BASIC,
        },
        grpc=False,
    ),
    "honeycomb": Documented(
        Rules(
            headers={"x-honeycomb-team": KEY},
            max_span_bytes=1_000_000,
            max_text=64_000,
        ),
        lambda url: {"HONEYCOMB_API_URL": url, "HONEYCOMB_API_KEY": KEY},
    ),
    "datadog": Documented(
        Rules(
            headers={"dd-api-key": KEY, "dd-otlp-source": "serverless", "compute_stats": "true"},
            denied=403,
            success=202,
            max_request_bytes=3_200_000,
        ),
        lambda url: {"DD_OTLP_TRACES_ENDPOINT": f"{url}/v1/traces", "DD_API_KEY": KEY},
        grpc=False,
    ),
    "new-relic": Documented(
        Rules(headers={"api-key": KEY}, denied=403, max_request_bytes=1_000_000, max_text=4_095),
        lambda url: {"NEW_RELIC_OTLP_URL": url, "NEW_RELIC_LICENSE_KEY": KEY},
    ),
}


@dataclass(slots=True)
class Certificates:
    """An authority, and the files of a client that it knows."""

    folder: Path
    authority: trustme.CA = field(default_factory=trustme.CA)

    def server(self) -> ssl.SSLContext:
        """Wants a certificate of the authority's from whoever connects."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.authority.issue_cert("127.0.0.1").configure_cert(context)
        self.authority.configure_trust(context)
        context.verify_mode = ssl.CERT_REQUIRED
        return context

    def files_of_server(self) -> str:
        """The same for a Collector: YAML for its receiver's `tls`."""
        server = self.authority.issue_cert("127.0.0.1")
        server.cert_chain_pems[0].write_to_path(str(self.folder / "server.pem"))
        server.private_key_pem.write_to_path(str(self.folder / "server-key.pem"))
        self.authority.cert_pem.write_to_path(str(self.folder / "clients.pem"))
        names = {"cert_file": "server", "key_file": "server-key", "client_ca_file": "clients"}
        pairs = (f"{key}: '{self.folder}/{name}.pem'" for key, name in names.items())
        return f"{{{', '.join(pairs)}}}"

    def variables(self) -> dict[str, str]:
        """What jaeger.yaml asks for."""
        names = {name: self.folder / f"{name}.pem" for name in ("ca", "certificate", "key")}
        client = self.authority.issue_cert("function.example")
        self.authority.cert_pem.write_to_path(str(names["ca"]))
        client.cert_chain_pems[0].write_to_path(str(names["certificate"]))
        client.private_key_pem.write_to_path(str(names["key"]))
        return {
            "JAEGER_CA": str(names["ca"]),
            "JAEGER_CLIENT_CERTIFICATE": str(names["certificate"]),
            "JAEGER_CLIENT_KEY": str(names["key"]),
        }


@contextmanager
def documented(name: str, folder: Path) -> Iterator[tuple[Backend, dict[str, str]]]:
    """The back end, and the environment of a function that uses its file."""
    one = DOCUMENTED[name]
    variables, tls = {"SPANPIPE_CONFIG": str(BACKENDS / f"{name}.yaml")}, None
    if one.client_certificate:
        certificates = Certificates(folder)
        tls = certificates.server()
        variables.update(certificates.variables())
    with Backend(one.rules, tls) as backend:
        yield backend, {**variables, **one.variables(backend.url)}


def without_authentication(name: str, variables: Mapping[str, str], folder: Path) -> dict[str, str]:
    """The same with a copy of the file that has neither headers nor a client certificate."""
    changed = yaml.safe_load((BACKENDS / f"{name}.yaml").read_text())
    exporter = changed["exporter"]["otlp_http"]
    exporter.pop("headers", None)
    for key in ("cert_file", "key_file"):
        exporter.get("tls", {}).pop(key, None)
    (folder / "changed.yaml").write_text(yaml.safe_dump(changed))
    return {**variables, "SPANPIPE_CONFIG": str(folder / "changed.yaml")}


def export(variables: Mapping[str, str], records: list[Invocation]) -> tuple[Sent, ...]:
    """What became of `records`, by the extension's own loader and exporter."""
    pipeline = Pipeline(variables)
    loaded = pipeline.load()
    assert isinstance(loaded, Loaded)
    assert loaded.config.errors == ()
    pipeline.prepare()
    now_s = time.monotonic()
    exported = pipeline.export(records, now_s, now_s + LONG_S)
    pipeline.abort(time.monotonic())
    assert isinstance(exported, Exported)
    return exported.sent


def verdicts(sent: tuple[Sent, ...]) -> set[Verdict | None]:
    return {one.outcome and one.outcome.verdict for one in sent}


def heavy(count: int) -> list[Invocation]:
    """Invocations with the largest bodies that are captured by default; they hardly compress."""
    drawn = random.Random(7)  # noqa: S311
    body_bytes = 65_536
    return [
        replace(
            ONE,
            ordinal=number,
            request_id=f"r-{number}",
            span_id=number.to_bytes(8, "big"),
            result=Payload(
                base64.b64encode(drawn.randbytes(body_bytes))[:body_bytes],
                body_bytes,
                False,
                "text",
            ),
        )
        for number in range(1, count + 1)
    ]


def test_there_is_a_file_for_each_back_end_and_a_test_for_each_file() -> None:
    """But for AWS's own endpoint, whose signature has a test of its own."""
    files = {path.stem for path in BACKENDS.glob("*.yaml")}
    assert files - {"xray"} == set(DOCUMENTED)


@pytest.mark.parametrize("name", DOCUMENTED)
def test_each_file_says_when_it_was_checked_and_that_it_was_not_run(name: str) -> None:
    """A day, the documentation's pages, and how far the test went."""
    text = (BACKENDS / f"{name}.yaml").read_text()
    comment = " ".join(line[1:].strip() for line in text.splitlines() if line.startswith("#"))
    assert re.search(r"Checked on 20\d\d-\d\d-\d\d against .* documentation", comment)
    assert "receiver on loopback" in comment
    assert "not run against" in comment
    for variable in set(re.findall(r"\$\{([A-Z_]+)", text)):
        assert re.search(rf"\b{variable} +\S", comment), f"{variable} is not explained"


@pytest.mark.parametrize("name", DOCUMENTED)
def test_an_invocation_of_a_function_arrives(name: str, tmp_path: Path) -> None:
    """From the handler through the real extension, with the file in SPANPIPE_CONFIG."""
    lines: list[str] = []
    with documented(name, tmp_path) as (backend, variables):
        function = Function(HANDLER, str(FOLDER), timeout_s=5, environ=variables)
        with LambdaEnvironment(
            function,
            str(write_extensions(tmp_path)),
            on_line=lambda source, line: lines.append(line),
        ) as environment:
            invocation = environment.invoke(b'{"id": 7}')
        assert backend.refused == []
        told = [{one.key: one.value for one in span.attributes} for span in backend.spans()]
        ids = [one["faas.invocation_id"].string_value for one in told if "faas.coldstart" in one]
        assert ids == [invocation.request_id]
    ledger = "accepted 1 = exported 1 + waiting 0 + dropped 0"
    assert any(ledger in line for line in lines), lines


@pytest.mark.parametrize("name", DOCUMENTED)
def test_one_span_arrives_and_without_authentication_none(name: str, tmp_path: Path) -> None:
    """The same export twice: as the file is, then without what it authenticates by."""
    rules = DOCUMENTED[name].rules
    with documented(name, tmp_path) as (backend, variables):
        assert verdicts(export(variables, [ONE])) == {Verdict.ACCEPTED}
        assert (len(backend.spans()), backend.refused) == (1, [])
        changed = without_authentication(name, variables, tmp_path)
        (denied,) = export(changed, [ONE])
        assert denied.outcome is not None
        assert denied.outcome.verdict is Verdict.RETRYABLE
        assert len(backend.spans()) == 1
        if rules.headers:
            assert denied.outcome.status == str(rules.denied)
            assert backend.refused == [f"{rules.denied} header {', '.join(rules.headers)}"]
        else:
            assert "SSL" in denied.outcome.detail


@pytest.mark.parametrize("name", DOCUMENTED)
def test_every_request_is_within_the_documented_sizes(name: str, tmp_path: Path) -> None:
    """A full batch of the largest bodies: nothing is refused, and every invocation arrives."""
    with documented(name, tmp_path) as (backend, variables):
        records = heavy(80)
        sent = export(variables, records)
        assert verdicts(sent) == {Verdict.ACCEPTED}
        assert backend.refused == []
        assert [one.span_id for one in backend.spans()] == [one.span_id for one in records]


@pytest.mark.parametrize("name", ["datadog", "honeycomb", "new-relic"])
def test_the_sizes_in_the_files_are_needed(name: str, tmp_path: Path) -> None:
    """Without `limits` and `capture` the same batch is refused, in part or whole."""
    with documented(name, tmp_path) as (backend, variables):
        changed = yaml.safe_load((BACKENDS / f"{name}.yaml").read_text())
        del changed["limits"]
        changed.pop("capture", None)
        (tmp_path / "changed.yaml").write_text(yaml.safe_dump(changed))
        export({**variables, "SPANPIPE_CONFIG": str(tmp_path / "changed.yaml")}, heavy(80))
        assert backend.refused != []


@pytest.mark.parametrize(
    "name", [name for name, one in DOCUMENTED.items() if one.grpc and not one.client_certificate]
)
def test_the_same_file_serves_for_grpc(name: str, tmp_path: Path) -> None:
    """Two of OpenTelemetry's variables choose it; the file's headers are gRPC's metadata."""
    with documented(name, tmp_path) as (backend, variables):
        over_grpc = {
            "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
            "OTEL_EXPORTER_OTLP_ENDPOINT": backend.grpc_endpoint,
        }
        assert verdicts(export({**variables, **over_grpc}, [ONE])) == {Verdict.ACCEPTED}
        assert (len(backend.spans()), backend.refused) == (1, [])
        changed = without_authentication(name, variables, tmp_path)
        assert verdicts(export({**changed, **over_grpc}, [ONE])) == {Verdict.RETRYABLE}
        assert len(backend.spans()) == 1


@pytest.mark.receiver
def test_the_collector_itself_takes_what_its_file_sends(tmp_path: Path) -> None:
    """Built from its own modules, which have no extension that compares a token."""
    with otel_collector(tmp_path) as (output, _, http_port):
        variables = {
            "SPANPIPE_CONFIG": str(BACKENDS / "collector.yaml"),
            **DOCUMENTED["collector"].variables(f"http://127.0.0.1:{http_port}"),
        }
        assert verdicts(export(variables, [ONE])) == {Verdict.ACCEPTED}
        output.wait_for(r"faas\.invocation_id: *Str\(r\)", ARRIVED_S)


@pytest.mark.receiver
def test_the_receiver_in_jaeger_knows_the_client_by_its_certificate(tmp_path: Path) -> None:
    """Jaeger 2 is made of the Collector's OTLP receiver; without a certificate it takes nothing."""
    certificates = Certificates(tmp_path)
    variables = {"SPANPIPE_CONFIG": str(BACKENDS / "jaeger.yaml"), **certificates.variables()}
    with otel_collector(tmp_path, certificates.files_of_server()) as (output, _, http_port):
        variables["JAEGER_URL"] = f"https://127.0.0.1:{http_port}"
        changed = without_authentication("jaeger", variables, tmp_path)
        assert verdicts(export(changed, [ONE])) == {Verdict.RETRYABLE}
        assert verdicts(export(variables, [ONE])) == {Verdict.ACCEPTED}
        printed = output.wait_for(r"faas\.invocation_id: *Str\(r\)", ARRIVED_S)
        assert printed.count("faas.invocation_id") == 1


@pytest.mark.receiver
def test_a_jaeger_shows_the_trace(tmp_path: Path) -> None:
    """A real one, named in $JAEGER since its build takes minutes: its query API has the span.

    With Go, in a module of its own: ``go get github.com/jaegertracing/jaeger/cmd/jaeger@v1.76.0``,
    then ``go build`` of the same.
    """
    program = os.environ.get("JAEGER")
    if program is None:
        pytest.skip("JAEGER does not name a Jaeger 2")
    certificates = Certificates(tmp_path)
    variables = {"SPANPIPE_CONFIG": str(BACKENDS / "jaeger.yaml"), **certificates.variables()}
    tls = certificates.files_of_server()
    otlp, query, query_grpc = free_ports(3)
    (tmp_path / "jaeger.yaml").write_text(
        "service:\n"
        "  extensions: [jaeger_storage, jaeger_query]\n"
        "  telemetry: {metrics: {level: none}}\n"
        "  pipelines: {traces: {receivers: [otlp], exporters: [jaeger_storage_exporter]}}\n"
        "extensions:\n"
        "  jaeger_query:\n"
        "    storage: {traces: memory}\n"
        f"    http: {{endpoint: '127.0.0.1:{query}'}}\n"
        f"    grpc: {{endpoint: '127.0.0.1:{query_grpc}'}}\n"
        "  jaeger_storage: {backends: {memory: {memory: {max_traces: 10}}}}\n"
        "receivers:\n"
        f"  otlp: {{protocols: {{http: {{endpoint: '127.0.0.1:{otlp}', tls: {tls}}}}}}}\n"
        "exporters: {jaeger_storage_exporter: {trace_storage: memory}}\n"
    )
    one = replace(ONE, trace_id=bytes(range(16)), span_id=bytes(range(1, 9)), start_unix_ns=10**18)
    output = Printing([program, "--config", str(tmp_path / "jaeger.yaml")], tmp_path)
    try:
        output.wait_for("Everything is ready", READY_S)
        variables["JAEGER_URL"] = f"https://127.0.0.1:{otlp}"
        changed = without_authentication("jaeger", variables, tmp_path)
        assert verdicts(export(changed, [one])) == {Verdict.RETRYABLE}
        assert verdicts(export(variables, [one])) == {Verdict.ACCEPTED}
        url = f"http://127.0.0.1:{query}/api/traces/{one.trace_id.hex()}"
        (trace,) = requests.get(url, timeout=LONG_S).json()["data"]
    finally:
        output.close()
    assert [span["spanID"] for span in trace["spans"]] == [one.span_id.hex()]
    told = {tag["key"]: tag["value"] for tag in trace["spans"][0]["tags"]}
    assert told["faas.invocation_id"] == one.request_id
