"""A function that ends as its event says; `plain` has no writer. INIT_MODE fails its init."""

import os
import signal
import sys
import threading
import time

from fifo import capture, emit, span

INIT_MODE = os.environ.get("INIT_MODE")
if INIT_MODE == "import":
    import no_such_module  # noqa: F401
if INIT_MODE == "raise":
    raise LookupError("init raised")
if INIT_MODE == "exit":
    sys.exit(3)
if INIT_MODE == "hang":
    time.sleep(60)

RESULTS = os.path.join(os.environ.get("SPANPIPE_DIR", "/tmp"), "spanpipe-results.fifo")


def line(request_id, payload):
    """As a language without a writer would."""
    text = f'{{"request_id":"{request_id}","payload":{payload}}}\n'.encode()
    descriptor = os.open(RESULTS, os.O_WRONLY | os.O_NONBLOCK)
    os.write(descriptor, text)
    os.close(descriptor)


def plain(event, context):
    do = event["do"]
    if do == "raise":
        raise ValueError("as asked")
    if do == "hang":
        time.sleep(60)
    if do == "_exit":
        os._exit(5)
    if do == "exit":
        sys.exit(6)
    if do == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if do == "memory":
        hoard = []
        while True:
            hoard.append(bytearray(1024 * 1024))
            hoard[-1][::4096] = b"x" * 256
            time.sleep(0.0005)
    if do == "sleep":
        time.sleep(event["seconds"])
    return do


LATE = []


@capture
def handler(event, context):
    do = event["do"]
    for request_id in LATE:
        line(request_id, '"late"')
    LATE.clear()
    if do == "hang":
        with span("before"):
            emit("so far")
    if do == "twice":
        line(context.aws_request_id, '"first"')
    if do == "late":
        LATE.append(context.aws_request_id)
    if do == "unknown":
        line("of-nobody", "1")
    if do == "thread":
        threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
    return plain(event, context)


def either(event, context):
    """With a writer or without, as the event says."""
    return (handler if event.get("writer", True) else plain)(event, context)
