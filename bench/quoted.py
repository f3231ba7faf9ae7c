"""Measured figures that the pages quote, and what is kept of the command that stands beside them.

    python -m bench.quoted

Prints each, and exits with 1 where one has no command, where a command's results are not kept or
are too old, or where they have no such figure. A figure is a number of ms, µs, MB or × (limits
are in KiB, MiB and s); its command stands in the same paragraph, item or row, or before or after
the whole table. What a program has written into a page, between marks, is held to its results by
the page's own test; what was tried, under "Experiments", is of its day, and what is aimed at, under
"Targets", is no figure.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from bench.results import ROOT, is_stale, read_all

PAGES = sorted(
    [
        *(path for path in ROOT.glob("*.md") if path.name != "CHANGELOG.md"),
        *(
            path
            for name in ("docs", "bench", "fifo", "writers")
            for path in ROOT.glob(f"{name}/*.md")
        ),
    ]
)
"""The changelog tells what was."""
GIVEN: Mapping[str, Mapping[str, str]] = {
    "": {
        "50 ms": "the writer's budget for an invocation",
        "100 ms": "left before a deadline when `/next` is asked at the latest",
        "200 ms": "hold_ms, and a Collector's batch",
        "25 ms": "the least that Lambda buffers platform events",
    },
    "ARCHITECTURE.md": {
        "5 ms": "between two looks at the results FIFO",
        "20 ms": "after which a folder is looked at first",
        "250 ms": "and between two looks at most",
        "0.5 ms": "the switch interval",
    },
    "docs/backends.md": {
        "1 MB": "Honeycomb's of a span, New Relic's of a request",
        "3.2 MB": "Datadog's",
        "5 MB": "X-Ray's",
    },
    "docs/deployment.md": {"250 MB": "Lambda's, unpacked", "50 MB": "Lambda's, of a zip in a call"},
    "fifo/PROTOCOL.md": {
        "1 ms": "that a write counts for at most",
        "5 µs": "in Python",
        "5 ms": "between two looks",
    },
    "docs/fleet.md": {"2 ms": "a simulated round trip", "4 MB": "of a gateway's message"},
    "docs/flush-modes.md": {
        "128 MB": "a function that is priced",
        "512 MB": "another",
        "1 ms": "a hold that is priced",
        "10 ms": "another",
    },
}
"""Page, or "" for every one → figures that nobody measures: bounds, settings, what others say."""
NOISE = 0.1
"""By how much a figure may differ from the kept one, rounding apart: as two runs do."""

_NUMBER = r"\d+(?:,\d{3})*(?:\.\d+)?"
_FIGURE = re.compile(
    rf"(?<![\w.,$])(?P<first>{_NUMBER})(?P<more>(?:(?:,\s|\s(?:and|or|to)\s|–){_NUMBER})*)"
    r"\s?(?P<unit>ms|µs|MB|×)(?![\w/])"
)
_COMMAND = re.compile(r"`(?:python -[mX] |make )([\w.-]+)[^`]*`")
_WRITTEN = re.compile(r"<!-- (?:results|figures): .*?<!-- end of \w+ -->", re.DOTALL)
_FENCED = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
_ASIDE = re.compile(r"^## (?:Experiments|Targets)\n.*?(?=^## |\Z)", re.DOTALL | re.MULTILINE)
_UNITS = re.compile(r"\b(?:ms|µs)\b|\bMB\b(?!/)|×")
_SECONDS = {"ms": 1e-3, "µs": 1e-6}


@dataclass(frozen=True, slots=True)
class Quote:
    """Figures of one unit that stand together; two with "to" between them are a range."""

    page: str
    line: int
    text: str
    numbers: tuple[str, ...]
    unit: str
    is_range: bool
    commands: tuple[str, ...]

    @property
    def parts(self) -> list[str]:
        """The benchmarks among its commands."""
        return [one.removeprefix("bench.") for one in self.commands if one.startswith("bench.")]


def quotes(page: str, text: str) -> Iterator[Quote]:
    """Every quoted figure of `text`, but those that are given."""
    given = {*GIVEN[""], *GIVEN.get(page, ())}
    for line, block, commands in _blocks(_without(text)):
        for found in _FIGURE.finditer(block):
            shown = " ".join(found.group().split())
            if shown in given:
                continue
            yield Quote(
                page,
                line + block.count("\n", 0, found.start()),
                shown,
                tuple(re.findall(_NUMBER, found["first"] + found["more"])),
                found["unit"],
                bool(re.search(r"\sto\s|–", found["more"])),
                commands,
            )


def problem_of(quote: Quote, kept: Mapping[str, Mapping[str, Any]], changelog: str) -> str:
    """What is wrong with it; nothing, as a rule."""
    if not quote.commands:
        return "no command beside it"
    for part in quote.parts:
        if part not in kept:
            return f"nothing is kept of python -m bench.{part}"
        if is_stale(kept[part], version("spanpipe"), changelog):
            return f"take it anew: python -m bench.{part}"
    if not quote.parts:
        return ""
    figures = [one for part in quote.parts for one in kept_figures(kept[part], quote.unit)]
    scale = _SECONDS.get(quote.unit, 1.0)
    if quote.is_range:
        least, most = _value(quote.numbers[0]) * scale, _value(quote.numbers[-1]) * scale
        missing = [] if any(least <= one <= most for one in figures) else [quote.text]
    else:
        missing = [
            number
            for number in quote.numbers
            if not any(_is_near(number, one / scale) for one in figures)
        ]
    return f"not among what is kept: {', '.join(missing)}" if missing else ""


def kept_figures(results: Mapping[str, Any], unit: str) -> list[float]:
    """Figures of `unit` in tables and targets; times in seconds."""
    found = []
    for table in results["tables"]:
        for index, column in enumerate(table["columns"], 1):
            of_column = _UNITS.search(column)
            for row in table["rows"]:
                if of_column and _is_same(of_column.group(), unit):
                    scale = _SECONDS.get(of_column.group(), 1.0)
                    found += [one * scale for one in _numbers(row[index])]
    for target in results["targets"]:
        if _is_same(target["unit"], unit):
            found.append(target["figure"] * _SECONDS.get(target["unit"], 1.0))
    return found


def _is_same(one: str, other: str) -> bool:
    return one == other or (one in _SECONDS and other in _SECONDS)


def _is_near(quoted: str, kept: float) -> bool:
    """As it is rounded, or as two runs differ."""
    rounding = 0.5 * 10 ** -len(quoted.partition(".")[2])
    return math.isclose(_value(quoted), kept, rel_tol=NOISE, abs_tol=rounding)


def _value(number: str) -> float:
    return float(number.replace(",", ""))


def _numbers(cell: Any) -> list[float]:
    if isinstance(cell, (int, float)):
        return [float(cell)]
    return [*map(_value, re.findall(_NUMBER, cell or ""))]


def _without(text: str) -> str:
    """Blank lines in place of what is not looked at, so that lines keep their numbers."""
    for pattern in (_WRITTEN, _FENCED, _ASIDE):
        text = pattern.sub(lambda found: "\n" * found.group().count("\n"), text)
    return text


def _blocks(text: str) -> Iterator[tuple[int, str, tuple[str, ...]]]:
    """(First line, text, commands) of each paragraph, item and row."""
    chunks = list(_chunks(text))
    for index, (line, chunk) in enumerate(chunks):
        if not chunk.startswith("|"):
            yield line, chunk, _commands(chunk)
            continue
        around = "\n".join(one for _, one in chunks[max(0, index - 1) : index + 2 : 2])
        for offset, row in enumerate(chunk.splitlines()):
            yield line + offset, row, _commands(row) or _commands(around)


def _chunks(text: str) -> Iterator[tuple[int, str]]:
    """Paragraphs, items of lists, and whole tables."""
    begun = 0
    lines: list[str] = []
    for number, line in enumerate([*text.splitlines(), ""], 1):
        starts = re.match(r"\s*(?:[-*]|\d+\.) ", line) or (
            lines and line.startswith("|") != lines[0].startswith("|")
        )
        if lines and (starts or not line.strip()):
            yield begun, "\n".join(lines)
            lines = []
        if line.strip():
            begun = begun if lines else number
            lines.append(line)


def _commands(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_COMMAND.findall(text)))


def main() -> int:
    """Each quoted figure in a line; the exit status."""
    kept, changelog = read_all(), (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    wrong = 0
    for path in PAGES:
        page = str(path.relative_to(ROOT))
        for quote in quotes(page, path.read_text(encoding="utf-8")):
            problem = problem_of(quote, kept, changelog)
            wrong += bool(problem)
            beside = ", ".join(quote.commands)
            print(f"{page}:{quote.line}: {quote.text}: {problem or 'ok'} ({beside})")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
