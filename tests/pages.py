"""The Markdown of this repository as what can be checked: anchors, links and code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).resolve().parents[1]
_GLOBS = (
    *("*.md", "bench/*.md", "deploy/**/*.md", "docs/**/*.md", "examples/**/*.md", "fifo/*.md"),
    "writers/**/README.md",
)
_NOT_RUN = re.compile(r"<!-- not run: (.+?) -->")


@dataclass(frozen=True, slots=True)
class Code:
    """A block in the language that it names; `not_run` is why it cannot be run here, else ""."""

    page: str
    line: int
    language: str
    text: str
    not_run: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


@dataclass(frozen=True, slots=True)
class Link:
    """`target` as it is written."""

    page: str
    line: int
    target: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}: {self.target}"


def pages() -> list[Path]:
    """Every page that a reader may be sent to."""
    found = {path for glob in _GLOBS for path in ROOT.glob(glob)}
    return sorted(path for path in found if "node_modules" not in path.parts)


def blocks(*languages: str) -> list[Code]:
    """Every block of code in one of `languages`; all of them without."""
    found = [code for path in pages() for code in _blocks(path)]
    return [code for code in found if not languages or code.language in languages]


def links() -> list[Link]:
    """Every link and picture."""
    found = []
    for path in pages():
        for token, line in _inline(path):
            target = token.attrGet("href") if token.type == "link_open" else token.attrGet("src")
            if isinstance(target, str):
                found.append(Link(_name(path), line, target))
    return found


def inline_code() -> list[Link]:
    """Every piece of code inside of a sentence."""
    return [
        Link(_name(path), line, token.content)
        for path in pages()
        for token, line in _inline(path)
        if token.type == "code_inline"
    ]


def anchors(path: Path) -> set[str]:
    """The names of the headings, as forges make them."""
    found: set[str] = set()
    tokens = _tokens(path)
    for opening, inside in pairwise(tokens):
        if opening.type != "heading_open":
            continue
        words = "".join(
            one.content for one in inside.children or () if one.type in ("text", "code_inline")
        )
        plain = re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-")
        number, name = 0, plain
        while name in found:
            number += 1
            name = f"{plain}-{number}"
        found.add(name)
    return found


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@cache
def _tokens(path: Path) -> list[Token]:
    return MarkdownIt("commonmark").enable("table").parse(path.read_text(encoding="utf-8"))


def _blocks(path: Path) -> Iterator[Code]:
    not_run = ""
    for token in _tokens(path):
        if token.type == "html_block" and (found := _NOT_RUN.search(token.content)):
            not_run = found.group(1)
        elif token.type == "fence":
            line = (token.map or (0,))[0] + 1
            yield Code(_name(path), line, token.info.strip(), token.content, not_run)
            not_run = ""


def _inline(path: Path) -> Iterator[tuple[Token, int]]:
    line = 0
    for token in _tokens(path):
        if token.map:
            line = token.map[0] + 1
        for child in token.children or ():
            yield child, line
