"""`spanpipe run --functions`: functions that call one another, shown as one tree."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from sandbox.receiver import Receiver
from tests.whole.test_run import ROOT, spanpipe

SHOP = str(ROOT / "examples" / "shop" / "functions.yaml")
CHAIN = [
    ("front", "front"),
    ("POST checkout", "front"),
    ("POST", "checkout"),
    ("send", "checkout"),
    ("worker", "worker"),
    ("pack", "worker"),
]


def shop(tmp_path: Path, items: list[str], *arguments: str) -> tuple[list[Any], dict[Any, str]]:
    """(Spans as OTLP JSON, the function of each by its span ID)."""
    event = json.dumps({"items": items})
    output = ("--output", "json")
    done = spanpipe(tmp_path, "run", "--functions", SHOP, "--event", event, *output, *arguments)
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[-1] == "3 invoked, 3 received, 0 lost"
    spans, functions = [], {}
    for line in done.stdout.splitlines():
        for resource_spans in json.loads(line)["resourceSpans"]:
            attributes = resource_spans["resource"]["attributes"]
            found = {one["key"]: one["value"] for one in attributes}
            for scope_spans in resource_spans["scopeSpans"]:
                for span in scope_spans["spans"]:
                    spans.append(span)
                    functions[span["spanId"]] = found["faas.name"]["stringValue"]
    return [one for one in spans if one["name"] != "init"], functions


def chain_to(last: str, spans: list[Any], functions: dict[Any, str]) -> list[tuple[str, str]]:
    """The (name, function) of the span `last` and of all above it, the uppermost first."""
    by_id = {span["spanId"]: span for span in spans}
    (span,) = [one for one in spans if one["name"] == last]
    found = []
    while span is not None:
        found.append((span["name"], functions[span["spanId"]]))
        span = by_id.get(span.get("parentSpanId", ""))
    return found[::-1]


def test_the_printed_tree(tmp_path: Path) -> None:
    """One trace over three functions: names indented by parent, whose they are, fate and bar."""
    arguments = ("run", "--functions", SHOP, "--event", '{"items": ["tea"]}')
    done = spanpipe(tmp_path, *arguments, environ={"PYTHONIOENCODING": "utf-8"})
    assert done.returncode == 0, done.stderr
    head, *rest = done.stdout.splitlines()
    rows, figures, total = rest[:9], rest[9:-1], rest[-1]
    assert re.fullmatch(r"trace [0-9a-f]{32}  [\d.]+ m?s, 9 spans, 3 functions", head)
    cells = [re.fullmatch(r"( +)(.+?)  +(\w+)  (.{13})  .{7,} m?s  +█+", row) for row in rows]
    assert all(cells), rows
    found = [(len(cell[1]) // 2, cell[2], cell[3], cell[4].strip()) for cell in cells if cell]
    assert [one for one in found if one[1] != "init"] == [
        (1, "front", "front", "returned"),
        (2, "POST checkout", "front", ""),
        (3, "POST", "checkout", "returned"),
        (4, "send", "checkout", ""),
        (5, "worker", "worker", "returned"),
        (6, "pack", "worker", ""),
    ]
    shown = [re.sub(r"[\d.]+ m?s", "T", line) for line in figures]
    assert shown == [
        line
        for function in ("front", "checkout", "worker")
        for line in (
            function,
            "  fates        1 returned",
            "  duration     T",
            "  cold starts  1 of 1",
            "  overhead     T, held by the extension after the end",
        )
    ] + ["ledger       accepted 3 = exported 3 + waiting 0 + dropped 0"]
    assert total == "3 invoked, 3 received, 0 lost"
    assert "\x1b" not in done.stdout


@pytest.mark.parametrize("propagators", ["tracecontext,baggage", "xray", "b3", "b3multi"])
def test_http_to_sqs_to_worker_is_one_trace(tmp_path: Path, propagators: str) -> None:
    """By every propagator: each invocation hangs under the span that called it."""
    spans, functions = shop(tmp_path, ["tea"], "--env", f"OTEL_PROPAGATORS={propagators}")
    assert len({span["traceId"] for span in spans}) == 1
    assert chain_to("pack", spans, functions) == CHAIN
    assert len(spans) == len(CHAIN)


def test_a_batch_of_two_has_links(tmp_path: Path) -> None:
    """The worker's trace is its own, with a link to each of the spans that sent a message."""
    spans, functions = shop(tmp_path, ["tea", "milk"])
    (worker,) = [span for span in spans if span["name"] == "worker"]
    sent = [span for span in spans if span["name"] == "send"]
    links = {(link["traceId"], link["spanId"]) for link in worker["links"]}
    assert links == {(span["traceId"], span["spanId"]) for span in sent}
    assert len(links) == 2
    assert chain_to("worker", spans, functions) == [("worker", "worker")]
    assert worker["traceId"] not in {span["traceId"] for span in sent}


