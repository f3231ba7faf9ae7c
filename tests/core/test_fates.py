"""The rules of how an invocation ended, and what the platform's events add to its record."""

from __future__ import annotations

import itertools
import json

import pytest

from exporter.record import ChildSpan, Failure, Fate, Invocation, Report, Supplement, merged
from exporter.xray import link
from extension import fates
from extension.backlog import Backlog
from extension.initialization import Initialization
from extension.instant import Instant
from extension.ledger import Ledger
from extension.lifecycle import MAX_OPEN_BYTES, Lifecycle
from extension.platform_events import (
    LogsDropped,
    PhaseEnded,
    PhaseStarted,
    PlatformSpan,
    Reported,
    RuntimeDone,
    Started,
    parse,
)
from tests.core.test_lifecycle import (
    ENVIRONMENT,
    SECOND_NS,
    SPAN,
    TRACE,
    error,
    invoke,
    lifecycle,
    result,
    send,
    start,
)

MIB = 1024 * 1024
VALUE_ERROR = Failure("ValueError", "bad", "trace")
EXIT = Failure("SystemExit", "6", "trace")
EXITED = fates.CRASHED
SPANS = (PlatformSpan("responseLatency", 5, 6),)
DONE = RuntimeDone("r-1", "success", None, 3 * SECOND_NS, 1000.0, 16, SPANS)
REPORT = Report(billed_duration_ms=1001.0, memory_used_mb=64, memory_size_mb=128)
REPORTED = Reported("r-1", "success", None, 4 * SECOND_NS, REPORT)


@pytest.mark.parametrize(
    ("own", "told", "end"),
    [
        ((Fate.RETURNED, None), (Fate.RETURNED, None), (Fate.RETURNED, None)),
        ((Fate.RETURNED, None), fates.UNREPORTED, (Fate.RETURNED, None)),
        ((Fate.RETURNED, None), fates.TIMED_OUT, fates.TIMED_OUT),
        (
            (Fate.RETURNED, None),
            (Fate.RAISED, Failure("Runtime.MarshalError")),
            (Fate.RAISED, Failure("Runtime.MarshalError")),
        ),
        (
            (Fate.RAISED, VALUE_ERROR),
            (Fate.RAISED, Failure("ValueError", "the handler raised")),
            (Fate.RAISED, VALUE_ERROR),
        ),
        ((Fate.RAISED, VALUE_ERROR), (Fate.RETURNED, None), (Fate.RAISED, VALUE_ERROR)),
        (
            (Fate.RAISED, EXIT),
            EXITED,
            (Fate.CRASHED, Failure("Runtime.ExitError", "the runtime exited: SystemExit: 6")),
        ),
    ],
)
def test_the_platform_corrects_whether_and_the_writer_says_why(
    own: fates.End, told: fates.End, end: fates.End
) -> None:
    """A result that could not be sent is a failure; an exception that was reported stays."""
    assert fates.with_platforms_word(own, told) == end


@pytest.mark.parametrize(
    ("end", "used_mb", "size_mb", "fate"),
    [
        (fates.CRASHED, 128, 128, Fate.OUT_OF_MEMORY),
        (fates.CRASHED, 127, 128, Fate.CRASHED),
        (fates.CRASHED, None, 128, Fate.CRASHED),
        (fates.TIMED_OUT, 128, 128, Fate.TIMED_OUT),
        ((Fate.RETURNED, None), 128, 128, Fate.RETURNED),
    ],
)
def test_a_crash_with_all_memory_used_is_out_of_memory(
    end: fates.End, used_mb: int | None, size_mb: int, fate: Fate
) -> None:
    """Lambda names it for some runtimes only: for the others memory used at the limit tells."""
    report = Report(memory_used_mb=used_mb, memory_size_mb=size_mb)
    assert fates.with_memory(end, report)[0] is fate


