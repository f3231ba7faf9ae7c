"""When to export and when to ask: the schedule's decisions as scripts of what happens."""

import pytest

from extension.breaker import FIRST_PAUSE_S, OPEN_AFTER
from extension.instant import Instant
from extension.schedule import (
    ASK_BEFORE_DEADLINE_S,
    FAREWELL_S,
    PROBE_S,
    SHUTDOWN_FIRST_PART,
    SHUTDOWN_SECOND_S,
    START_GRACE_S,
    Decision,
    Schedule,
    Waiting,
)
from extension.settings import MAX_WAITING, FlushSettings

NONE = Waiting(0, 0, 0.0)
FRESH = Waiting(1, 1_000, 0.5)
OLD = Waiting(3, 3_000, 5.0)
ASK = Decision(ask=True)
REST = Decision()
TIMEOUT_S = 10.0


def schedule(mode: str, **settings: int) -> Schedule:
    plan = Schedule(lambda: 0.0)
    plan.configure(FlushSettings(mode=mode, **settings), TIMEOUT_S)
    plan.on_prepared()
    return plan


def done(plan: Schedule, *, arrived: bool, wall_s: float = 1_000.0, thawed: bool = False) -> None:
    moment = Instant(100.0, wall_s)
    plan.on_export_done(moment, answered=arrived, failed=not arrived, thawed=thawed)


def invoke(
    plan: Schedule,
    now_s: float = 100.0,
    left_s: float = 3.0,
    wall_s: float = 1_000.0,
    *,
    first: bool = False,
    writer_expected: bool = True,
    started: bool = True,
) -> None:
    now = Instant(now_s, wall_s)
    plan.on_invoke(now, now_s + left_s, first=first, writer_expected=writer_expected)
    if started:
        plan.on_start()


def decide(
    plan: Schedule, waiting: Waiting, now_s: float = 100.0, wall_s: float = 1_000.0
) -> Decision:
    return plan.decide(Instant(now_s, wall_s), waiting, can_export=True)


@pytest.mark.parametrize("mode", ["next", "end", "auto"])
def test_without_an_end_to_come_every_mode_asks_at_once(mode: str) -> None:
    """A function without a writer is never held, whatever the mode."""
    plan = schedule(mode)
    invoke(plan, first=True, writer_expected=False)
    assert decide(plan, NONE) == ASK
    assert decide(plan, NONE) == REST


@pytest.mark.parametrize(("mode", "held"), [("next", False), ("auto", False), ("end", True)])
def test_the_mode_itself_is_awaited_where_an_end_will_be_told(mode: str, held: bool) -> None:
    """For as long as START would be; then by the configuration, which may come too late."""
    plan, late = Schedule(lambda: 0.0), Schedule(lambda: 0.0)
    for one in (plan, late):
        now = Instant(100.0, 1_000.0)
        one.on_invoke(now, 103.0, first=True, writer_expected=False, platform_tells=True)
        assert one.awaits_end(100.2)
    assert not late.awaits_end(100.3)
    plan.configure(FlushSettings(mode=mode), TIMEOUT_S)
    assert plan.awaits_end(102.0) == held


def test_next_asks_at_once_while_nothing_is_due() -> None:
    """A young, small batch costs the invocation nothing."""
    plan = schedule("next")
    invoke(plan, first=True)
    assert decide(plan, FRESH) == ASK


@pytest.mark.parametrize(
    "due", [OLD, Waiting(512, 1, 0.0), Waiting(1, 1_048_576, 0.0)], ids=["age", "count", "bytes"]
)
def test_next_holds_for_a_due_batch_and_no_longer_than_hold_ms(due: Waiting) -> None:
    """Age, count or bytes make a batch due; at hold_ms the export is aborted and /next asked."""
    plan = schedule("next", hold_ms=200)
    invoke(plan)
    begun = decide(plan, due)
    assert begun.export_for_s == pytest.approx(0.18)
    assert decide(plan, due, now_s=100.1) == Decision(wake_at_s=pytest.approx(100.18))
    assert decide(plan, due, now_s=100.2) == Decision(abort=True, ask=True)
    assert decide(plan, due, now_s=100.3) == REST


