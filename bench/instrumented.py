"""The function of `bench.otel`: one call over HTTP and a few queries, as many a handler does."""

from __future__ import annotations

import os
import sqlite3

import requests

session = requests.Session()
database = sqlite3.connect(":memory:")


def handler(event, context):
    session.get(os.environ["BENCH_SERVER"]).close()
    cursor = database.cursor()
    for number in range(event["queries"]):
        cursor.execute("SELECT ?, 'tea'", (number,)).fetchall()
    cursor.close()
    return {"ok": True}
