"""Collectors for benchmarks: each a process of its own, which takes nothing of the others."""

from __future__ import annotations

import contextlib
import multiprocessing
from collections.abc import Iterator
from multiprocessing.connection import Connection

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from collectors.ports import free_port
from sandbox.faults import Answer
from sandbox.receiver import Receiver

NEAR, FAR, HANGING, DEAD = "near", "20 ms away", "hanging", "dead"
"""Answers at once; 20 ms late, as over a kept connection to another region; never; not there."""
FAR_MS = 20
_COUNT = "count"
_ANSWERS = {NEAR: Answer(), FAR: Answer(delay_ms=FAR_MS), HANGING: Answer(hang=True)}


def _receive(pipe: Connection, answer: Answer) -> None:
    count = 0

    def counted(request: ExportTraceServiceRequest) -> None:
        nonlocal count
        count += sum(
            len(of_scope.spans)
            for of_resource in request.resource_spans
            for of_scope in of_resource.scope_spans
        )

    with Receiver(counted, answer_to=lambda number: answer, keeps=False) as receiver:
        pipe.send(receiver.http_endpoint)
        while pipe.recv() == _COUNT:
            pipe.send(count)


class Collector:
    """A receiver that runs; `endpoint` is for traces."""

    def __init__(self, answer: Answer) -> None:
        self._pipe, there = multiprocessing.Pipe()
        context = multiprocessing.get_context("spawn")
        self._process = context.Process(target=_receive, args=(there, answer), daemon=True)
        self._process.start()
        self.endpoint: str = self._pipe.recv()

    def span_count(self) -> int:
        """How many have come."""
        self._pipe.send(_COUNT)
        count: int = self._pipe.recv()
        return count

    def close(self) -> None:
        """End it."""
        with contextlib.suppress(OSError):
            self._pipe.send(None)
        self._process.join(5)
        self._process.kill()
        self._process.join()


@contextlib.contextmanager
def collector(kind: str) -> Iterator[str]:
    """The endpoint for traces of one that is NEAR, FAR, HANGING or DEAD."""
    if kind == DEAD:
        yield f"http://127.0.0.1:{free_port()}/v1/traces"
        return
    running = Collector(_ANSWERS[kind])
    try:
        yield running.endpoint
    finally:
        running.close()
