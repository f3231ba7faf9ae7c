"""The plot of `docs/fleet-arrivals.svg`: requests a second over a fleet's life.

Wants matplotlib.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.fleet.arrivals import BIN_S, counts_in_bins
from bench.fleet.run import Run, Window


class PlotError(Exception):
    """There is nothing to draw with; the text says what to do."""


def _matplotlib() -> Any:
    try:
        import matplotlib
    except ModuleNotFoundError as error:
        raise PlotError(
            "the plot needs matplotlib: pip install 'spanpipe[bench]', or leave out --write"
        ) from error
    matplotlib.use("Agg")
    # The same run gives the same bytes; texts stay texts, which is small.
    matplotlib.rcParams.update(
        {"svg.hashsalt": "spanpipe", "svg.fonttype": "none", "font.size": 9, "axes.grid": True}
    )
    return matplotlib


def draw(path: Path, lived: Sequence[Run], queued: Sequence[Run], away: Sequence[Run]) -> None:
    """Three panels: life by mode, SHUTDOWN with and without jitter, a receiver that comes back.

    Raises PlotError, OSError.
    """
    _matplotlib()
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 8.4), layout="constrained")
    life, shutdown, outage = figure.subplots(3, 1)
    busy = [run for run in lived if "busy" in run.plan.name]
    end_s = busy[0].ending.until_s
    for run in busy:
        _steps(life, run, Window(0.0, end_s), 0.5, run.plan.name)
    plan = busy[0].plan
    life.set_yscale("symlog", linthresh=100)
    life.set_title(f"{plan.environments} environments: start, life and SHUTDOWN (0.5 s)")
    for run in queued[:2]:
        window = Window(run.plan.seconds - 0.3, run.plan.seconds + 2.2)
        _steps(shutdown, run, window, BIN_S / 2, run.plan.name)
    shutdown.set_yscale("symlog", linthresh=100)
    shutdown.set_title("SHUTDOWN for all within 0.1 s, before a queue that is too small (0.05 s)")
    for run in away:
        _steps(outage, run, Window(10.0, run.plan.seconds), 1.0, run.plan.name)
    (gone,) = away[0].plan.outages
    outage.axvspan(gone.from_s, gone.until_s, color="0.9", zorder=0)
    outage.set_title("A receiver that is away (grey) and comes back (1 s)")
    for axes in (life, shutdown, outage):
        axes.set_ylabel("requests/s")
        axes.set_ylim(bottom=0)
        axes.legend(loc="upper right", fontsize=8, ncols=2)
    outage.set_xlabel("seconds")
    figure.savefig(path, format="svg", metadata={"Date": None})


def _steps(axes: Any, run: Run, window: Window, bin_s: float, label: str) -> None:
    counts = counts_in_bins(run.times_s, window.from_s, window.until_s, bin_s)
    edges = [window.from_s + index * bin_s for index in range(len(counts) + 1)]
    axes.stairs([count / bin_s for count in counts], edges, label=label)
