"""The fault plan: what its file may say, every mistake with its place, and who has which span."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extension.problems import Place
from sandbox.fault_file import FaultFileError, parse
from sandbox.faults import (
    ACCEPTED,
    NO_FAULTS,
    Answer,
    Entry,
    FaultPlan,
    InvocationFaults,
    Selector,
    TelemetryPlan,
    not_reached,
)
from spanpipe.run.tally import Tally, numbered


def errors(text: str) -> list[str]:
    """The lines of what is wrong with a file `f` that holds `text`."""
    with pytest.raises(FaultFileError) as raised:
        parse(text, "f", {})
    return str(raised.value).splitlines()


def test_every_key_is_read() -> None:
    """A plan that says everything, compared whole; variables are replaced."""
    text = """
telemetry: {enabled: true, drop: 0.2, duplicate: 1, swap: 3e-1, seed: 7}
enforce_memory: true
freeze_when_idle: true
invocations:
  2: {shutdown_after: timeout}
  3-5: {kill: extension, at_ms: 20}
  6-: {freeze_ms: 200}
  every 4: {retry: true, trace_header: Root=1-2-3, tenant_id: "${TENANT}"}
collector:
  1-3: {status: 503, retry_after_s: 0, delay_ms: 5}
  4: {hang: true}
  5: {drop_connection: true}
  6: {rejected_spans: 2}
