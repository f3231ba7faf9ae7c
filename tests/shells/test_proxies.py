"""A function in a VPC may reach its collector through a proxy alone: what it then goes by."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from collectors.answering import AnsweringCollector, GrpcCollector
from collectors.proxy import Proxy
from exporter.outcome import Verdict
from exporter.settings import OTLP_GRPC, TlsSettings
from tests.shells.test_delivery import send, sender_to

NAME = "collector.invalid"
"""No name server knows it (RFC 2606): who reaches it went through the proxy."""
VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "grpc_proxy", "no_proxy", "no_grpc_proxy")


class NamingProxy(Proxy):
    """Knows `NAME` to be this machine, and remembers what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        super().__init__()

    def _forward(self, client: socket.socket, data: bytes) -> socket.socket | None:
        self.asked.append(" ".join(data.decode("latin-1").split(" ", 2)[:2]))
        line, end, rest = data.partition(b"\r\n")
        return super()._forward(client, line.replace(NAME.encode(), b"127.0.0.1") + end + rest)


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[NamingProxy]:
    """Named by no variable yet."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    with NamingProxy() as made:
        yield made


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
def test_https_goes_through_by_connect(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, proxy: NamingProxy, variable: str
) -> None:
    """The proxy sees the name and the port, and no more: TLS is the collector's."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(NAME).configure_cert(context)
    trusted = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(str(trusted))
    monkeypatch.setenv(variable, proxy.url)
    with AnsweringCollector(tls=context) as collector:
        endpoint = f"https://{NAME}:{collector.port}/v1/traces"
        with sender_to(endpoint, tls=TlsSettings(str(trusted))) as sender:
            assert send(sender).verdict is Verdict.ACCEPTED
        assert proxy.asked == [f"CONNECT {NAME}:{collector.port}"]


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy"])
def test_http_goes_through(
    monkeypatch: pytest.MonkeyPatch, proxy: NamingProxy, variable: str
) -> None:
    """The proxy is asked for the whole URL."""
    monkeypatch.setenv(variable, proxy.url)
    with AnsweringCollector() as collector:
        endpoint = f"http://{NAME}:{collector.port}/v1/traces"
        with sender_to(endpoint) as sender:
            assert send(sender).verdict is Verdict.ACCEPTED
        assert proxy.asked == [f"POST {endpoint}"]


@pytest.mark.parametrize("variable", ["NO_PROXY", "no_proxy"])
def test_what_no_proxy_names_is_asked_directly(
    monkeypatch: pytest.MonkeyPatch, proxy: NamingProxy, variable: str
) -> None:
    """A collector inside the VPC beside a proxy for everything else."""
    monkeypatch.setenv("HTTP_PROXY", proxy.url)
    monkeypatch.setenv(variable, "127.0.0.1,.internal")
    with (
        AnsweringCollector() as collector,
        sender_to(f"http://127.0.0.1:{collector.port}/v1/traces") as sender,
    ):
        assert send(sender).verdict is Verdict.ACCEPTED
    assert proxy.asked == []


@pytest.mark.parametrize("variable", ["grpc_proxy", "https_proxy", "http_proxy"])
def test_grpc_reads_names_in_lower_case(
    monkeypatch: pytest.MonkeyPatch, proxy: NamingProxy, variable: str
) -> None:
    """By CONNECT, with TLS or without; the library's own doing."""
    monkeypatch.setenv(variable, proxy.url)
    with GrpcCollector() as collector:
        endpoint = f"http://{NAME}:{collector.port}"
        with sender_to(endpoint, protocol=OTLP_GRPC) as sender:
            assert send(sender).verdict is Verdict.ACCEPTED
        assert proxy.asked == [f"CONNECT {NAME}:{collector.port}"]


def test_grpc_does_not_read_them_in_upper_case(
    monkeypatch: pytest.MonkeyPatch, proxy: NamingProxy
) -> None:
    """As the page says; if the library learns it, the page changes."""
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    monkeypatch.setenv("GRPC_PROXY", proxy.url)
    with GrpcCollector() as collector:
        endpoint = f"http://{NAME}:{collector.port}"
        with sender_to(endpoint, protocol=OTLP_GRPC) as sender:
            assert send(sender).verdict is Verdict.RETRYABLE
    assert proxy.asked == []
