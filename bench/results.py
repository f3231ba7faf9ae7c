"""What a benchmark found: tables, targets and what could not be run; printed, and kept as JSON.

A results file (`--results DIR`) is small: percentiles, not samples. It says what it measured: the
version and commit, and a digest of the code, by which a test knows whether it still stands. All
samples are in `--json FILE`.
"""

from __future__ import annotations

import argparse
import datetime
import hashlib
import json
import os
import platform
import re
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench.measure import machine, percentile

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "bench" / "results"
QUICK = "taken in a hurry (--quick): no figures to quote"
Cell = float | int | str | None


def arguments(doc: str | None) -> argparse.ArgumentParser:
    """The options that every part has."""
    parser = argparse.ArgumentParser(description=(doc or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="fewer runs: does it work?")
    parser.add_argument("--json", metavar="FILE", help="all samples")
    parser.add_argument("--results", metavar="DIR", help="keep the tables there, as PART.json")
    return parser


def code_digest(measured: Iterable[str]) -> str:
    """SHA-256 over the code that was measured: folders' modules and files, under the root."""
    digest = hashlib.sha256()
    for name in sorted(measured):
        path = ROOT / name
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            digest.update(str(file.relative_to(ROOT)).encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()


def releases(changelog: str) -> list[str]:
    """Versions that `changelog` has, newest first (Keep a Changelog: ``## [1.2.0] - date``)."""
    return re.findall(r"^## \[?(\d+\.\d+\.\d+)", changelog, flags=re.MULTILINE)


def releases_behind(measured: str, current: str, changelog: str) -> int:
    """How many releases lie between a version that was measured and the `current` one."""
    known = releases(changelog)
    newest_first = known if current in known else [current, *known]
    if measured not in newest_first:
        return len(newest_first)
    return newest_first.index(measured) - newest_first.index(current)


def is_stale(value: Mapping[str, Any], current: str, changelog: str) -> bool:
    """Whether a results file is older than the code it measured by more than a release."""
    same = value["code_sha256"] == code_digest(value["measured"])
    return not same and releases_behind(value["version"], current, changelog) > 1


def shown(cell: Cell) -> str:
    """A cell as it is read: three digits that count, and a dash for what is not there."""
    if cell is None:
        return "–"
    if isinstance(cell, str):
        return cell
    size = abs(cell)
    if isinstance(cell, int) or size >= 1000:
        return f"{cell:,.0f}"
    steps = ((100, "{:.0f}"), (10, "{:.1f}"), (0.1, "{:.2f}"), (0, "{:.2g}"))
    return next(form for least, form in steps if size >= least).format(cell)


class Report:
    """Of one part. `measured` are the folders and files whose speed this is."""

    def __init__(
        self, part: str, options: argparse.Namespace, measured: Sequence[str], about: str
    ) -> None:
        self._options = options
        self._samples: dict[str, dict[str, list[float]]] = {}
        self.value: dict[str, Any] = {
            "part": part,
            "command": " ".join([f"python -m bench.{part}", *_asked(options)]),
            "about": about,
            "version": version("spanpipe"),
            "date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
            "commit": _commit(),
            "quick": options.quick,
            "measured": sorted(measured),
            "code_sha256": code_digest(measured),
            "machine": _machine(),
            "tables": [],
            "targets": [],
            "lost": [],
            "notes": [],
        }

    def timings(
        self,
        title: str,
        seconds: Mapping[str, Sequence[float]],
        unit: str,
        base: str = "",
        more: Mapping[str, Mapping[str, Cell]] | None = None,
    ) -> None:
        """p50, p99 and maximum of each in `unit` (s, ms, µs); its p50 as a multiple of `base`'s.

        `more` has further columns: name of the column → contestant → cell.
        """
        scale = {"s": 1.0, "ms": 1e3, "µs": 1e6}[unit]
        more = more or {}
        columns = ["n", f"p50 {unit}", f"p99 {unit}", f"max {unit}"]
        rows: list[tuple[str, list[Cell]]] = []
        floor = percentile(seconds[base], 0.5) if base else 0.0
        for name, values in seconds.items():
            figures = [percentile(values, 0.5), percentile(values, 0.99), max(values)]
            cells: list[Cell] = [len(values), *(one * scale for one in figures)]
            if base:
                cells.append(figures[0] / floor)
            rows.append((name, cells + [of.get(name) for of in more.values()]))
        self.table(title, columns + ([f"p50 × {base}"] if base else []) + list(more), rows)
        self._samples[title] = {name: list(values) for name, values in seconds.items()}

    def table(
        self, title: str, columns: Sequence[str], rows: Iterable[tuple[str, Sequence[Cell]]]
    ) -> None:
        """Printed at once: a long run is looked at while it goes on."""
        table = {
            "title": title,
            "columns": list(columns),
            "rows": [[name, *map(_rounded, cells)] for name, cells in rows],
        }
        self.value["tables"].append(table)
        print("\n" + as_text(table), flush=True)

    def target(
        self, text: str, figure: float, limit: float, unit: str = "×", *, at_least: bool = False
    ) -> None:
        """`figure` is to be at most `limit`, or at least."""
        holds = figure >= limit if at_least else figure <= limit
        target = {
            "text": text,
            "figure": _rounded(figure),
            "limit": limit,
            "unit": unit,
            "at_least": at_least,
            "holds": holds,
        }
        self.value["targets"].append(target)
        print(target_text(target), flush=True)

    def lost(self, name: str, why: str) -> None:
        """A contestant that could not be run."""
        self.value["lost"].append({"name": name, "why": why})
        print(f"lost: {name}: {why}", flush=True)

    def note(self, text: str) -> None:
        """What a reader of the tables has to know."""
        self.value["notes"].append(text)
        print(f"note: {text}", flush=True)

    def finish(self) -> None:
        """Keep what is asked for."""
        print(f"\n{machine()}" + (f"; {QUICK}" if self._options.quick else ""))
        if self._options.results:
            folder = Path(self._options.results)
            folder.mkdir(parents=True, exist_ok=True)
            text = json.dumps(self.value, indent=1, ensure_ascii=False) + "\n"
            (folder / f"{self.value['part']}.json").write_text(text, encoding="utf-8")
        if self._options.json:
            value = {**self.value, "samples": self._samples}
            text = json.dumps(value, ensure_ascii=False) + "\n"
            Path(self._options.json).write_text(text, encoding="utf-8")


def as_text(table: Mapping[str, Any]) -> str:
    """A table for a terminal."""
    rows = [[str(row[0]), *map(shown, row[1:])] for row in table["rows"]]
    widths = [
        max(len(row[index]) for row in [["", *table["columns"]], *rows])
        for index in range(len(table["columns"]) + 1)
    ]
    lines = [table["title"]]
    for name, *cells in [["", *table["columns"]], *rows]:
        padded = (cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True))
        lines.append(f"  {name:{widths[0]}}  " + "  ".join(padded))
    return "\n".join(lines)


def target_text(target: Mapping[str, Any]) -> str:
    """One line: what is aimed at, what was found, whether it holds."""
    bound = "at least" if target["at_least"] else "at most"
    verdict = "holds" if target["holds"] else "MISSED"
    unit = target["unit"]
    return (
        f"target: {target['text']}: {bound} {shown(target['limit'])} {unit}: "
        f"{shown(target['figure'])} {unit}, {verdict}"
    )


def read_all(folder: Path = RESULTS) -> dict[str, dict[str, Any]]:
    """Every part's results, by its name."""
    found = {}
    for path in sorted(folder.glob("*.json")):
        found[path.stem] = json.loads(path.read_text(encoding="utf-8"))
    return found


def _asked(options: argparse.Namespace) -> list[str]:
    """The options that made it another run than the usual one."""
    common = ("quick", "json", "results")
    return [
        f"--{name.replace('_', '-')} {value}"
        for name, value in vars(options).items()
        if name not in common and value is not None
    ]


def _rounded(cell: Cell) -> Cell:
    return float(f"{cell:.4g}") if isinstance(cell, float) else cell


def _commit() -> str:
    """Of the checkout; with a plus where tracked files differ from it."""
    commands = (["rev-parse", "--short=12", "HEAD"], ["status", "--porcelain", "-uno"])
    said = [
        subprocess.run(["git", *one], cwd=ROOT, capture_output=True, text=True, check=False)
        for one in commands
    ]
    if any(one.returncode for one in said):
        return "unknown"
    return said[0].stdout.strip() + ("+" if said[1].stdout.strip() else "")


def _machine() -> dict[str, Any]:
    model = ""
    memory_kb = 0
    for path, key in (("/proc/cpuinfo", "model name"), ("/proc/meminfo", "MemTotal")):
        for line in Path(path).read_text().splitlines():
            name, _, text = line.partition(":")
            if name.strip() == key:
                if key == "model name":
                    model = text.strip()
                else:
                    memory_kb = int(text.split()[0])
                break
    return {
        "text": machine(),
        "cpu": model or platform.machine(),
        "cpus": os.cpu_count(),
        "memory_gib": round(memory_kb / 1024 / 1024, 1),
        "kernel": platform.release(),
        "load_1min_at_start": os.getloadavg()[0],
    }
