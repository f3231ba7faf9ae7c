"""`fifo` under another name, for a function that has a module `fifo` of its own."""

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType

    from fifo import TraceFilter, capture, emit, event, flush, inject, span, traceparent

__all__ = ["TraceFilter", "capture", "emit", "event", "flush", "inject", "span", "traceparent"]

_ASIDE = "_spanpipe_fifo"
"""Where ours is kept while ``fifo`` is the function's; `deploy/wrapped.py` keeps it there too."""


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'spanpipe' has no attribute {name!r}")
    found = sys.modules.get(_ASIDE) or _ours()
    return getattr(found, name)


def _ours() -> "ModuleType":
    """The `fifo` beside this package, whatever ``import fifo`` finds. Raises ImportError."""
    import os
    from importlib.util import find_spec

    folder = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    found = find_spec("fifo")
    ours = os.path.join(folder, "fifo", "__init__.py")
    if found is not None and os.path.realpath(found.origin or "") == os.path.realpath(ours):
        import fifo

        return fifo
    theirs = {name: sys.modules.pop(name) for name in _loaded()}
    sys.path.insert(0, folder)
    try:
        import fifo

        for name in fifo.__all__:
            getattr(fifo, name)  # their modules are found now or never
        sys.modules[_ASIDE] = fifo
        return fifo
    finally:
        sys.path.remove(folder)
        for name in _loaded():
            del sys.modules[name]
        sys.modules.update(theirs)


def _loaded() -> "list[str]":
    return [name for name in sys.modules if name.partition(".")[0] == "fifo"]
