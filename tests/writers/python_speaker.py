"""What every writer's speaker says, said by the Python writer: the others are held to it.

``PREFIX COUNT BYTES (result|error) [step]``. Prints how many messages were dropped; with
``step``, after each invocation, a dot, and waits for a line.
"""

import json
import sys

from fifo import capture, emit, event, span
from fifo.current import process_writer


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
    writer = process_writer()
    counts = {"dropped": writer.dropped_count, "faults": writer.fault_count}
    sys.stdout.write(json.dumps(counts) + "\n")


main(*sys.argv[1:])
