"""A random life of environments at the lifecycle: exactly one record for every invocation.

The plan is what Lambda does; its events reach us over three sockets, so they are delivered in
an order of their own, some platform events twice, late or never.
"""

from __future__ import annotations

import hashlib
import itertools
import os
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.record import Environment, Fate, Invocation, Record, Report
from extension.events import InvokeEvent
from extension.lifecycle import Lifecycle
from extension.platform_events import PlatformEvent, Reported, RuntimeDone, Started
from extension.sampling import leaves, parent_based, trace_id_ratio_based
from extension.settings import SampleSettings
from fifo import messages

SECOND_NS = 1_000_000_000
ENDINGS = {"crash": "failure", "timeout": "timeout"}
FATES = {
    "return": Fate.RETURNED,
    "raise": Fate.RAISED,
    "crash": Fate.CRASHED,
    "timeout": Fate.TIMED_OUT,
}
STATUSES = {"return": "success", "raise": "error", "crash": "failure", "timeout": "timeout"}

MOMENTS = st.floats(0, 1, exclude_max=True)
PLATFORM = st.tuples(MOMENTS, st.sampled_from([0, 1, 1, 1, 2]))
"""How much later than it might (in invocations), and how often it arrives."""


@dataclass(frozen=True)
class Step:
    """One invocation: how it ends, what its function says, and how the platform's word travels."""

    end: str
    has_writer: bool
    retries_before: bool
    early: bool
    started: tuple[float, int]
    done: tuple[float, int]
    report: tuple[float, int]


STEPS = st.builds(
    Step,
    end=st.sampled_from(["return"] * 4 + ["raise"] * 2 + ["crash", "timeout"]),
    has_writer=st.sampled_from([True, True, False]),
    retries_before=st.sampled_from([False] * 4 + [True]),
    early=st.booleans(),
    started=PLATFORM,
    done=PLATFORM,
    report=PLATFORM,
)
PLANS = st.tuples(st.lists(STEPS, min_size=1, max_size=40), st.booleans())

Delivery = tuple[float, int, object]


def environments(steps: list[Step]) -> list[list[tuple[int, Step]]]:
    """Numbered steps; a crash or a timeout ends an environment."""
    found: list[list[tuple[int, Step]]] = [[]]
    for number, step in enumerate(steps):
        found[-1].append((number, step))
        if step.end in ENDINGS:
            found.append([])
    return [one for one in found if one]


def request_ids(steps: list[Step]) -> list[str]:
    """A retry brings the same ID as the invocation before it."""
    found: list[str] = []
    for number, step in enumerate(steps):
        found.append(found[-1] if step.retries_before and found else f"r-{number}")
    return found


def deliveries(
    number: int, place: int, step: Step, request_id: str, telemetry: bool
) -> list[Delivery]:
    """What reaches us of one invocation, with the moment: `place` counts in its environment."""
    order = itertools.count()
    span_id = (number + 1).to_bytes(8, "big")
    trace_id = span_id + hashlib.sha256(span_id).digest()[:8]
    event = InvokeEvent(request_id, (place + 1) * 1000, "arn", None)
    found: list[Delivery] = [(place, next(order), event)]
    if step.has_writer:
        # What the function said may be read before its INVOKE, never before the one before it.
        begin = place - 0.05 if step.early and place else place + 0.1
        start = messages.Start(
            request_id,
            span_id,
            trace_id=trace_id,
            start_unix_ns=int(place * SECOND_NS),
            deadline_unix_ms=(place + 1) * 1000,
            memory_mb=128,
            pid=1,
            cold_start=place == 0,
            parent_span_id=bytes(7) + b"p" if number % 3 else None,
            trace_flags=number % 2,
        )
        found.append((begin, next(order), start))
        if step.end not in ENDINGS:
            found.append((begin + 0.01, next(order), said_end(step, request_id, span_id, place)))
    status, end_ns = STATUSES[step.end], int((place + 0.5) * SECOND_NS)
    if telemetry:
        for (late, times), least, told in (
            (step.started, 0.0, Started(request_id, place * SECOND_NS, "arn", None, None)),
            (step.done, 0.5, RuntimeDone(request_id, status, None, end_ns, 500.0)),
            (step.report, 1.2, Reported(request_id, status, None, end_ns + 1, Report())),
        ):
            found += [
                (place + least + late * (repeat + 1), next(order), told) for repeat in range(times)
            ]
    return found


