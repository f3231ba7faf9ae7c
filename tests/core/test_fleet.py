"""The simulation of a fleet: conservation, repeatability, and the arithmetic of rates."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from bench.fleet.__main__ import main
from bench.fleet.arrivals import Rate, counts_in_bins, percentiles, rate
from bench.fleet.clock import Clock
from bench.fleet.environment import Load, Sending
from bench.fleet.page import BEGIN, END, PageError, figures, with_figures
from bench.fleet.receiver import (
    ACCEPTED,
    HANGING,
    REFUSING,
    UNAVAILABLE,
    Capacity,
    Costs,
    Outage,
    Receiver,
)
from bench.fleet.run import Plan, simulate
from bench.fleet.scenarios import Scale, lives, outages, queues, shutdowns
from extension.settings import FlushSettings, SpoolSettings

COSTS = Costs(request_s=0.001, span_s=0.000_1, connection_bytes=0, source="made up")
ROOMY = Capacity(COSTS)


def plan(**changes: object) -> Plan:
    whole = Plan("of a test", 40, 12.0, ROOMY, seed=3)
    return replace(whole, **changes)


def sending(mode: str, **changes: object) -> Sending:
    return Sending(FlushSettings(mode=mode), **changes)


TROUBLES = {
    "none": plan(),
    "mode next": plan(sending=sending("next")),
    "mode end": plan(sending=sending("end")),
    "rare": plan(load=Load(gap_s=8.0)),
    "refusing": plan(seconds=30.0, outages=(Outage(2.0, 20.0, REFUSING),)),
    "refusing to the end": plan(outages=(Outage(2.0, 99.0, REFUSING),)),
    "hanging": plan(seconds=30.0, outages=(Outage(2.0, 20.0, HANGING),)),
    "hanging to the end": plan(outages=(Outage(2.0, 99.0, HANGING),)),
    "a full queue": plan(capacity=Capacity(COSTS, queue_spans=40, drain_spans_per_s=100.0)),
    "too slow": plan(capacity=Capacity(Costs(0.05, 0.001, 0, "made up"))),
    "no spool": plan(
        outages=(Outage(2.0, 99.0, REFUSING),),
        sending=sending("auto", spool=SpoolSettings(max_bytes=0)),
    ),
}


@pytest.mark.parametrize("trouble", TROUBLES)
def test_every_invocation_arrives_or_is_counted(trouble: str) -> None:
    """Each environment's ledger balances; what did not arrive was left behind or dropped, and
    what arrived twice was uncertain."""
    run = simulate(TROUBLES[trouble])
    dropped = sum(run.dropped.values())
    assert run.unbalanced == 0
    assert run.invoked == run.exported + run.left_behind + dropped
    assert run.invoked == run.arrived + run.lost
    assert run.lost <= run.left_behind + dropped
    assert run.doubled <= run.uncertain
    assert len(run.held_s) == run.invoked
    assert min(run.held_s) >= 0.0


def test_nothing_is_lost_or_doubled_where_nothing_is_wrong() -> None:
    """A receiver with room takes every invocation once."""
    run = simulate(plan())
    assert (run.arrived, run.lost, run.doubled, run.left_behind) == (run.invoked, 0, 0, 0)
    assert sum(run.span_counts) == 4 * run.invoked
    assert run.busy_s == pytest.approx(len(run.times_s) * 0.001 + sum(run.span_counts) * 0.000_1)


def test_an_outage_to_the_end_leaves_all_that_came_after_it() -> None:
    """What no receiver has taken lies in the spool, or is dropped where there is none."""
    kept = simulate(TROUBLES["refusing to the end"])
    assert kept.lost == kept.left_behind > 0
    assert kept.dropped == {}
    gone = simulate(TROUBLES["no spool"])
    assert (gone.left_behind, gone.lost) == (0, sum(gone.dropped.values()))
    assert gone.lost == kept.lost


def test_a_seed_repeats_a_run() -> None:
    """The same plan gives the same run, and another seed another."""
    first, again = simulate(TROUBLES["hanging"]), simulate(TROUBLES["hanging"])
    assert first == again
    other = simulate(replace(TROUBLES["hanging"], seed=4))
    assert other.times_s != first.times_s


def test_the_modes_differ_as_they_say() -> None:
    """`end` sends each invocation at once, `next` holds for none, `auto` is between the two."""
    end, auto, following = (
        simulate(plan(sending=sending(mode))) for mode in ("end", "auto", "next")
    )
    assert len(end.times_s) == end.invoked
    assert max(following.held_ms(0.5, 0.9)) == 0.0
    assert len(end.times_s) > len(auto.times_s) > len(following.times_s)


def test_jitter_spares_a_fleet_that_ends_before_a_full_queue() -> None:
    """The second try at the last SHUTDOWN finds room that the first made."""
    capacity = Capacity(COSTS, cpus=8, queue_spans=700, drain_spans_per_s=1_200.0)
    full = plan(environments=100, capacity=capacity)
    spread = simulate(full)
    at_once = simulate(replace(full, sending=replace(full.sending, jitter=False)))
    assert spread.lost < at_once.lost / 2


def test_a_receiver_serves_in_turn_and_refuses_what_finds_no_room() -> None:
    """One processor: the second request waits for the first; behind it a queue drains."""
    clock = Clock()
    capacity = Capacity(Costs(1.0, 0.5, 0, "made up"), queue_spans=4, drain_spans_per_s=1.0)
    receiver = Receiver(clock, capacity, (), spans_per_record=2)
    answers: list[tuple[float, int]] = []

    def send(number: int) -> None:
        receiver.take([number], lambda status: answers.append((clock.now_s, status)))

    for number in range(3):
        clock.at(0.0, lambda number=number: send(number))
    clock.at(20.0, lambda: send(0))
    clock.run()
    # 2 s each: two spans, one a second drained, so the queue holds 2 - 2 + 2, never over four.
    assert answers == [(2.0, ACCEPTED), (4.0, ACCEPTED), (6.0, ACCEPTED), (22.0, ACCEPTED)]
    assert receiver.arrivals == {0: 2, 1: 1, 2: 1}
    assert receiver.arrived_s == {0: 2.0, 1: 4.0, 2: 6.0}
    assert (receiver.busy_s, receiver.longest_wait_s) == (8.0, 4.0)

    answers.clear()
    full = Receiver(clock, replace(capacity, drain_spans_per_s=0.0), (), spans_per_record=3)
    full.take([1], lambda status: answers.append((clock.now_s, status)))
    full.take([2], lambda status: answers.append((clock.now_s, status)))
    clock.run()
    assert [status for _, status in answers] == [ACCEPTED, UNAVAILABLE]
    assert full.arrivals == {1: 1}


def test_rates_are_counted_in_bins() -> None:
    """From the first moment on, without the last; a peak is the busiest tenth of a second."""
    times_s = [0.95, 1.0, 1.05, 1.0999, 1.1, 1.25, 1.999, 2.0]
    assert counts_in_bins(times_s, 1.0, 2.0) == [3, 1, 1, 0, 0, 0, 0, 0, 0, 1]
    assert counts_in_bins(times_s, 1.0, 1.25, 0.1) == [3, 1, 0]
    found = rate(times_s, 1.0, 2.0)
    assert found == Rate(count=6, mean_per_s=6.0, peak_per_s=pytest.approx(30.0))
    assert found.peak_to_mean == pytest.approx(5.0)
    assert rate([], 0.0, 1.0) == Rate(0, 0.0, 0.0)
    assert rate([], 0.0, 1.0).peak_to_mean == 0.0
    assert percentiles([3.0, 1.0, 2.0], (0.0, 0.5, 1.0)) == (1.0, 2.0, 3.0)
    assert percentiles([], (0.5,)) == (0.0,)


def test_the_figures_have_a_place_in_the_page() -> None:
    """Between its marks, which stay; a page without them is refused."""
    scale = Scale(4, 4.0, 1, COSTS)
    runs = [
        [simulate(replace(one, environments=4)) for one in plans(scale)]
        for plans in (lives, shutdowns, queues, outages)
    ]
    text = figures(scale, *runs, "a machine")
    assert [len(some) for some in runs] == [6, 6, 6, 4]
    assert all(f"| {run.plan.name} |" in text for some in runs for run in some)
    assert with_figures(f"above\n{BEGIN}\nold\n{END}\nbelow\n", text) == (
        f"above\n{BEGIN}\n\n{text}\n\n{END}\nbelow\n"
    )
    with pytest.raises(PageError, match="needs the lines"):
        with_figures("no marks", text)


def test_the_command_prints_tables_and_keeps_raw_figures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Given costs, no Collector is needed; the file has each run with its plan."""
    file = tmp_path / "raw.json"
    arguments = ["--environments", "2", "--seconds", "4", "--request-us", "70", "--span-us", "3"]
    assert main([*arguments, "--json", str(file)]) == 0
    printed = capsys.readouterr().out
    assert "70 µs a request and 3.0 µs a span (given, not measured;" in printed
    raw = json.loads(file.read_text())
    assert {name: len(some) for name, some in raw["runs"].items()} == {
        "lives": 6,
        "shutdowns": 6,
        "queues": 6,
        "outages": 4,
    }
    run = raw["runs"]["lives"][0]
    assert run["plan"]["sending"]["flush"]["mode"] == "auto"
    assert len(run["times_s"]) == len(run["span_counts"]) == len(run["statuses"]) > 0
    assert run["plan"]["capacity"]["costs"]["request_s"] == pytest.approx(70e-6)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "name a Collector with --collector"),
        (["--request-us", "70"], "name a Collector with --collector"),
        (["--collector", "x", "--span-us", "3"], "leave out --request-us"),
        (
            ["--request-us", "70", "--span-us", "3", "--results", "."],
            "--results keeps measured costs: name a Collector",
        ),
        (["--environments", "0"], "0 is not at least 1"),
        (["--request-us", "-1"], "-1 is not above 0"),
        (["--collector", "/no/such/program"], "/no/such/program: No such file or directory"),
    ],
)
def test_wrong_arguments_get_one_error(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """What, and what to do; never a traceback."""
    try:
        status = main(arguments)
    except SystemExit as left:
        status = left.code
    assert status in (1, 2)
    assert said in " ".join(capsys.readouterr().err.split())
