"""The function of every row: what it does and what it answers is in its event alone.

`captured` is with us, `plain` the same function without; their answers must be equal.
"""

from __future__ import annotations

import os
import signal
import threading
from typing import Any

from fifo import capture, emit, span
from fifo.current import process_writer

FRAMES_TEXT = "z" * 60_000
"""A message of many frames, so that a process can die between two of them."""


def handler(order: dict[str, Any], context: Any) -> dict[str, Any]:
    """Emit, open spans, die or raise as `order` says; else answer."""
    for _ in range(order.get("emits", 0)):
        emit("y" * 4000)
    for index in range(order.get("spans", 0)):
        with span("part", {"index": index}):
            pass
    if order.get("dies"):
        _die_in_mid_message()
    if order.get("tell"):
        print(f"{TOLD}{process_writer().policy.exporter_down}")
    if order.get("raises"):
        raise ValueError("as ordered")
    return {"n": order.get("n"), "text": "x" * order.get("bytes", 100), "utf8": "ä€😀"}


TOLD = "told: exporter_down "


def _die_in_mid_message() -> None:
    """Be killed while a thread of ours writes message after message."""
    writing = threading.Event()

    def write() -> None:
        while True:
            emit(FRAMES_TEXT)
            writing.set()

    threading.Thread(target=write, daemon=True).start()
    writing.wait()
    os.kill(os.getpid(), signal.SIGKILL)


captured = capture(handler)
plain = handler
