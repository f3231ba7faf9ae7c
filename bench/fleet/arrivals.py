"""Arrival rates and percentiles of what a receiver has seen; pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from bench.measure import percentile


@dataclass(frozen=True, slots=True)
class Rate:
    """Requests a second in a window: over all of it, and in its busiest tenth of a second."""

    count: int
    mean_per_s: float
    peak_per_s: float

    @property
    def peak_to_mean(self) -> float:
        """How many times its mean the receiver has to bear; 0.0 where nothing came."""
        return self.peak_per_s / self.mean_per_s if self.mean_per_s else 0.0


BIN_S = 0.1
"""A peak is counted over that long: what is shorter a receiver's queue takes."""


def counts_in_bins(
    times_s: Sequence[float], from_s: float, until_s: float, bin_s: float = BIN_S
) -> list[int]:
    """How many of `times_s` lie in each bin from `from_s` on; the last bin may be shorter."""
    counts = [0] * max(1, math.ceil(round((until_s - from_s) / bin_s, 9)))
    for time_s in times_s:
        if from_s <= time_s < until_s:
            # A time on a bin's edge may be a hair's breadth beyond the last.
            counts[min(int((time_s - from_s) / bin_s), len(counts) - 1)] += 1
    return counts


def rate(times_s: Sequence[float], from_s: float, until_s: float) -> Rate:
    """Of the requests at `times_s`, those from `from_s` until `until_s`."""
    counts = counts_in_bins(times_s, from_s, until_s)
    total = sum(counts)
    return Rate(total, total / (until_s - from_s), max(counts) / BIN_S)


def percentiles(values: Sequence[float], parts: Sequence[float]) -> tuple[float, ...]:
    """The value at each of `parts` (0 to 1); 0.0 where there are none."""
    ordered = sorted(values)
    return tuple(percentile(ordered, part) if ordered else 0.0 for part in parts)
