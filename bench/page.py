"""Writes what was found into `docs/benchmarks.md`, between two marks, and draws it.

    python -m bench.page [--results DIR] [--output FILE]

README.md gets its few figures between marks of its own, where it has them.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench import plots
from bench.results import QUICK, RESULTS, ROOT, read_all, shown

PAGE = ROOT / "docs" / "benchmarks.md"
README = ROOT / "README.md"
BEGIN = "<!-- results: written by `python -m bench.page` -->\n"
END = "<!-- end of results -->\n"
TITLES = {
    "startup": "Start-up",
    "transports": "Hand-over",
    "handover": "Hand-over: what `capture` costs",
    "invocations": "What an invocation pays",
    "cost": "What a million invocations cost",
    "timeliness": "How late a span is",
    "throughput": "Throughput, CPU time and memory",
    "otel": "OpenTelemetry's SDK in the function",
    "held": "What `/next` is held for",
    "redaction": "Redaction",
    "telemetry": "Platform events",
    "otlp_lines": "Spans as lines for a log",
    "imports": "Imports and packages",
    "layer": "The layers",
    "bounds": "What the bounds allow",
}
"""In the order of the page."""
NEXT = "spanpipe, next, collector near"
HEADLINES = (
    ("startup", 0, "spanpipe to /next", "p50 ms", "exec to ready, ms, p50"),
    ("startup", 0, "Sentry's extension to /next", "p50 ms", "Sentry's extension, the same"),
    ("invocations", "a long run", NEXT, "caller +p50 ms", "mode `next`, caller, ms, p50"),
    ("invocations", "a long run", NEXT, "billed +p99 ms", "mode `next`, billed, ms, p99"),
)


def targets(results: Mapping[str, Mapping[str, Any]]) -> str:
    """Every target, met or missed."""
    lines = ["| target | bound | found | | printed by |", "|---|--:|--:|---|---|"]
    for value in _in_order(results):
        for one in value["targets"]:
            bound = "≥" if one["at_least"] else "≤"
            unit = f" {one['unit']}" if one["unit"] else ""
            verdict = "holds" if one["holds"] else "**missed**"
            lines.append(
                f"| {one['text']} | {bound} {shown(one['limit'])}{unit} "
                f"| {shown(one['figure'])}{unit} | {verdict} | `{value['command']}` |"
            )
    return "\n".join(lines) + "\n"


def table(value: Mapping[str, Any]) -> str:
    """One table in Markdown."""
    lines = [f"**{value['title']}**", "", "| | " + " | ".join(value["columns"]) + " |"]
    lines.append("|---|" + "--:|" * len(value["columns"]))
    for name, *cells in value["rows"]:
        lines.append(f"| {name} | " + " | ".join(map(shown, cells)) + " |")
    return "\n".join(lines) + "\n"


def part(value: Mapping[str, Any]) -> str:
    """One part: what it is, its tables, what could not be run."""
    head = f"`{value['command']}`; spanpipe {value['version']}, commit {value['commit']}, "
    head += f"{value['date']}, load {value['machine']['load_1min_at_start']:.1f} before it"
    head += f"; {QUICK}." if value["quick"] else "."
    lines = [f"## {TITLES[value['part']]}", "", value["about"], "", head, ""]
    drawn = plots.DRAWN.get(value["part"])
    if drawn:
        lines += [f"![{drawn.alt}]({drawn.file})", ""]
    for one in value["tables"]:
        lines.append(table(one))
    for one in value["lost"]:
        lines += [f"Not run: {one['name']}: {one['why']}", ""]
    for note in value["notes"]:
        lines += [note, ""]
    return "\n".join(lines)


def block(results: Mapping[str, Mapping[str, Any]]) -> str:
    """All that is between the marks."""
    found = _in_order(results)
    if not found:
        return ""
    machines = sorted({_machine(value["machine"]) for value in found})
    lines = ["## Targets", "", targets(results)]
    lines += ["Taken on:", "", *(f"- {one}" for one in machines), ""]
    lines += [
        "Load is the machine's over the minute before a part, the part before it included.",
        "",
    ]
    lines += [part(value) for value in found]
    return "\n".join(lines)


def headline(results: Mapping[str, Mapping[str, Any]]) -> str:
    """The few figures of README.md; what was not measured is left out."""
    lines = ["| measured | | printed by |", "|---|--:|---|"]
    for name, which, row, column, words in HEADLINES:
        value = results.get(name)
        if value is None:
            continue
        cell = cell_of(value["tables"], which, row, column)
        if cell is not None:
            lines.append(f"| {words} | {shown(cell)} | `{value['command']}` |")
    return "\n".join(lines) + "\n"


def cell_of(
    tables: Sequence[Mapping[str, Any]], which: int | str, row: str, column: str
) -> float | None:
    """Of the table by its place, or by what its title begins or goes on with."""
    for index, one in enumerate(tables):
        if index == which or (which == "a long run" and one["title"].startswith("mode next, ")):
            for name, *cells in one["rows"]:
                if name == row:
                    return cells[one["columns"].index(column)]
    return None


def between(text: str, written: str, name: str) -> str:
    """`text` with `written` between its marks. Raises ValueError where they are not there."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{name} lacks {BEGIN.strip()} or {END.strip()}")
    return f"{before}{BEGIN}{written}{END}{after}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Write page and drawings."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--results", metavar="DIR", default=str(RESULTS))
    parser.add_argument("--output", metavar="FILE", default=str(PAGE))
    options = parser.parse_args(arguments)
    results = read_all(Path(options.results))
    output = Path(options.output)
    text = between(PAGE.read_text(encoding="utf-8"), block(results), PAGE.name)
    output.write_text(text, encoding="utf-8")
    for problem in plots.draw(results, output.parent):
        print(f"bench.page: {problem}")
    readme = README.read_text(encoding="utf-8")
    if output == PAGE and BEGIN in readme:
        README.write_text(between(readme, headline(results), README.name), encoding="utf-8")
    print(f"bench.page: wrote {output}")


def _in_order(results: Mapping[str, Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [results[name] for name in TITLES if name in results]


def _machine(value: Mapping[str, Any]) -> str:
    return (
        f"{value['cpu']}, {value['cpus']} CPUs, {value['memory_gib']} GiB, Linux "
        f"{value['kernel']}; {value['text'].split(',')[0]}"
    )


if __name__ == "__main__":
    main()
