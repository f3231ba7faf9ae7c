"""What is told of a benchmark: that it is told whole, by a command, and is not too old."""

from __future__ import annotations

import importlib.util
import json
import re
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from bench import keep, page, plots, results, startup
from bench.__main__ import PARTS
from bench.bounds import TWO_BYTES, claims
from bench.measure import orders
from bench.throughput import exponent
from fifo import wire
from fifo.otlp_bytes import MAX_FIELDS, TooManyError, spans_in

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted(results.RESULTS.glob("*.json"))
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("bench/*.md")])
COMMAND = re.compile(r"`python -m ((?:bench|chaos|deploy|docs|fuzz)[.\w]*)")
CHANGELOG = """\
# Changelog
## Unreleased
## [0.3.0] - 2026-03-01
## 0.2.0
## 0.1.0
"""


def a_part(name: str = "startup", **changed: Any) -> dict[str, Any]:
    """Results of a part with one table, one target, one lost row and a note."""
    value = {
        "part": name,
        "command": f"python -m bench.{name}",
        "about": "What it is.",
        "version": "0.1.0",
        "date": "2026-11-29",
        "commit": "0123456789ab",
        "quick": False,
        "measured": ["fifo"],
        "code_sha256": results.code_digest(["fifo"]),
        "machine": {
            "text": "CPython 3.11.7, Linux 6.1, x86_64, 2 CPUs",
            "cpu": "A processor",
            "cpus": 2,
            "memory_gib": 23.5,
            "kernel": "6.1",
            "load_1min_at_start": 0.1,
        },
        "tables": [
            {
                "title": "exec to ready",
                "columns": ["n", "p50 ms", "p99 ms"],
                "rows": [["bare", 100, 7.514, 11.0], ["spanpipe to /next", 1000, 0.03333, None]],
            }
        ],
        "targets": [
            {
                "text": "over bare",
                "figure": 3.2,
                "limit": 3.0,
                "unit": "×",
                "at_least": False,
                "holds": False,
            }
        ],
        "lost": [{"name": "a peer", "why": "not here"}],
        "notes": ["A note."],
    }
    return {**value, **changed}


def test_a_part_is_written_whole() -> None:
    """Command, version, commit, date, tables, lost rows and notes stand on the page."""
    value = a_part("transports")
    assert page.part(value) == (
        "## Hand-over\n\nWhat it is.\n\n"
        "`python -m bench.transports`; spanpipe 0.1.0, commit 0123456789ab, 2026-11-29, "
        "load 0.1 before it.\n\n"
        "**exec to ready**\n\n"
        "| | n | p50 ms | p99 ms |\n|---|--:|--:|--:|\n"
        "| bare | 100 | 7.51 | 11.0 |\n| spanpipe to /next | 1,000 | 0.033 | – |\n\n"
        "Not run: a peer: not here\n\nA note.\n"
    )


def test_a_missed_target_is_called_missed() -> None:
    """On the page and in the terminal, with the command that prints it."""
    assert page.targets({"startup": a_part()}).splitlines()[2] == (
        "| over bare | ≤ 3.00 × | 3.20 × | **missed** | `python -m bench.startup` |"
    )
    assert results.target_text(a_part()["targets"][0]) == (
        "target: over bare: at most 3.00 ×: 3.20 ×, MISSED"
    )


def test_the_command_is_the_one_that_was_given() -> None:
    """With what made it another run than the usual one, and without where its output went."""
    parser = results.arguments("A part.")
    parser.add_argument("--invocations", type=int)
    told = {
        line: results.Report("throughput", parser.parse_args(line.split()), (), "").value["command"]
        for line in ("", "--quick --json file --results .", "--invocations 100000")
    }
    assert told == {
        "": "python -m bench.throughput",
        "--quick --json file --results .": "python -m bench.throughput",
        "--invocations 100000": "python -m bench.throughput --invocations 100000",
    }


def test_a_readme_has_its_figures_between_marks() -> None:
    """What is there of the headlines, and the text around it untouched."""
    written = page.headline({"startup": a_part()})
    assert written == (
        "| measured | | printed by |\n|---|--:|---|\n"
        "| exec to ready, ms, p50 | 0.033 | `python -m bench.startup` |\n"
    )
    text = f"before\n{page.BEGIN}old\n{page.END}after\n"
    assert page.between(text, written, "README.md") == (
        f"before\n{page.BEGIN}{written}{page.END}after\n"
    )
    with pytest.raises(ValueError, match=r"README\.md lacks"):
        page.between("no marks", written, "README.md")


def test_the_page_says_what_the_files_say() -> None:
    """`python -m bench.page` writes it; README.md too, where it has marks."""
    found = results.read_all()
    text = page.PAGE.read_text(encoding="utf-8")
    assert page.between(text, page.block(found), page.PAGE.name) == text
    readme = page.README.read_text(encoding="utf-8")
    if page.BEGIN in readme:
        assert page.between(readme, page.headline(found), "README.md") == readme
    for part, drawing in plots.DRAWN.items():
        if part in found:
            drawn = (page.PAGE.parent / drawing.file).read_text(encoding="utf-8")
            assert plots.digest(found[part], drawing) in drawn


