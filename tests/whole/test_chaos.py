"""The essentials of `make chaos`: a few of its rows, with few invocations each."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from chaos import hold, kill_steps, memory, row, shutdown
from chaos.plan import SkippedError
from tests.whole.fetch import cannot

INVOCATIONS = 6


@pytest.mark.parametrize(
    "name",
    [
        "hanging",
        "413 above a size",
        "CONNECT proxy",
        "gone and back",
        "extension killed at random",
        "extension stopped at random",
        "descriptors exhausted in the extension",
        "function killed in mid-message",
        "descriptors exhausted in the function",
        "no permission",
        "clock to and fro",
        kill_steps.NAME,
    ],
)
def test_a_fault_hurts_nobody_and_the_ledger_adds_up(tmp_path: Path, name: str) -> None:
    """Equal answers, every bound of the writer, of `/next` and of SHUTDOWN, every count."""
    try:
        result = row.run([name], INVOCATIONS, int(os.environ["PLAN_SEED"]), tmp_path)
    except SkippedError as error:
        cannot(f"{name}: {error}")
        raise
    assert result["failures"] == [], result
    assert result["answers_equal"]


def test_an_open_breaker_is_told_and_holds_nothing(tmp_path: Path) -> None:
    """With a collector that is refused the function is told, and `/next` is asked at once."""
    result = hold.run(["auto", "refused"], INVOCATIONS, 0, tmp_path)
    assert (result["failures"], result["after"]) == ([], INVOCATIONS), result


def test_shutdown_leaves_in_time_again_and_again(tmp_path: Path) -> None:
    """With a collector that hangs, four environments at once."""
    result = shutdown.run(["hanging"], 4, 0, tmp_path)
    assert (result["failures"], result["runs"]) == ([], 4), result


def test_the_ledger_of_a_long_life_adds_up(tmp_path: Path) -> None:
    """A thousand invocations without a runtime: each is accepted, and what it takes is told."""
    result = memory.run(["refused"], 1_000, 0, tmp_path)
    (few, few_kb), (many, many_kb) = result["resident_kb"]
    assert (few, many) == (100, 1_000)
    assert few_kb > 0
    assert many_kb > 0
    assert result["failures"] == []