def test_measures_alone_are_exported_when_they_are_due() -> None:
    """Where every invocation was sampled out, metrics leave by their age and at SHUTDOWN."""
    plan = schedule("next", hold_ms=200)
    invoke(plan)
    due = Waiting(0, 0, 5.0, has_measures=True)
    assert decide(plan, due).export_for_s == pytest.approx(0.18)
    plan = schedule("next")
    invoke(plan)
    assert decide(plan, Waiting(0, 0, 1.0, has_measures=True)) == ASK
    plan.on_shutdown(101.0, 103.0)
    assert decide(plan, due, now_s=101.0).export_for_s is not None


def test_next_asks_when_the_export_is_done() -> None:
    """The hold ends with the export, not with hold_ms."""
    plan = schedule("next")
    invoke(plan)
    decide(plan, OLD)
    done(plan, arrived=True, wall_s=1_000.05)
    assert decide(plan, NONE, now_s=100.05) == ASK


def test_end_waits_for_the_end_then_exports_then_asks() -> None:
    """Mode end: hold, export for a tenth of the time left at most, ask."""
    plan = schedule("end")
    invoke(plan, left_s=3.0)
    assert decide(plan, NONE) == Decision(wake_at_s=pytest.approx(103.0 - ASK_BEFORE_DEADLINE_S))
    plan.on_end(101.0, failed=False)
    begun = decide(plan, FRESH, now_s=101.05)
    assert begun.export_for_s == pytest.approx(0.13)
    done(plan, arrived=True, wall_s=1_001.0)
    assert decide(plan, NONE, now_s=101.05) == ASK


def test_end_holds_for_one_export_and_not_for_what_came_meanwhile() -> None:
    """The platform's word of an end follows with the next export; a batch's rest leaves now."""
    plan = schedule("end")
    invoke(plan)
    plan.on_end(100.1, failed=False)
    assert decide(plan, FRESH, now_s=100.1).export_for_s is not None
    done(plan, arrived=True)
    assert decide(plan, FRESH, now_s=100.2).export_for_s is not None
    done(plan, arrived=True)
    assert decide(plan, Waiting(1, 1_000, 0.05), now_s=100.2) == ASK
    invoke(plan, now_s=100.3)
    plan.on_end(100.4, failed=False)
    assert decide(plan, Waiting(2, 1_000, 0.05), now_s=100.4).export_for_s is not None


def test_end_does_not_wait_for_a_writer_that_never_speaks() -> None:
    """A START that was expected and has not come within the grace is not waited for."""
    plan = schedule("end")
    invoke(plan, started=False)
    assert decide(plan, NONE) == Decision(wake_at_s=pytest.approx(100.0 + START_GRACE_S))
    assert decide(plan, NONE, now_s=100.0 + START_GRACE_S) == ASK


def test_end_never_waits_into_the_deadline() -> None:
    """100 ms before the deadline /next is asked, end or no end."""
    plan = schedule("end")
    invoke(plan, left_s=3.0)
    decide(plan, NONE)
    assert decide(plan, NONE, now_s=102.9) == ASK


def test_end_does_not_wait_for_a_process_that_is_gone() -> None:
    """Once the runtime process has ended no end will be told."""
    plan = schedule("end")
    invoke(plan)
    decide(plan, NONE)
    plan.on_runtime_gone()
    assert decide(plan, NONE, now_s=100.5) == ASK


def test_auto_holds_the_first_rare_and_post_error_invocations_only() -> None:
    """auto is end for the first, after an error and after a gap over max_age_ms; else next."""
    plan = schedule("auto")
    held = []
    for wall_s, first, failed in [
        (1_000.0, True, False),
        (1_001.0, False, True),
        (1_002.0, False, False),
        (1_003.0, False, False),
        (1_060.0, False, False),
        (1_061.0, False, False),
    ]:
        invoke(plan, wall_s=wall_s, first=first)
        decision = decide(plan, NONE, wall_s=wall_s)
        held.append(decision.wake_at_s is not None)
        plan.on_end(100.0, failed=failed)
        decide(plan, NONE, wall_s=wall_s)
    assert held == [True, False, True, False, True, False]