@pytest.mark.parametrize(
    ("measured", "current", "behind"),
    [
        ("0.3.0", "0.3.0", 0),
        ("0.2.0", "0.3.0", 1),
        ("0.1.0", "0.3.0", 2),
        ("0.3.0", "0.4.0", 1),
        ("0.2.0", "0.4.0", 2),
        ("0.0.9", "0.3.0", 3),
    ],
)
def test_releases_are_counted_in_the_changelog(measured: str, current: str, behind: int) -> None:
    """Whether the current version stands in it already or not."""
    assert results.releases_behind(measured, current, CHANGELOG) == behind


def test_a_file_is_stale_once_code_and_two_releases_have_gone_by() -> None:
    """One of the two alone is allowed."""
    old_code = a_part(code_sha256="0" * 64)
    assert results.is_stale(old_code, "0.3.0", CHANGELOG)
    assert not results.is_stale(old_code, "0.2.0", CHANGELOG)
    assert not results.is_stale(a_part(), "0.3.0", CHANGELOG)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_no_quoted_figure_is_older_than_its_code_by_more_than_a_release(path: Path) -> None:
    """Take it anew with the command it names; figures taken in a hurry are not quoted."""
    value = json.loads(path.read_text(encoding="utf-8"))
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert value["part"] == path.stem
    assert re.match(rf"python -m bench\.{path.stem}( --|$)", value["command"])
    assert not value["quick"]
    assert not results.is_stale(value, version("spanpipe"), changelog), value["command"]


def test_every_part_has_a_place_on_the_page_and_runs_by_itself() -> None:
    """And what is kept for another command is kept for one that is there."""
    assert set(PARTS) == set(page.TITLES)
    assert all(importlib.util.find_spec(f"bench.{part}") for part in PARTS)
    assert set(keep.PARTS) < set(PARTS)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_command_that_is_said_to_print_a_figure_is_there(path: Path) -> None:
    """A module that runs; what printed a figure is not renamed under it."""
    for name in set(COMMAND.findall(path.read_text(encoding="utf-8"))):
        spec = importlib.util.find_spec(name)
        assert spec is not None, name
        runs = Path(spec.origin or "")
        if spec.submodule_search_locations:
            runs = runs.with_name("__main__.py")
        assert '__name__ == "__main__"' in runs.read_text(encoding="utf-8"), name


def test_every_experiment_names_its_command_and_what_came_of_it() -> None:
    """Whoever reads it can try it again, and knows why it was kept or not."""
    _, _, text = page.PAGE.read_text(encoding="utf-8").partition("## Experiments\n")
    rows = [line for line in text.splitlines() if line.startswith("| ")][1:]
    for row in rows:
        empty, _, before, after, command, verdict, end = (cell.strip() for cell in row.split("|"))
        assert (empty, end) == ("", "")
        assert (bool(before), bool(after)) == (True, True), row
        assert re.fullmatch(r"`python -[mX] .+`", command), row
        assert re.fullmatch(r"kept(: .+)?|not kept: .+", verdict), row
    verdicts = {row.split("|")[-2].split()[0] for row in rows}
    assert verdicts == {"kept", "kept:", "not"}


def test_the_page_keeps_what_stands_outside_its_marks() -> None:
    """Its introduction, and the experiments, which are written by hand."""
    text = page.PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(page.BEGIN)
    _, _, after = rest.partition(page.END)
    written = page.between(text, "anything\n", page.PAGE.name)
    assert written == f"{before}{page.BEGIN}anything\n{page.END}{after}"
    assert "## Experiments\n" in after


def test_an_emulator_that_cannot_run_is_a_lost_row() -> None:
    """By its name, with the reason; where others use the network their packets are there too."""
    report = results.Report("startup", results.arguments("").parse_args([]), (), "")
    startup.in_the_emulator(report, {}, 1, alone=False)
    assert (report.value["tables"], report.value["lost"]) == (
        [],
        [{"name": "AWS's emulator", "why": "it wants a network of its own: unshare -n, ip"}],
    )


def test_what_a_bound_is_timed_with_is_the_most_that_it_allows() -> None:
    """One field more is refused; the file is as long as one may be, and nothing in it is valid."""
    assert spans_in(TWO_BYTES * MAX_FIELDS) == (0, frozenset())
    with pytest.raises(TooManyError):
        spans_in(TWO_BYTES * (MAX_FIELDS + 1))
    decoder = wire.Decoder(wire.MAX_FILE_BODY_BYTES)
    assert list(decoder.feed(claims(), settle=True)) == []
    assert decoder.garbage_bytes == wire.MAX_FILE_BODY_BYTES


def test_contestants_take_turns_in_an_order_of_each_round() -> None:
    """All in every round, no order for ever, and the same orders in the next run."""
    drawn = list(orders("abcd", 20))
    assert all(sorted(one) == list("abcd") for one in drawn)
    assert len({one[0] for one in drawn}) == 4
    assert drawn == list(orders("abcd", 20))


def test_the_exponent_of_growth_is_fitted_where_it_grows() -> None:
    """What an invocation costs in any case does not flatter it."""
    linear = [(size, 100 + size) for size in (1, 10, 100, 1000, 10_000, 100_000)]
    square = [(size, 100 + size**2) for size in (1, 10, 100, 1000)]
    assert exponent(linear) == pytest.approx(0.98, abs=0.03)
    assert exponent(square) == pytest.approx(2.0, abs=0.03)
