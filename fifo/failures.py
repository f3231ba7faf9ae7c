"""What a raised error says of itself, whatever its own code does; no I/O."""

from fifo import encoding

_STACK_FRAMES = 50
"""The innermost frames of a trace that are kept: a RecursionError has a thousand."""


def failure_of(error: BaseException) -> bytes:
    """The encoded type, message and stack trace of `error`."""
    kind = type(error)
    name = kind.__qualname__
    if kind.__module__ not in ("builtins", "__main__"):
        name = f"{kind.__module__}.{name}"
    try:
        message = str(error)
    except Exception as inner:  # noqa: BLE001 - a hostile __str__ is the function's, not ours
        message = f"<str raised {type(inner).__name__}>"
    return encoding.encode_failure(name, message, _stack_trace(error))


def _stack_trace(error: BaseException) -> str:
    try:
        import traceback

        lines = traceback.format_exception(
            type(error), error, error.__traceback__, limit=-_STACK_FRAMES
        )
        return "".join(lines)
    except Exception as inner:  # noqa: BLE001 - a hostile exception is the function's, not ours
        return f"<no stack trace: {type(inner).__name__}>"
