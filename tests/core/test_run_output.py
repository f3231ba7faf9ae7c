"""What a run prints: figures, accounts, and lines that fit their width."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from rich.console import Console

from extension.ledger import Account
from spanpipe.errors import CommandError
from spanpipe.run import drawing
from spanpipe.run.env_file import parse
from spanpipe.run.report import Row
from spanpipe.run.shutdown_lines import ShutdownLines, figures
from spanpipe.run.summary import Summary, quantile
from spanpipe.run.viewing import has_browser
from spanpipe.run.waterfall import Branch, Tree, invocation_trees
from spanpipe.wording import counted
from tests.core.test_view_store import request, span

CONSOLE = Console(force_terminal=True)


def row(text: str) -> Row:
    return Row("f", "id", "span", 0.0, "returned", 0.0123, True, 2, True, text)


# Widths

NAMES = st.text("ab漢字 é·", max_size=60)
BRANCHES = st.builds(
    Branch,
    name=NAMES,
    function=NAMES,
    outcome=st.sampled_from(["", "returned", "out_of_memory", "error"]),
    depth=st.integers(0, 12),
    duration_s=st.floats(0, 900),
    start=st.floats(0, 1),
    width=st.floats(0, 1),
    links=st.lists(NAMES, max_size=2).map(tuple),
    links_cut=st.integers(0, 2),
    error=NAMES,
)
TREES = st.lists(BRANCHES, min_size=1, max_size=50).map(
    lambda branches: Tree("0" * 32, 1.0, len(branches), 3, tuple(branches))
)


@given(TREES, NAMES, st.integers(1, 200))
def test_nothing_is_wider_than_the_terminal(tree: Tree, text: str, width: int) -> None:
    """Whatever the names, in any script, and however narrow."""
    lines = [
        drawing.header(width),
        *drawing.row_lines(row(text), 1, CONSOLE, width),
        *drawing.branch_lines(tree, "█", width),
        *drawing.tree_lines(tree, "█", width),
    ]
    # A character of two cells does not fit into one.
    assert max(line.cell_len for line in lines) <= max(width, 2)


@given(st.text("ab漢 ", max_size=400), st.integers(20, 120))
def test_a_long_text_is_folded_and_nothing_of_it_lost(text: str, width: int) -> None:
    """In its column where that is wide enough, else below the row."""
    words = text.replace(" ", "")
    lines = list(drawing.row_lines(row(text), 1, CONSOLE, width))
    told = "".join(line.plain for line in lines).replace(" ", "")
    start = "1returned12.3mscold2"
    assert told[: len(start)] == start or width < 50
    assert told.endswith(words)


def test_a_count_has_its_noun() -> None:
    """In the singular for one alone."""
    assert [counted(count, "span") for count in (0, 1, 2)] == ["0 spans", "1 span", "2 spans"]


def test_a_pipe_has_no_width() -> None:
    """One line for a row, however long."""
    (line,) = drawing.row_lines(row("x" * 500), 7, CONSOLE, None)
    assert line.plain == f"   7  returned          12.3 ms  cold          2  {'x' * 500}"


def test_what_is_below_an_invocation_is_drawn() -> None:
    """Descendants in the order of time, an error below its span, no span without a length."""

    failed = Status(code=Status.STATUS_CODE_ERROR)
    inner = {"kind": Span.SPAN_KIND_INTERNAL}
    attributes = {"error.type": "Refused"}
    found = invocation_trees(
        request(
            span(1, 1, name="invoke", start_s=0, end_s=10),
            span(1, 3, parent=2, name="deep", start_s=6, end_s=7, **inner),
            span(
                1,
                2,
                parent=1,
                name="query",
                start_s=5,
                end_s=10,
                attributes=attributes,
                status=failed,
                **inner,
            ),
            span(1, 4, parent=1, name="point", start_s=5, end_s=5, **inner),
            span(1, 5, parent=9, name="other", start_s=0, end_s=10, **inner),
            span(1, 6, parent=3, name="deepest", start_s=6, end_s=7, **inner),
        )
    )
    ((_, tree),) = found.items()
    assert [line.plain for line in drawing.branch_lines(tree, "#", 60)] == [
        "        query        error           5000.0 ms        ######",
        "          error: Refused",
        "          deep                       1000.0 ms         #",
        "            deepest                  1000.0 ms         #",
    ]


# Figures


def test_a_summary_has_the_figures_of_each_function() -> None:
    """Fates by number, spreads of more than one, cold starts only where they are known;
    in the order that is given, without those that were never invoked."""
    summary = Summary(["a", "quiet", "b"])
    summary.over("b", "timeout", 12.0)
    for number in range(100):
        summary.over("a", "raised" if number < 3 else "returned", (number + 1) / 1000, number < 2)
    summary.held("a", 0.0004)
    assert (summary.functions, list(summary.rows("a")), list(summary.rows("b"))) == (
        ["a", "b"],
        [
            ("fates", "97 returned, 3 raised"),
            ("duration", "p50 50.0 ms, p99 99.0 ms"),
            ("cold starts", "2 of 100"),
            ("overhead", "0.4 ms, held by the extension after the end"),
        ],
        [("fates", "1 timeout"), ("duration", "12.00 s")],
    )


@given(st.lists(st.floats(0, 10), min_size=1), st.floats(0.01, 1))
def test_a_quantile_is_the_nearest_rank(values: list[float], part: float) -> None:
    """The least value that so many do not exceed."""
    found = quantile(values, part)
    assert sum(value <= found for value in values) >= part * len(values) * (1 - 1e-9)
    assert sum(value < found for value in values) < part * len(values) * (1 + 1e-9)


def test_the_account_is_summed_over_an_extensions_lives() -> None:
    """What one spools and the next recovers is one invocation; reasons are kept."""
    told = ShutdownLines()
    first = Account(accepted=3, exported=1, spooled=1, dropped={"sampled": 1}).text()
    second = Account(accepted=1, recovered=1, exported=2).text()
    assert [
        told.take("a", f"spanpipe: shutdown timeout: {first}; body bytes: accepted 9 = exported 9"),
        told.take("a", f"spanpipe: shutdown spindown: {second}; uncertain 1"),
        told.take(
            "b", "spanpipe: shutdown spindown: accepted 2 = exported 2 + waiting 0 + dropped 0"
        ),
        told.take("b", "spanpipe: info: shutdown soon"),
    ] == [True, True, True, False]
    assert told.account("a") == Account(accepted=4, exported=3, dropped={"sampled": 1})
    assert told.whole == Account(accepted=6, exported=5, dropped={"sampled": 1})
    assert (told.sampled_count, len(told.lines)) == (1, 3)
    assert figures(told.whole) == {"accepted": 6, "exported": 5, "waiting": 0, "dropped": 1}


# Variables


def test_an_env_file_is_read_as_others_read_it() -> None:
    """Comments, export, quotes, escapes, several lines, the last of a name, a byte order mark."""
    text = (
        "\ufeff# a comment\n\nexport A=1 # one\nB = two words \nC='$x # \\n'\nD=\"a\\nb\"\n"
        'E="first\nsecond"\nF=\nG=a=b#c\nA=2\r\n'
    )
    assert parse(text, "f") == {
        "A": "2",
        "B": "two words",
        "C": "$x # \\n",
        "D": "a\nb",
        "E": "first\nsecond",
        "F": "",
        "G": "a=b#c",
    }


def test_every_mistake_in_an_env_file_is_named_and_no_value_shown() -> None:
    """File and line; the rest of a line may be a secret."""
    text = 'A=1\n\n  \nhunter2\nhun ter2\n1hunter2=3\nB="hunter2\nC=\0\n'
    with pytest.raises(CommandError) as raised:
        parse(text, "f.env")
    quotes = (
        "cannot be read; write NAME=VALUE, and a value with blanks, # or quotes in it in quotes"
    )
    assert str(raised.value).splitlines() == [
        "f.env:4: there is no =; write NAME=VALUE, and # before a comment",
        f"f.env:5: {quotes}",
        "f.env:6: what is before the = is no variable's name: a letter or _, then letters, digits "
        "and _",
        f"f.env:7: {quotes}",
        "f.env:8: the value holds a NUL, which no variable can",
    ]


# The browser


@pytest.mark.parametrize("environ", [{}, {"TERM": "xterm", "DISPLAY": ""}])
def test_no_browser_is_looked_for_where_there_are_no_windows(environ: dict[str, str]) -> None:
    """A browser in the terminal would take it from the run."""
    assert has_browser(environ, "linux") is False
