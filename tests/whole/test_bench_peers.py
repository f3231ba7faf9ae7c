"""The benchmark's peers, as `bench/BASELINES.md` sets them up, do in the sandbox what is timed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench import lives, peers, startup
from bench.lives import Life, Telemetry, ours
from bench.results import ROOT
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


def test_start_up_is_timed_before_three_apis(tmp_path: Path) -> None:
    """By the emulator's table ours asks for an event sooner than with everything imported first."""
    command = [sys.executable, "-m", "bench.startup", "--quick", "--results", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, timeout=300)
    value = json.loads((tmp_path / "startup.json").read_text())
    for one in value["lost"]:
        cannot(f"{one['name']}: {one['why']}")
    assert [one["title"] for one in value["tables"]] == [
        f"exec to the first /next, {api}"
        for api in ("a bare Extensions API", "the sandbox's API", "AWS's emulator")
    ]
    p50_ms = {name: p50 for name, _, p50, *_ in value["tables"][-1]["rows"]}
    assert [*p50_ms] == [startup.OURS, startup.EAGER, startup.SENTRY]
    assert 0 < p50_ms[startup.OURS] < min(p50_ms[startup.EAGER], p50_ms[startup.SENTRY])
