"""The figures at the end of a run: told one by one, asked for once; no I/O."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from spanpipe.run.report import duration_text


@dataclass(slots=True)
class _Figures:
    fates: Counter[str] = field(default_factory=Counter)
    durations_s: list[float] = field(default_factory=list)
    cold_count: int | None = None
    held_s: list[float] = field(default_factory=list)


class Summary:
    """What became of each function's invocations.

    `over` is told of each that is over, `held` of what the extension added to it: how long it kept
    the environment after the function's end, in seconds, as Lambda's
    PostRuntimeExtensionsDuration. `functions` has the names of which anything was told, those in
    `order` first.
    """

    def __init__(self, order: Iterable[str] = ()) -> None:
        self._by_function = {function: _Figures() for function in order}

    @property
    def functions(self) -> list[str]:
        """Names."""
        return [one for one in self._by_function if any(self.rows(one))]

    def over(
        self, function: str, fate: str, duration_s: float, cold_start: bool | None = None
    ) -> None:
        """An invocation is over. `cold_start` None: not known."""
        figures = self._of(function)
        figures.fates[fate] += 1
        figures.durations_s.append(duration_s)
        if cold_start is not None:
            figures.cold_count = (figures.cold_count or 0) + cold_start

    def held(self, function: str, seconds: float) -> None:
        """So long the extension held one of its invocations."""
        self._of(function).held_s.append(seconds)

    def rows(self, function: str) -> Iterator[tuple[str, str]]:
        """(Name, text) of each figure."""
        figures = self._of(function)
        if figures.fates:
            yield "fates", ", ".join(f"{n} {fate}" for fate, n in figures.fates.most_common())
            yield "duration", _spread(figures.durations_s)
        if figures.cold_count is not None:
            yield "cold starts", f"{figures.cold_count} of {figures.fates.total()}"
        if figures.held_s:
            yield "overhead", f"{_spread(figures.held_s)}, held by the extension after the end"

    def _of(self, function: str) -> _Figures:
        return self._by_function.setdefault(function, _Figures())


def quantile(values: Sequence[float], part: float) -> float:
    """The least of `values` that `part` of them (above 0, to 1) do not exceed: nearest rank."""
    return sorted(values)[math.ceil(part * len(values)) - 1]


def _spread(seconds: Sequence[float]) -> str:
    if len(seconds) == 1:
        return duration_text(seconds[0])
    return ", ".join(
        f"{name} {duration_text(quantile(seconds, part))}"
        for name, part in (("p50", 0.5), ("p99", 0.99))
    )
