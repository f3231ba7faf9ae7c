"""What can happen to an invocation and what is done about it: one table.

An *attempt* is one INVOKE delivery (on Managed Instances, where there is none, one START or
``platform.start``). It moves through four states::

    INVOKED   INVOKE came; nobody in the function has said anything
    RUNNING   START came: its IDs are adopted
    ENDED     its end is known; it is kept open for what is still on its way
    CLOSED    its one record is out; whatever comes now is late

Inputs are the function's messages, the platform's events, and the boundaries: the next INVOKE,
SHUTDOWN, SETTLE (all that was written before its end has been read, and the caller wants the
record now), and on Managed Instances the deadline and the end of the process that ran it.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping


class State(enum.Enum):
    """Where an attempt is."""

    # Each message is looked up in the table: `Enum`'s own hash is a call in Python.
    __hash__ = object.__hash__

    INVOKED = "invoked"
    RUNNING = "running"
    ENDED = "ended"
    CLOSED = "closed"


class Input(enum.Enum):
    """What can happen to an attempt."""

    __hash__ = object.__hash__

    START = "START"
    RESULT = "RESULT"
    ERROR = "ERROR"
    DETAIL = "SPAN, EVENT or PARTIAL"
    RUNTIME_DONE = "runtimeDone"
    REPORT = "report"
    SETTLE = "settle"
    NEXT_INVOKE = "next INVOKE"
    EXPIRED = "deadline over"
    GONE = "process gone"
    SHUTDOWN = "SHUTDOWN"


class Action(enum.Enum):
    """What is done about it."""

    ADOPT = "adopt START's IDs"
    RETURN = "note the result"
    RAISE = "note the error"
    ADD = "add the detail"
    END = "note the platform's end"
    PRESUME = "presume a crash"
    AMEND = "add what the platform tells"
    SUPPLEMENT = "send it after the record"
    EMIT = "emit the record"
    EMIT_UNREPORTED = "emit, end unknown"
    EMIT_TIMED_OUT = "emit, timed out"
    EMIT_BY_REASON = "emit, end by SHUTDOWN's reason"
    DUPLICATE = "count as duplicate"
    LATE = "count as late"
    NONE = "nothing"


_I, _A = Input, Action

_OPEN: Mapping[Input, tuple[State, Action]] = {
    _I.RESULT: (State.ENDED, _A.RETURN),
    _I.ERROR: (State.ENDED, _A.RAISE),
    _I.RUNTIME_DONE: (State.ENDED, _A.END),
    _I.REPORT: (State.ENDED, _A.END),
    _I.NEXT_INVOKE: (State.CLOSED, _A.EMIT_UNREPORTED),
    _I.EXPIRED: (State.CLOSED, _A.EMIT_TIMED_OUT),
    _I.GONE: (State.ENDED, _A.PRESUME),
    _I.SHUTDOWN: (State.CLOSED, _A.EMIT_BY_REASON),
}
"""While the end is not known."""

_ROWS: Mapping[State, Mapping[Input, tuple[State, Action]]] = {
    State.INVOKED: {
        **_OPEN,
        _I.START: (State.RUNNING, _A.ADOPT),
        _I.DETAIL: (State.INVOKED, _A.ADD),
        _I.SETTLE: (State.INVOKED, _A.NONE),
    },
    State.RUNNING: {
        **_OPEN,
        _I.START: (State.RUNNING, _A.DUPLICATE),
        _I.DETAIL: (State.RUNNING, _A.ADD),
        _I.SETTLE: (State.RUNNING, _A.NONE),
    },
    State.ENDED: {
        # A result by line or file may be read before the START that went another way.
        _I.START: (State.ENDED, _A.ADOPT),
        # The platform may tell an end sooner than the function's own words are read.
        _I.RESULT: (State.ENDED, _A.RETURN),
        _I.ERROR: (State.ENDED, _A.RAISE),
        _I.DETAIL: (State.ENDED, _A.ADD),
        _I.RUNTIME_DONE: (State.ENDED, _A.AMEND),
        _I.REPORT: (State.ENDED, _A.AMEND),
        _I.SETTLE: (State.CLOSED, _A.EMIT),
        _I.NEXT_INVOKE: (State.CLOSED, _A.EMIT),
        _I.EXPIRED: (State.CLOSED, _A.EMIT),
        _I.GONE: (State.ENDED, _A.NONE),
        _I.SHUTDOWN: (State.CLOSED, _A.EMIT),
    },
    State.CLOSED: {
        _I.START: (State.CLOSED, _A.LATE),
        _I.RESULT: (State.CLOSED, _A.LATE),
        _I.ERROR: (State.CLOSED, _A.LATE),
        _I.DETAIL: (State.CLOSED, _A.LATE),
        _I.RUNTIME_DONE: (State.CLOSED, _A.SUPPLEMENT),
        _I.REPORT: (State.CLOSED, _A.SUPPLEMENT),
        _I.SETTLE: (State.CLOSED, _A.NONE),
        _I.NEXT_INVOKE: (State.CLOSED, _A.NONE),
        _I.EXPIRED: (State.CLOSED, _A.NONE),
        _I.GONE: (State.CLOSED, _A.NONE),
        _I.SHUTDOWN: (State.CLOSED, _A.NONE),
    },
}

TRANSITIONS: Mapping[tuple[State, Input], tuple[State, Action]] = {
    (state, given): row[given] for state, row in _ROWS.items() for given in row
}
