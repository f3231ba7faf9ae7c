"""The fault plan of ``spanpipe run --faults``: YAML text in, `FaultPlan` out, every error at once.

    telemetry: {enabled: true, drop: 0.2, duplicate: 0.1, swap: 0.3, seed: 7}
    enforce_memory: true       # the function is killed over its memory, as Lambda does
    freeze_when_idle: true     # every process stopped whenever all wait
    invocations:               # by number, from 1: N, N-M, N- (to the end), every N
      2: {shutdown_after: spindown}
    collector:                 # what is answered to OTLP requests, by number
      1-3: {status: 503, retry_after_s: 1}

Every key is optional and has one meaning; `sandbox.faults` says which. Of several entries that
name a number the last in the file counts, and it alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from extension.problems import Problem, SourceError, shown
from extension.schema import Reading, Section
from extension.yaml_source import read
from sandbox.faults import (
    EXTENSION,
    FAILURE,
    RUNTIME,
    SPINDOWN,
    TIMEOUT,
    Answer,
    Entry,
    FaultPlan,
    InvocationFaults,
    Selector,
    TelemetryPlan,
)

MAX_MS = 900_000
"""Lambda's longest timeout."""
MAX_RETRY_AFTER_S = 3_600
MAX_REJECTED = 10_000
_SELECTOR = re.compile(r"(?P<first>[1-9]\d{0,8})(?P<to>-(?P<last>[1-9]\d{0,8})?)?")
_EVERY = re.compile(r"every (?P<step>[1-9]\d{0,8})")
_HEADER_VALUE = re.compile(r"[!-~]([ -~]{0,1022}[!-~])?")
"""What an HTTP header's value may be without quoting."""


class FaultFileError(Exception):
    """The plan cannot be used; `problems` has each mistake, in the file's order."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


def parse(text: str, file: str, environ: Mapping[str, str]) -> FaultPlan:
    """The plan in `text`, with ``${VAR}`` from `environ`. Raises FaultFileError.

    `file` is how the errors name it.
    """
    reading = Reading()
    try:
        root = read(text, file, environ, reading.problems)
    except SourceError as error:
        raise FaultFileError([error.problem]) from error
    plan = _plan(Section(root, "", reading), reading)
    if reading.problems:
        raise FaultFileError(sorted(reading.problems, key=lambda problem: problem.where))
    return plan


def _plan(top: Section, reading: Reading) -> FaultPlan:
    plan = FaultPlan(
        telemetry=_telemetry(top.section("telemetry")),
        enforce_memory=top.boolean("enforce_memory", False),
        freeze_when_idle=top.boolean("freeze_when_idle", False),
        invocations=_entries(top.section("invocations"), _faults, reading),
        collector=_entries(top.section("collector"), _answer, reading),
    )
    top.finish()
    if plan.of_invocation(1).retry:
        entry = next(one for one in reversed(plan.invocations) if 1 in one.selector)
        text = "nothing is before invocation 1; a retry's number is 2 at least"
        reading.problems.append(Problem(entry.place, f"{entry.path}.retry", text))
    return plan


def _telemetry(section: Section) -> TelemetryPlan:
    plan = TelemetryPlan(
        enabled=section.boolean("enabled", True),
        drop=section.number("drop", 0.0, 0.0, 1.0),
        duplicate=section.number("duplicate", 0.0, 0.0, 1.0),
        swap=section.number("swap", 0.0, 0.0, 1.0),
        seed=section.integer("seed", 0, 0, 2**32 - 1),
    )
    for key in ("drop", "duplicate", "swap", "seed"):
        if not plan.enabled and section.has(key):
            section.wrong_key(key, "says nothing where telemetry.enabled is false; leave one out")
    section.finish()
    return plan


def _faults(section: Section) -> InvocationFaults:
    faults = InvocationFaults(
        kill=section.choice("kill", "", (EXTENSION, RUNTIME)) or None,
        freeze_ms=section.integer("freeze_ms", 0, 1, MAX_MS),
        at_ms=section.integer("at_ms", 0, 0, MAX_MS),
        shutdown_after=section.choice("shutdown_after", "", (SPINDOWN, TIMEOUT, FAILURE)) or None,
        retry=section.boolean("retry", False),
        trace_header=_header(section, "trace_header"),
        tenant_id=_header(section, "tenant_id"),
    )
    _only_one(section, "kill", "freeze_ms")
    _only_with(section, "at_ms", "kill", "freeze_ms")
    return faults


def _answer(section: Section) -> Answer:
    answer = Answer(
        status=section.integer("status", 200, 201, 599),
        retry_after_s=_retry_after_s(section),
        rejected_spans=section.integer("rejected_spans", 0, 1, MAX_REJECTED),
        hang=section.boolean("hang", False),
        drop_connection=section.boolean("drop_connection", False),
        delay_ms=section.integer("delay_ms", 0, 1, MAX_MS),
    )
    _only_one(section, "status", "rejected_spans", "hang", "drop_connection")
    _only_one(section, "hang", "delay_ms")
    _only_with(section, "retry_after_s", "status")
    return answer


def _retry_after_s(section: Section) -> int | None:
    seconds = section.integer("retry_after_s", -1, 0, MAX_RETRY_AFTER_S)
    return seconds if seconds >= 0 else None


def _header(section: Section, key: str) -> str | None:
    """A text that goes into an HTTP header as it is."""
    text = section.text(key, None)
    if text is not None and not _HEADER_VALUE.fullmatch(text):
        section.wrong_key(key, "must be 1 to 1024 printable ASCII characters, no space around them")
        return None
    return text


def _only_one(section: Section, *keys: str) -> None:
    """Each of these says what happens: two of them cannot both."""
    first, *others = [key for key in keys if section.has(key)] or [""]
    for key in others:
        section.wrong_key(key, f"{first} and {key} exclude each other; keep one")


def _only_with(section: Section, key: str, *needed: str) -> None:
    if section.has(key) and not any(section.has(one) for one in needed):
        section.wrong_key(key, f"says nothing without {' or '.join(needed)}; add that or leave it")


def _entries(
    section: Section, read_one: Callable[[Section], InvocationFaults | Answer], reading: Reading
) -> tuple[Entry, ...]:
    entries = []
    for key, place in section.key_places():
        inner = section.section(key)
        value = read_one(inner)
        inner.finish()
        selector = _selector(key)
        path = section.path(shown(key))
        if isinstance(selector, str):
            reading.problems.append(Problem(place, path, selector))
        else:
            entries.append(Entry(selector, value, path, place))
    return tuple(entries)


def _selector(key: str) -> Selector | str:
    """What `key` selects, or what is wrong with it."""
    every = _EVERY.fullmatch(key)
    if every:
        step = int(every["step"])
        return Selector(step, None, step)
    found = _SELECTOR.fullmatch(key)
    if not found:
        return "selects nothing; write a number from 1, 3-5, 3- (to the end) or every 4"
    first = int(found["first"])
    last = int(found["last"]) if found["last"] else None if found["to"] else first
    if last is not None and last < first:
        return f"ends before it begins; write {last}-{first}"
    return Selector(first, last)
