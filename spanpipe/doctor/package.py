"""A function's folder, before it is deployed: configuration, handler, names that hide ours."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

from extension.config import FILE_NAME, load
from extension.problems import shown
from spanpipe.doctor.findings import Finding, fine, found
from spanpipe.doctor.symptoms import SYMPTOMS

OURS = ("fifo", "spanpipe")
CAPTURE = "capture"
WRAPPER_VARIABLE = "AWS_LAMBDA_EXEC_WRAPPER"
MAX_SOURCE_BYTES = 4 * 1024 * 1024
_MAX_IMPORTS = 4
"""Modules that a handler is followed through."""


def package_findings(
    folder: Path, environ: Mapping[str, str], handler: str | None
) -> Iterator[Finding]:
    """What is right and wrong with the package in `folder`.

    `environ` is the function's: a wrapper in it captures any handler. Without `handler`, Lambda's
    ``module.function``, the code is not looked at.
    """
    yield from configuration_findings(environ, folder)
    hidden = [name for name in OURS if _hides(folder, name)]
    if handler is not None:
        yield from _handler(folder, environ, handler, hidden)
    elif hidden:
        # Who imports what is not known.
        for name in hidden:
            yield found(SYMPTOMS[f"{name}_shadowed"], f"{folder / name} hides the layer's")
    else:
        yield fine("names", f"nothing in {folder} is named fifo or spanpipe")


def configuration_findings(
    environ: Mapping[str, str], folder: Path, file: str | None = None
) -> Iterator[Finding]:
    """Each mistake of the configuration that a function in `folder` has."""
    config = load(environ, file, task_root=str(folder))
    for problem in config.errors:
        yield found(SYMPTOMS["configuration_broken"], str(problem))
    if config.errors:
        return
    yield fine("configuration", config.file or f"no {FILE_NAME}: the defaults")
    if config.settings.exporter is None:
        yield found(SYMPTOMS["export_disabled"], "OTEL_SDK_DISABLED=true")


def _hides(folder: Path, name: str) -> bool:
    """Whether ``import NAME`` finds something in `folder` that is not ours."""
    package = folder / name
    if (folder / f"{name}.py").is_file() and not package.is_dir():
        return True
    # A copy of ours in the package is ours.
    telling = {"fifo": "wire.py", "spanpipe": "cli.py"}[name]
    is_package = (package / "__init__.py").is_file()
    return is_package and not (package / telling).is_file() and not _hands_on(package)


def _hands_on(package: Path) -> bool:
    """The layer's `spanpipe`, which hands `fifo` on, and nothing else."""
    return CAPTURE in (package / "__init__.py").read_text(errors="replace") and not any(
        path.name != "__init__.py" for path in package.glob("*.py")
    )


def _handler(
    folder: Path, environ: Mapping[str, str], handler: str, hidden: list[str]
) -> Iterator[Finding]:
    module, _, name = handler.rpartition(".")
    if not module or not name:
        yield found(SYMPTOMS["handler_missing"], f"{shown(handler)} is not module.function")
        return
    look = _Look(folder)
    is_captured = look.captures(module, name)
    if look.problem is not None:
        yield look.problem
        return
    for one in hidden:
        if one in look.imported:
            yield found(SYMPTOMS[f"{one}_shadowed"], f"{folder / one} hides the layer's")
    wrapper = environ.get(WRAPPER_VARIABLE, "")
    if is_captured:
        yield fine("handler", f"{handler} is captured")
    elif wrapper.endswith("spanpipe/wrap"):
        yield fine("handler", f"{handler} is captured by {WRAPPER_VARIABLE}={shown(wrapper)}")
    else:
        yield found(SYMPTOMS["handler_not_captured"], f"{look.place}: {name}")


