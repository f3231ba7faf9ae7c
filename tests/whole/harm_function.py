"""A function that harms its own extension, as its event says, and returns what it always does."""

import os
import signal

from fifo import capture, emit


@capture
def handler(order, context):
    for index in range(order.get("emits", 0)):
        if index == order.get("at"):
            os.kill(order["pid"], getattr(signal, order["signal"]))
        emit("y" * 4000)
    return {"answer": "x" * 20_000, "text": "ä€😀"}