def test_each_platform_event_is_read_whole() -> None:
    """One line of each kind, as Lambda documents them, and what is taken of it."""
    time = "2022-10-12T00:01:15.064Z"
    time_ns = 1_665_532_875_064_000_000
    tracing = {"type": "X-Amzn-Trace-Id", "value": "Root=1-2-3"}
    spans = [{"name": "responseLatency", "start": time, "durationMs": 1.5}]
    init = {"initializationType": "on-demand", "phase": "init"}
    told = [
        ("initStart", init, PhaseStarted("init", time_ns, "on-demand", "init")),
        (
            "initReport",
            {**init, "status": "error", "errorType": "E", "metrics": {"durationMs": 125.25}},
            PhaseEnded("init", "error", "E", time_ns, 125.25),
        ),
        (
            "restoreReport",
            {"status": "success", "metrics": {"durationMs": 5}},
            PhaseEnded("restore", "success", None, time_ns, 5.0),
        ),
        (
            "start",
            {"requestId": "r", "tracing": tracing, "tenantId": "blue", "functionArn": "arn"},
            Started("r", time_ns, "arn", "Root=1-2-3", "blue"),
        ),
        (
            "runtimeDone",
            {
                "requestId": "r",
                "status": "success",
                "metrics": {"durationMs": 2, "producedBytes": 9},
                "spans": spans,
            },
            RuntimeDone(
                "r",
                "success",
                None,
                time_ns,
                2.0,
                9,
                (PlatformSpan("responseLatency", time_ns, time_ns + 1_500_000),),
            ),
        ),
        (
            "report",
            {
                "requestId": "r",
                "status": "timeout",
                "metrics": {
                    "durationMs": 1,
                    "billedDurationMs": 2,
                    "initDurationMs": 3,
                    "restoreDurationMs": 4,
                    "maxMemoryUsedMB": 5,
                    "memorySizeMB": 6,
                },
            },
            Reported("r", "timeout", None, time_ns, Report(2.0, 1.0, 3.0, 4.0, 5, 6)),
        ),
        ("logsDropped", {"droppedRecords": 7, "droppedBytes": 1}, LogsDropped(7)),
    ]
    for kind, record, event in told:
        line = json.dumps({"time": time, "type": f"platform.{kind}", "record": record})
        assert parse(line.encode()) == event


def test_what_the_platform_tells_in_time_is_in_the_record() -> None:
    """Produced bytes, spans and the report; told twice, it counts once."""
    core = lifecycle()
    core.on_invoke(invoke(), 1 * SECOND_NS)
    send(core, [start(), result()])
    for event in (DONE, DONE, REPORTED, REPORTED):
        assert core.on_platform_event(event, 5 * SECOND_NS) == []
    (record,) = core.on_shutdown("spindown", 6 * SECOND_NS)
    assert isinstance(record, Invocation)
    assert (record.produced_bytes, record.report, record.end_unix_ns) == (16, REPORT, 3 * SECOND_NS)
    assert record.children == (
        ChildSpan((1).to_bytes(8, "big"), None, "responseLatency", 5, 6, of_platform=True),
    )


def test_what_the_platform_tells_late_follows_the_record() -> None:
    """A supplement each, once, with the invocation's own trace and span."""
    core = lifecycle()
    core.on_invoke(invoke(), 1 * SECOND_NS)
    send(core, [start(), result()])
    (record,) = core.settle(4 * SECOND_NS)
    late = [
        one
        for event in (DONE, DONE, REPORTED, REPORTED)
        for one in core.on_platform_event(event, 5)
    ]
    child = ChildSpan((1).to_bytes(8, "big"), None, "responseLatency", 5, 6, of_platform=True)
    assert late == [
        Supplement(
            TRACE, SPAN, record.environment, 3 * SECOND_NS, produced_bytes=16, children=(child,)
        ),
        Supplement(
            TRACE,
            SPAN,
            record.environment,
            4 * SECOND_NS,
            report=REPORT,
            report_span_id=(2).to_bytes(8, "big"),
        ),
    ]
    assert core.on_shutdown("spindown", 6 * SECOND_NS) == []