def test_a_failing_collector_is_left_alone_between_tries() -> None:
    """After a failure nothing is tried, and nothing held, until the pause is over."""
    plan = schedule("next")
    invoke(plan)
    decide(plan, OLD)
    done(plan, arrived=False)
    assert decide(plan, OLD) == ASK
    invoke(plan, wall_s=1_000.5)
    assert decide(plan, OLD, wall_s=1_000.5) == ASK
    invoke(plan, wall_s=1_000.0 + FIRST_PAUSE_S)
    assert decide(plan, OLD, wall_s=1_000.0 + FIRST_PAUSE_S).export_for_s is not None


def opened(mode: str = "next") -> Schedule:
    """One whose breaker has opened at wall clock 1,000."""
    plan = schedule(mode)
    invoke(plan)
    for _ in range(OPEN_AFTER):
        done(plan, arrived=False)
    decide(plan, NONE)
    return plan


@pytest.mark.parametrize("mode", ["next", "end", "auto"])
def test_an_open_breaker_holds_nothing(mode: str) -> None:
    """No end is awaited and no export waited for: /next is asked as if there were no exporter."""
    plan = opened(mode)
    assert plan.exporter_down
    invoke(plan, first=True, wall_s=1_000.5)
    assert decide(plan, OLD, wall_s=1_000.5) == ASK


def test_an_open_breaker_is_probed_beside_the_function() -> None:
    """Once its pause is over: a short export, /next asked with it, later INVOKEs not held by it."""
    plan = opened()
    invoke(plan, wall_s=1_004.0)
    begun = decide(plan, OLD, wall_s=1_004.0)
    assert begun == Decision(export_for_s=PROBE_S, max_count=1, ask=True)
    assert decide(plan, OLD, wall_s=1_004.0) == Decision(wake_at_s=100.0 + PROBE_S)
    invoke(plan, now_s=100.5, wall_s=1_004.5)
    assert decide(plan, OLD, now_s=100.5, wall_s=1_004.5) == ASK
    over_s = 100.0 + PROBE_S
    assert decide(plan, OLD, now_s=over_s, wall_s=1_005.0) == Decision(abort=True)
    assert decide(plan, OLD, now_s=over_s, wall_s=1_005.0) == REST
    done(plan, arrived=True)
    assert not plan.exporter_down


def test_a_batch_is_as_large_as_will_be_in_time() -> None:
    """Half after a failure, twice where that would have been in time, one once it is open."""
    plan = schedule("next", hold_ms=200, max_spans=8)
    story = [
        *((8, 0.20, False), (4, 0.20, False), (2, 0.15, True), (2, 0.05, True), (4, 0.05, True)),
        *((8, 0.05, True), (8, 0.20, False), (4, 0.20, False), (2, 0.20, False)),
        # Open: the collector is slow, and nothing is held for it.
        *((1, 0.50, True), (2, 0.50, True), (4, 0.60, True), (4, 0.10, True), (8, 0.10, True)),
    ]
    found = []
    for index, (_, took_s, arrived) in enumerate(story):
        wall_s = 1_000.0 + 300 * index
        invoke(plan, wall_s=wall_s)
        begun = decide(plan, OLD, wall_s=wall_s)
        found.append((begun.max_count, begun.ask))
        moment = Instant(100.0 + took_s, wall_s)
        plan.on_export_done(moment, answered=arrived, failed=not arrived)
    beside = [False] * 9 + [True] * 4 + [False]
    assert found == [(count, ask) for (count, _, _), ask in zip(story, beside, strict=True)]


