"""Whether an invocation failed: the one rule for its span's status, and for what depends on it."""

from __future__ import annotations

from collections.abc import Mapping

from exporter import attributes as names
from exporter.record import Fate, Invocation

FATE_ERROR_TYPES: Mapping[Fate, str] = {
    Fate.TIMED_OUT: "Sandbox.Timedout",
    Fate.CRASHED: "Runtime.ExitError",
    Fate.OUT_OF_MEMORY: "Runtime.OutOfMemory",
    Fate.INIT_FAILED: "Runtime.ExitError",
    Fate.RAISED: "Unknown",
}
"""``error.type`` where the record brings no failure of its own."""


def error_type(invocation: Invocation) -> str | None:
    """``error.type`` of its span, whose status is ERROR then; None where it has not failed."""
    if invocation.failure is not None:
        return invocation.failure.error_type
    if invocation.fate is Fate.RETURNED:
        status = invocation.attributes.get(names.HTTP_STATUS)
        return str(status) if type(status) is int and status >= 500 else None
    return FATE_ERROR_TYPES.get(invocation.fate)
