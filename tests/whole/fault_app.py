"""A function for fault plans: `handler` has a writer, `plain` has none; the event says what."""

import os
import threading
import time

from fifo import capture

STALL_S = 0.15
"""A gap in a clock that ticks every few milliseconds: this process was stopped."""
LONGEST_STALL = [0.0]
MARK = os.path.join(os.environ.get("TMPDIR", "/tmp"), "mark")


def tick():
    last_s = time.monotonic()
    while True:
        time.sleep(0.005)
        now_s = time.monotonic()
        LONGEST_STALL[0] = max(LONGEST_STALL[0], now_s - last_s)
        last_s = now_s


threading.Thread(target=tick, daemon=True).start()


def plain(event, context):
    do = event.get("do")
    if do == "mark":
        known = os.path.exists(MARK)
        open(MARK, "w").close()
        return "here before" if known else "new here"
    if do == "hang":
        time.sleep(60)
    if do == "hoard":
        hoard = []
        while True:
            hoard.append(b"x" * 1024 * 1024)
    if do == "stalled":
        return "stopped" if LONGEST_STALL[0] > STALL_S else "ran on"
    if do == "until stalled":
        until_s = time.monotonic() + 5
        while LONGEST_STALL[0] < STALL_S and time.monotonic() < until_s:
            time.sleep(0.01)
        return "stopped" if LONGEST_STALL[0] > STALL_S else "ran on"
    return event


@capture
def handler(event, context):
    return plain(event, context)
