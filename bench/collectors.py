"""OTLP receivers for benchmarks: each a process of its own, which takes nothing of the others."""

from __future__ import annotations

import contextlib
import multiprocessing
import socket
from collections.abc import Iterator
from multiprocessing.connection import Connection

from sandbox.faults import Answer
from sandbox.receiver import Receiver

NEAR, FAR, HANGING, DEAD = "near", "20 ms away", "hanging", "dead"
"""Answers at once; 20 ms late, as over a kept connection to another region; never; not there."""
FAR_MS = 20
_ANSWERS = {NEAR: Answer(), FAR: Answer(delay_ms=FAR_MS), HANGING: Answer(hang=True)}


def _receive(pipe: Connection, answer: Answer) -> None:
    with Receiver(answer_to=lambda number: answer, keeps=False) as receiver:
        pipe.send(receiver.http_endpoint)
        pipe.recv()


@contextlib.contextmanager
def collector(kind: str) -> Iterator[str]:
    """The endpoint for traces of one that is NEAR, FAR, HANGING or DEAD."""
    if kind == DEAD:
        # Bound and not listening: nobody else gets the port, and a connection is refused.
        with socket.socket() as held:
            held.bind(("127.0.0.1", 0))
            yield f"http://127.0.0.1:{held.getsockname()[1]}/v1/traces"
        return
    here, there = multiprocessing.Pipe()
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=_receive, args=(there, _ANSWERS[kind]), daemon=True)
    process.start()
    try:
        yield here.recv()
    finally:
        with contextlib.suppress(OSError):
            here.send(None)
        process.join(5)
        process.kill()
        process.join()
