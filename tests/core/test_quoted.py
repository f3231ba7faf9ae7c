"""A figure in the pages is printed by a command that stands beside it, and is what it printed."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.quoted import GIVEN, PAGES, Quote, kept_figures, problem_of, quotes
from bench.results import ROOT, read_all
from tests.core.test_bench import CHANGELOG, a_part

PAGE = """\
# A page

It takes 1,234.5 µs, or 3 to
5 ms as a rule (`python -m bench.startup --runs 3`, `make layer`).
By 50 ms at most; 4 KiB, v1.2 ms_of 3 MB/s.

- an item of 2.5 × and 3 ×: `python -m bench.startup`
- another, 7 MB

| | of |
|---|---|
| a row | 64, 66 ms |
| a row with its own, `python -m chaos` | 9 ms |

Sizes: `python -m bench.layer`.

```sh
sleep 5 ms
```

## Experiments
| what | 1 ms |

## After
<!-- results: written -->
8 ms
<!-- end of results -->
9 MB
"""
KEPT = {
    "startup": a_part(
        tables=[
            {
                "title": "exec to ready",
                "columns": ["n", "p50 ms", "p50 × bare", "MB/s"],
                "rows": [["bare", 100, 7.514, 1.0, 5.0], ["ours", 100, "0.5, 1.2", 2.5, None]],
            }
        ]
    )
}
MISSING = "nothing is kept of"


def quote(text: str, *numbers: str, unit: str = "ms", is_range: bool = False) -> Quote:
    return Quote("a.md", 1, text, numbers, unit, is_range, ("bench.startup",))


def test_figures_are_found_with_the_commands_beside_them() -> None:
    """In paragraphs, items and rows; none in blocks of code, in what is written, or given."""
    found = [
        (one.line, one.text, one.numbers, one.unit, one.is_range, one.commands)
        for one in quotes("a.md", PAGE)
    ]
    startup, layer, chaos = ("bench.startup",), ("bench.layer",), ("chaos",)
    assert found == [
        (3, "1,234.5 µs", ("1,234.5",), "µs", False, (*startup, "layer")),
        (3, "3 to 5 ms", ("3", "5"), "ms", True, (*startup, "layer")),
        (7, "2.5 ×", ("2.5",), "×", False, startup),
        (7, "3 ×", ("3",), "×", False, startup),
        (8, "7 MB", ("7",), "MB", False, ()),
        (12, "64, 66 ms", ("64", "66"), "ms", False, layer),
        (13, "9 ms", ("9",), "ms", False, chaos),
        (28, "9 MB", ("9",), "MB", False, ()),
    ]


def test_figures_of_a_unit_are_found_in_what_is_kept() -> None:
    """By the unit of a column or a target; times in seconds, rates not taken for sizes."""
    assert kept_figures(KEPT["startup"], "µs") == pytest.approx([0.007514, 0.0005, 0.0012])
    assert kept_figures(KEPT["startup"], "×") == [1.0, 2.5, 3.2]
    assert kept_figures(KEPT["startup"], "MB") == []


@pytest.mark.parametrize(
    ("quoted", "problem"),
    [
        (quote("7.5 ms", "7.5"), ""),
        (quote("8 ms", "8"), ""),
        (quote("1 ms", "1"), ""),
        (quote("1.0 ms", "1.0"), "not among what is kept: 1.0"),
        (quote("7,500 µs", "7,500", unit="µs"), ""),
        (quote("9, 7.5 ms", "9", "7.5"), "not among what is kept: 9"),
        (quote("2 to 9 ms", "2", "9", is_range=True), ""),
        (quote("8 to 9 ms", "8", "9", is_range=True), "not among what is kept: 8 to 9 ms"),
        (Quote("a.md", 1, "9 MB", ("9",), "MB", False, ()), "no command beside it"),
        (Quote("a.md", 1, "9 MB", ("9",), "MB", False, ("chaos",)), ""),
        (
            Quote("a.md", 1, "9 MB", ("9",), "MB", False, ("bench.layer",)),
            f"{MISSING} python -m bench.layer",
        ),
    ],
    ids=lambda one: one.text if isinstance(one, Quote) else "",
)
def test_a_figure_is_held_to_what_its_command_printed(quoted: Quote, problem: str) -> None:
    """Within a tenth, as two runs differ; a range, where one lies in it."""
    assert problem_of(quoted, KEPT, CHANGELOG) == problem


def test_a_figure_of_old_code_is_to_be_taken_anew() -> None:
    """Older than the code by more than a release, as the results file itself."""
    old = {"startup": a_part(version="0.0.1", code_sha256="0" * 64)}
    changelog = "## 0.1.0\n## 0.0.9\n## 0.0.1\n"
    assert problem_of(quote("7.5 ms", "7.5"), old, changelog) == (
        "take it anew: python -m bench.startup"
    )


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_quoted_figure_is_what_its_command_printed(path: Path) -> None:
    """`python -m bench.quoted` lists them all; a figure that is a bound is GIVEN."""
    kept, changelog = read_all(), (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    page = str(path.relative_to(ROOT))
    problems = {
        f"{page}:{one.line}: {one.text}": problem
        for one in quotes(page, path.read_text(encoding="utf-8"))
        if (problem := problem_of(one, kept, changelog))
    }
    assert problems == {}


def test_what_is_given_stands_in_its_page() -> None:
    """No figure stays excused that no page has any more."""
    texts = {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in PAGES}
    everywhere = "\n".join(texts.values())
    for page, figures in GIVEN.items():
        missing = [one for one in figures if one not in texts.get(page, everywhere)]
        assert (page, missing) == (page, [])