class _Look:
    """Follows a handler to where it is defined, without running anything.

    `imported` has our packages that the modules on the way import; `problem` is why it could not
    be found.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.imported: set[str] = set()
        self.place = ""
        self.problem: Finding | None = None

    def captures(self, module: str, name: str, left: int = _MAX_IMPORTS) -> bool:
        """Whether ``module.name`` is what `capture` has made."""
        tree = self._parsed(module)
        if tree is None:
            return False
        names = _Names(tree)
        self.imported |= names.ours
        bound = names.bound.get(name)
        if bound is None:
            seen = f"{self.place}: there is no {shown(name)}"
            self.problem = found(SYMPTOMS["handler_missing"], seen)
            return False
        if isinstance(bound, ast.ImportFrom):
            inner = next(one.name for one in bound.names if (one.asname or one.name) == name)
            is_here = bound.module is not None and not bound.level and left > 0
            return is_here and self.captures(str(bound.module), inner, left - 1)
        self.place = f"{self.place}:{bound.lineno}"
        return names.is_captured(bound)

    def _parsed(self, module: str) -> ast.Module | None:
        parts = module.replace("/", ".").split(".")
        base = self._folder.joinpath(*parts)
        for path in (base.with_name(f"{base.name}.py"), base / "__init__.py"):
            if path.is_file():
                break
        else:
            self.problem = found(
                SYMPTOMS["handler_missing"], f"{self._folder}: there is no module {shown(module)}"
            )
            return None
        self.place = str(path)
        try:
            with path.open("rb") as stream:
                return ast.parse(stream.read(MAX_SOURCE_BYTES), str(path))
        except (SyntaxError, ValueError, OSError) as error:
            line = getattr(error, "lineno", None)
            seen = f"{path}:{line}: {error}" if line else f"{path}: {error}"
            self.problem = found(SYMPTOMS["handler_unreadable"], shown(seen, 300))
            return None


_Binding = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Assign | ast.AnnAssign
_Bound = _Binding | ast.ImportFrom


class _Names:
    """What a module's own level binds, also inside ``if`` and ``try``; the last one counts."""

    def __init__(self, tree: ast.Module) -> None:
        self.bound: dict[str, _Bound] = {}
        self.ours: set[str] = set()
        self._captures: set[str] = set()
        self._modules: set[str] = set()
        self._take(tree.body)

    def is_captured(self, bound: _Bound) -> bool:
        """Whether `bound` is what `capture` has made: decorated, or called with a function."""
        value = getattr(bound, "value", None)
        if isinstance(value, ast.Name):
            other = self.bound.get(value.id)
            return other is not None and other is not bound and self._is_decorated(other)
        is_made = isinstance(value, ast.Call) and self.is_capture(value.func)
        return is_made or self._is_decorated(bound)

    def _is_decorated(self, bound: _Bound) -> bool:
        return any(self.is_capture(one) for one in getattr(bound, "decorator_list", ()))

    def is_capture(self, node: ast.expr) -> bool:
        """Whether `node` is our `capture`, by whatever name."""
        if isinstance(node, ast.Call):
            return self.is_capture(node.func)
        if isinstance(node, ast.Attribute):
            inner = node.value
            return (
                node.attr == CAPTURE and isinstance(inner, ast.Name) and inner.id in self._modules
            )
        return isinstance(node, ast.Name) and node.id in self._captures

    def _take(self, body: list[ast.stmt]) -> None:
        for node in body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                self.bound[node.name] = node
            elif isinstance(node, ast.Assign | ast.AnnAssign):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                for target in targets:
                    if isinstance(target, ast.Name):
                        self.bound[target.id] = node
            elif isinstance(node, ast.ImportFrom):
                self._take_import(node)
            elif isinstance(node, ast.Import):
                for one in node.names:
                    top = one.name.partition(".")[0]
                    if top in OURS:
                        self.ours.add(top)
                        self._modules.add(one.asname or top)
            else:
                for inner in ("body", "handlers", "orelse", "finalbody"):
                    for part in getattr(node, inner, ()):
                        self._take(part.body if isinstance(part, ast.ExceptHandler) else [part])

    def _take_import(self, node: ast.ImportFrom) -> None:
        top = (node.module or "").partition(".")[0]
        is_ours = not node.level and top in OURS
        if is_ours:
            self.ours.add(top)
        for one in node.names:
            self.bound[one.asname or one.name] = node
            if is_ours and one.name == CAPTURE:
                self._captures.add(one.asname or one.name)
