"""The function's side of spanpipe: ``from fifo import capture, span, event, emit, flush``.

Nothing is imported until it is used, so that the extension, which needs only the wire format
and the pipes, does not pay for the rest.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fifo.api import emit, event, flush, inject, span, traceparent
    from fifo.handler import capture
    from fifo.logging_filter import TraceFilter

__all__ = [
    "TraceFilter",
    "capture",
    "emit",
    "event",
    "flush",
    "inject",
    "span",
    "traceparent",
]

_PLACES = {
    "TraceFilter": "fifo.logging_filter",
    "capture": "fifo.handler",
    "emit": "fifo.api",
    "event": "fifo.api",
    "flush": "fifo.api",
    "inject": "fifo.api",
    "span": "fifo.api",
    "traceparent": "fifo.api",
}


def __getattr__(name: str) -> object:
    place = _PLACES.get(name)
    if place is None:
        raise AttributeError(f"module 'fifo' has no attribute {name!r}")
    module = __import__(place, fromlist=[name])
    value = getattr(module, name)
    globals()[name] = value
    return value
