"""How Sphinx makes a site of the Markdown in this repository: ``make docs``.

The pages are read where they lie, so that their links work here and on a forge. What is not
written for readers of the site has no place in NAVIGATION, and no page.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pygments.lexers.special import TextLexer

ROOT = Path(__file__).resolve().parents[2]

NAVIGATION = {
    "Begin": ("docs/quick-start", "docs/from-files-to-fifos", "README"),
    "Use": (
        "docs/deployment",
        "docs/backends",
        "docs/secrets",
        "docs/other-languages",
        "docs/opentelemetry",
        "docs/flush-modes",
        "docs/troubleshooting",
        "docs/fleet",
    ),
    "Look up": (
        "docs/configuration",
        "docs/attributes",
        "fifo/PROTOCOL",
        "writers/README",
        "docs/benchmarks",
        "bench/BASELINES",
    ),
    "How it is built": ("ARCHITECTURE", "SECURITY", "CONTRIBUTING", "CHANGELOG"),
}
"""Caption to pages; one that is not there is left out."""

PAGES = {
    caption: [page for page in pages if (ROOT / f"{page}.md").is_file()]
    for caption, pages in NAVIGATION.items()
}

project = "spanpipe"
extensions = ["myst_parser"]
root_doc = "docs/README"
include_patterns = [f"{root_doc}.md", *(f"{one}.md" for pages in PAGES.values() for one in pages)]
nitpicky = True

myst_heading_anchors = 4
"""As a forge makes them, so that links into pages are checked."""

html_theme = "furo"
html_title = "spanpipe"
html_extra_path = ["extra"]
html_copy_source = False
html_show_sphinx = False


def setup(app: Any) -> None:
    """Called by Sphinx."""
    # The lifecycle's drawing stays a text: what draws it would come from another's server.
    app.add_lexer("mermaid", TextLexer)
    app.connect("source-read", _with_navigation)


def _with_navigation(app: Any, page: str, source: list[str]) -> None:
    """The list of pages at the side, which a forge would show as code."""
    if page == root_doc:
        for caption, pages in PAGES.items():
            entries = "\n".join(f"/{one}" for one in pages)
            source[0] += f"\n```{{toctree}}\n:hidden:\n:caption: {caption}\n\n{entries}\n```\n"
