"""What is simulated, as data: one list of plans for each question that the page answers."""

from __future__ import annotations

from dataclasses import dataclass

from bench.fleet.environment import Load, Sending
from bench.fleet.receiver import HANGING, REFUSING, Capacity, Costs, Outage
from bench.fleet.run import Plan
from extension.settings import FLUSH_AUTO, FLUSH_END, FLUSH_NEXT, FlushSettings

BUSY = Load(gap_s=1.0)
RARE = Load(gap_s=20.0)
SHUTDOWN_SECONDS = 12.0
"""Of life before a SHUTDOWN that alone is looked at: two batches old."""
SHUTDOWN_FACTORS = (1, 2, 4, 6)
SPREADS_S = (0.1, 1.0, 10.0)
QUEUE_PARTS = (0.05, 0.4, 1.0)
OUTAGE_FROM_S = 20.0
OUTAGE_S = 40.0
AFTER_S = 60.0


@dataclass(frozen=True, slots=True)
class Scale:
    """What the command line says."""

    environments: int
    seconds: float
    seed: int
    costs: Costs
    cpus: int = 1


def _sending(mode: str, *, jitter: bool = True) -> Sending:
    return Sending(FlushSettings(mode=mode), jitter=jitter)


def lives(scale: Scale) -> list[Plan]:
    """A fleet's whole life in each flush mode, busy and rare."""
    return [
        Plan(
            f"{mode}, {name}",
            scale.environments,
            scale.seconds,
            Capacity(scale.costs, scale.cpus),
            scale.seed,
            load=load,
            sending=_sending(mode),
        )
        for name, load in (("busy", BUSY), ("rare", RARE))
        for mode in (FLUSH_AUTO, FLUSH_NEXT, FLUSH_END)
    ]


def shutdowns(scale: Scale) -> list[Plan]:
    """All get SHUTDOWN at once: more environments, and more time for it."""
    sizes = [(scale.environments * factor, SPREADS_S[0]) for factor in SHUTDOWN_FACTORS]
    sizes += [(sizes[-1][0], spread_s) for spread_s in SPREADS_S[1:]]
    return [
        Plan(
            f"{count} within {spread_s:g} s",
            count,
            SHUTDOWN_SECONDS,
            Capacity(scale.costs, scale.cpus),
            scale.seed,
            sending=_sending(FLUSH_AUTO),
            shutdown_spread_s=spread_s,
        )
        for count, spread_s in sizes
    ]


def queues(scale: Scale) -> list[Plan]:
    """SHUTDOWN before a sending queue that is too small, with jitter and without.

    The backend takes twice the spans that the fleet makes; the queue holds a part of what the
    fleet has waiting then.
    """
    spans_per_s = scale.environments * 4 / (BUSY.gap_s + BUSY.duration_s)
    waiting_spans = spans_per_s * FlushSettings().max_age_ms / 1000 / 2
    return [
        Plan(
            f"queue of {int(waiting_spans * part)} spans{'' if jitter else ', no jitter'}",
            scale.environments,
            SHUTDOWN_SECONDS,
            Capacity(
                scale.costs,
                scale.cpus,
                queue_spans=int(waiting_spans * part),
                drain_spans_per_s=2 * spans_per_s,
            ),
            scale.seed,
            sending=_sending(FLUSH_AUTO, jitter=jitter),
        )
        for part in QUEUE_PARTS
        for jitter in (True, False)
    ]


def outages(scale: Scale) -> list[Plan]:
    """The receiver is away for a while and comes back, with jitter and without."""
    until_s = OUTAGE_FROM_S + OUTAGE_S
    return [
        Plan(
            f"{kind}{'' if jitter else ', no jitter'}",
            scale.environments,
            until_s + AFTER_S,
            Capacity(scale.costs, scale.cpus),
            scale.seed,
            sending=_sending(FLUSH_AUTO, jitter=jitter),
            shutdown_spread_s=10.0,
            outages=(Outage(OUTAGE_FROM_S, until_s, kind),),
        )
        for kind in (REFUSING, HANGING)
        for jitter in (True, False)
    ]
