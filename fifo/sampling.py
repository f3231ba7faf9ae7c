"""Which traces are sampled: any of OpenTelemetry's samplers comes down to three bounds.

A trace is sampled where the last 8 bytes of its ID, as a number, are below the bound: the first
for a trace that begins here, the second where its caller has sampled it, the third where its
caller has not. 0 is none of them, 2**64 is all. Function and extension decide alike, and so does
a service whose sampler is ``traceidratio``. Sources: OpenTelemetry specification, "Trace SDK",
"TraceIdRatioBased" and "ParentBased"; the arithmetic is that of its SDK for Python.
"""

from fifo.propagation import SAMPLED

ALL = 1 << 64
NONE = 0

Bounds = tuple[int, int, int]
"""For a trace without a caller, with one that is sampled, and with one that is not."""


def is_sampled(bounds: Bounds, trace_id: bytes, caller_sampled: "bool | None") -> bool:
    """Whether a trace of this ID (16 bytes) is; `caller_sampled` None: it begins here."""
    bound = bounds[0 if caller_sampled is None else 1 if caller_sampled else 2]
    return int.from_bytes(trace_id[8:], "big") < bound


def told_flags(text: str, trace_id: bytes, caller_flags: "int | None") -> int:
    """The trace flags that others are told, by the bounds in the control FIFO's `text`.

    `caller_flags` None: the trace begins here. Bounds that are none leave the caller's word.
    """
    bounds = bounds_in(text)
    flags = SAMPLED if caller_flags is None else caller_flags & 0x03
    if bounds is None:
        return flags
    caller_sampled = None if caller_flags is None else bool(caller_flags & SAMPLED)
    sampled = is_sampled(bounds, trace_id, caller_sampled)
    return flags | SAMPLED if sampled else flags & ~SAMPLED


def text_of(bounds: "Bounds | None") -> str:
    """As the control FIFO has them: hexadecimal, commas between; "" for none."""
    return "" if bounds is None else ",".join(f"{bound:x}" for bound in bounds)


def bounds_in(text: str) -> "Bounds | None":
    """What `text_of` has written; None for anything else."""
    try:
        root, sampled, not_sampled = (int(part, 16) for part in text.split(","))
    except ValueError:
        return None
    return root, sampled, not_sampled
