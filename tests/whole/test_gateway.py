"""The gateway's configurations, by the real Collector: valid, and two tiers that run."""

from __future__ import annotations

import subprocess
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives import serialization
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from collectors.ports import free_ports
from deploy.gateway.build import FOLDER as GATEWAY
from exporter.delivery import open_sender
from exporter.outcome import Verdict
from exporter.record import Environment, Fate, Invocation
from exporter.settings import OTLP_HTTP, ExporterSettings, TlsSettings
from exporter.spans import SpanBuilder
from sandbox.environment import Function, LambdaEnvironment
from sandbox.launcher import write_extensions
from sandbox.receiver import Receiver
from tests.whole import kafka
from tests.whole.otel_collector import collector_program
from tests.whole.printing import Printing
from tests.whole.scenario import FOLDER, HANDLER

READY_S = 30.0
STARTS = 5
ARRIVED_S = 20.0
TOKEN = "of-the-fleet"  # noqa: S105 - of this test alone
BACK_TOKEN = "between-the-tiers"  # noqa: S105 - as above
TRACES = 120
HOPS = 3
"""Invocations of a trace, each from an environment of its own."""

SET_UPS = {
    "front tier, by DNS": ("entry", "front", "resolver-dns"),
    "front tier, a list": ("entry", "front", "resolver-static"),
    "back tier": ("entry", "back", "backend"),
    "back tier, sampling": ("entry", "back", "backend", "tail-sampling"),
    "before Kafka": ("entry", "to-kafka"),
    "behind Kafka": ("from-kafka", "backend"),
}


def options(names: tuple[str, ...]) -> list[str]:
    return [text for name in names for text in ("--config", str(GATEWAY / f"{name}.yaml"))]


def environ(folder: Path) -> dict[str, str]:
    """Everything that the files ask for, with nothing behind it."""
    return {
        "GATEWAY_TOKEN": TOKEN,
        "GATEWAY_TLS_CERT_FILE": str(folder / "server.pem"),
        "GATEWAY_TLS_KEY_FILE": str(folder / "server.key"),
        "GATEWAY_BACK_CA_FILE": str(folder / "ca.pem"),
        "GATEWAY_BACK_SERVER_NAME": "back.example.com",
        "GATEWAY_BACK_TOKEN": BACK_TOKEN,
        "GATEWAY_BACK_HOSTNAME": "back.example.com",
        "GATEWAY_BACK_TIER": "[127.0.0.1:4317, 127.0.0.1:4319]",
        "GATEWAY_QUEUE_DIRECTORY": str(folder / "queue"),
        "BACKEND_ENDPOINT": "https://otlp.example.com",
        "BACKEND_AUTHORIZATION": "Bearer of-the-backend",
        "KAFKA_BROKERS": "[b-1.example.com:9096, b-2.example.com:9096]",
        "KAFKA_USERNAME": "spanpipe",
        "KAFKA_PASSWORD": "of-this-test",
    }