def test_on_a_managed_instance_all_that_wait_leave_at_once() -> None:
    """Nobody is held for it, so memory must not run out for those behind; half after a failure."""
    plan = Schedule(lambda: 0.0, managed=True)
    plan.configure(FlushSettings(max_spans=8), TIMEOUT_S)
    plan.on_prepared()
    found = []
    for index, arrived in enumerate((True, False, True, True)):
        now = Instant(100.0 + 60 * index, 1_000.0 + 60 * index)
        begun = plan.decide(now, Waiting(8, 1, 0.0), can_export=True)
        found.append(begun.max_count)
        plan.on_export_done(now, answered=arrived, failed=not arrived)
    assert found == [MAX_WAITING, MAX_WAITING, MAX_WAITING // 2, MAX_WAITING]


def test_what_does_not_fit_into_a_hold_opens_the_breaker_too() -> None:
    """A record of thousands of spans is late again and again: it is served beside the function."""
    plan = schedule("next")
    for index in range(OPEN_AFTER):
        assert not plan.exporter_down
        invoke(plan, wall_s=1_000.0 + 100 * index)
        begun = decide(plan, OLD, wall_s=1_000.0 + 100 * index)
        assert (begun.export_for_s, begun.ask) == (pytest.approx(0.18), False)
        moment = Instant(100.2, 1_000.0 + 100 * index)
        plan.on_export_done(moment, answered=False, failed=False, late=True)
    assert plan.exporter_down


def test_a_thaw_is_not_the_collectors_fault() -> None:
    """What failed since the environment was frozen counts for nothing, and is tried at once."""
    plan = opened()
    for _ in range(3):
        invoke(plan, wall_s=1_004.0)
        assert decide(plan, OLD, wall_s=1_004.0).export_for_s is not None
        done(plan, arrived=False, wall_s=1_004.0, thawed=True)


def test_what_is_spooled_is_due() -> None:
    """It has waited long already."""
    plan = schedule("next")
    invoke(plan)
    assert decide(plan, Waiting(0, 0, 0.0, has_spooled=True)).export_for_s == pytest.approx(0.18)


def test_the_farewell_takes_its_time_from_the_window() -> None:
    """What would be spooled and printed must be done by then; so much, and no more."""
    plan = schedule("next")
    plan.on_shutdown(200.0, 202.0)
    until = 202.0 - 0.1 - FAREWELL_S
    slow = Waiting(9, 9, 0.0, farewell_s=0.4)
    for_s = SHUTDOWN_FIRST_PART * (until - 0.4 - 200.0)
    assert decide(plan, slow, now_s=200.0).export_for_s == pytest.approx(for_s)
    assert decide(plan, slow, now_s=until - 0.4) == Decision(abort=True, exit=True)
    assert plan.leave_until_s == pytest.approx(202.0 - 0.1 - FAREWELL_S / 2)


def test_an_export_begun_before_shutdown_gets_no_more_than_its_time() -> None:
    """Then it is ended, and what time is left is for another try."""
    plan = opened()
    invoke(plan, now_s=199.8, wall_s=1_004.0)
    decide(plan, OLD, now_s=199.8, wall_s=1_004.0)
    plan.on_shutdown(200.0, 202.0)
    over_s = 199.8 + PROBE_S
    assert decide(plan, OLD, now_s=200.0) == Decision(wake_at_s=pytest.approx(over_s))
    assert decide(plan, OLD, now_s=over_s) == Decision(abort=True)
    done(plan, arrived=False)
    assert decide(plan, OLD, now_s=over_s).export_for_s is not None


def test_a_thread_stuck_in_name_resolution_holds_nothing() -> None:
    """An export that cannot be ended is not waited for by later invocations."""
    plan = schedule("next")
    invoke(plan)
    decide(plan, OLD)
    decide(plan, OLD, now_s=100.3)
    invoke(plan, now_s=101.0, wall_s=1_001.0)
    assert decide(plan, OLD, now_s=101.0, wall_s=1_001.0) == ASK


def test_next_is_not_held_for_imports() -> None:
    """What is due in mode next waits for the next event where nothing can be sent yet."""
    plan = Schedule(lambda: 0.0)
    plan.configure(FlushSettings(mode="next"), TIMEOUT_S)
    invoke(plan)
    assert decide(plan, OLD) == ASK


def test_a_stuck_export_opens_the_breaker() -> None:
    """It never comes back to tell of a failure; the function is told to send less all the same."""
    plan = schedule("next")
    invoke(plan)
    decide(plan, OLD)
    decide(plan, OLD, now_s=100.3)
    for index in range(OPEN_AFTER):
        assert not plan.exporter_down
        now_s, wall_s = 101.4 + index, 1_001.4 + index
        for soon_s in (0.0, 0.1, 0.2):
            invoke(plan, now_s=now_s + soon_s, wall_s=wall_s + soon_s)
            assert decide(plan, OLD, now_s=now_s + soon_s, wall_s=wall_s + soon_s) == ASK
    assert plan.exporter_down


def test_shutdown_exports_everything_and_leaves() -> None:
    """SHUTDOWN exports until nothing waits, then exits."""
    plan = schedule("next")
    plan.on_shutdown(200.0, 202.0)
    until = 202.0 - 0.1 - FAREWELL_S
    for_s = SHUTDOWN_FIRST_PART * (until - 200.0)
    begun = Decision(export_for_s=pytest.approx(for_s), max_count=512)
    assert decide(plan, FRESH, now_s=200.0) == begun
    assert decide(plan, FRESH, now_s=200.5) == Decision(wake_at_s=pytest.approx(200.0 + for_s))
    done(plan, arrived=True)
    assert decide(plan, FRESH, now_s=200.6).export_for_s is not None
    done(plan, arrived=True)
    assert decide(plan, NONE, now_s=201.1) == Decision(exit=True)


@pytest.mark.parametrize(
    ("drawn", "last", "again_s"),
    [(0.0, True, 200.0), (0.5, True, 200.65), (1.0, True, 201.3), (1.0, False, 200.0)],
    ids=["at once", "in between", "as late as it may", "a reset"],
)
def test_a_refused_fleet_does_not_come_back_as_one(
    drawn: float, last: bool, again_s: float
) -> None:
    """The second try at the last SHUTDOWN begins at a random moment and keeps its time; after a
    reset, which an invocation waits for and the spool outlives, at once."""
    plan = Schedule(lambda: drawn)
    plan.configure(FlushSettings(), TIMEOUT_S)
    plan.on_prepared()
    plan.on_shutdown(200.0, 202.0, last=last)
    decide(plan, FRESH, now_s=200.0)
    plan.on_export_done(Instant(200.0, 1_000.0), answered=False, failed=True)
    if again_s > 200.0:
        assert decide(plan, FRESH, now_s=200.0) == Decision(wake_at_s=pytest.approx(again_s))
    until_s = 202.0 - 0.1 - FAREWELL_S
    begun = decide(plan, FRESH, now_s=again_s + 1e-6)
    assert begun.export_for_s == pytest.approx(until_s - again_s, abs=1e-5)
    assert begun.export_for_s > SHUTDOWN_SECOND_S - 1e-5
    plan.on_export_done(Instant(again_s, 1_000.0), answered=False, failed=True)
    assert decide(plan, FRESH, now_s=again_s + 0.01) == Decision(exit=True)


@pytest.mark.parametrize(("timeout_s", "first_s"), [(10.0, 1.08), (0.3, 0.3)])
def test_shutdown_leaves_time_for_a_second_try(timeout_s: float, first_s: float) -> None:
    """A part of the window, or the configured timeout; the second try has all that is left."""
    plan = Schedule(lambda: 0.0)
    plan.configure(FlushSettings(mode="next"), timeout_s)
    plan.on_prepared()
    plan.on_shutdown(200.0, 202.0)
    assert decide(plan, FRESH, now_s=200.0).export_for_s == pytest.approx(first_s)
    assert decide(plan, FRESH, now_s=200.0 + first_s) == Decision(abort=True)
    done(plan, arrived=False)
    second = decide(plan, FRESH, now_s=201.1)
    assert second.export_for_s == pytest.approx(min(0.7, timeout_s))


def test_shutdown_leaves_in_time_whatever_the_collector_does() -> None:
    """At 1,850 ms the export in flight is ended and the process leaves."""
    plan = schedule("next")
    plan.on_shutdown(200.0, 202.0)
    decide(plan, FRESH, now_s=200.0)
    assert decide(plan, FRESH, now_s=201.851) == Decision(abort=True, exit=True)


def test_shutdown_tries_a_quick_failure_once_more() -> None:
    """One failure may be a connection that died in the freeze; two are the collector."""
    plan = schedule("next")
    plan.on_shutdown(200.0, 202.0)
    assert decide(plan, FRESH, now_s=200.0).export_for_s is not None
    done(plan, arrived=False, wall_s=1_100.0)
    assert decide(plan, FRESH, now_s=200.01).export_for_s is not None
    done(plan, arrived=False, wall_s=1_100.0)
    assert decide(plan, FRESH, now_s=200.02) == Decision(exit=True)


@pytest.mark.parametrize(
    ("mode", "then"),
    [("next", ASK), ("end", Decision(export_for_s=pytest.approx(0.28), max_count=512))],
)
def test_nothing_is_exported_before_the_configuration_is_read(mode: str, then: Decision) -> None:
    """The first invocation may be over sooner: it is held, then the mode decides."""
    plan = Schedule(lambda: 0.0)
    invoke(plan, first=True)
    plan.on_end(100.0, failed=False)
    assert decide(plan, FRESH) == Decision(wake_at_s=pytest.approx(100.28))
    plan.configure(FlushSettings(mode=mode), TIMEOUT_S)
    plan.on_prepared()
    assert decide(plan, FRESH) == then


def test_a_hold_goes_on_by_the_settings_that_have_come() -> None:
    """It began before they were read: so much is over already, and a shorter timeout counts."""
    plan = Schedule(lambda: 0.0)
    invoke(plan, first=True)
    plan.on_end(100.0, failed=False)
    assert decide(plan, FRESH) == Decision(wake_at_s=pytest.approx(100.28))
    plan.configure(FlushSettings(mode="end"), 0.2)
    assert decide(plan, FRESH, now_s=100.02) == Decision(wake_at_s=pytest.approx(100.18))
    plan.on_prepared()
    begun = decide(plan, FRESH, now_s=100.05)
    assert begun.export_for_s == pytest.approx(0.13)


def test_a_configuration_that_does_not_come_holds_no_longer_than_an_export() -> None:
    """A tenth of the time left, and /next is asked."""
    plan = Schedule(lambda: 0.0)
    invoke(plan, first=True)
    plan.on_end(100.0, failed=False)
    decide(plan, FRESH)
    assert decide(plan, FRESH, now_s=100.3) == ASK


def test_without_an_exporter_nothing_is_held_or_exported() -> None:
    """A broken configuration captures and counts, and costs nothing."""
    plan = schedule("next")
    invoke(plan)
    assert plan.decide(Instant(100.0, 1_000.0), OLD, can_export=False) == ASK
    plan.on_shutdown(200.0, 202.0)
    assert plan.decide(Instant(200.0, 1_000.0), OLD, can_export=False) == Decision(exit=True)


def test_a_hold_counts_from_the_end_of_the_function_not_from_when_it_was_read() -> None:
    """The first invocation may be over long before our loop has been imported."""
    plan = schedule("end")
    invoke(plan, first=True)
    plan.on_end(99.9, failed=False)
    begun = decide(plan, FRESH)
    assert begun.export_for_s == pytest.approx(0.19)


def test_a_function_whose_clock_is_wrong_shortens_a_hold_and_no_more() -> None:
    """It is believed for a second: then nothing is left to hold for, and the export comes later."""
    plan = schedule("end")
    invoke(plan, first=True)
    plan.on_end(0.0, failed=False)
    assert decide(plan, FRESH) == ASK


@pytest.mark.parametrize("mode", ["next", "end", "auto"])
def test_nothing_is_held_for_a_key_that_is_missing(mode: str) -> None:
    """What is due waits; the next event is asked for as without it."""
    plan = schedule(mode)
    invoke(plan, first=True)
    plan.on_end(100.0, failed=False)
    moment = Instant(100.0, 1_000.0)
    assert plan.decide(moment, OLD, can_export=True, has_keys=False) == ASK
    assert plan.decide(moment, OLD, can_export=True, has_keys=False) == REST


def test_at_shutdown_a_key_is_waited_for() -> None:
    """To the end of the window, and what waits leaves once it is there."""
    plan = schedule("next")
    plan.on_shutdown(100.0, 102.0)
    until_s = 100.0 + 1.9 - FAREWELL_S
    moment = Instant(100.0, 1_000.0)
    waits = plan.decide(moment, OLD, can_export=True, has_keys=False)
    assert waits == Decision(wake_at_s=pytest.approx(until_s))
    assert plan.decide(moment, OLD, can_export=True).export_for_s is not None
    assert schedule("next").decide(moment, NONE, can_export=True, has_keys=False) == REST
    empty = schedule("next")
    empty.on_shutdown(100.0, 102.0)
    assert empty.decide(moment, NONE, can_export=True, has_keys=False) == Decision(exit=True)


def test_another_key_ends_the_pause_after_a_refusal() -> None:
    """What was refused is tried again at once, within the shutdown window too."""
    plan = schedule("next", max_age_ms=0)
    invoke(plan)
    assert decide(plan, OLD).export_for_s is not None
    done(plan, arrived=False)
    assert decide(plan, OLD) == ASK
    invoke(plan)
    plan.on_key_renewed()
    assert decide(plan, OLD).export_for_s is not None
