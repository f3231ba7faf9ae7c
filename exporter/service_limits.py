"""What AWS's own OTLP endpoints take at most, by the name that their requests are signed for.

Source: Amazon CloudWatch User Guide, "OTLP endpoints", "Endpoint limits and restrictions", as of
November 2026. Megabytes and kilobytes are taken for the smaller ones, of ten.
"""

from __future__ import annotations

from exporter.settings import RequestLimits, SigV4Settings

XRAY = "xray"
LIMITS = {XRAY: RequestLimits(max_bytes=5_000_000, max_spans=10_000, max_span_bytes=200_000)}


def within(limits: RequestLimits, sigv4: SigV4Settings | None) -> RequestLimits:
    """`limits`, or the service's own where those are lower."""
    own = LIMITS.get(sigv4.service) if sigv4 is not None else None
    if own is None:
        return limits
    return RequestLimits(
        max_bytes=min(limits.max_bytes, own.max_bytes),
        max_spans=min(limits.max_spans, own.max_spans),
        max_span_bytes=min(limits.max_span_bytes, own.max_span_bytes),
    )
