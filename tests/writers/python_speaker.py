"""What every writer's speaker says, said by the Python writer: the others are held to it.

``PREFIX COUNT BYTES (result|error) [step]``. Prints how many messages were dropped; with
``step``, after each invocation, a dot, and waits for a line.
"""

import json
import os
import sys

from fifo import current

BUDGET_S = 60.0
"""No machine is so busy; the budget has tests of its own."""

writer = current.Writer(os.environ["SPANPIPE_DIR"], environ=os.environ, budget_s=BUDGET_S)
current.made_writer = writer

from fifo import capture, emit, event, span  # noqa: E402 - with the writer above


class Context:
    memory_limit_in_mb = "128"
    invoked_function_arn = "arn:aws:lambda:eu-west-1:123456789012:function:shop"
    log_group_name = "/aws/lambda/shop"
    log_stream_name = "s"

    def __init__(self, request_id):
        self.aws_request_id = request_id

    def get_remaining_time_in_millis(self):
        return 1000


@capture
def handler(given, context):
    with span("work", {"n": given["id"]}):
        event("noted", {"ä": True})
    emit({"so far": given["id"]})
    if given["fail"]:
        raise ValueError("no such order: 3 €")
    return {"id": given["id"], "text": "x" * given["bytes"]}


def main(prefix, count, size, end, step=""):
    for number in range(int(count)):
        given = {"id": number, "bytes": int(size), "fail": end == "error"}
        try:
            handler(given, Context(f"{prefix}-{number}"))
        except ValueError:
            pass
        if step:
            sys.stdout.write(".\n")
            sys.stdout.flush()
            sys.stdin.readline()
    counts = {"dropped": writer.dropped_count, "faults": writer.fault_count}
    sys.stdout.write(json.dumps(counts) + "\n")


main(*sys.argv[1:])
