"""What is printed: one line for each row, one table for each experiment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

HEADS = {
    "row": (
        f"{'fault':42} {'equal':5} {'n':>5}  {'added ms p50/p99/max':>22}  "
        f"{'held ms p50/p99/max':>24} {'bound':>5}  {'left ms':>7}  {'ledger':6} "
        f"{'accepted':>8} {'arrived':>7} {'MB':>4}"
    ),
    "hold": (
        f"{'mode: collector':42} {'n':>5}  {'held ms before p50/p99/max':>28} {'bound':>5}  "
        f"{'n':>5}  {'held ms after p50/p99/max':>26}  {'without us':>22}"
    ),
    "shutdown": (
        f"{'SHUTDOWN, collector':42} {'runs':>5}  {'to exit ms p50/p99/max':>24}  "
        f"{'before deadline ms p50/p1/min':>30}"
    ),
    "memory": f"{'RSS of the extension, collector':42} {'few':>7} {'MB':>7}  {'many':>7} {'MB':>7}",
}
"""Experiment → head of its table. ``left ms``: from the exit to SHUTDOWN's deadline."""


def line(experiment: str, value: dict[str, Any]) -> str:
    """One row of the table of `experiment`."""
    name = f"{value['name']:42}"
    if "skipped" in value:
        return f"{name} skipped: {value['skipped']}"
    if "died" in value:
        return f"{name} {value['died']}"
    return name + _FORMS[experiment](value) + ("  FAILED" if value["failures"] else "")


def _row(value: dict[str, Any]) -> str:
    left, arrived = value["before_deadline_ms"], value["arrived"]
    return (
        f" {_yes(value['answers_equal']):5} {value['invocations']:5}  "
        f"{_spread(value['added_ms']):>22}  {_spread(value['held_ms']):>24} "
        f"{value['held_bound_ms']:5}  {'-' if left is None else left:>7}  "
        f"{_yes(value['ledger_adds_up']):6} {value['accepted']:8} "
        f"{'-' if arrived is None else arrived:>7} {value['peak_mb']:4}"
    )


def _hold(value: dict[str, Any]) -> str:
    return (
        f" {value['before']:5}  {_spread(value['before_held_ms']):>28} {value['bound_ms']:5}  "
        f"{value['after']:5}  {_spread(value['after_held_ms']):>26}  "
        f"{_spread(value['held_alone_ms']):>22}"
    )


def _shutdown(value: dict[str, Any]) -> str:
    return (
        f" {value['runs']:5}  {_spread(value['shutdown_ms']):>24}  "
        f"{_spread(value['before_deadline_ms']):>30}"
    )


def _memory(value: dict[str, Any]) -> str:
    (few, few_kb), (many, many_kb) = value["resident_kb"]
    return f" {few:7} {few_kb / 1024:7.2f}  {many:7} {many_kb / 1024:7.2f}"


_FORMS = {"row": _row, "hold": _hold, "shutdown": _shutdown, "memory": _memory}


def _yes(value: bool) -> str:
    return "yes" if value else "NO"


def _spread(values: Sequence[float] | None) -> str:
    return "-" if values is None else " ".join(f"{value:.1f}" for value in values)
