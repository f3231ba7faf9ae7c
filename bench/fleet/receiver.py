"""The receiver as a model: processors with a queue before them, and a bounded queue behind.

A request waits for a processor, first come first served, and takes what was measured on a real
receiver. Then its spans must find room in the sending queue, which drains at the pace of the
backend; where there is none the answer is 503, as the Collector's. A request whose sender has
given up is served all the same: its bytes had been read.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from bench.fleet.clock import Clock

ACCEPTED = 200
UNAVAILABLE = 503

REFUSING = "refusing"
"""Answers 503 at once, as a load balancer without a target behind it does."""
HANGING = "hanging"
"""Takes requests and says nothing; what it took is gone."""


@dataclass(frozen=True, slots=True)
class Costs:
    """Processor seconds of a real receiver; `source` says where they are from."""

    request_s: float
    span_s: float
    connection_bytes: int
    source: str

    def of(self, span_count: int) -> float:
        """Of one request."""
        return self.request_s + span_count * self.span_s


@dataclass(frozen=True, slots=True)
class Outage:
    """From and until when (seconds of the run), and how: `REFUSING` or `HANGING`."""

    from_s: float
    until_s: float
    kind: str


@dataclass(frozen=True, slots=True)
class Capacity:
    """`queue_spans` wait at most for a backend that takes `drain_spans_per_s`."""

    costs: Costs
    cpus: int = 1
    queue_spans: int = 1_000_000
    drain_spans_per_s: float = 1_000_000.0


@dataclass(slots=True)
class Seen:
    """What came: a time for each request, its spans, and the answer that it got (0: none)."""

    times_s: list[float] = field(default_factory=list)
    span_counts: list[int] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)


class Receiver:
    """`spans_per_record`: of one invocation. Times are the clock's."""

    def __init__(
        self, clock: Clock, capacity: Capacity, outages: Sequence[Outage], spans_per_record: int
    ) -> None:
        self.seen = Seen()
        self.arrivals: dict[int, int] = {}
        """How often each invocation has arrived, by its number."""
        self.arrived_s: dict[int, float] = {}
        """When it did so first."""
        self.busy_s = 0.0
        self.longest_wait_s = 0.0
        self._clock = clock
        self._capacity = capacity
        self._outages = outages
        self._spans_per_record = spans_per_record
        self._free_at_s = [0.0] * capacity.cpus
        self._queued_spans = 0.0
        self._queued_at_s = 0.0

    def take(self, numbers: Sequence[int], answer: Callable[[int], None]) -> None:
        """A request with these invocations is here; `answer` is called with a status, or never."""
        now_s = self._clock.now_s
        index = len(self.seen.times_s)
        span_count = len(numbers) * self._spans_per_record
        self.seen.times_s.append(now_s)
        self.seen.span_counts.append(span_count)
        self.seen.statuses.append(0)
        for outage in self._outages:
            if outage.from_s <= now_s < outage.until_s:
                if outage.kind == REFUSING:
                    self.seen.statuses[index] = UNAVAILABLE
                    answer(UNAVAILABLE)
                return
        cost_s = self._capacity.costs.of(span_count)
        start_s = max(now_s, heapq.heappop(self._free_at_s))
        heapq.heappush(self._free_at_s, start_s + cost_s)
        self.busy_s += cost_s
        self.longest_wait_s = max(self.longest_wait_s, start_s - now_s)

        def finish() -> None:
            status = self._enqueue(numbers, span_count)
            self.seen.statuses[index] = status
            answer(status)

        self._clock.at(start_s + cost_s, finish)

    def _enqueue(self, numbers: Sequence[int], span_count: int) -> int:
        now_s = self._clock.now_s
        drained = (now_s - self._queued_at_s) * self._capacity.drain_spans_per_s
        self._queued_spans = max(0.0, self._queued_spans - drained)
        self._queued_at_s = now_s
        if self._queued_spans + span_count > self._capacity.queue_spans:
            return UNAVAILABLE
        self._queued_spans += span_count
        for number in numbers:
            self.arrivals[number] = self.arrivals.get(number, 0) + 1
            self.arrived_s.setdefault(number, now_s)
        return ACCEPTED
