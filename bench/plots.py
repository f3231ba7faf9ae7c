"""Draws results as SVG, with matplotlib where that is installed (`pip install -e .[bench]`)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

OURS, OTHER, WORST = "#1f6feb", "#8c959f", "#d0d7de"
WIDTH_IN, ROW_IN, HEAD_IN = 8.0, 0.32, 0.9


@dataclass(frozen=True, slots=True)
class Drawing:
    """A file beside the page; `of` takes a part's results and gives groups to draw."""

    file: str
    alt: str
    title: str
    axis: str
    of: Callable[[Mapping[str, Any]], Sequence[tuple[str, float, float]]]


def _column(table: Mapping[str, Any], name: str) -> dict[str, float]:
    index = table["columns"].index(name) + 1
    return {row[0]: row[index] for row in table["rows"] if row[index] is not None}


def _startup(value: Mapping[str, Any]) -> list[tuple[str, float, float]]:
    """Name, p50 and p99 in ms."""
    table = value["tables"][0]
    p50, p99 = _column(table, "p50 ms"), _column(table, "p99 ms")
    return [(name, p50[name], p99[name]) for name in p50]


def _invocations(value: Mapping[str, Any]) -> list[tuple[str, float, float]]:
    """Name with collector, and what is added at p50 for the caller and on the bill, in ms."""
    rows = []
    for table in value["tables"]:
        title = table["title"]
        if not title.startswith("handler of 1 ms") or title.endswith("hanging"):
            continue
        caller, billed = _column(table, "caller +p50 ms"), _column(table, "billed +p50 ms")
        where = title.partition("collector ")[2]
        rows += [
            (f"{name} ({where})", caller[name], billed[name])
            for name in caller
            if name != "no telemetry"
        ]
    return rows


DRAWN = {
    "startup": Drawing(
        "benchmarks-startup.svg",
        "milliseconds from exec to the first /next, for each contestant",
        "exec to the first /next",
        "ms; dark: p50, light: p99",
        _startup,
    ),
    "invocations": Drawing(
        "benchmarks-invocations.svg",
        "milliseconds that each kind of telemetry adds to an invocation",
        "added to an invocation, handler of 1 ms, p50",
        "ms; dark: the caller waits, light: billed",
        _invocations,
    ),
}


def digest(value: Mapping[str, Any], drawing: Drawing) -> str:
    """Of what is drawn; it stands in the file."""
    text = json.dumps([drawing.title, drawing.axis, list(map(list, drawing.of(value)))])
    return hashlib.sha256(text.encode()).hexdigest()


def draw(results: Mapping[str, Mapping[str, Any]], folder: Path) -> list[str]:
    """Draw what has changed into `folder`; what stands in the way."""
    stale = []
    for part, drawing in DRAWN.items():
        if part not in results:
            continue
        path = folder / drawing.file
        kept = path.read_text(encoding="utf-8") if path.exists() else ""
        if digest(results[part], drawing) not in kept:
            stale.append((results[part], drawing, path))
    if not stale:
        return []
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
    except ImportError:
        return ["no matplotlib, so nothing was drawn: pip install 'matplotlib>=3.10,<4'"]
    mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "spanpipe", "font.size": 9})
    for value, drawing, path in stale:
        rows = drawing.of(value)
        figure = Figure(figsize=(WIDTH_IN, HEAD_IN + ROW_IN * len(rows)), layout="constrained")
        _bars(figure.subplots(), drawing, rows)
        metadata = {"Date": None, "Description": digest(value, drawing)}
        figure.savefig(path, format="svg", metadata=metadata)
        text = path.read_text(encoding="utf-8")
        path.write_text("\n".join(map(str.rstrip, text.splitlines())) + "\n", encoding="utf-8")
    return []


def _short(figure: float) -> str:
    return f"{figure:.2g}" if abs(figure) < 10 else f"{figure:.0f}"


def _bars(axes: Axes, drawing: Drawing, rows: Sequence[tuple[str, float, float]]) -> None:
    places = range(len(rows), 0, -1)
    axes.barh(places, [row[2] for row in rows], height=0.7, color=WORST)
    colours = [OURS if row[0].startswith("spanpipe") else OTHER for row in rows]
    axes.barh(places, [row[1] for row in rows], height=0.4, color=colours)
    for place, (_, first, second) in zip(places, rows, strict=True):
        axes.annotate(
            f"{_short(first)} / {_short(second)}",
            (max(first, second, 0), place),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
        )
    axes.set_yticks(list(places), [row[0] for row in rows])
    axes.set_title(drawing.title, loc="left")
    axes.set_xlabel(drawing.axis)
    axes.margins(x=0.1)
    axes.spines[["top", "right"]].set_visible(False)
