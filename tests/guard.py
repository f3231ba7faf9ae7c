"""A door before a receiver: what it does not let in is answered there, and recorded."""

from __future__ import annotations

import gzip
import threading
import time
from collections.abc import Callable, Mapping

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from exporter.values import dataclass
from sandbox.http_server import LoopbackServer, QuietHandler
from sandbox.receiver import TRACES_PATH, Receiver


@dataclass(frozen=True, slots=True)
class Request:
    """As it came: the body is not decompressed."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def plain_body(self) -> bytes:
        zipped = self.headers.get("Content-Encoding") == "gzip"
        return gzip.decompress(self.body) if zipped else self.body


Refusal = tuple[int, bytes]
Judge = Callable[[Request], Refusal | None]


class Guard(LoopbackServer):
    """Passes to `receiver` what `judge` has nothing against.

    `requests` are all that came and `statuses` their answers, in order; `changed` is notified. The
    answers' dates are `ahead_s` ahead.
    """

    def __init__(self, receiver: Receiver, judge: Judge, *, ahead_s: float = 0.0) -> None:
        self.requests: list[Request] = []
        self.statuses: list[int] = []
        self.changed = threading.Condition()
        guard = self

        class Handler(QuietHandler):
            def date_time_string(self, timestamp: float | None = None) -> str:
                return super().date_time_string((timestamp or time.time()) + ahead_s)

            def do_POST(self) -> None:
                request = Request(self.path, self.headers, self.read_body())
                refusal = judge(request)
                if refusal is None:
                    receiver.take(ExportTraceServiceRequest.FromString(request.plain_body))
                    refusal = 200, ExportTraceServiceResponse().SerializeToString()
                with guard.changed:
                    guard.requests.append(request)
                    guard.statuses.append(refusal[0])
                    guard.changed.notify_all()
                self.reply(*refusal)

        super().__init__(Handler)

    @property
    def endpoint(self) -> str:
        """The whole URL for traces."""
        return f"http://{self.address}{TRACES_PATH}"

    def wait_for(self, status: int, count: int, timeout_s: float) -> bool:
        """Whether `status` was answered `count` times within `timeout_s`."""
        with self.changed:
            return self.changed.wait_for(
                lambda: self.statuses.count(status) >= count, timeout=timeout_s
            )


def wants_header(name: str, value_now: Callable[[], str]) -> Judge:
    """401 for whatever has not the header with the value that counts now."""

    def judge(request: Request) -> Refusal | None:
        return None if request.headers.get(name) == value_now() else (401, b"who?")

    return judge
