"""What judges a row of faults: it reads the ledger's line, and sees each broken promise."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from chaos import ledger_line
from chaos.faults import FAULTS
from chaos.ledger_line import Law, LedgerLine
from chaos.life import Measured
from chaos.plan import Plan
from chaos.row import Row, judge
from sandbox.environment import ExtensionExit

LINE = (
    "spanpipe: shutdown spindown: accepted 7 + recovered 2 = exported 3 + waiting 0 + printed 1 "
    "+ spooled 2 + dropped 3 (queue_full 2, shutdown 1); uncertain 4; noted: missing 5; "
    "body bytes: accepted 10 = exported 8 + waiting 0 + dropped 2 (payload_cut 2)"
)


def parsed(line: str) -> LedgerLine:
    found = ledger_line.parse(line)
    assert found is not None
    return found


def test_a_ledger_line_is_read_whole() -> None:
    """Both laws, the reasons, and what stands beside them."""
    assert parsed(LINE) == LedgerLine(
        "spindown",
        Law(
            {"accepted": 7, "recovered": 2},
            {"exported": 3, "waiting": 0, "printed": 1, "spooled": 2, "dropped": 3},
            {"queue_full": 2, "shutdown": 1},
        ),
        Law({"accepted": 10}, {"exported": 8, "waiting": 0, "dropped": 2}, {"payload_cut": 2}),
        {"uncertain": 4, "missing": 5},
        LINE,
    )
    assert parsed(LINE).adds_up
    assert ledger_line.parse("spanpipe: warning: shutdown was asked for") is None


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("accepted 7", "accepted 8"),
        ("shutdown 1)", "shutdown 2)"),
        (" (queue_full 2, shutdown 1)", ""),
        ("exported 8", "exported 9"),
    ],
)
def test_a_ledger_that_does_not_add_up_is_seen(right: str, wrong: str) -> None:
    """A sum, the reasons of what was dropped, and the bytes."""
    assert not parsed(LINE.replace(right, wrong)).adds_up


GOOD = Measured("returned 1", 0.001, 0.001)
EXIT = ExtensionExit("spanpipe", 0, killed=False, after_s=0.1, before_deadline_s=1.9)
LEDGER = parsed("spanpipe: shutdown spindown: accepted 2 = exported 2 + waiting 0 + dropped 0")


def row_of(change: Callable[[Row], object]) -> Row:
    row = Row("none", [GOOD, GOOD], [GOOD, GOOD], [EXIT], [LEDGER], arrived=2, arrivals=2)
    change(row)
    return row


def set_ours(row: Row, measured: Measured) -> None:
    row.ours[1] = measured


def set_exit(row: Row, left: ExtensionExit) -> None:
    row.exits[0] = left


def set_field(row: Row, name: str, value: object) -> None:
    setattr(row, name, value)


def set_arrived(row: Row, arrived: int, arrivals: int) -> None:
    row.arrived, row.arrivals = arrived, arrivals


LATE = replace(EXIT, after_s=1.99, before_deadline_s=0.01)


@pytest.mark.parametrize(
    ("change", "failures"),
    [
        (lambda row: None, []),
        (
            lambda row: set_ours(row, replace(GOOD, answer="returned 2")),
            ["answer 1 differs: 'returned 2', without us 'returned 1'"],
        ),
        (lambda row: set_field(row, "deaths", 1), ["the extension ended by itself 1 time"]),
        (
            lambda row: set_field(row, "stuck", 1),
            ["1 invocation never came to an idle environment"],
        ),
        (
            lambda row: set_field(row, "lines", ["spanpipe: error: internal: KeyError"]),
            ["logged: spanpipe: error: internal: KeyError"],
        ),
        (
            lambda row: set_exit(row, replace(EXIT, killed=True, status=-9)),
            ["SHUTDOWN: killed True, status -9"],
        ),
        (
            lambda row: set_exit(row, LATE),
            ["SHUTDOWN to exit took 1.990 s, 0.010 s before the deadline"],
        ),
        (
            lambda row: set_field(row, "ledgers", []),
            ["no ledger line", "accepted 0 of 2 invocations"],
        ),
        (lambda row: set_arrived(row, 1, 1), ["2 exported, only 1 arrived"]),
        (lambda row: set_arrived(row, 2, 3), ["1 extra arrivals, uncertain 0"]),
        (
            lambda row: set_field(row, "peak_kb", 10**6),
            ["1000000 KiB at most in the extension, bound 196608"],
        ),
    ],
)
def test_each_broken_promise_is_seen(
    change: Callable[[Row], object], failures: list[str], tmp_path: Path
) -> None:
    """One sentence for each, none for a row that keeps them all."""
    row = row_of(change)
    with ExitStack() as stack:
        plan = Plan(tmp_path, random.Random(0), 2, stack)  # noqa: S311
        assert judge(row, plan) == failures


@pytest.mark.parametrize(
    ("measured", "said"),
    [
        (replace(GOOD, latency_s=60.0), "an invocation took 60.000 s"),
        (replace(GOOD, held_s=60.0), "/next was held for 60.000 s"),
    ],
)
def test_each_broken_bound_is_seen(measured: Measured, said: str, tmp_path: Path) -> None:
    """The function's time, and the time that `/next` is held."""
    with ExitStack() as stack:
        plan = Plan(tmp_path, random.Random(0), 2, stack)  # noqa: S311
        (failure,) = judge(row_of(lambda row: set_ours(row, measured)), plan)
    assert failure.startswith(said)


def test_no_fault_is_named_as_a_pair_is() -> None:
    """`make chaos` takes ``one + other`` for two faults."""
    assert [name for name in FAULTS if " + " in name] == []
