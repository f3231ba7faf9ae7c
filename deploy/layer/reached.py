"""Which modules a program imports, by what its sources say (pure)."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping


def reached(sources: Mapping[str, bytes], root: str) -> set[str]:
    """Of `sources`, by dotted name, `root` and all that it imports, wherever the statement stands.

    A package is its ``__init__``. What is named by a string alone, or for type checkers, is not
    followed.
    """
    found: set[str] = set()
    waiting = [root]
    while waiting:
        name = waiting.pop()
        if name in sources and name not in found:
            found.add(name)
            waiting += [name.rpartition(".")[0], *_named(ast.parse(sources[name]))]
    return found


def _named(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (one.name for one in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
        yield from (node.module, *(f"{node.module}.{one.name}" for one in node.names))
    elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
        for other in node.orelse:
            yield from _named(other)
    else:
        for child in ast.iter_child_nodes(node):
            yield from _named(child)