def test_a_report_alone_ends_an_attempt() -> None:
    """runtimeDone may be lost: the report has status and duration as well."""
    core = lifecycle()
    core.on_invoke(invoke(), 1 * SECOND_NS)
    core.on_platform_event(
        Reported("r-1", "error", "KeyError", None, Report(duration_ms=500.0)), 9 * SECOND_NS
    )
    (record,) = core.on_shutdown("spindown", 9 * SECOND_NS)
    assert isinstance(record, Invocation)
    assert (record.fate, record.end_unix_ns) == (Fate.RAISED, 1_500_000_000)


def test_an_exit_in_the_handler_waits_for_shutdowns_word() -> None:
    """SystemExit is no error that the runtime reports: it is the runtime's end."""
    core = lifecycle()
    core.on_invoke(invoke(), 1 * SECOND_NS)
    told = error()
    told.error_type = "SystemExit"
    send(core, [start(), told])
    assert core.settle(4 * SECOND_NS) == []
    (record,) = core.on_shutdown("failure", 5 * SECOND_NS)
    assert isinstance(record, Invocation)
    assert record.fate is Fate.CRASHED
    assert record.failure == Failure("Runtime.ExitError", "the runtime exited: SystemExit: bad")
    assert record.exception == Failure("SystemExit", "bad", "at line 1")


@pytest.mark.parametrize(
    ("telemetry", "events", "reason", "age_s", "told"),
    [
        (False, [], "spindown", 2, ("", "Runtime.ExitError")),
        (False, [], "spindown", 11, None),
        (False, [], "releasefail", 60, ("", "Runtime.ExitError")),
        (False, [], "timeout", 60, ("", "Sandbox.Timedout")),
        (False, [], "sandboxterminated", 2, None),
        (True, [], "spindown", 2, None),
        (True, [Started("r-9", 1, "", None, None)], "failure", 2, ("r-9", "Runtime.ExitError")),
        (
            True,
            [
                Started("r-9", 1, "", None, None),
                RuntimeDone("r-9", "error", "Runtime.ImportModuleError", None, None),
            ],
            "failure",
            2,
            ("r-9", "Runtime.ImportModuleError"),
        ),
    ],
)
def test_an_init_that_failed_under_an_invocation_has_its_span(
    telemetry: bool,
    events: list[Started | RuntimeDone],
    reason: str,
    age_s: int,
    told: tuple[str, str] | None,
) -> None:
    """No INVOKE ever came: platform.start says that there was one, or the way it ended."""
    core = lifecycle()
    core.platform_tells_ends = telemetry
    for event in events:
        core.on_platform_event(event, SECOND_NS)
    records = core.on_shutdown(reason, age_s * SECOND_NS)
    found = [
        (one.request_id, one.failure.error_type)
        for one in records
        if isinstance(one, Invocation) and one.failure and one.fate is Fate.INIT_FAILED
    ]
    assert found == ([] if told is None else [told])


def test_an_inits_span_goes_with_the_first_invocation_or_behind_it() -> None:
    """Told in time it is a child; told late it follows; a failed one says why."""
    core = lifecycle()
    core.on_platform_event(PhaseStarted("init", 10, "on-demand", "init"), 20)
    core.on_platform_event(PhaseEnded("init", "success", None, 20, 0.001), 20)
    core.on_invoke(invoke(), 1 * SECOND_NS)
    send(core, [start(), result()])
    (record,) = core.settle(4 * SECOND_NS)
    attributes = {"spanpipe.init.type": "on-demand", "spanpipe.init.phase": "init"}
    assert record.children == (
        ChildSpan((1).to_bytes(8, "big"), None, "init", 10, 1010, attributes),
    )
    core.on_platform_event(PhaseStarted("restore", 30, "", ""), 40)
    (late,) = core.on_platform_event(PhaseEnded("restore", "error", "E", 50, None), 50)
    assert [(one.name, one.end_unix_ns, one.failure) for one in late.children] == [
        ("restore", 50, Failure("E", "restore failed"))
    ]