"""
    assert parse(text, "f", {"TENANT": "blue"}) == FaultPlan(
        TelemetryPlan(True, 0.2, 1.0, 0.3, 7),
        enforce_memory=True,
        freeze_when_idle=True,
        invocations=(
            entry(Selector(2, 2), InvocationFaults(shutdown_after="timeout"), "2", 6),
            entry(Selector(3, 5), InvocationFaults(kill="extension", at_ms=20), "3-5", 7),
            entry(Selector(6, None), InvocationFaults(freeze_ms=200), "6-", 8),
            entry(
                Selector(4, None, 4),
                InvocationFaults(retry=True, trace_header="Root=1-2-3", tenant_id="blue"),
                "every 4",
                9,
            ),
        ),
        collector=(
            entry(Selector(1, 3), Answer(503, 0, delay_ms=5), "1-3", 11, "collector"),
            entry(Selector(4, 4), Answer(hang=True), "4", 12, "collector"),
            entry(Selector(5, 5), Answer(drop_connection=True), "5", 13, "collector"),
            entry(Selector(6, 6), Answer(rejected_spans=2), "6", 14, "collector"),
        ),
    )


def entry(
    selector: Selector,
    value: InvocationFaults | Answer,
    key: str,
    line: int,
    section: str = "invocations",
) -> Entry:
    return Entry(selector, value, f"{section}.{key}", Place("f", line, 3))


@pytest.mark.parametrize("text", ["", "{}", "invocations:", "telemetry: {}\ncollector: {}"])
def test_what_says_nothing_plans_nothing(text: str) -> None:
    """An empty file, and empty sections."""
    assert parse(text, "f", {}) == FaultPlan()


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("- 1", ["f:1:1: the file: must be a mapping, not a list"]),
        (
            "memory: enforce",
            ["f:1:1: memory: unknown key; did you mean enforce_memory?"],
        ),
        (
            "enforce_memory: 1",
            ["f:1:17: enforce_memory: must be true or false, not a whole number"],
        ),
        ("telemetry: off", ["f:1:12: telemetry: must be a mapping, not a text"]),
        ("telemetry: {drop: 1.5}", ["f:1:19: telemetry.drop: is 1.5, must be from 0 to 1"]),
        ("telemetry: {swap: .nan}", ["f:1:19: telemetry.swap: is .nan, must be from 0 to 1"]),
        (
            "telemetry: {swap: true}",
            ["f:1:19: telemetry.swap: must be a number from 0 to 1, not true or false"],
        ),
        (
            "telemetry: {enabled: false, seed: 1}",
            [
                "f:1:35: telemetry.seed: says nothing where telemetry.enabled is false; "
                "leave one out"
            ],
        ),
        (
            "invocations: {0: {}}",
            [
                "f:1:15: invocations.0: selects nothing; write a number from 1, 3-5, "
                "3- (to the end) or every 4"
            ],
        ),
        (
            "invocations: {5-3: {}}",
            ["f:1:15: invocations.5-3: ends before it begins; write 3-5"],
        ),
        ("invocations: {2: {}, 2: {}}", ["f:1:22: invocations.2: stands twice, first in line 1"]),
        ("invocations: {2: kill}", ["f:1:18: invocations.2: must be a mapping, not a text"]),
        (
            "invocations: {2: {kill: all}}",
            ["f:1:25: invocations.2.kill: is 'all', must be one of extension, runtime"],
        ),
        (
            "invocations: {2: {kill: runtime, freeze_ms: 1}}",
            ["f:1:45: invocations.2.freeze_ms: kill and freeze_ms exclude each other; keep one"],
        ),
        (
            "invocations: {2: {at_ms: 1}}",
            [
                "f:1:26: invocations.2.at_ms: says nothing without kill or freeze_ms; "
                "add that or leave it"
            ],
        ),
        (
            "invocations: {2: {freeze_ms: 0}}",
            ["f:1:30: invocations.2.freeze_ms: is 0, must be from 1 to 900000"],
        ),
        (
            "invocations: {2: {shutdown_after: crash}}",
            [
                "f:1:35: invocations.2.shutdown_after: is 'crash', must be one of spindown, "
                "timeout, failure"
            ],
        ),
        (
            'invocations: {2: {tenant_id: "a\\nb"}}',
            [
                "f:1:30: invocations.2.tenant_id: must be 1 to 1024 printable ASCII characters, "
                "no space around them"
            ],
        ),
        (
            "invocations: {every 1: {retry: true}}",
            [
                "f:1:15: invocations.every 1.retry: nothing is before invocation 1; a retry's "
                "number is 2 at least"
            ],
        ),
        (
            "collector: {1: {status: 200}}",
            ["f:1:25: collector.1.status: is 200, must be from 201 to 599"],
        ),
        (
            "collector: {1: {retry_after_s: 1}}",
            [
                "f:1:32: collector.1.retry_after_s: says nothing without status; "
                "add that or leave it"
            ],
        ),
        (
            "collector: {1: {hang: true, delay_ms: 1}}",
            ["f:1:39: collector.1.delay_ms: hang and delay_ms exclude each other; keep one"],
        ),
        (
            "collector: {1: {status: 503, hang: true, drop_connection: true}}",
            [
                "f:1:36: collector.1.hang: status and hang exclude each other; keep one",
                "f:1:59: collector.1.drop_connection: status and drop_connection exclude each "
                "other; keep one",
            ],
        ),
        (
            'collector: {1: {status: "${GONE}"}}',
            [
                "f:1:25: collector.1.status: the environment variable GONE is not set; set it, "
                "or write ${GONE:-a default}"
            ],
        ),
        ("a: [", ["f:1:5: not YAML: expected the node content, but found '<stream end>'"]),
        (
            "collector: {x: {stat: 1}}\ninvocations: {y: {kil: 2}}",
            [
                "f:1:13: collector.x: selects nothing; write a number from 1, 3-5, "
                "3- (to the end) or every 4",
                "f:1:17: collector.x.stat: unknown key; did you mean status?",
                "f:2:15: invocations.y: selects nothing; write a number from 1, 3-5, "
                "3- (to the end) or every 4",
                "f:2:19: invocations.y.kil: unknown key; did you mean kill?",
            ],
        ),
    ],
)
def test_every_mistake_is_named_with_its_place(text: str, lines: list[str]) -> None:
    """File, line, column, key and what to do, in the file's order."""
    assert errors(text) == lines


@pytest.mark.parametrize(
    ("selector", "numbers"),
    [
        (Selector(3, 3), [3]),
        (Selector(3, 5), [3, 4, 5]),
        (Selector(10, None), [10, 11, 12]),
        (Selector(4, None, 4), [4, 8, 12]),
    ],
)
def test_a_selector_selects(selector: Selector, numbers: list[int]) -> None:
    """N, N-M, N- and every N, up to 12."""
    assert [number for number in range(13) if number in selector] == numbers


def test_the_last_entry_with_a_number_counts_alone() -> None:
    """No mixing: what stands later in the file replaces what stands before it."""
    plan = parse("invocations: {1-: {tenant_id: a}, every 2: {retry: true}, 4: {}}", "f", {})
    assert [plan.of_invocation(number) for number in (1, 2, 4, 6)] == [
        InvocationFaults(tenant_id="a"),
        InvocationFaults(retry=True),
        NO_FAULTS,
        InvocationFaults(retry=True),
    ]
    assert plan.answer(1) == ACCEPTED
    assert [one.path for one in not_reached(plan.invocations, 3)] == ["invocations.4"]


