"""One run: a fleet, its load and one receiver, from the first start to the last SHUTDOWN."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field

from bench.fleet.arrivals import Rate, percentiles, rate
from bench.fleet.clock import Clock
from bench.fleet.environment import Load, Sending, SimulatedEnvironment, Tally
from bench.fleet.receiver import Capacity, Outage, Receiver
from extension.loop import SHUTDOWN_WINDOW_S


@dataclass(frozen=True, slots=True)
class Plan:
    """`environments` start within `start_spread_s` and live for `seconds`, when all get SHUTDOWN
    within `shutdown_spread_s`. `spans_per_invocation`: its own and its children's.
    """

    name: str
    environments: int
    seconds: float
    capacity: Capacity
    seed: int
    load: Load = field(default_factory=Load)
    sending: Sending = field(default_factory=Sending)
    start_spread_s: float = 1.0
    shutdown_spread_s: float = 0.1
    outages: tuple[Outage, ...] = ()
    spans_per_invocation: int = 4


@dataclass(frozen=True, slots=True)
class Window:
    """A part of a run, seconds of its clock."""

    from_s: float
    until_s: float


@dataclass(slots=True)
class Run:
    """What became of a plan. Invocations are counted, not spans, but in `span_count`."""

    plan: Plan
    invoked: int
    arrived: int
    """At least once."""
    doubled: int
    """Arrivals beyond the first of each."""
    uncertain: int
    """Exports that were cut off after sending had begun, as the ledgers count them."""
    exported: int
    left_behind: int
    """In a `/tmp` that has gone; `fallback: stdout` would have printed them."""
    dropped: dict[str, int]
    lost: int
    """Of those left behind and dropped, what the receiver has not seen either."""
    unbalanced: int
    """Ledgers whose law does not hold: 0."""
    times_s: list[float]
    span_counts: list[int]
    statuses: list[int]
    held_s: list[float]
    delays_s: list[float]
    """From an invocation's end to its arrival."""
    busy_s: float
    longest_wait_s: float

    def rate(self, window: Window) -> Rate:
        """Requests that came in it."""
        return rate(self.times_s, window.from_s, window.until_s)

    @property
    def starting(self) -> Window:
        """The first ten seconds."""
        return Window(0.0, min(10.0, self.plan.seconds))

    @property
    def steady(self) -> Window:
        """From then on until SHUTDOWN."""
        return Window(min(10.0, self.plan.seconds / 2), self.plan.seconds)

    @property
    def ending(self) -> Window:
        """SHUTDOWN, for as long as it may last."""
        last_s = self.plan.seconds + self.plan.shutdown_spread_s + SHUTDOWN_WINDOW_S
        return Window(self.plan.seconds, last_s)

    def held_ms(self, *parts: float) -> tuple[float, ...]:
        """Percentiles of what an invocation pays for."""
        return tuple(1000 * value for value in percentiles(self.held_s, parts))


def simulate(plan: Plan) -> Run:
    """The same plan gives the same run, to the last figure."""
    clock, tally = Clock(), Tally()
    receiver = Receiver(clock, plan.capacity, plan.outages, plan.spans_per_invocation)
    fleet = []
    for index in range(plan.environments):
        # A text as seed: the same on every machine, and none of one run is another's neighbour.
        rng = random.Random(f"{plan.seed} {index}")  # noqa: S311 - it must be repeatable
        begin_s = rng.random() * plan.start_spread_s
        shutdown_s = plan.seconds + rng.random() * plan.shutdown_spread_s
        fleet.append(
            SimulatedEnvironment(
                clock, receiver, tally, plan.sending, plan.load, rng, begin_s, shutdown_s
            )
        )
    clock.run()
    dropped: Counter[str] = Counter()
    for one in fleet:
        dropped.update(one.ledger.invocations.dropped)
    invoked, arrived = len(tally.ended_s), len(receiver.arrivals)
    return Run(
        plan=plan,
        invoked=invoked,
        arrived=arrived,
        doubled=sum(receiver.arrivals.values()) - arrived,
        uncertain=sum(one.ledger.uncertain for one in fleet),
        exported=sum(one.ledger.invocations.exported for one in fleet),
        left_behind=sum(len(one.left_numbers) for one in fleet),
        dropped=dict(sorted(dropped.items())),
        lost=invoked - arrived,
        unbalanced=sum(not one.ledger.balanced for one in fleet),
        times_s=receiver.seen.times_s,
        span_counts=receiver.seen.span_counts,
        statuses=receiver.seen.statuses,
        held_s=tally.held_s,
        delays_s=[at_s - tally.ended_s[number] for number, at_s in receiver.arrived_s.items()],
        busy_s=receiver.busy_s,
        longest_wait_s=receiver.longest_wait_s,
    )
