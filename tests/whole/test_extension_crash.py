"""An extension that ends fails the invocation and the environment: as AWS's emulator has it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from sandbox.environment import CRASH, RETURNED, Function, LambdaEnvironment
from sandbox.launcher import write_extensions
from sandbox.receiver import Receiver
from tests.whole.emulator import Emulator
from tests.whole.scenario import FOLDER

HANDLER = "crash_function.handler"
TIMEOUT_S = 20
IDLE_S = 10.0
CRASHED = {"errorType": "Extension.Crash", "errorMessage": "RequestId: … Error: signal: killed"}
KILL = b'{"do": "kill"}'
FINE = b'{"do": "fine"}'


def told(payload: bytes) -> object:
    """The answer, without its request ID."""
    return json.loads(re.sub(rb"RequestId: \S+", "RequestId: …".encode(), payload))


def environment(folder: Path, receiver: Receiver) -> LambdaEnvironment:
    environ = {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": receiver.http_endpoint}
    function = Function(HANDLER, str(FOLDER), timeout_s=TIMEOUT_S, environ=environ)
    return LambdaEnvironment(function, str(write_extensions(folder)), telemetry=True)


def test_killed_in_an_invocation_that_one_fails(tmp_path: Path) -> None:
    """At once, with the function still running; the next one has a new environment."""
    with Receiver() as receiver, environment(tmp_path, receiver) as harmed:
        crashed, fine = harmed.invoke(KILL), harmed.invoke(FINE)
    assert (crashed.status, told(crashed.payload)) == (CRASH, CRASHED)
    assert (fine.status, told(fine.payload)) == (RETURNED, "fine")


def test_killed_while_idle_the_next_invocation_fails(tmp_path: Path) -> None:
    """The platform notices when it wants the environment again; the one after that is well."""
    with Receiver() as receiver, environment(tmp_path, receiver) as harmed:
        first = harmed.invoke(FINE)
        assert harmed.wait_idle(IDLE_S)
        assert harmed.kill("extension")
        assert not harmed.kill("extension")
        crashed, fine = harmed.invoke(FINE), harmed.invoke(FINE)
    assert [told(one.payload) for one in (first, crashed, fine)] == ["fine", CRASHED, "fine"]


@pytest.mark.emulator
def test_the_emulator_says_the_same(tmp_path: Path) -> None:
    """Status 502, the same error, and a new environment for the next."""
    with Receiver() as receiver:
        environ = {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": receiver.http_endpoint}
        with Emulator(tmp_path, HANDLER, FOLDER, TIMEOUT_S, environ) as emulator:
            answers = [emulator.invoke(event) for event in (FINE, KILL, FINE)]
            emulator.shutdown()
    assert [(status, told(payload)) for status, payload in answers] == [
        (200, "fine"),
        (502, CRASHED),
        (200, "fine"),
    ]
