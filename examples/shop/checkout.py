"""Answers HTTP, and puts a message into the queue for each item."""

import json
import os

import botocore.session

from fifo import capture, inject, span

sqs = botocore.session.get_session().create_client("sqs")


@capture
def handler(event, context):
    items = json.loads(event["body"])["items"]
    for item in items:
        headers = {}
        with span("send", {"item": item}):
            inject(headers)
            sqs.send_message(
                QueueUrl=os.environ["QUEUE_URL"],
                MessageBody=item,
                MessageAttributes={
                    name: {"DataType": "String", "StringValue": value}
                    for name, value in headers.items()
                },
            )
    return {"statusCode": 202, "body": json.dumps({"accepted": len(items)})}
