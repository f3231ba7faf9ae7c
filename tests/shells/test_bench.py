"""The benchmark's machinery measures what it says: with real pipes, processes and the extension."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from bench import transports
from bench.driven import Driven
from bench.startup import Api
from chaos.ledger_line import parse
from sandbox.receiver import Receiver

EXTENSION = """
import http.client, os
api = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
base = "/2020-01-01/extension"
api.request("POST", base + "/register", '{"events": ["INVOKE","SHUTDOWN"]}')
api.getresponse().read()
%s
api.request("GET", base + "/event/next")
api.getresponse()
"""


def test_every_way_of_handing_over_arrives() -> None:
    """Each reader says that it has each result, and none is timed from hand-over to before it."""
    handed, held = transports.one_size(200, 3, "")
    assert set(handed) == set(held) == set(transports.KINDS)
    for name, seconds in handed.items():
        assert len(seconds) == len(held[name]) == 3
        pairs = zip(seconds, held[name], strict=True)
        assert all(0 < let_go <= whole for let_go, whole in pairs), name


def test_a_start_up_is_timed_to_the_first_next() -> None:
    """An extension that never asks is no fast one."""
    api, environ = Api(), {}
    environ["AWS_LAMBDA_RUNTIME_API"] = api.address
    command = [sys.executable, "-I", "-S", "-c"]
    assert 0 < api.time_to_next([*command, EXTENSION % ""], environ) < 30
    with pytest.raises(RuntimeError, match="left before its first /next, status 3"):
        api.time_to_next([*command, EXTENSION % "os._exit(3)"], environ)


def test_the_driven_extension_accounts_for_every_invocation(tmp_path: Path) -> None:
    """One span each, by its ledger and by the collector."""
    with Receiver() as receiver, Driven(tmp_path, receiver.http_endpoint, {}) as extension:
        for _ in range(3):
            extension.invoke(lambda writer, invocation: writer.result(invocation, {"ok": True}))
        (ledger,) = filter(None, map(parse, extension.shut_down()))
        spans = receiver.wait_for_spans(3, 5)
    assert ledger.adds_up
    assert ledger.invocations.left["accepted"] == ledger.invocations.right["exported"] == 3
    assert len(spans) == 3