def said_end(step: Step, request_id: str, span_id: bytes, place: int) -> messages.Message:
    end_ns = int((place + 0.5) * SECOND_NS)
    if step.end == "raise":
        return messages.Error(request_id, span_id, end_unix_ns=end_ns, error_type="ValueError")
    body = messages.Body(b"1", 1, truncated=False, content_kind=messages.JSON)
    return messages.Result(request_id, span_id, end_unix_ns=end_ns, body=body)


def live(steps: list[tuple[int, Step]], ids: list[str], telemetry: bool) -> list[Record]:
    """One environment from its first event to SHUTDOWN."""
    draws = itertools.count(1_000_000)
    core = Lifecycle(Environment("f", "1"), lambda size: next(draws).to_bytes(size, "big"))
    core.platform_tells_ends = telemetry
    stream: list[Delivery] = []
    for place, (number, step) in enumerate(steps):
        stream += deliveries(number, place, step, ids[number], telemetry)
    finished: list[Record] = []
    last = steps[-1][1]
    for moment, _, told in sorted(stream, key=lambda one: one[:2]):
        now_ns = int(moment * SECOND_NS)
        if moment > len(steps) + 0.3:
            continue  # after SHUTDOWN
        if isinstance(told, InvokeEvent):
            finished += core.on_invoke(told, now_ns)
        elif isinstance(told, messages.Message):
            finished += core.on_message(told, 100, now_ns)
        elif isinstance(told, PlatformEvent):
            finished += core.on_platform_event(told, now_ns)
    reason = ENDINGS.get(last.end, "spindown")
    return finished + core.on_shutdown(reason, len(steps) * SECOND_NS)


@given(PLANS)
@settings(max_examples=int(os.environ.get("PLAN_EXAMPLES", "150")), deadline=None, print_blob=True)
def test_every_invocation_of_a_random_life_has_one_record(plan: tuple[list[Step], bool]) -> None:
    """Request IDs, ordinals and fates as Lambda meant them, in spite of what the sockets did."""
    steps, telemetry = plan
    ids = request_ids(steps)
    for environment in environments(steps):
        records = live(environment, ids, telemetry)
        found = sorted(
            (one for one in records if isinstance(one, Invocation)), key=lambda one: one.ordinal
        )
        assert [(one.ordinal, one.request_id) for one in found] == [
            (place + 1, ids[number]) for place, (number, _) in enumerate(environment)
        ]
        spans = {one.span_id for one in found}
        assert len(spans) == len(found)
        assert {one.span_id for one in records} == spans, "a supplement of nobody"
        for one, (number, step) in zip(found, environment, strict=True):
            if step.has_writer or step.end in ENDINGS:
                assert one.fate is FATES[step.end]
            else:
                assert one.fate in (FATES[step.end], Fate.UNREPORTED)
            if step.has_writer:
                assert one.span_id == (number + 1).to_bytes(8, "big")


SAMPLES = st.builds(
    SampleSettings,
    st.sampled_from([trace_id_ratio_based(0.5), parent_based(trace_id_ratio_based(0.5))]),
    st.booleans(),
)


@given(PLANS, SAMPLES)
@settings(max_examples=int(os.environ.get("PLAN_EXAMPLES", "150")), deadline=None, print_blob=True)
def test_what_comes_behind_an_invocation_leaves_with_it_or_not_at_all(
    plan: tuple[list[Step], bool], sample: SampleSettings
) -> None:
    """Whatever was sampled out, no late report of it is sent."""
    steps, telemetry = plan
    ids = request_ids(steps)
    for environment in environments(steps):
        records = live(environment, ids, telemetry)
        leaving = {
            one.span_id: leaves(sample, one) for one in records if isinstance(one, Invocation)
        }
        assert all(leaves(sample, one) is leaving[one.span_id] for one in records)
