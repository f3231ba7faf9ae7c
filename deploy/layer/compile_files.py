"""Byte code for one version of Python; run by that version's interpreter, with nothing else.

    python3.x -s -S compile_files.py SOURCES TARGET PREFIX < names

For each name below SOURCES, one a line, writes what goes into its folder's `__pycache__` below
TARGET. `PREFIX` and the name are what a traceback shows. Sources are not looked at when byte code
is loaded (PEP 552, unchecked): `/opt` is read-only, and unpacking gives files any time. Docstrings
stay in the sources: a fifth of the byte code, which every cold start would read.
"""

import ast
import importlib.util
import marshal
import os
import sys

UNCHECKED_HASH = (1).to_bytes(4, "little")
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def without_docstrings(source: bytes, shown_path: str) -> ast.Module:
    """The tree of `source`; unlike ``-OO`` this keeps its assertions."""
    tree = ast.parse(source, shown_path)
    for node in ast.walk(tree):
        if isinstance(node, _DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
            first = node.body[0]
            nothing = ast.copy_location(ast.Pass(), first)
            node.body[0:1] = [] if len(node.body) > 1 else [nothing]
    return tree


def byte_code(source: bytes, shown_path: str) -> bytes:
    """The whole content of a `.pyc`."""
    tree = without_docstrings(source, shown_path)
    code = compile(tree, shown_path, "exec", dont_inherit=True, optimize=0)
    # What this process has done before shows in the first serialising, as references between
    # objects that happened to be shared; it does not in that of the copy.
    copy = marshal.loads(marshal.dumps(code))  # noqa: S302 - our own, made in this line
    head = importlib.util.MAGIC_NUMBER + UNCHECKED_HASH + importlib.util.source_hash(source)
    return head + marshal.dumps(copy)


def main(sources: str, target: str, prefix: str) -> None:
    """Compile what standard input names."""
    for name in sys.stdin.read().splitlines():
        with open(os.path.join(sources, name), "rb") as file:
            data = byte_code(file.read(), prefix + name)
        folder, base = os.path.split(name)
        tag = sys.implementation.cache_tag
        made = os.path.join(target, folder, "__pycache__", f"{base[:-3]}.{tag}.pyc")
        os.makedirs(os.path.dirname(made), exist_ok=True)
        with open(made, "wb") as file:
            file.write(data)


if __name__ == "__main__":
    main(*sys.argv[1:])
