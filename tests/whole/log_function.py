"""Prints and logs, and may end badly afterwards."""

import json
import logging
import os
import sys

from fifo import TraceFilter, capture, span

logger = logging.getLogger()
logger.setLevel("INFO")


def say(*words):
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


say("in init")


@capture
def handler(event, context):
    say("plain", event["id"])
    logger.warning("warned %s", event["id"])
    with span("child"):
        record = logging.LogRecord("", 0, "", 0, "", (), None)
        TraceFilter().filter(record)
        own = {"trace_id": record.trace_id, "span_id": record.span_id}
    line = {"level": "ERROR", "message": "own", "password": "hunter2", "n": event["id"], **own}
    say(json.dumps(line))
    for index in range(event.get("flood", 0)):
        say("x" * 200, index)
    do = event.get("do")
    if do == "exit":
        say("last words")
        os._exit(3)
    while do == "hang":
        pass
    if do == "raise":
        raise ValueError("as asked")