def test_a_span_is_of_the_newest_attempt_that_had_begun() -> None:
    """Retries under one request ID, in any order of arrival; a span that comes again is known."""
    tally = Tally()
    for ordinal, (request_id, began_unix_s) in enumerate(
        [("a", 10.0), ("a", 20.0), ("b", 30.0)], 1
    ):
        tally.invoked(ordinal, request_id, began_unix_s)
    assert tally.missing == [1, 2, 3]
    assert tally.received("a", "s2", 20.0) == 2
    assert tally.received("a", "s2", 20.0) is None
    assert (tally.missing, tally.doubled, tally.resent_count) == ([1, 3], [], 1)
    # A clock that counts in milliseconds may be behind.
    assert tally.received("b", "s3", 29.999) == 3
    assert tally.received("b", "s4", 30.5) == 3
    assert tally.received("c", "s5", 30.5) == 0
    assert (tally.missing, tally.doubled, tally.stray_count) == ([1], [3], 1)
    assert (tally.is_even, str(tally)) == (
        False,
        "3 invoked, 2 received, 1 lost (#1), 1 with a second span (#3), 1 of no invocation, "
        "1 sent twice",
    )


def test_a_tally_is_even_with_one_span_each() -> None:
    """Also where one came twice under its own ID."""
    tally = Tally()
    tally.invoked(1, "a", 10.0)
    assert (tally.is_even, str(tally)) == (False, "1 invoked, 0 received, 1 lost (#1)")
    tally.received("a", "s1", 10.0)
    tally.received("a", "s1", 10.0)
    assert (tally.is_even, str(tally)) == (True, "1 invoked, 1 received, 0 lost, 1 sent twice")


def test_what_was_sampled_out_is_not_lost() -> None:
    """Nobody tells which, so many may be missing; one more is lost."""
    tally = Tally()
    for ordinal in range(1, 5):
        tally.invoked(ordinal, f"r-{ordinal}", 10.0 * ordinal)
    tally.received("r-2", "s", 20.0)
    tally.sampled_count = 3
    assert (tally.is_even, str(tally)) == (True, "4 invoked, 1 received, 3 sampled out, 0 lost")
    tally.sampled_count = 2
    assert (tally.is_even, str(tally)) == (
        False,
        "4 invoked, 1 received, 2 sampled out, 1 lost (among #1, #3-4)",
    )


def test_a_span_without_a_request_id_is_of_an_invocation_without_another() -> None:
    """A failed init of which the platform told nothing: known at the end, by its moment."""
    tally = Tally()
    tally.invoked(1, "a", 10.0)
    tally.invoked(2, "b", 20.0)
    tally.invoked(3, "c", 30.0)
    assert tally.received("", "s2", 20.1) == 0
    assert tally.received("c", "s3", 30.0) == 3
    assert tally.missing == [1]


@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 2)), max_size=12),
)
def test_lost_and_doubled_are_what_came(lives: list[tuple[str, int]]) -> None:
    """For any invocations with none, one or two spans each, whatever IDs they share."""
    tally = Tally()
    for ordinal, (request_id, _) in enumerate(lives, 1):
        tally.invoked(ordinal, request_id, 10.0 * ordinal)
    for ordinal, (request_id, count) in enumerate(lives, 1):
        for number in range(count):
            assert tally.received(request_id, f"{ordinal}-{number}", 10.0 * ordinal + 1) == ordinal
    assert tally.missing == [ordinal for ordinal, (_, count) in enumerate(lives, 1) if count == 0]
    assert tally.doubled == [ordinal for ordinal, (_, count) in enumerate(lives, 1) if count == 2]


@pytest.mark.parametrize(
    ("ordinals", "text"),
    [([], ""), ([3], "#3"), ([1, 2, 3], "#1-3"), ([2, 4, 5, 9], "#2, #4-5, #9")],
)
def test_numbers_are_told_in_runs(ordinals: list[int], text: str) -> None:
    """Which ones, in one short line."""
    assert numbered(ordinals) == text
