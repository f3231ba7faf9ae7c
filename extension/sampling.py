"""Samplers as OpenTelemetry names them, and which records leave; pure.

The head's decision is the sampler's, from the trace ID and the caller's flag: it is what others
are told. The end is known before anything is exported, so what has failed may leave all the same.
"""

from __future__ import annotations

from exporter.record import Invocation, Record
from exporter.status import error_type
from extension.settings import SampleSettings
from fifo.sampling import ALL, NONE, Bounds, is_sampled

ALWAYS_ON: Bounds = (ALL, ALL, ALL)
ALWAYS_OFF: Bounds = (NONE, NONE, NONE)


def shown(sampler: Bounds | None) -> str:
    """`sampler` for whoever reads it: the part of the traces that each bound lets through."""
    if sampler is None:
        return "(everything)"
    root, sampled, not_sampled = (f"{bound / ALL:.12g}" for bound in sampler)
    if root == sampled == not_sampled:
        return f"{root} of all traces"
    return (
        f"{root} of traces that begin here, {sampled} of those with a sampled caller, "
        f"{not_sampled} of the others"
    )


def trace_id_ratio_based(ratio: float) -> Bounds:
    """`ratio` of all traces, 0 to 1, whatever their callers say."""
    bound = round(ratio * ALL)
    return bound, bound, bound


def parent_based(
    root: Bounds,
    remote_parent_sampled: Bounds = ALWAYS_ON,
    remote_parent_not_sampled: Bounds = ALWAYS_OFF,
) -> Bounds:
    """`root` for traces that begin here; else by the caller's flag. No parent is local here."""
    return root[0], remote_parent_sampled[1], remote_parent_not_sampled[2]


def leaves(sample: SampleSettings, record: Record) -> bool:
    """Whether `record` is exported.

    What came behind an invocation goes by the same facts as the invocation did. What belongs to
    none (an init that failed before any, others' spans from outside) is not sampled here.
    """
    if sample.sampler is None or not record.span_id:
        return True
    failed = error_type(record) is not None if isinstance(record, Invocation) else record.failed
    return (sample.on_error and failed) or is_sampled(
        sample.sampler, record.trace_id, record.caller_sampled
    )
