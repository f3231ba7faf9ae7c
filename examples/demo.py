"""A handler for `make demo`: each event asks for one way to end."""

import time

from fifo import capture, event, span


@capture
def handler(order, context):
    with span("look up", {"order": order.get("id", 0)}):
        event("cache miss")
    if order.get("fail"):
        raise ValueError(f"no such order: {order['id']}")
    if order.get("hang"):
        time.sleep(order["hang"])
    return {"id": order["id"], "items": "x" * order.get("bytes", 2)}
