"""Decorators' small change: what `functools` and `typing` offer, without their import time."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# 3.14 evaluates annotations only when they are asked for, which may fail: `__annotate__` is
# how to hand them on unevaluated.
_COPIED = ("__module__", "__name__", "__qualname__", "__doc__", "__annotate__")
_EVALUATED = "__annotations__"


def like(decorated: "Any", function: "Any") -> "Any":
    """`decorated` with the names, the documentation and the attributes of `function`."""
    names = _COPIED if hasattr(function, "__annotate__") else (*_COPIED, _EVALUATED)
    for name in names:
        try:
            setattr(decorated, name, getattr(function, name))
        except (AttributeError, TypeError):
            pass
    decorated.__dict__.update(getattr(function, "__dict__", {}))
    decorated.__wrapped__ = function
    return decorated


def overload(function: "Any") -> "Any":
    """`typing.overload` at run time."""
    return function


def without_our_frame(error: BaseException) -> None:
    """Take the caller's own frame off the traceback; to be followed by a bare ``raise``.

    From 3.11 on a bare ``raise`` takes the traceback from the exception and adds no frame. On
    3.10 it goes by its own copy, and the frame stays.
    """
    traceback = error.__traceback__
    if traceback is not None:
        error.__traceback__ = traceback.tb_next
