"""The stock OTLP/HTTP exporter in a function, through the receiver to a real collector."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import pytest

from collectors.ports import free_port
from sandbox.environment import LambdaEnvironment
from sandbox.launcher import write_extensions
from sandbox.receiver import Receiver
from tests.shells.test_otlp_receiver import JSON, JSON_OK, OK, json_of, post, request_of
from tests.whole.configured import configured
from tests.whole.test_flush import IDLE_S, SLACK_S


def environment(
    folder: Path, receiver: Receiver, port: int, handler: str, *, enabled: bool = True
) -> LambdaEnvironment:
    config = f"receiver: {{otlp_http: {{enabled: {str(enabled).lower()}, port: {port}}}}}\n"
    environ, endpoint = {"PORT": str(port)}, receiver.http_endpoint
    function = configured(folder, config, endpoint, handler, environ, timeout_s=10.0)
    return LambdaEnvironment(function, str(write_extensions(folder)))


def connected(port: int) -> socket.socket:
    """Once somebody listens: the configuration is read after the first `/next`."""
    until_s = time.monotonic() + 20
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), 5)
        except ConnectionRefusedError:
            if time.monotonic() > until_s:
                raise


def test_spans_of_the_stock_exporter_leave_once(tmp_path: Path) -> None:
    """Under the invocation's span where the function says so, else as they are; each once."""
    port = free_port()
    with Receiver() as receiver:
        with environment(tmp_path, receiver, port, "receiver_function.handler") as env:
            env.init()
            connected(port).close()
            for _ in range(2):
                assert env.invoke(b'{"flush": true}').payload == b"true"
        spans = receiver.spans()
    own = {span.span_id: span for span in spans if span.name == "function"}
    told = sorted(
        (span.name, span.parent_span_id in own, span.trace_id in {o.trace_id for o in own.values()})
        for span in spans
        if span.name in ("own", "stranger")
    )
    assert told == [("own", True, True)] * 2 + [("stranger", False, False)] * 2
    assert len(own) == 2


@pytest.mark.parametrize("enabled", [True, False])
def test_what_comes_after_the_answer_leaves_with_the_next_boundary(
    tmp_path: Path, enabled: bool
) -> None:
    """At SHUTDOWN what is in the sockets is read first; switched off, nobody listens."""
    port = free_port()
    with Receiver() as receiver:
        with environment(
            tmp_path, receiver, port, "captured_function.captured", enabled=enabled
        ) as env:
            env.invoke(b"{}")
            assert env.wait_idle(IDLE_S)
            if not enabled:
                with pytest.raises(ConnectionRefusedError):
                    socket.create_connection(("127.0.0.1", port), 5)
                return
            with connected(port) as client:
                client.sendall(post(request_of(b"t" * 16)))
                assert client.recv(1_000) == OK
                # The last one's answer is not waited for.
                client.sendall(post(request_of(b"u" * 16)))
                env.close()
        names = sorted(span.trace_id for span in receiver.spans() if span.name == "GET")
    assert names == [b"t" * 16, b"u" * 16]


@pytest.mark.parametrize("kind", ["protobuf", "json"])
def test_next_is_not_delayed_by_whoever_sends(tmp_path: Path, kind: str) -> None:
    """Half requests, large ones of either kind and a flood of small ones, while functions run."""
    port = free_port()
    data = request_of(*(bytes((1 + index % 255,)) * 16 for index in range(1_000)))
    large = post(data) if kind == "protobuf" else post(json_of(data), JSON)
    with Receiver() as receiver:
        with environment(tmp_path, receiver, port, "captured_function.captured") as env:
            env.invoke(b"{}")
            assert env.wait_idle(IDLE_S)
            held = []
            with connected(port) as half, connected(port) as client:
                half.sendall(large[:-1])
                for _ in range(8):
                    client.sendall(large)
                    env.invoke(b"{}")
                    assert env.wait_idle(IDLE_S)
                    last = env.invocations[-1]
                    assert last.idle_s is not None
                    assert last.responded_s is not None
                    held.append(last.idle_s - last.responded_s)
                answers = 8 * (OK if kind == "protobuf" else JSON_OK)
                assert client.makefile("rb").read(len(answers)) == answers
        assert len([span for span in receiver.spans() if span.name == "GET"]) == 8_000
    assert sorted(held)[len(held) // 2] < SLACK_S, held
