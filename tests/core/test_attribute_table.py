"""The table of attributes and the code: neither has a name that the other lacks."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from docs import attributes_page
from docs.attribute_table import ATTRIBUTES, EVENTS, LEFT_OUT, METRICS, SPANS, Place
from exporter import attributes as names
from extension.ledger import WAITING, Amount, Ledger

ROOT = Path(__file__).resolve().parents[2]
NOT_SENT = {
    "spanpipe.outcome": "an event on the wire alone: its attributes become the span's",
    "spanpipe.yaml": "the configuration's file",
    "spanpipe.silent": "a logger",
}
"""What looks like an attribute's name in the code and is none."""


def constants() -> set[str]:
    """All names in exporter/attributes.py."""
    found: set[str] = set()
    for name, value in vars(names).items():
        if isinstance(value, names.BodyNames):
            found |= {getattr(value, slot) for slot in value.__slots__}
        elif isinstance(value, str) and name.isupper() and name != "LEDGER_PREFIX":
            found.add(value)
    return found


def literals() -> set[str]:
    """Strings in the other modules that are names in a namespace of the table's."""
    namespaces = "|".join({one.name.partition(".")[0] for one in ATTRIBUTES})
    looks_like_one = re.compile(rf"({namespaces})(\.[a-z][a-z0-9_]*)+")
    found: set[str] = set()
    for package in ("fifo", "exporter", "extension", "spanpipe"):
        for path in set((ROOT / package).glob("*.py")) - {Path(names.__file__)}:
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                text = node.value if isinstance(node, ast.Constant) else None
                if isinstance(text, str):
                    # A literal object has its names in it.
                    parts = text.split('"') if text.startswith("{") else (text,)
                    found |= set(filter(looks_like_one.fullmatch, parts))
    return found - {value for one in ATTRIBUTES for value in one.values}


def test_the_code_sets_no_name_that_the_table_lacks_and_the_other_way_round() -> None:
    """A new attribute is one entry in docs/attribute_table.py; one that is gone leaves it."""
    of_ledger = {one.name for one in ATTRIBUTES if one.name.startswith(names.LEDGER_PREFIX)}
    flat = {one.name for one in ATTRIBUTES if one.name.endswith(".*")}
    rows = {one.name for one in (*ATTRIBUTES, *EVENTS, *METRICS) if one.name}
    in_code = constants() | literals()
    assert in_code - rows - set(NOT_SENT) == set()
    assert rows - of_ledger - flat - in_code == set()
    assert set(NOT_SENT) - in_code == set()


def test_the_ledgers_figures_are_the_tables() -> None:
    """Their names are made of the ledger's own."""
    ledger = Ledger()
    ledger.enter(Amount(1, 0))
    ledger.drop(Amount(1, 0), WAITING, "full")
    told = {names.LEDGER_PREFIX + name for name in ledger.told()}
    assert told == {one.name for one in ATTRIBUTES if one.name.startswith(names.LEDGER_PREFIX)}


def test_each_name_has_one_row() -> None:
    """With at least one place, a source and a sentence; what is left out has none."""
    rows = [one.name for one in ATTRIBUTES]
    assert sorted(set(rows)) == sorted(rows)
    assert [one.name for one in ATTRIBUTES if not (one.at and one.source and one.brief)] == []
    assert set(rows) & set(LEFT_OUT) == set()
    assert {place for one in ATTRIBUTES for place in one.at} | {Place.PLATFORM} == set(Place)
    assert {one.place for one in SPANS} | {one.place for one in EVENTS} | {
        Place.RESOURCE,
        Place.POINT,
    } == set(Place)


def test_the_page_is_the_table() -> None:
    """docs/attributes.md shows the table as it is: `make pages` writes it."""
    assert attributes_page.PAGE.read_text(encoding="utf-8") == attributes_page.page()
