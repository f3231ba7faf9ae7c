"""What the loop hands over of the function's log: lines as they came, and whose they are."""

from __future__ import annotations

from exporter.record import Environment
from exporter.values import dataclass


@dataclass(frozen=True, slots=True)
class LogLine:
    """One ``function`` event of the Telemetry API: `event` is its JSON.

    `time_unix_ns` is the platform's. `request_id` is empty where nobody knows; `trace_id` (16
    bytes) and `span_id` (8) are the invocation's, both empty where there is none.
    """

    event: bytes
    time_unix_ns: int
    environment: Environment
    request_id: str = ""
    trace_id: bytes = b""
    span_id: bytes = b""


@dataclass(frozen=True, slots=True)
class SentLogs:
    """Of the lines that were lent, the first `done` are settled, `rejected` of them for good.

    `problem` is a line for the log.
    """

    done: int = 0
    rejected: int = 0
    problem: str = ""
