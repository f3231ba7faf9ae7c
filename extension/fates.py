"""How an invocation ended, from what the platform says of it: rules without state.

Sources: Telemetry API schema reference (``Status``, ``errorType``), Extensions API (SHUTDOWN's
reasons), and for memory what is known of each runtime: Lambda names ``Runtime.OutOfMemory``
for Python and Ruby, and for the others tells no more than that the runtime was killed with all
memory used (DataDog/datadog-lambda-extension, pull requests 776 and 1241).
"""

from __future__ import annotations

from collections.abc import Mapping

from exporter.record import Failure, Fate, Report
from extension import platform_events as events

End = tuple[Fate, Failure | None]

EXIT_ERROR = "Runtime.ExitError"
OUT_OF_MEMORY = "Runtime.OutOfMemory"
TIMED_OUT_ERROR = "Sandbox.Timedout"

TIMED_OUT: End = (
    Fate.TIMED_OUT,
    Failure(TIMED_OUT_ERROR, "the function reached its timeout"),
)
CRASHED: End = (Fate.CRASHED, Failure(EXIT_ERROR, "the runtime exited"))
_OUT_OF_MEMORY: End = (
    Fate.OUT_OF_MEMORY,
    Failure(OUT_OF_MEMORY, "the runtime was killed with all memory used"),
)
UNREPORTED: End = (Fate.UNREPORTED, None)
EXTENSION_KILLED: End = (
    Fate.CRASHED,
    Failure("Extension.Crash", "the extension was killed while it ran"),
)
"""What Lambda answers then."""

_BY_REASON: Mapping[str, End] = {
    "timeout": TIMED_OUT,
    "failure": CRASHED,
    # The emulator's name for a runtime that went away.
    "releasefail": CRASHED,
}

_EXIT_EXCEPTIONS = ("SystemExit",)
"""Raised by the handler, and yet the end of the runtime rather than an error it reports."""


def by_shutdown_reason(reason: str) -> End:
    """Of an attempt that was open at SHUTDOWN; `reason` in lower case, any other says nothing."""
    return _BY_REASON.get(reason, UNREPORTED)


def by_status(status: str, error_type: str | None) -> End:
    """Of an attempt that ``runtimeDone`` or ``report`` told the end of."""
    if status == events.SUCCESS:
        return Fate.RETURNED, None
    if status == events.TIMEOUT:
        return TIMED_OUT
    if error_type == OUT_OF_MEMORY:
        return _OUT_OF_MEMORY
    if status == events.FAILURE or error_type == EXIT_ERROR:
        return Fate.CRASHED, Failure(error_type or EXIT_ERROR, "the runtime exited")
    if status == events.ERROR:
        return Fate.RAISED, Failure(error_type or "Function.Error", "the handler raised")
    return UNREPORTED


def with_platforms_word(own: End, told: End) -> End:
    """The writer's end corrected by the platform's.

    The writer knows why, the platform whether the caller got an answer: a result that could
    not be sent is a failure, and so is an exception that ended the runtime.
    """
    fate, failure = own
    if told[1] is None or told[0] is fate:
        return own
    if fate is Fate.RETURNED:
        return told
    if fate is Fate.RAISED and told[0] is not Fate.RAISED and failure is not None:
        return told[0], Failure(told[1].error_type, f"{told[1].message}: {_said(failure)}")
    return own


def at_shutdown(end: End, reason: str) -> End:
    """The end that a writer told, once SHUTDOWN's reason is known too."""
    failure = end[1]
    if failure is not None and failure.error_type in _EXIT_EXCEPTIONS:
        return with_platforms_word(end, by_shutdown_reason(reason))
    return end


def is_final(end: End) -> bool:
    """Whether nothing more will be heard of it: after any other end SHUTDOWN follows at once."""
    fate, failure = end
    exits = failure is not None and failure.error_type in _EXIT_EXCEPTIONS
    return fate in (Fate.RETURNED, Fate.RAISED, Fate.UNREPORTED) and not exits


def with_memory(end: End, report: Report) -> End:
    """A crash with all memory used is one for want of memory."""
    used, size = report.memory_used_mb, report.memory_size_mb
    if end[0] is Fate.CRASHED and used is not None and size is not None and used >= size:
        return _OUT_OF_MEMORY
    return end


def init_failed(error_type: str | None, reason: str) -> End:
    """Of an invocation whose init failed; without an error type SHUTDOWN's reason decides."""
    if error_type is None:
        told = by_shutdown_reason(reason)[1]
        error_type = told.error_type if told is not None else EXIT_ERROR
    timed_out = error_type == TIMED_OUT_ERROR
    return Fate.INIT_FAILED, Failure(
        error_type, "init took too long" if timed_out else "init failed"
    )


def _said(failure: Failure) -> str:
    return f"{failure.error_type}: {failure.message}" if failure.message else failure.error_type
