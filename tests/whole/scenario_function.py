"""The function of `scenario.json`: its event says how it ends."""

import time

from fifo import capture, emit, event, span


@capture
def handler(order, context):
    with span("work", {"id": order["id"]}):
        event("noted")
    if order.get("fail"):
        raise ValueError("as asked")
    if order.get("hang"):
        emit({"so far": order["id"]})
        time.sleep(order["hang"])
    return {"id": order["id"], "text": "x" * order.get("bytes", 0)}
