"""How the environment came to be: init and restore, from the platform's events; no I/O."""

from __future__ import annotations

from exporter import attributes as names
from exporter.record import ChildSpan, Failure
from extension import platform_events as events
from extension.api import MANAGED_INSTANCES
from extension.attempt import Draw

ON_DEMAND = "on-demand"
PROVISIONED = "provisioned-concurrency"

INIT_LIMIT_NS = 10_000_000_000
"""Lambda's own for init: an INVOKE that comes later after it was not what caused the init."""
MAX_PHASES = 8
"""An environment has one or two; the sender is not trusted."""


class _Phase:
    __slots__ = ("duration_ms", "ended_unix_ns", "error_type", "failed", "started", "told")

    def __init__(self, started: events.PhaseStarted) -> None:
        self.started = started
        self.ended_unix_ns: int | None = None
        self.duration_ms: float | None = None
        self.failed = False
        self.error_type: str | None = None
        self.told = False

    @property
    def end_unix_ns(self) -> int | None:
        begin_ns = self.started.time_unix_ns
        if begin_ns is None:
            return None
        if self.duration_ms is not None:
            return begin_ns + int(self.duration_ms * 1_000_000)
        return self.ended_unix_ns


class Initialization:
    """Tell it what the platform says; take what belongs to the first invocation.

    `kind` is AWS_LAMBDA_INITIALIZATION_TYPE, `ready_unix_ns` when we first asked for an event.
    """

    def __init__(self, kind: str, ready_unix_ns: int) -> None:
        self.kind = kind
        self.ready_unix_ns = ready_unix_ns
        self._phases: list[_Phase] = []

    def note(self, event: events.PhaseStarted | events.PhaseEnded) -> bool:
        """An init or a restore began or ended; False for one phase too many, or an end alone."""
        if isinstance(event, events.PhaseStarted):
            if len(self._phases) >= MAX_PHASES:
                return False
            self._phases.append(_Phase(event))
            return True
        for phase in reversed(self._phases):
            if phase.started.name == event.name:
                if phase.ended_unix_ns is None:
                    phase.ended_unix_ns = event.time_unix_ns
                if event.duration_ms is not None:
                    phase.duration_ms = event.duration_ms
                phase.failed = phase.failed or event.status != events.SUCCESS
                phase.error_type = phase.error_type or event.error_type
                return True
        return False

    def take_children(self, draw: Draw) -> tuple[ChildSpan, ...]:
        """A span for each phase that is over and was not taken before."""
        taken: list[ChildSpan] = []
        for phase in self._phases:
            begin_ns, end_ns = phase.started.time_unix_ns, phase.end_unix_ns
            if phase.told or begin_ns is None or end_ns is None:
                continue
            phase.told = True
            attributes = {names.INIT_TYPE: phase.started.initialization_type or self.kind}
            if phase.started.phase:
                attributes[names.INIT_PHASE] = phase.started.phase
            failure = None
            if phase.failed:
                name = phase.started.name
                failure = Failure(phase.error_type or "Unknown", f"{name} failed")
            taken.append(
                ChildSpan(draw(8), None, phase.started.name, begin_ns, end_ns, attributes, failure)
            )
        return tuple(taken)

    @property
    def failed(self) -> bool:
        """Whether the newest phase failed."""
        return bool(self._phases) and self._phases[-1].failed

    @property
    def error_type(self) -> str | None:
        """Why the newest phase failed."""
        return self._phases[-1].error_type if self._phases else None

    @property
    def begin_unix_ns(self) -> int | None:
        """When the newest phase began."""
        return self._phases[-1].started.time_unix_ns if self._phases else None

    def is_proactive(self, invoked_unix_ns: int) -> bool:
        """Whether an on-demand environment was there before anybody asked for it.

        Lambda does not say so: the first INVOKE comes later than any init may take.
        """
        return self.kind == ON_DEMAND and invoked_unix_ns - self.ready_unix_ns > INIT_LIMIT_NS

    def cold_start(self, said: bool | None, *, proactive: bool) -> bool | None:
        """``faas.coldstart``: whether the caller waited for an init; `said` as far as we saw."""
        if self.kind in (PROVISIONED, MANAGED_INSTANCES) or proactive:
            return False
        return said
