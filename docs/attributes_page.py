"""Writes `docs/attributes.md` from the table of attributes: ``make pages``.

A test fails when the page is stale.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from docs.attribute_table import (
    ATTRIBUTES,
    CONDITIONAL,
    CONVENTIONS,
    EVENTS,
    LEFT_OUT,
    METRICS,
    OURS,
    SCOPE,
    SPANS,
    Attribute,
    Level,
    Place,
)

PAGE = Path(__file__).with_name("attributes.md")

_TITLES = {
    Place.RESOURCE: "Resource",
    Place.INVOCATION: "Invocation span",
    Place.INIT: "Spans `init` and `restore`",
    Place.REPORT: "Span `report`",
    Place.USER: "Spans of the function",
    Place.EXCEPTION: "Event `exception`",
    Place.PARTIAL: "Event `spanpipe.partial_result`",
    Place.USER_EVENT: "Events of the function",
    Place.POINT: "Points of metrics",
}
_BEHIND = {
    Place.RESOURCE: "`resource.attributes` and OTEL_RESOURCE_ATTRIBUTES add the user's own, or "
    "replace these.",
    Place.USER: "Beside those that the function gives.",
    Place.USER_EVENT: "Beside those that the function gives.",
}
_UNNAMED = {
    Place.INVOCATION: "the function's or the trigger's",
    Place.USER: "any other",
    Place.USER_EVENT: "any other",
}


def page() -> str:
    """The whole page."""
    parts = [
        "<!-- Written by `make pages` from docs/attribute_table.py; a test fails when it is "
        "stale. -->",
        "# Attributes, events, spans and metrics",
        f"Names from OpenTelemetry's semantic conventions {CONVENTIONS}, or ours, which begin "
        f"`{OURS}`. Every span and metric stands in the scope `{SCOPE}` with our version; spans "
        "of an OpenTelemetry SDK in the function leave as they are, and are not told here. "
        "Requirement levels are the conventions' words: *conditionally required* is always there "
        "where its condition holds.",
        "## Spans",
        _table(
            ("name", "kind", "what it is", "from"),
            (
                (_code(one.name) or _UNNAMED[one.place], one.kind, one.brief, one.source)
                for one in SPANS
            ),
        ),
        "Links, from the caller's context where it is no parent, have no attributes.",
        "## Events",
        _table(
            ("name", "on", "what it is"),
            ((_code(one.name) or _UNNAMED[one.place], one.on, one.brief) for one in EVENTS),
        ),
        "## Metrics",
        "Where `signals.metrics` is on; delta temporality.",
        _table(
            ("name", "instrument", "unit", "counted where", "what it is"),
            (
                (_code(one.name), one.instrument, _code(one.unit), one.condition, one.brief)
                for one in METRICS
            ),
        ),
        *(part for place, title in _TITLES.items() for part in _section(place, title)),
        "## Values",
        _table(
            ("attribute", "values"),
            (
                (_code(one.name), ", ".join(map(_code, one.values)))
                for one in ATTRIBUTES
                if one.values
            ),
        ),
        "## On purpose otherwise",
        _table(
            ("attribute", "why"), ((_code(one.name), one.note) for one in ATTRIBUTES if one.note)
        ),
        "The conventions recommend these too; they are not sent:",
        _table(
            ("attribute or metric", "why"),
            ((_code(name), reason) for name, reason in LEFT_OUT.items()),
        ),
    ]
    return "\n\n".join(parts) + "\n"


def _section(place: Place, title: str) -> Iterator[str]:
    yield f"## {title}"
    yield _table(
        ("attribute", "type", "requirement", "from", "what it is", "whose"),
        (
            (
                _code(one.name),
                one.type,
                _level(one.at[place]),
                one.source,
                one.brief,
                _whose(one),
            )
            for one in ATTRIBUTES
            if place in one.at
        ),
    )
    if place in _BEHIND:
        yield _BEHIND[place]


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _level(level: Level) -> str:
    if not level.condition:
        return level.name
    only = "if and only if" if level.only and level.name == CONDITIONAL else "if"
    return f"{level.name}: {only} {level.condition}"


def _whose(one: Attribute) -> str:
    if one.name.startswith(OURS):
        return "spanpipe"
    return f"OpenTelemetry, {'stable' if one.stable else 'development'}"


def _code(text: str) -> str:
    return f"`{text}`" if text else ""


def main() -> None:
    """Write it."""
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
