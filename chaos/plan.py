"""What the faults of a row change about an environment: each adds its part to one plan."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sandbox.environment import LambdaEnvironment

HTTP = "http/protobuf"
GRPC = "grpc"
TIMEOUT_S = 3.0
"""The function's; a tenth of it is what an export may hold `/next` in `end` and `auto`."""

Around = Callable[[LambdaEnvironment, int], AbstractContextManager[None]]
"""Given the environment and the invocation's index; it is entered before, left after it."""


class SkippedError(Exception):
    """This machine cannot make the fault; the text says what is missing."""


@dataclass(slots=True)
class Plan:
    """Made anew for each row; `stack` closes what the faults opened.

    The `without` in a name: it is done to the environment without us as well.
    """

    folder: Path
    random: random.Random
    count: int
    stack: ExitStack
    environ: dict[str, str] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    directory: Path | None = None
    """In place of the environment's own folder, for FIFOs and files."""
    extension_prefix: tuple[str, ...] = ()
    runtime_prefix: tuple[str, ...] = ()
    preamble: str = ""
    """Python that the extension's process runs first."""
    order: dict[str, Any] = field(default_factory=dict)
    """What the event of every invocation says."""
    order_of: list[Callable[[int], dict[str, Any]]] = field(default_factory=list)
    """And that of each."""
    around: list[Around] = field(default_factory=list)
    around_both: list[Around] = field(default_factory=list)
    arrivals: Callable[[], Counter[bytes]] | None = None
    """Invocation spans that the collector took, by span ID."""
    kills_extension: bool = False
    loses_spans: bool = False
    """Spans may be lost with what was killed, or could not be handed over."""
    latency_extra_s: float = 0.0
    held_extra_s: float = 0.0
    """What the fault itself costs: a stopped process is stopped."""

    def event(self, index: int) -> dict[str, Any]:
        """The event of one invocation; every tenth raises."""
        value = {"n": index, **self.order}
        if index % 10 == 9:
            value["raises"] = True
        for order_of in self.order_of:
            value.update(order_of(index))
        return value

    def nothing(self) -> AbstractContextManager[None]:
        """Around an invocation that is left alone."""
        return nullcontext()

    def export_to(self, endpoint: str, protocol: str = HTTP) -> None:
        """The collector's address."""
        self.environ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"] = endpoint
        self.environ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"] = protocol