@pytest.mark.receiver
@pytest.mark.parametrize("name", SET_UPS)
def test_a_set_up_is_valid(tmp_path: Path, name: str) -> None:
    """The Collector finds nothing wrong, and something where a variable is missing."""
    program = str(collector_program())
    given = environ(tmp_path)
    done = subprocess.run(
        [program, "validate", *options(SET_UPS[name])],
        env=given,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    missing = "BACKEND_ENDPOINT" if "backend" in SET_UPS[name] else "GATEWAY_TOKEN"
    del given[missing]
    done = subprocess.run(
        [program, "validate", *options(SET_UPS[name])],
        env=given,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr


def test_every_file_is_part_of_a_set_up() -> None:
    """None is there that nothing validates."""
    used = {f"{name}.yaml" for names in SET_UPS.values() for name in names}
    assert {path.name for path in GATEWAY.glob("*.yaml")} == {*used, "builder.yaml"}


def certificates(folder: Path) -> Path:
    """A key and a certificate for both tiers; the CA's file."""
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1", "back.example.com")
    issued.private_key_pem.write_to_path(folder / "server.key")
    # Kafka wants both in one file, the key as PKCS #8.
    key = serialization.load_pem_private_key(issued.private_key_pem.bytes(), None)
    (folder / "kafka.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + issued.cert_chain_pems[0].bytes()
    )
    issued.cert_chain_pems[0].write_to_path(folder / "server.pem")
    authority.cert_pem.write_to_path(folder / "ca.pem")
    return folder / "ca.pem"


@contextmanager
def collector(folder: Path, names: tuple[str, ...], **changes: str) -> Iterator[tuple[int, int]]:
    """(gRPC port, HTTP port) of a set-up that runs."""
    for _ in range(STARTS):
        ports = free_ports(4)
        grpc, http, health, metrics = ports
        listening = {
            "GATEWAY_GRPC_ENDPOINT": f"127.0.0.1:{grpc}",
            "GATEWAY_HTTP_ENDPOINT": f"127.0.0.1:{http}",
            "GATEWAY_HEALTH_ENDPOINT": f"127.0.0.1:{health}",
            "GATEWAY_METRICS_PORT": str(metrics),
        }
        command = [str(collector_program()), *options(names)]
        output = Printing(command, folder, {**environ(folder), **listening, **changes})
        try:
            # A port that was free a moment ago may be another test's by now.
            printed = output.wait_for("Everything is ready|address already in use", READY_S)
            if "Everything is ready" in printed:
                yield grpc, http
                return
        finally:
            output.close()
    raise AssertionError(f"no free ports in {STARTS} tries")


class Arrivals:
    """The spans that the collectors of the back tier pass on, and which of them did."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self.spans: list[tuple[str, bytes, bytes]] = []
        """Collector, trace ID and span ID of each."""
        self.request_ids: Counter[str] = Counter()

    def take(self, collector: str, request: ExportTraceServiceRequest) -> None:
        with self._changed:
            for resource_spans in request.resource_spans:
                for scope_spans in resource_spans.scope_spans:
                    for span in scope_spans.spans:
                        self.spans.append((collector, span.trace_id, span.span_id))
                        self.request_ids.update(
                            one.value.string_value
                            for one in span.attributes
                            if one.key == "faas.invocation_id"
                        )
            self._changed.notify_all()

    def wait_for(self, request_ids: Iterable[str]) -> None:
        with self._changed:
            wanted = set(request_ids)
            assert self._changed.wait_for(
                lambda: wanted <= self.request_ids.keys(), timeout=ARRIVED_S
            ), f"{len(wanted - self.request_ids.keys())} invocations have not arrived"


@contextmanager
def two_tiers(folder: Path, arrivals: Arrivals) -> Iterator[str]:
    """The endpoint for traces; at the end each tier has passed on what it had."""
    certificates(folder)
    with ExitStack() as stack:
        ports = []
        for name in ("a", "b"):
            backend = stack.enter_context(Receiver(partial(arrivals.take, name), keeps=False))
            (folder / name).mkdir()
            changes = {
                "GATEWAY_TOKEN": BACK_TOKEN,
                "GATEWAY_QUEUE_DIRECTORY": str(folder / name / "queue"),
                "BACKEND_ENDPOINT": backend.http_endpoint.removesuffix("/v1/traces"),
            }
            grpc_port, _ = stack.enter_context(
                collector(folder, ("entry", "back", "backend"), **changes)
            )
            ports.append(grpc_port)
        listed = ", ".join(f"127.0.0.1:{port}" for port in ports)
        _, http_port = stack.enter_context(
            collector(
                folder, ("entry", "front", "resolver-static"), GATEWAY_BACK_TIER=f"[{listed}]"
            )
        )
        yield f"https://127.0.0.1:{http_port}/v1/traces"


def hop(trace: int, number: int) -> Invocation:
    """An invocation of a trace that goes through several functions."""
    start_ns = 1_764_000_000_000_000_000 + number * 10_000_000
    return Invocation(
        ordinal=1,
        request_id=f"8c1f9b6a-0000-4000-8000-{trace:06d}{number:06d}",
        invoked_function_arn="arn:aws:lambda:eu-west-1:123456789012:function:shop:live",
        environment=Environment(f"hop-{number}", "7", region="eu-west-1"),
        # As a writer draws them: all bits matter to the load balancer.
        trace_id=(trace * 0x9E3779B97F4A7C15F39CC0605CEDC835 % 2**128).to_bytes(16, "big"),
        span_id=(1 + trace * HOPS + number).to_bytes(8, "big"),
        start_unix_ns=start_ns,
        end_unix_ns=start_ns + 5_000_000,
        fate=Fate.RETURNED,
        deadline_unix_ms=1_764_000_003_000,
    )


def settings(folder: Path, endpoint: str, token: str) -> ExporterSettings:
    return ExporterSettings(
        OTLP_HTTP,
        endpoint,
        headers={"authorization": f"Bearer {token}"},
        tls=TlsSettings(ca_file=str(folder / "ca.pem")),
    )


def send(folder: Path, endpoint: str, invocations: list[Invocation]) -> None:
    """By our sender, `TRACES` in a request."""
    with closing(open_sender(settings(folder, endpoint, TOKEN))) as sender:
        for first in range(0, len(invocations), TRACES):
            spans = SpanBuilder().spans(invocations[first : first + TRACES])
            outcome = sender.send(spans, len(spans), 10.0)
            assert outcome.verdict is Verdict.ACCEPTED, outcome.detail


@pytest.mark.receiver
def test_all_spans_of_a_trace_reach_the_same_collector_once(tmp_path: Path) -> None:
    """Through TLS and a token, by our sender and by real invocations; nothing lost or doubled."""
    arrivals = Arrivals()
    sent = [hop(trace, number) for number in range(HOPS) for trace in range(1, TRACES + 1)]
    with two_tiers(tmp_path, arrivals) as endpoint:
        send(tmp_path, endpoint, sent)
        # With six seconds for an export none is cut off, and sent again, on a busy machine.
        (tmp_path / "spanpipe.yaml").write_text("flush: {mode: end}\n")
        function = Function(
            HANDLER,
            str(FOLDER),
            timeout_s=60,
            environ={
                "SPANPIPE_CONFIG": str(tmp_path / "spanpipe.yaml"),
                "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": endpoint,
                "OTEL_EXPORTER_OTLP_HEADERS": f"authorization=Bearer%20{TOKEN}",
                "OTEL_EXPORTER_OTLP_CERTIFICATE": str(tmp_path / "ca.pem"),
            },
        )
        with LambdaEnvironment(function, str(write_extensions(tmp_path))) as environment:
            invoked = [environment.invoke(b'{"id": 7}').request_id for _ in range(6)]
        request_ids = [*(one.request_id for one in sent), *invoked]
        arrivals.wait_for(request_ids)
    # The collectors have ended: what was to come twice has come.
    assert arrivals.request_ids == Counter(request_ids)
    assert set(Counter(span_id for *_, span_id in arrivals.spans).values()) == {1}
    collectors_of: dict[bytes, set[str]] = {}
    for name, trace_id, _ in arrivals.spans:
        collectors_of.setdefault(trace_id, set()).add(name)
    assert {len(names) for names in collectors_of.values()} == {1}
    shares = Counter(name for names in collectors_of.values() for name in names)
    assert set(shares) == {"a", "b"}
    assert min(shares.values()) > TRACES // 4


@pytest.mark.receiver
def test_a_wrong_token_is_refused_and_the_spans_are_kept(tmp_path: Path) -> None:
    """401 is to be tried again: a token may be rotating."""
    arrivals = Arrivals()
    with (
        two_tiers(tmp_path, arrivals) as endpoint,
        closing(open_sender(settings(tmp_path, endpoint, "of-somebody-else"))) as sender,
    ):
        spans = SpanBuilder().spans([hop(1, 0)])
        outcome = sender.send(spans, len(spans), 10.0)
    assert (outcome.verdict, outcome.status) == (Verdict.RETRYABLE, "401")
    assert arrivals.spans == []


@pytest.mark.receiver
@pytest.mark.registry
def test_kafka_keeps_what_nobody_reads_yet(tmp_path: Path) -> None:
    """Through a real broker, with TLS and SCRAM: what came while no consumer was there arrives
    with the next one, once; what the first had not yet committed may come again."""
    certificates(tmp_path)
    arrivals = Arrivals()
    sent = [hop(trace, number) for number in range(HOPS) for trace in range(1, TRACES + 1)]
    first, later = sent[:TRACES], sent[TRACES:]
    with ExitStack() as stack:
        backend = stack.enter_context(Receiver(partial(arrivals.take, "backend"), keeps=False))
        reached = {
            "KAFKA_BROKERS": f"[{stack.enter_context(kafka.broker(tmp_path))}]",
            "KAFKA_USERNAME": kafka.USERNAME,
            "KAFKA_PASSWORD": kafka.PASSWORD,
            "KAFKA_TOPIC": kafka.TOPIC,
            "KAFKA_CA_FILE": str(tmp_path / "ca.pem"),
            "BACKEND_ENDPOINT": backend.http_endpoint.removesuffix("/v1/traces"),
        }
        _, http_port = stack.enter_context(collector(tmp_path, SET_UPS["before Kafka"], **reached))
        endpoint = f"https://127.0.0.1:{http_port}/v1/traces"
        with collector(tmp_path, SET_UPS["behind Kafka"], **reached):
            send(tmp_path, endpoint, first)
            arrivals.wait_for(one.request_id for one in first)
        send(tmp_path, endpoint, later)
        with collector(tmp_path, SET_UPS["behind Kafka"], **reached):
            arrivals.wait_for(one.request_id for one in sent)
    came = arrivals.request_ids
    assert set(came) == {one.request_id for one in sent}
    assert [came[one.request_id] for one in later] == [1] * len(later)
    assert all(count <= 2 for count in came.values())
