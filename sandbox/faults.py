"""What is to go wrong in a run, as plain values: a plan for invocations and for the collector.

`sandbox.fault_file` reads it from YAML; who applies it looks up each number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from extension.problems import Place

EXTENSION = "extension"
RUNTIME = "runtime"
SPINDOWN = "spindown"
TIMEOUT = "timeout"
FAILURE = "failure"


@dataclass(frozen=True, slots=True)
class Selector:
    """Numbers from 1: `first`, then every `step` up to `last`; None: without end."""

    first: int
    last: int | None
    step: int = 1

    def __contains__(self, number: int) -> bool:
        beyond = self.last is not None and number > self.last
        return number >= self.first and not beyond and (number - self.first) % self.step == 0


@dataclass(frozen=True, slots=True)
class TelemetryPlan:
    """What becomes of the platform's events; `enabled` False: no Telemetry API, answer 202."""

    enabled: bool = True
    drop: float = 0.0
    duplicate: float = 0.0
    swap: float = 0.0
    seed: int = 0


@dataclass(frozen=True, slots=True)
class InvocationFaults:
    """What befalls one invocation.

    `kill` (EXTENSION or RUNTIME, SIGKILL) or `freeze_ms` (every process is stopped for so
    long) happens `at_ms` after it began, 0: before anybody hears of it. `shutdown_after` is
    the reason of a SHUTDOWN after it. `retry`: it has the event and the request ID of the one
    before.
    """

    kill: str | None = None
    freeze_ms: int = 0
    at_ms: int = 0
    shutdown_after: str | None = None
    retry: bool = False
    trace_header: str | None = None
    tenant_id: str | None = None

    def __str__(self) -> str:
        told = []
        if self.retry:
            told.append("a retry of the one before")
        if self.trace_header is not None:
            told.append(f"trace header {self.trace_header}")
        if self.tenant_id is not None:
            told.append(f"tenant {self.tenant_id}")
        if self.kill is not None:
            told.append(f"SIGKILL to the {self.kill} at {self.at_ms} ms")
        if self.freeze_ms:
            told.append(f"frozen for {self.freeze_ms} ms at {self.at_ms} ms")
        if self.shutdown_after is not None:
            told.append(f"SHUTDOWN ({self.shutdown_after}) after it")
        return ", ".join(told) or "nothing"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the collector answers to one request.

    The request is kept where `status` is 200, without its last `rejected_spans`. It is read
    whole and not kept where nothing is answered: `hang` waits until the client leaves,
    `drop_connection` closes. `delay_ms` passes before the answer; what is kept is kept by then.
    """

    status: int = 200
    retry_after_s: int | None = None
    rejected_spans: int = 0
    hang: bool = False
    drop_connection: bool = False
    delay_ms: int = 0

    @property
    def is_kept(self) -> bool:
        """Whether the collector has the request afterwards."""
        return self.status == 200 and not self.hang and not self.drop_connection

    def __str__(self) -> str:
        if self.hang:
            return "no answer"
        told = f"{self.status}"
        if self.retry_after_s is not None:
            told += f", Retry-After {self.retry_after_s} s"
        if self.rejected_spans:
            told += f", rejected spans: {self.rejected_spans}"
        if self.drop_connection:
            told = "connection dropped"
        return told + (f" after {self.delay_ms} ms" if self.delay_ms else "")


NO_FAULTS = InvocationFaults()
ACCEPTED = Answer()

_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the plan: which numbers, what for them, and where it stands in the file."""

    selector: Selector
    value: InvocationFaults | Answer
    path: str
    place: Place


@dataclass(frozen=True, slots=True)
class FaultPlan:
    """Everything that is to go wrong. Of several entries with a number the last counts alone."""

    telemetry: TelemetryPlan = field(default_factory=TelemetryPlan)
    enforce_memory: bool = False
    freeze_when_idle: bool = False
    invocations: tuple[Entry, ...] = ()
    collector: tuple[Entry, ...] = ()

    def of_invocation(self, number: int) -> InvocationFaults:
        """What befalls invocation `number`."""
        return _last(self.invocations, number, NO_FAULTS)

    def answer(self, number: int) -> Answer:
        """What the collector answers to request `number`."""
        return _last(self.collector, number, ACCEPTED)


def not_reached(entries: Sequence[Entry], count: int) -> list[Entry]:
    """Those of which no number from 1 to `count` is."""
    return [entry for entry in entries if entry.selector.first > count]


def _last(entries: Sequence[Entry], number: int, default: _Value) -> _Value:
    kind = type(default)
    for entry in reversed(entries):
        if number in entry.selector and isinstance(entry.value, kind):
            return entry.value
    return default
