"""Interleaved timings and how they are told: percentiles and ratios of one run."""

from __future__ import annotations

import json
import os
import platform
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from bench.progress import Progress


def interleaved(
    contestants: Mapping[str, Callable[[], float]], runs: int, warm_up: int = 2, label: str = ""
) -> dict[str, list[float]]:
    """Seconds of each contestant, run in turn, so that a slow moment of the machine hits all.

    With a `label` it is told how far this is.
    """
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    progress = Progress(label, warm_up + runs) if label else None
    for index, names in enumerate(orders(contestants, warm_up + runs)):
        for name in names:
            took = contestants[name]()
            if index >= warm_up:
                seconds[name].append(took)
        if progress is not None:
            progress.step()
    return seconds


def orders(names: Iterable[str], rounds: int) -> Iterator[list[str]]:
    """An order for each round, the same in each run: nobody always follows the same one.

    Who runs after a busy contestant finds a processor that is awake, and caches of another's.
    """
    order = list(names)
    drawn = random.Random(len(order))  # noqa: S311 - no secret
    for _ in range(rounds):
        drawn.shuffle(order)
        yield list(order)


def percentile(values: Sequence[float], part: float) -> float:
    """The value below which `part` (0 to 1) of them lie, nearest rank."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, round(part * len(ordered)) - 1))]


def machine() -> str:
    """What the figures were taken on."""
    return (
        f"{platform.python_implementation()} {platform.python_version()}, Linux "
        f"{platform.release()}, {platform.machine()}, {os.cpu_count()} CPUs"
    )


def table(seconds: Mapping[str, Sequence[float]], unit_s: float, unit: str, base: str) -> str:
    """p50, p99 and maximum of each, and its p50 as a multiple of `base`'s."""
    floor = percentile(seconds[base], 0.5)
    width = max(map(len, seconds))
    lines = [f"{'':{width}}  {'p50':>9} {'p99':>9} {'max':>9}   p50 as × {base}"]
    for name, values in seconds.items():
        figures = (percentile(values, 0.5), percentile(values, 0.99), max(values))
        shown = " ".join(f"{figure / unit_s:7.2f} {unit}" for figure in figures)
        lines.append(f"{name:{width}}  {shown}   {figures[0] / floor:.2f}")
    return "\n".join(lines)


def write_json(path: str, seconds: Mapping[str, Sequence[float]]) -> None:
    """The raw data."""
    value = {"machine": machine(), "seconds": {name: list(one) for name, one in seconds.items()}}
    Path(path).write_text(json.dumps(value, indent=1) + "\n")
