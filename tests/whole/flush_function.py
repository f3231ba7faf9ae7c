"""Handlers that report in each of the ways there are."""

import json
import os
import subprocess

LINE = """f="$SPANPIPE_DIR/spanpipe-results.fifo"
[ -p "$f" ] && printf '{"request_id":"%s","payload":%s}\\n' "$id" "$json" 1<>"$f"
"""


def plain(event, context):
    return event


def by_line(event, context):
    environ = {**os.environ, "id": context.aws_request_id, "json": json.dumps(event)}
    subprocess.run(["sh", "-c", LINE], env=environ, check=True)
    return event


def by_file(event, context):
    path = os.path.join(os.environ["SPANPIPE_DIR"], context.aws_request_id)
    with open(path, "w") as stream:
        json.dump({"payload": event}, stream)
    return event
