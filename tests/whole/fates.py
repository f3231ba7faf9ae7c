"""Every fate of an invocation, and the invocation span that it gives: one table."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.whole.scenario import invocation_spans

MANAGED = "emulator, managed instances"

TIMED_OUT = {"code": 2, "message": "the function reached its timeout"}
EXITED = {"code": 2, "message": "the runtime exited"}
KILLED = {"code": 2, "message": "the runtime was killed with all memory used"}
RAISED = {"code": 2, "message": "the handler raised"}
INIT = {"code": 2, "message": "init failed"}
BAD = {"name": "exception", "attributes": {"exception.type": "ValueError"}}
VALUE_ERROR = {
    "name": "exception",
    "attributes": {
        "exception.type": "ValueError",
        "exception.message": "as asked",
        "exception.stacktrace": "(varies)",
    },
}
SYSTEM_EXIT = {
    "name": "exception",
    "attributes": {
        "exception.type": "SystemExit",
        "exception.message": "6",
        "exception.stacktrace": "(varies)",
    },
}
SO_FAR = {
    "name": "spanpipe.partial_result",
    "attributes": {
        "spanpipe.partial_result.index": "0",
        "spanpipe.result.content_kind": "json",
        "spanpipe.result.body": '"so far"',
        "spanpipe.result.truncated": False,
        "spanpipe.result.size_bytes": "8",
    },
}
BEFORE: dict[str, Any] = {
    "name": "before",
    "kind": 1,
    "status": {},
    "attributes": {},
    "events": [],
}


@dataclass(frozen=True)
class Told:
    """What a fate's invocation span tells, beside what all have in common."""

    fate: str
    error_type: str | None = None
    status: dict[str, Any] = field(default_factory=dict)
    body: str | None = None
    cold_start: bool = True
    events: tuple[dict[str, Any], ...] = ()
    children: tuple[dict[str, Any], ...] = ()


RETURNED = Told("returned", body='"fine"')
UNREPORTED = Told("unreported")


@dataclass(frozen=True)
class Case:
    """Events of one environment, and by place what their spans tell.

    `with_writer` False: the handler is not captured. `places` without an entry cannot produce
    this fate; where the platform tells nothing (no Telemetry API) less is known.
    `emulator_or` is what a race in the emulator makes of it at times.
    """

    does: tuple[str, ...]
    sandbox: tuple[Told, ...]
    emulator: tuple[Told, ...] | None = None
    managed: tuple[Told, ...] | None = None
    with_writer: bool = True
    init_mode: str = ""
    retried: bool = False
    names_out_of_memory: bool = True
    emulator_or: tuple[Told, ...] | None = None


def warm(told: Told) -> Told:
    """The same in an environment that has run before."""
    return Told(
        told.fate, told.error_type, told.status, told.body, False, told.events, told.children
    )


_RAISED = Told("raised", "ValueError", {"code": 2, "message": "as asked"}, events=(VALUE_ERROR,))
_TIMED_OUT = Told("timed_out", "Sandbox.Timedout", TIMED_OUT, events=(SO_FAR,), children=(BEFORE,))
_CRASHED = Told("crashed", "Runtime.ExitError", EXITED)
_EXITED = Told(
    "crashed",
    "Runtime.ExitError",
    {"code": 2, "message": "the runtime exited: SystemExit: 6"},
    events=(SYSTEM_EXIT,),
)
_MEMORY = Told("out_of_memory", "Runtime.OutOfMemory", KILLED)
_SILENT_TIMEOUT = Told("timed_out", "Sandbox.Timedout", TIMED_OUT)
_NO_MODULE = Told("init_failed", "Runtime.ImportModuleError", INIT)
_INIT_RAISED = Told("init_failed", "LookupError", INIT)
_INIT_EXITED = Told("init_failed", "Runtime.ExitError", INIT)
_INIT_TIMEOUT = Told(
    "init_failed", "Sandbox.Timedout", {"code": 2, "message": "init took too long"}
)


def body(told: Told, text: str) -> Told:
    """The same with another result."""
    return Told(told.fate, told.error_type, told.status, text, told.cold_start)


