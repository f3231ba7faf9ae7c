"""The faults: one table, name → what kind it is of and how it is made.

Two faults of different kinds can be combined; two of one kind would undo each other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from chaos import bad_collectors, clocks, disturbances, loads, places
from chaos.plan import Plan

COLLECTOR = "collector"
PLACE = "place"
EXTENSION = "extension"
FUNCTION = "function"
CLOCK = "clock"
LOAD = "load"


@dataclass(frozen=True, slots=True)
class Fault:
    """`make` adds the fault to a plan; it raises SkippedError where this machine cannot.

    `namespaces` are options of unshare(1): the row runs in namespaces of its own.
    `counts` bounds the invocations of a row, (quick, full), where each is dear.
    """

    kind: str
    make: Callable[[Plan], None]
    namespaces: tuple[str, ...] = ()
    counts: tuple[int, int] | None = None


FAULTS: Mapping[str, Fault] = {
    **{name: Fault(COLLECTOR, make) for name, make in bad_collectors.MAKERS.items()},
    "silent name server": Fault(COLLECTOR, bad_collectors.silent_name_server, ("-m", "-n")),
    "extension killed at random": Fault(EXTENSION, disturbances.kill_extension_at_random),
    "extension stopped at random": Fault(EXTENSION, disturbances.stop_extension_at_random),
    "descriptors exhausted in the extension": Fault(
        EXTENSION, disturbances.exhaust_extension_descriptors
    ),
    "function killed in mid-message": Fault(FUNCTION, disturbances.kill_function_in_mid_message),
    "function stopped at random": Fault(FUNCTION, disturbances.stop_function_at_random),
    "descriptors exhausted in the function": Fault(
        FUNCTION, disturbances.exhaust_function_descriptors
    ),
    "disk full": Fault(PLACE, places.disk_full, ("-m",)),
    "folder read-only": Fault(PLACE, places.read_only, ("-m",)),
    "no permission": Fault(PLACE, places.no_permission),
    "no room for a larger pipe": Fault(PLACE, places.no_larger_pipe),
    "clock an hour forward": Fault(CLOCK, clocks.forward),
    "clock an hour back": Fault(CLOCK, clocks.back),
    "clock to and fro": Fault(CLOCK, clocks.to_and_fro),
    "clock to and fro, libfaketime": Fault(CLOCK, clocks.by_libfaketime),
    "6 MB results": Fault(LOAD, loads.large_results),
    "6 MB results, captured": Fault(LOAD, loads.large_captures),
    "thousands of spans": Fault(LOAD, loads.many_spans),
    "slow collector, no pause": Fault(LOAD, loads.no_pause, counts=(200, 1000)),
}
