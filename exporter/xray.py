"""What the X-Ray trace header names, as a link; a pure conversion.

``Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1``: parts in any
order, any of them missing, unknown ones (``Self``, ``Lineage``) beside them. Source: AWS X-Ray
developer guide, "Tracing header"; OpenTelemetry semantic conventions, "AWS Lambda": the
environment's context is a link, not a parent, unless it is asked for.
"""

from __future__ import annotations

from opentelemetry.trace import Link, SpanContext, TraceFlags

_ROOT_VERSION = "1"


def link(header: str | None) -> Link | None:
    """The span that `header` names; None where it names none."""
    if not header:
        return None
    pairs = (part.partition("=") for part in header.split(";"))
    parts = {name.strip(): value.strip() for name, equals, value in pairs if equals}
    version, _, rest = parts.get("Root", "").partition("-")
    trace_id = _number(rest.replace("-", ""), 32)
    span_id = _number(parts.get("Parent", ""), 16)
    if version != _ROOT_VERSION or not trace_id or not span_id:
        return None
    sampled = parts.get("Sampled") == "1"
    flags = TraceFlags(TraceFlags.SAMPLED if sampled else TraceFlags.DEFAULT)
    return Link(SpanContext(trace_id, span_id, is_remote=True, trace_flags=flags))


def _number(digits: str, count: int) -> int:
    """The number that exactly `count` hexadecimal digits write, else 0."""
    if len(digits) != count or not all(one in "0123456789abcdefABCDEF" for one in digits):
        return 0
    return int(digits, 16)
