"""What metrics need of a record: a few numbers, taken when it is finished; pure.

A record may wait long for its collector, and be dropped: it is measured before, once.
"""

from __future__ import annotations

from exporter.attributes import FAAS_TRIGGER
from exporter.record import Environment, Fate, Invocation, Record, Report
from exporter.values import dataclass

_BYTES_PER_MB = 1024 * 1024
OTHER = "other"
TRIGGERS = ("datasource", "http", "pubsub", "timer", OTHER)
"""The conventions' values of ``faas.trigger``."""


@dataclass(frozen=True, slots=True)
class Measure:
    """Of one record. `invoked` False: a report that came behind an invocation counted before.

    `trigger` is one of `TRIGGERS`; None where the record does not tell it.
    """

    environment: Environment
    invoked: bool
    trigger: str | None = OTHER
    duration_s: float | None = None
    failed: bool = False
    timed_out: bool = False
    cold_start: bool = False
    init_duration_s: float | None = None
    memory_used_bytes: int | None = None


def measure_of(record: Record) -> Measure | None:
    """The measure of `record`; None where it has nothing that is counted."""
    init_s, memory_bytes = _reported(record.report)
    if not isinstance(record, Invocation):
        if init_s is None and memory_bytes is None:
            return None
        return Measure(
            record.environment,
            invoked=False,
            trigger=None,
            init_duration_s=init_s,
            memory_used_bytes=memory_bytes,
        )
    # An end that nobody told has no duration.
    known = record.fate is not Fate.UNREPORTED
    duration_ns = record.end_unix_ns - record.start_unix_ns
    return Measure(
        record.environment,
        invoked=True,
        trigger=_trigger(record),
        duration_s=duration_ns / 1e9 if known else None,
        failed=record.failure is not None,
        timed_out=record.fate is Fate.TIMED_OUT,
        cold_start=bool(record.cold_start),
        init_duration_s=init_s,
        memory_used_bytes=memory_bytes,
    )


def _trigger(invocation: Invocation) -> str:
    """Never another value than the conventions': each one would begin a new series."""
    trigger = invocation.attributes.get(FAAS_TRIGGER)
    return trigger if isinstance(trigger, str) and trigger in TRIGGERS else OTHER


def _reported(report: Report | None) -> tuple[float | None, int | None]:
    if report is None:
        return None, None
    init_ms, used_mb = report.init_duration_ms, report.memory_used_mb
    return (
        None if init_ms is None else init_ms / 1000,
        None if used_mb is None else used_mb * _BYTES_PER_MB,
    )