@pytest.mark.parametrize(
    ("kind", "said", "gap_s", "cold", "proactive"),
    [
        ("on-demand", True, 1, True, False),
        ("on-demand", True, 11, False, True),
        ("on-demand", None, 1, None, False),
        ("provisioned-concurrency", True, 60, False, False),
        ("lambda-managed-instances", True, 1, False, False),
        ("snap-start", True, 60, True, False),
    ],
)
def test_a_cold_start_is_an_init_that_somebody_waited_for(
    kind: str, said: bool | None, gap_s: int, cold: bool | None, proactive: bool
) -> None:
    """An environment that was there before its first request is told apart."""
    init = Initialization(kind, SECOND_NS)
    found = init.is_proactive((1 + gap_s) * SECOND_NS)
    assert (init.cold_start(said, proactive=found), found) == (cold, proactive)


def test_a_supplement_joins_the_invocation_that_still_waits() -> None:
    """In the backlog it is part of the record; behind one that has left it goes alone."""
    core = lifecycle()
    core.on_invoke(invoke(), 1 * SECOND_NS)
    send(core, [start(), result()])
    (record,) = core.settle(4 * SECOND_NS)
    (late,) = core.on_platform_event(REPORTED, 5 * SECOND_NS)
    assert isinstance(record, Invocation)
    assert isinstance(late, Supplement)
    ledger = Ledger()
    backlog = Backlog(ledger)
    backlog.accept(record, Instant(1.0, 1.0))
    backlog.accept(late, Instant(2.0, 2.0))
    assert backlog.lend(10, 1_000_000) == [merged(record, late)]
    backlog.delivered(1)
    backlog.accept(late, Instant(3.0, 3.0))
    assert backlog.lend(10, 1_000_000) == [late]
    backlog.returned(uncertain=1)
    assert len(backlog) == 1
    assert ledger.line() == (
        "accepted 1 = exported 1 + waiting 0 + dropped 0; body bytes: "
        "accepted 4 = exported 4 + waiting 0 + dropped 0"
    )


@pytest.mark.parametrize(
    ("header", "named"),
    [
        ("Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1", 1),
        ("Sampled=0; Parent=53995C3F42CD8AD8 ;Self=x;Root=1-5759e988-bd862e3fe1be46a994272793", 0),
        ("Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1;Lineage=a:0", None),
        ("Root=2-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8", None),
        ("Root=1-5759e988-bd862e3fe1be46a99427279;Parent=53995c3f42cd8ad8", None),
        ("Root=1-00000000-000000000000000000000000;Parent=53995c3f42cd8ad8", None),
        ("Root=1-5759e988-bd862e3fe1be46a994272793;Parent=zzzzzzzzzzzzzzzz", None),
        ("", None),
        (None, None),
    ],
)
def test_the_xray_header_names_a_link(header: str | None, named: int | None) -> None:
    """Parts in any order, some missing; nothing is made up."""
    found = link(header)
    if named is None:
        assert found is None
    else:
        assert found is not None
        context = found.context
        assert (f"{context.trace_id:032x}", f"{context.span_id:016x}", context.trace_flags) == (
            "5759e988bd862e3fe1be46a994272793",
            "53995c3f42cd8ad8",
            named,
        )


def test_nothing_told_of_the_environment_is_lost_on_the_way() -> None:
    """The memory's size comes from the report where nobody else told it."""
    core = lifecycle()
    core.environment = ENVIRONMENT.__class__("shop", "7")
    core.on_invoke(invoke(), 1 * SECOND_NS)
    core.on_platform_event(REPORTED, 2 * SECOND_NS)
    (record,) = core.on_shutdown("spindown", 3 * SECOND_NS)
    assert record.environment.memory_mb == 128


