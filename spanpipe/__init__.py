"""`fifo` under another name, for a function that has a module `fifo` of its own."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fifo import TraceFilter, capture, emit, event, flush, inject, span, traceparent

__all__ = ["TraceFilter", "capture", "emit", "event", "flush", "inject", "span", "traceparent"]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'spanpipe' has no attribute {name!r}")
    import fifo

    return getattr(fifo, name)
