"""The tables of `docs/fleet.md`, and their place in it; pure but for `write`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.fleet.arrivals import percentiles
from bench.fleet.run import Run, Window
from bench.fleet.scenarios import AFTER_S, Scale

BEGIN = "<!-- figures: written by `python -m bench.fleet --write` -->"
END = "<!-- end of figures -->"
Table = tuple[list[str], list[list[str]]]
"""Heads and rows, each with the row's name first."""


class PageError(Exception):
    """The page has no place for the figures; the text says what is missing."""


def with_figures(page: str, figures: str) -> str:
    """`page` with `figures` between its two marks. Raises PageError."""
    before, begun, rest = page.partition(BEGIN)
    _, ended, after = rest.partition(END)
    if not (begun and ended):
        raise PageError(f"it needs the lines {BEGIN} and {END}")
    return f"{before}{BEGIN}\n\n{figures}\n\n{END}{after}"


def write(path: Path, figures: str) -> None:
    """Put `figures` into the page at `path`. Raises PageError, OSError."""
    page = path.read_text(encoding="utf-8")
    try:
        path.write_text(with_figures(page, figures), encoding="utf-8")
    except PageError as error:
        raise PageError(f"{path}: {error}") from error


def figures(
    scale: Scale,
    lived: Sequence[Run],
    shut: Sequence[Run],
    queued: Sequence[Run],
    away: Sequence[Run],
    machine: str,
) -> str:
    """All tables, as Markdown."""
    costs = scale.costs
    per_request, per_span = costs.request_s * 1e6, costs.span_s * 1e6
    shown = f"{scale.cpus} processor{'s' if scale.cpus > 1 else ''}"
    connection = (
        f" An open connection takes about {costs.connection_bytes / 1024:.0f} KiB of memory."
        if costs.connection_bytes
        else ""
    )
    return "\n\n".join(
        (
            f"Receiver: {shown}, {per_request:.0f} µs a request and {per_span:.1f} µs a span "
            f"({costs.source}; {machine}).{connection} Seed {scale.seed}.",
            f"**A fleet's life**: {scale.environments} environments start within a second, live "
            f"for {scale.seconds:g} s (busy: an invocation every 1.1 s; rare: every 20 s) and get "
            "SHUTDOWN within 0.1 s. Requests a second, the peak in the busiest 0.1 s; held: what "
            "an invocation pays, after its end.",
            _table(*lives(lived)),
            "**SHUTDOWN for all at once**, busy, mode `auto`. In `/tmp`: exported by no one that "
            "the environment knows of, and gone with it; of these, lost: never arrived.",
            _table(*shutdowns(shut)),
            f"**SHUTDOWN before a sending queue that is too small**: {scale.environments} "
            "environments; the backend takes twice what the fleet makes. Jitter is what the "
            "extension has; without it every random number is 0.",
            _table(*shutdowns(queued)),
            "**A receiver that comes back** after 40 s of answering 503 (refusing) or nothing "
            "(hanging): requests a second before, in its absence, and in the ten seconds and the "
            "minute after.",
            _table(*outages(away)),
        )
    )


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---", *(["---:"] * (len(heads) - 1))], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def lives(runs: Sequence[Run]) -> Table:
    """A fleet's life in each mode."""
    heads = ["mode, load", "requests/s", "peak", "peak at start", "peak at SHUTDOWN"]
    heads += ["spans a request", "held p50, p99 ms", "span arrives after p50, p99 s", "lost"]
    rows = []
    for run in runs:
        steady = run.rate(run.steady)
        held = "{:.1f}, {:.1f}".format(*run.held_ms(0.5, 0.99))
        delays = "{:.2f}, {:.2f}".format(*percentiles(run.delays_s, (0.5, 0.99)))
        rows.append(
            [
                run.plan.name,
                f"{steady.mean_per_s:.0f}",
                f"{steady.peak_per_s:.0f}",
                f"{run.rate(run.starting).peak_per_s:.0f}",
                f"{run.rate(run.ending).peak_per_s:.0f}",
                f"{sum(run.span_counts) / max(1, len(run.span_counts)):.1f}",
                held,
                delays,
                str(run.lost),
            ]
        )
    return heads, rows


def shutdowns(runs: Sequence[Run]) -> Table:
    """SHUTDOWN for all at once."""
    heads = ["environments" if runs[0].plan.name[0].isdigit() else "queue", "peak/s"]
    heads += [
        "requests",
        "refused",
        "longest wait s",
        "invocations",
        "in `/tmp`",
        "lost",
        "doubled",
    ]
    rows = []
    for run in runs:
        ending = run.rate(run.ending)
        refused = sum(
            status == 503
            for at_s, status in zip(run.times_s, run.statuses, strict=True)
            if at_s >= run.ending.from_s
        )
        figures = (ending.peak_per_s, ending.count, refused)
        rows.append(
            [
                run.plan.name,
                *(f"{figure:.0f}" for figure in figures),
                f"{run.longest_wait_s:.2f}",
                *(str(one) for one in (run.invoked, run.left_behind, run.lost, run.doubled)),
            ]
        )
    return heads, rows


def outages(runs: Sequence[Run]) -> Table:
    """A receiver that comes back."""
    heads = ["how", "before", "peak", "away", "peak", "10 s after", "peak", "60 s after", "peak"]
    heads += ["span arrives p99 s", "doubled", "lost"]
    rows = []
    for run in runs:
        (outage,) = run.plan.outages
        row = [run.plan.name]
        for window in (
            Window(outage.from_s / 2, outage.from_s),
            Window(outage.from_s, outage.until_s),
            Window(outage.until_s, outage.until_s + 10),
            Window(outage.until_s, outage.until_s + AFTER_S),
        ):
            rate = run.rate(window)
            row += [f"{rate.mean_per_s:.0f}", f"{rate.peak_per_s:.0f}"]
        delay_s = percentiles(run.delays_s, (0.99,))[0]
        rows.append([*row, f"{delay_s:.0f}", str(run.doubled), str(run.lost)])
    return heads, rows
