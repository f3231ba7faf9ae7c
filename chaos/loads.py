"""More than the channel and the collector were made for."""

from __future__ import annotations

from chaos.bad_collectors import SLOW_S, url
from chaos.plan import Plan
from collectors.answering import Answer, AnsweringCollector

LARGE_BYTES = 6_000_000
SERIALISING_S = 0.150
"""No part of the writer's budget (design): 6 MB as JSON and into a file, on a busy core."""
SPANS = 3_000
SPAN_CALL_S = 0.000_040
"""What a span costs the function that opens it (`make bench`: 20 µs), on a busy core."""


def large_results(plan: Plan) -> None:
    """Results of 6 MB, of which the default limit captures 64 KiB."""
    plan.order["bytes"] = LARGE_BYTES


def large_captures(plan: Plan) -> None:
    """Results of 6 MB, all of it captured: that they are serialised twice is what was asked."""
    plan.latency_extra_s += SERIALISING_S
    plan.order["bytes"] = LARGE_BYTES
    plan.config["capture"] = {"max_body_bytes": 6_291_456}


def many_spans(plan: Plan) -> None:
    """Three thousand child spans in each invocation."""
    plan.order["spans"] = SPANS
    plan.latency_extra_s += SPANS * SPAN_CALL_S


def no_pause(plan: Plan) -> None:
    """Invocations as fast as they go, and a collector that takes 300 ms for each request."""
    collector = plan.stack.enter_context(
        AnsweringCollector(lambda number, size: Answer(delay_s=SLOW_S))
    )
    plan.arrivals = collector.arrivals.counts
    plan.export_to(url(collector.port))
