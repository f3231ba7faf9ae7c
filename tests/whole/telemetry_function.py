"""A function without any writer, which ends as its event says."""

import os
import time


def handler(event, context):
    if event == "raise":
        raise ValueError("as asked")
    if event == "exit":
        os._exit(3)
    if event == "hang":
        time.sleep(60)
    time.sleep(0.05)
    return event
