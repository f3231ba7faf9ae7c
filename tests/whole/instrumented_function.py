"""A function that knows nothing of OpenTelemetry: what is traced, the instrumentation traces."""

import os
import sqlite3

import botocore.session
import requests

import fifo

SERVER = os.environ["TEST_SERVER"]
session = requests.Session()
client = botocore.session.get_session().create_client(
    "dynamodb",
    endpoint_url=SERVER,
    region_name="eu-west-1",
    aws_access_key_id="key",
    aws_secret_access_key="secret",  # noqa: S106 - of nobody's
)


def handler(event, context):
    session.get(f"{SERVER}/found?of={event['number']}")
    session.get(f"{SERVER}/missing")
    client.describe_table(TableName="orders")
    with sqlite3.connect(":memory:") as database:
        cursor = database.cursor()
        cursor.execute("CREATE TABLE orders (id INTEGER, name TEXT)")
        cursor.executemany("INSERT INTO orders VALUES (?, ?)", [(1, "tea"), (2, "brot")])
        rows = cursor.execute("SELECT name FROM orders WHERE id > ?", (1,)).fetchall()
        try:
            cursor.execute("SELECT name FROM nowhere")
        except sqlite3.OperationalError:
            pass
    if event.get("exit"):
        os._exit(3)
    if event.get("fail"):
        raise ValueError("as asked")
    return rows


if os.environ.get("TEST_CAPTURE") == "inside":
    # As in a function's own source: the instrumentation wraps what is decorated.
    handler = fifo.capture(handler)
