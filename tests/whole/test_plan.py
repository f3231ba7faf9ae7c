"""A random life of real environments: one invocation span for every invocation, with its fate.

Every run draws a new seed and prints it; PLAN_SEED repeats a run, PLAN_INVOCATIONS makes it
longer (`make soak`). What fails is shrunk to the shortest plan that still does.
"""

from __future__ import annotations

import collections
import json
import os
import random
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import hypothesis
from hypothesis import strategies as st

from sandbox.environment import LambdaEnvironment
from sandbox.launcher import write_extensions
from sandbox.receiver import Receiver
from sandbox.telemetry import TelemetryFaults
from tests.whole.configured import configured
from tests.whole.test_environments import attributes_of, servers

TIMEOUT_S = 0.5
EXAMPLES = 10
"""Lives in one round of the search."""

FATES = {
    "fine": "returned",
    "raise": "raised",
    "twice": "returned",
    "late": "returned",
    "unknown": "returned",
    "hang": "timed_out",
    "_exit": "crashed",
    "exit": "crashed",
    "kill": "crashed",
}
DOES = ["fine"] * 12 + ["raise"] * 3 + ["twice", "late", "unknown", "hang", "_exit", "exit", "kill"]


@dataclass(frozen=True)
class Step:
    """One invocation, and what is done to its environment before and during it."""

    do: str
    writer: bool = True
    retried: bool = False
    frozen_after: bool = False
    stopped_during: bool = False
    reset_after: bool = False


STEPS = st.builds(
    Step,
    do=st.sampled_from(DOES),
    writer=st.sampled_from([True] * 4 + [False]),
    retried=st.sampled_from([False] * 7 + [True]),
    frozen_after=st.sampled_from([False] * 3 + [True]),
    stopped_during=st.sampled_from([False] * 9 + [True]),
    reset_after=st.sampled_from([False] * 29 + [True]),
)


@dataclass(frozen=True)
class Life:
    """Steps and how the platform's events and the flushes go."""

    steps: list[Step]
    mode: str
    telemetry: bool
    drop: float
    shuffle: float
    seed: int


LIVES = st.builds(
    Life,
    steps=st.lists(st.lists(STEPS, min_size=1, max_size=12), min_size=1, max_size=12).map(
        lambda parts: [step for part in parts for step in part]
    ),
    mode=st.sampled_from(["auto", "next", "end"]),
    telemetry=st.sampled_from([True, True, False]),
    drop=st.sampled_from([0.0, 0.0, 0.3]),
    shuffle=st.sampled_from([0.0, 0.0, 0.3]),
    seed=st.integers(0, 2**16),
)


def live(life: Life) -> None:
    """Live it; the spans must be those of its invocations."""
    faults = TelemetryFaults(
        life.drop,
        life.shuffle,
        life.shuffle,
        random=random.Random(life.seed),  # noqa: S311
    )
    invoked: list[tuple[str, Step, str]] = []
    with tempfile.TemporaryDirectory() as name, Receiver() as receiver:
        folder = Path(name)
        function = configured(
            folder,
            f"flush: {{mode: {life.mode}}}\n",
            receiver.http_endpoint,
            "fate_function.either",
            timeout_s=TIMEOUT_S,
        )
        lines: list[str] = []
        with LambdaEnvironment(
            function,
            str(write_extensions(folder)),
            on_line=lambda name, line: lines.append(line),
            telemetry=life.telemetry,
            faults=faults,
        ) as environment:
            for planned in life.steps:
                step, again = planned, None
                # A line names no attempt: a late one would be its retry's as well.
                if step.retried and invoked and invoked[-1][1].do != "late":
                    # A function has a writer or has none, retried at once or not.
                    again, before, _ = invoked[-1]
                    step = replace(step, writer=before.writer)
                request_id, ended = _step(environment, step, again)
                invoked.append((request_id, step, ended))
        spans = [attributes_of(span) for span in servers(receiver)]
    found = [(one.get("faas.invocation_id", ""), one["spanpipe.fate"]) for one in spans]
    expected = collections.Counter(request_id for request_id, _, _ in invoked)
    told = [line for line in lines if "spanpipe:" in line]
    if any(ended == "init_failed" for _, _, ended in invoked):
        # The machine was too busy for an init, which without the platform's word has no request ID.
        assert len(found) == len(invoked), (found, told)
        return
    assert collections.Counter(request_id for request_id, _ in found) == expected, told
    # Spans are in order of their start, and so are the attempts under one request ID.
    fates: dict[str, list[str]] = collections.defaultdict(list)
    for request_id, fate in found:
        fates[request_id].append(fate)
    for request_id, step, ended in invoked:
        fate = fates[request_id].pop(0)
        # Without a writer the platform's word may be lost, or is not to be had.
        silent = fate == "unreported" and not step.writer
        # Of attempts within a millisecond of each other what is left may be the other's.
        mixed = life.drop > 0 and not step.writer and expected[request_id] > 1
        assert silent or mixed or fate == ended, (request_id, step, fate, found, told)


def _step(environment: LambdaEnvironment, step: Step, again: str | None) -> tuple[str, str]:
    """Its request ID and its fate."""
    event = json.dumps({"do": step.do, "writer": step.writer}).encode()
    if step.stopped_during:
        # Lambda invokes an idle environment only; one that is frozen is not asked whether it is.
        environment.wait_idle(5.0)
        stopped = threading.Thread(target=_stop_a_moment, args=(environment,))
        stopped.start()
        result = environment.invoke(event, request_id=again)
        stopped.join()
    else:
        result = environment.invoke(event, request_id=again)
    if step.reset_after:
        environment.shutdown()
    elif step.frozen_after and environment.wait_idle(5.0):
        environment.freeze()
    # On a busy machine an init may take longer than the invocation that it is a part of.
    is_started = b"init did not succeed" not in result.payload
    return result.request_id, FATES[step.do] if is_started else "init_failed"


def _stop_a_moment(environment: LambdaEnvironment) -> None:
    environment.freeze()
    threading.Event().wait(0.005)
    environment.thaw()


def test_every_invocation_of_a_random_life_has_one_span(
    record_property: Callable[[str, object], None],
) -> None:
    """Fates, freezes, resets, retries and lost or reordered events, on real processes."""
    wanted = int(os.environ.get("PLAN_INVOCATIONS", "60"))
    seed = int(os.environ["PLAN_SEED"])
    counted = 0

    def counting(life: Life) -> None:
        nonlocal counted
        counted += len(life.steps)
        live(life)

    while counted < wanted:
        search = hypothesis.given(LIVES)(counting)
        search = hypothesis.settings(
            max_examples=min(EXAMPLES, 1 + (wanted - counted) // 36),
            deadline=None,
            database=None,
            print_blob=True,
            suppress_health_check=list(hypothesis.HealthCheck),
        )(search)
        hypothesis.seed(seed)(search)()
        seed += 1
    assert counted >= wanted
    record_property("invocations", counted)