def managed() -> Lifecycle:
    draws = itertools.count(1)
    core = Lifecycle(
        ENVIRONMENT,
        lambda size: next(draws).to_bytes(size, "big"),
        initialization_type="lambda-managed-instances",
    )
    core.platform_tells_ends = True
    return core


def test_managed_instances_open_attempts_by_start_side_by_side() -> None:
    """START or platform.start opens one; the report, silence or the deadline closes it."""
    core = managed()
    for request_id, span_id in (("a", b"spanid-a"), ("b", b"spanid-b")):
        send(core, [start(request_id, span_id)])
    core.on_platform_event(Started("c", 2 * SECOND_NS, "arn", None, "blue"), 2 * SECOND_NS)
    send(core, [result("b", b"spanid-b")])
    assert core.open_request_ids == ["a", "b", "c"]
    assert core.tick(3 * SECOND_NS) == []
    core.on_platform_event(
        Reported("c", "error", "KeyError", None, Report(duration_ms=500.0)), 3 * SECOND_NS
    )
    found = [*core.tick(4 * SECOND_NS), *core.tick(6 * SECOND_NS)]
    found += core.tick(62 * SECOND_NS)
    told = [
        (one.request_id, one.fate, one.end_unix_ns, one.cold_start, one.tenant_id)
        for one in found
        if isinstance(one, Invocation)
    ]
    assert told == [
        ("c", Fate.RAISED, 2_500_000_000, False, "blue"),
        ("b", Fate.RETURNED, 3 * SECOND_NS, False, None),
        ("a", Fate.TIMED_OUT, 60 * SECOND_NS, False, None),
    ]


def test_without_the_platforms_word_an_end_is_the_last() -> None:
    """On Managed Instances too, nothing is waited for that nobody will say."""
    core = managed()
    core.platform_tells_ends = False
    send(core, [start("a", b"spanid-a"), start("b", b"spanid-b"), result("a", b"spanid-a")])
    (record,) = core.tick(2 * SECOND_NS)
    assert isinstance(record, Invocation)
    assert (record.request_id, record.fate) == ("a", Fate.RETURNED)
    assert core.open_request_ids == ["b"]


def test_managed_instances_presume_a_crash_until_the_platform_speaks() -> None:
    """A process that is gone: a crash where nobody says otherwise, a timeout where Lambda does."""
    for report, fate in ((None, Fate.CRASHED), ("timeout", Fate.TIMED_OUT)):
        core = managed()
        send(core, [start()])
        core.on_process_gone(41, 3 * SECOND_NS)
        core.on_process_gone(42, 3 * SECOND_NS)
        assert core.tick(10 * SECOND_NS) == []
        if report is not None:
            core.on_platform_event(
                Reported("r-1", report, "Sandbox.Timedout", None, Report()), 60 * SECOND_NS
            )
        (record,) = core.tick(61 * SECOND_NS)
        assert isinstance(record, Invocation)
        assert record.fate is fate


def test_open_attempts_together_are_bounded() -> None:
    """A thousand of them may be open on Managed Instances: bodies go, and every record stays."""
    core = managed()
    core.max_body_bytes = MIB
    count = MAX_OPEN_BYTES // MIB + 2
    for index in range(count):
        span_id = index.to_bytes(8, "big")
        core.on_message(start(f"r-{index}", span_id), 100, SECOND_NS)
        core.on_message(result(f"r-{index}", span_id, data=bytes(MIB)), MIB, SECOND_NS)
    found = core.on_shutdown("spindown", 2 * SECOND_NS)
    kept = [len(one.result.body) for one in found if isinstance(one, Invocation) and one.result]
    assert kept == [MIB] * (MAX_OPEN_BYTES // MIB) + [0, 0]
