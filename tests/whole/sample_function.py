"""Answers with the headers that a call to another would carry, and the status that it is told."""

from fifo import capture, inject, span


@capture
def handler(event, context):
    if event["do"] == "raise":
        raise ValueError("as asked")
    with span("work"):
        headers = {}
        inject(headers)
    return {"statusCode": event.get("status", 200), "headers": headers}