FAILING = """
import json, os, urllib.error, urllib.request
from fifo import capture

@capture
def front(event, context):
    statuses = []
    for path in ("raise", "none", "binary?a=1&a=2"):
        try:
            with urllib.request.urlopen(os.environ["BACK"] + path) as response:
                statuses.append((response.status, response.read().decode("latin-1")))
        except urllib.error.HTTPError as error:
            statuses.append((error.code, ""))
    target = {"X-Amz-Target": "AmazonSQS.SendMessage"}
    body = {"QueueUrl": os.environ["JOBS"], "MessageBody": "job"}
    send = urllib.request.Request(os.environ["JOBS"], json.dumps(body).encode(), target)
    urllib.request.urlopen(send).close()
    return statuses

@capture
def back(event, context):
    if event["rawPath"] == "/raise":
        raise ValueError("no")
    if event["rawPath"] == "/none":
        return {"got": event["requestContext"]["http"]["method"]}
    given = event["queryStringParameters"]
    return {"statusCode": 201, "body": "AP8=", "isBase64Encoded": given == {"a": "1,2"}}

@capture
def worker(event, context):
    (record,) = event["Records"]
    receives = int(record["attributes"]["ApproximateReceiveCount"])
    if receives < 3:
        raise RuntimeError(f"receive {receives}")
    return record["body"]
"""
FAILING_FILE = """
functions:
  front: {handler: app.front, timeout: 20, environment: {BACK: {url_of: back}, JOBS: {queue: jobs}}}
  back: {handler: app.back, timeout: 20}
  worker: {handler: app.worker, timeout: 20, queue: {name: jobs}}
"""


def test_failures_are_told_as_lambda_tells_them(tmp_path: Path) -> None:
    """A raising function answers 502, a result without a status 200, and a message comes again."""
    (tmp_path / "app.py").write_text(FAILING)
    (tmp_path / "several.yaml").write_text(FAILING_FILE)
    arguments = ("run", "--functions", "several.yaml")
    done = spanpipe(tmp_path, *arguments, environ={"PYTHONIOENCODING": "ascii"})
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "7 invoked, 7 received, 0 lost"
    assert done.stdout.count(" raised  ") == 3
    assert [line.strip() for line in done.stdout.splitlines() if "error: " in line] == [
        "error: ValueError: no",
        "error: RuntimeError: receive 1",
        "error: RuntimeError: receive 2",
    ]
    with Receiver() as receiver:
        done = spanpipe(tmp_path, *arguments, "--endpoint", receiver.http_endpoint)
        assert done.returncode == 0, done.stderr
        found = [
            attribute.value.string_value
            for span in receiver.spans()
            for attribute in span.attributes
            if attribute.key == "spanpipe.result.body"
        ]
    results = [json.loads(text) for text in found]
    assert [[502, ""], [200, '{"got": "GET"}'], [201, "\x00\xff"]] in results
    assert "job" in results


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "name a handler, such as app.handler, or --functions FILE"),
        (
            ("other", "--functions", "several.yaml"),
            "several.yaml has no function other: front, back, worker",
        ),
        (
            ("--functions", "several.yaml", "--faults", "f"),
            "--faults is for one function; leave it or --functions out",
        ),
        (
            ("--functions", "broken.yaml"),
            "broken.yaml:2:3: functions.a.handler: must be there: module.function, as in Lambda",
        ),
    ],
)
def test_what_cannot_be_run_is_named(
    tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    """One line, status 2, and nothing is started."""
    (tmp_path / "app.py").write_text(FAILING)
    (tmp_path / "several.yaml").write_text(FAILING_FILE)
    (tmp_path / "broken.yaml").write_text("functions:\n  a: {}\n")
    done = spanpipe(tmp_path, "run", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [f"spanpipe run: {message}"]