CASES: dict[str, Case] = {
    "returned": Case(
        ("fine", "fine"),
        (RETURNED, warm(RETURNED)),
        (RETURNED, warm(RETURNED)),
        (warm(RETURNED), warm(RETURNED)),
    ),
    "raised": Case(("raise",), (_RAISED,), (_RAISED,), (warm(_RAISED),)),
    "timed out": Case(
        ("hang", "fine"),
        (_TIMED_OUT, RETURNED),
        (_TIMED_OUT, RETURNED),
        (warm(_TIMED_OUT), warm(RETURNED)),
    ),
    "out of memory": Case(("memory", "fine"), (_MEMORY, RETURNED)),
    "out of memory, not named": Case(("memory",), (_MEMORY,), names_out_of_memory=False),
    "os._exit": Case(
        ("_exit", "fine"),
        (_CRASHED, RETURNED),
        (_CRASHED, RETURNED),
        # One process of several: its caller waits, and is told of a timeout.
        (warm(_SILENT_TIMEOUT), warm(RETURNED)),
    ),
    "sys.exit": Case(("exit", "fine"), (_EXITED, RETURNED), (_EXITED, RETURNED)),
    "killed by a signal": Case(
        ("kill", "fine"),
        (_CRASHED, RETURNED),
        (_CRASHED, RETURNED),
        (warm(_SILENT_TIMEOUT), warm(RETURNED)),
    ),
    "failed import": Case(
        ("fine", "fine"),
        (_NO_MODULE, _NO_MODULE),
        (_INIT_EXITED, _INIT_EXITED),
        init_mode="import",
    ),
    "failed init": Case(("fine",), (_INIT_RAISED,), (_INIT_EXITED,), init_mode="raise"),
    "exit in init": Case(("fine",), (_INIT_EXITED,), (_INIT_EXITED,), init_mode="exit"),
    "init timeout": Case(
        ("fine",),
        (_INIT_TIMEOUT,),
        (_INIT_TIMEOUT,),
        init_mode="hang",
        # SHUTDOWN's reason is "timeout", or "spindown" where the runtime's end was seen first.
        emulator_or=(_INIT_EXITED,),
    ),
    "no writer": Case(
        ("fine", "raise", "_exit", "hang", "fine"),
        (
            Told("returned"),
            warm(Told("raised", "ValueError", RAISED)),
            warm(_CRASHED),
            _SILENT_TIMEOUT,
            Told("returned"),
        ),
        (UNREPORTED, warm(UNREPORTED), warm(_CRASHED), _SILENT_TIMEOUT, UNREPORTED),
        with_writer=False,
    ),
    "no writer, nothing dies": Case(
        ("fine", "raise"),
        (Told("returned"), warm(Told("raised", "ValueError", RAISED))),
        (UNREPORTED, warm(UNREPORTED)),
        (
            warm(Told("returned")),
            # The emulator does not hand the function's own error type on.
            warm(Told("raised", "Runtime.Unknown", RAISED)),
        ),
        with_writer=False,
    ),
    "wrote twice": Case(
        ("twice",),
        (body(RETURNED, '"first"'),),
        (body(RETURNED, '"first"'),),
        (warm(body(RETURNED, '"first"')),),
    ),
    "wrote late": Case(
        ("late", "fine"),
        (body(RETURNED, '"late"'), warm(RETURNED)),
        (body(RETURNED, '"late"'), warm(RETURNED)),
    ),
    "wrote for an unknown request": Case(
        ("unknown",),
        (body(RETURNED, '"unknown"'),),
        (body(RETURNED, '"unknown"'),),
        (warm(body(RETURNED, '"unknown"')),),
    ),
    "a retry under the same request ID": Case(
        ("raise", "fine"), (_RAISED, warm(RETURNED)), retried=True
    ),
}

PLATFORM_SPANS = (
    "init",
    "restore",
    "responseLatency",
    "responseDuration",
    "runtimeOverhead",
    "extensionOverhead",
    "report",
)
"""Children that the platform's events give, where they come in time: compared by themselves."""


def spans_of(requests: list[Any]) -> list[dict[str, Any]]:
    """Invocation spans in order of start, without what differs from run to run."""
    spans = invocation_spans(requests)
    for span in spans:
        attributes = span["attributes"]
        for name in [one for one in attributes if one.startswith("spanpipe.report.")]:
            del attributes[name]
        for event in span["events"]:
            if "exception.stacktrace" in event["attributes"]:
                event["attributes"]["exception.stacktrace"] = "(varies)"
        span["children"] = [one for one in span["children"] if one["name"] not in PLATFORM_SPANS]
    return spans


def expected_span(told: Told, common: dict[str, Any], *, first: bool) -> dict[str, Any]:
    """The whole span; `common` has the resource and the attributes that all share."""
    attributes = {
        **common["attributes"],
        "spanpipe.fate": told.fate,
        "faas.coldstart": told.cold_start,
    }
    if first:
        attributes["spanpipe.init.type"] = common["initialization_type"]
    if told.error_type is not None:
        attributes["error.type"] = told.error_type
    if told.body is not None:
        attributes["spanpipe.result.content_kind"] = "json"
        attributes["spanpipe.result.body"] = told.body
        attributes["spanpipe.result.truncated"] = False
        attributes["spanpipe.result.size_bytes"] = str(len(told.body))
    return {
        "resource": common["resource"],
        "name": "function",
        "kind": 2,
        "status": told.status,
        "attributes": attributes,
        "events": list(told.events),
        "children": list(told.children),
    }
