"""Draws the lifecycle's transition table into ARCHITECTURE.md: ``make diagram``.

A Mermaid state diagram, made from the table itself; a test fails when the drawing is stale.
"""

from __future__ import annotations

from pathlib import Path

from extension.transitions import TRANSITIONS, Action, State

PAGE = Path(__file__).resolve().parents[1] / "ARCHITECTURE.md"
BEGIN = "<!-- lifecycle: drawn by `make diagram` -->\n"
END = "<!-- end of lifecycle -->\n"


def draw() -> str:
    """The diagram; transitions that do nothing are left out, those alike are one arrow."""
    inputs: dict[tuple[State, State, Action], list[str]] = {}
    for (state, given), (following, action) in TRANSITIONS.items():
        if action is not Action.NONE:
            inputs.setdefault((state, following, action), []).append(given.value)
    lines = ["```mermaid", "stateDiagram-v2", f"    [*] --> {State.INVOKED.name}: INVOKE"]
    for (state, following, action), given in inputs.items():
        arrow = f"{state.name} --> {following.name}"
        lines.append(f"    {arrow}: {' or '.join(given)} / {action.value}")
    lines += [f"    {State.CLOSED.name} --> [*]", "```"]
    return "\n".join(lines) + "\n"


def with_drawing(page: str) -> str:
    """`page` with the drawing between its two marks. Raises ValueError where they are not there."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{PAGE.name} lacks {BEGIN.strip()} or {END.strip()}")
    return f"{before}{BEGIN}{draw()}{END}{after}"


def main() -> None:
    """Write it."""
    PAGE.write_text(with_drawing(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
