"""What ``--faults`` names, read."""

from __future__ import annotations

import os
import random

from extension.config import text_of
from extension.problems import SourceError
from sandbox.fault_file import FaultFileError, parse
from sandbox.faults import FaultPlan, TelemetryPlan
from sandbox.telemetry import TelemetryFaults
from spanpipe.errors import CommandError


def fault_plan(file: str | None, endpoint: str | None) -> FaultPlan:
    """The plan in the file, an empty one without. Raises CommandError with every mistake."""
    if file is None:
        return FaultPlan()
    try:
        plan = parse(text_of(file), file, os.environ)
    except (SourceError, FaultFileError) as error:
        raise CommandError(f"{error}") from error
    if plan.collector and endpoint is not None:
        entry = plan.collector[0]
        raise CommandError(
            f"{entry.place}: {entry.path}: with --endpoint the collector is your own, "
            "and answers as it likes; leave the section collector or --endpoint out"
        )
    return plan


def telemetry_faults(plan: TelemetryPlan) -> TelemetryFaults:
    """What goes wrong on the way of the platform's events, drawn by the plan's seed."""
    drawn = random.Random(plan.seed)  # noqa: S311
    return TelemetryFaults(plan.drop, plan.duplicate, plan.swap, random=drawn)
