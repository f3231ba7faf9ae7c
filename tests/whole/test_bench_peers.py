"""The benchmark's peers, as `bench/BASELINES.md` sets them up, do in the sandbox what is timed."""

from __future__ import annotations

import pytest

from bench import lives, peers
from bench.lives import Life, Telemetry, ours
from sandbox.receiver import Receiver
from tests.whole.fetch import cannot

pytestmark = pytest.mark.registry

PEERS = (
    lives.NOTHING,
    lives.EMPTY,
    ours("end"),
    lives.OPENTELEMETRY,
    lives.NEW_RELIC,
    lives.DATADOG,
)
LOGGED = {lives.NEW_RELIC.name: "NR_LAMBDA_MONITORING", lives.DATADOG.name: '"traces"'}
"""What a wrapper prints of an invocation."""


@pytest.mark.parametrize("telemetry", PEERS, ids=lambda one: one.name)
def test_a_peer_tells_of_an_invocation(telemetry: Telemetry) -> None:
    """By a span where it exports, by a line where it prints, and not at all where it does not."""
    lines: list[str] = []
    with Receiver() as receiver:
        try:
            life = Life(telemetry, receiver.http_endpoint, lambda name, line: lines.append(line))
        except peers.NotObtainableError as error:
            cannot(str(error))
            raise AssertionError from error
        with life:
            paid = [life.invoke(1) for _ in range(2)]
        spans = receiver.wait_for_spans(2 if telemetry.exports else 0, 10)
    assert all(0.001 < one.caller_s <= one.billed_s for one in paid)
    assert (len(spans) == 2) == telemetry.exports
    wanted = LOGGED.get(telemetry.name)
    assert [one for one in LOGGED.values() if any(one in line for line in lines)] == (
        [wanted] if wanted else []
    )
