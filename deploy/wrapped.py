"""The module that the runtime imports in place of the function's: `handler` is captured.

The function's own is found by the runtime's own code, so that every way of writing a handler is
read as without us, and what is wrong with it is told in the same words, in the same phase.
"""

import os
import sys
from importlib.machinery import PathFinder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def _leave() -> str:
    """The function's handler, put back where it stood: who looks there finds their own."""
    given, ours = os.environ["SPANPIPE_HANDLER"], f"{__name__}.handler"
    if os.environ.get("_HANDLER") == ours:
        os.environ["_HANDLER"] = given
    sys.argv[:] = [given if argument == ours else argument for argument in sys.argv]
    return given


def _give_way() -> None:
    """A module `fifo` of the function's own is what its ``import fifo`` finds; we have ours."""
    fifo = sys.modules["fifo"]
    ours, theirs = fifo.__file__, PathFinder.find_spec("fifo")
    if ours is None or theirs is None or theirs.origin is None:
        return
    if os.path.realpath(theirs.origin) != os.path.realpath(ours):
        for name in fifo.__all__:
            getattr(fifo, name)  # their modules are found now or never
        sys.modules["_spanpipe_fifo"] = fifo  # where `spanpipe` looks first
        for name in [name for name in sys.modules if name.partition(".")[0] == "fifo"]:
            del sys.modules[name]


def _found(handler: str) -> "Any":
    """What the runtime finds for `handler`; raises what it raises."""
    runtime = sys.modules["awslambdaric.bootstrap"]
    fault = runtime.FaultException
    try:
        return runtime._get_handler(handler)
    except fault:
        raise
    except Exception:  # noqa: BLE001 - told by the runtime's own code, without our frames
        kind, error, traceback = sys.exc_info()
        inner = traceback.tb_next if traceback is not None else None
        told = runtime.build_fault_result((kind, error, inner), None)
        raise fault(told["errorType"], told["errorMessage"], told["stackTrace"]) from None


def _captured(found: "Any", capture: "Any") -> "Any":
    if not callable(found):
        return found  # the runtime says so when it is invoked
    try:
        return capture(found)
    except Exception as error:  # noqa: BLE001 - a fault of ours is not the function's
        sys.stderr.write(f"spanpipe: warning: {error!r}; the function runs without spanpipe\n")
        return found


_capture = sys.modules["fifo.handler"].capture
_given = _leave()
_give_way()
handler = _captured(_found(_given), _capture)
