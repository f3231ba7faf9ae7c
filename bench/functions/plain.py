"""A handler that waits, as most do, and knows of no telemetry."""

import time


def handler(event, context):
    if event.get("ms"):
        time.sleep(event["ms"] / 1000)
    return {"ok": True, "order": 1234}
