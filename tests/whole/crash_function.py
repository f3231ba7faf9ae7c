"""A function that kills the extensions of its own environment, at once."""

import os
import signal
import time
from pathlib import Path


def extension_pids():
    """Of the processes that talk to the same runtime API and are no runtime."""
    api = f"AWS_LAMBDA_RUNTIME_API={os.environ['AWS_LAMBDA_RUNTIME_API']}".encode()
    for path in Path("/proc").iterdir():
        try:
            is_ours = api in (path / "environ").read_bytes().split(b"\0")
            if is_ours and b"spanpipe_main.py" in (path / "cmdline").read_bytes():
                yield int(path.name)
        except OSError:
            continue


def handler(event, context):
    if event["do"] == "kill":
        for pid in extension_pids():
            os.kill(pid, signal.SIGKILL)
        time.sleep(60)
    return "fine"
