"""What Python reads at its start, before any path of the function's is searched.

`wrap` puts this folder first in ``PYTHONPATH``; Lambda's runtime puts the function's package in
front only later. Here `fifo` is loaded from the layer, the runtime is pointed to our handler in
place of the function's, and every trace of that is taken back: a program that the function
starts, and a `sitecustomize` of somebody else's, find what they would without us.
"""

import os
import sys

NAME = "spanpipe_wrapped"
"""The module that the runtime is to import; a finder of ours answers for it, and no search."""

_START = os.path.dirname(os.path.abspath(__file__))
_LAYER = os.path.dirname(_START)


def _leave_paths() -> None:
    """This folder was for this file alone."""
    sys.path[:] = [path for path in sys.path if os.path.abspath(path) != _START]
    left = [
        path
        for path in os.environ.get("PYTHONPATH", "").split(os.pathsep)
        if path and os.path.abspath(path) != _START
    ]
    if left:
        os.environ["PYTHONPATH"] = os.pathsep.join(left)
    else:
        os.environ.pop("PYTHONPATH", None)


def _load_fifo() -> None:
    """From the layer's `python`, or beside this folder in a checkout. Raises ImportError."""
    for folder in (os.path.join(os.path.dirname(_LAYER), "python"), os.path.dirname(_LAYER)):
        if os.path.isfile(os.path.join(folder, "fifo", "handler.py")):
            break
    else:
        raise ImportError(f"there is no fifo beside {_LAYER}")
    sys.path.insert(0, folder)
    try:
        import fifo.handler  # noqa: F401 - `wrapped` finds it loaded
    except BaseException:
        for name in [name for name in sys.modules if name.partition(".")[0] == "fifo"]:
            del sys.modules[name]
        raise
    finally:
        sys.path.remove(folder)


class _Finder:
    """Answers for `NAME`, by absolute path."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> object:
        if name != NAME:
            return None
        from importlib.machinery import ModuleSpec, SourceFileLoader

        file = os.path.join(_LAYER, "wrapped.py")
        return ModuleSpec(NAME, SourceFileLoader(NAME, file), origin=file)


def _handler() -> tuple[str, bool]:
    """The runtime takes its handler from its argument (then True) or, in Lambda, ``_HANDLER``."""
    by_argument = len(sys.argv) > 1 and sys.orig_argv[-len(sys.argv)] == "awslambdaric"
    return sys.argv[1] if by_argument else os.environ.get("_HANDLER", ""), by_argument


def _point_to_us() -> None:
    handler, by_argument = _handler()
    if not handler or "fifo.handler" not in sys.modules:
        return
    sys.meta_path.insert(0, _Finder)  # type: ignore[arg-type]
    os.environ["SPANPIPE_HANDLER"] = handler
    if by_argument:
        sys.argv[1] = f"{NAME}.handler"
    else:
        os.environ["_HANDLER"] = f"{NAME}.handler"


_leave_paths()
try:
    if _handler()[0]:
        _load_fifo()
except Exception as error:  # noqa: BLE001 - whatever it is, the function runs
    sys.stderr.write(f"spanpipe: warning: {error}; the function runs without spanpipe\n")

# Python knows one `sitecustomize`: the one that this hides goes next. Where there is none, Python
# takes this ImportError as it would have without us. It still finds the function's own handler:
# OpenTelemetry's instrumentation wraps what ``_HANDLER`` names.
sys.modules.pop("sitecustomize", None)
try:
    import sitecustomize  # type: ignore[import-not-found]  # noqa: F401
finally:
    _point_to_us()
