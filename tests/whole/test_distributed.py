"""A trace over three functions is one tree."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sandbox.environment import Function, LambdaEnvironment
from sandbox.launcher import write_extensions
from sandbox.receiver import Receiver
from tests.whole.scenario import FOLDER


def called(name: str, extensions: str, endpoint: str, event: Any) -> dict[str, str]:
    """The headers that function `name`, in an environment of its own, passes on."""
    function = Function(
        "chain_function.handler",
        str(FOLDER),
        timeout_s=20,
        name=name,
        environ={"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": endpoint},
    )
    with LambdaEnvironment(function, extensions) as environment:
        result = environment.invoke(json.dumps(event).encode())
    headers: dict[str, str] = json.loads(result.payload)["headers"]
    return headers


def test_http_to_sqs_to_worker_is_one_tree(tmp_path: Path) -> None:
    """Each invocation hangs under the span that called it, the first under its caller's."""
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    extensions = str(write_extensions(tmp_path))
    with Receiver() as receiver:
        endpoint = receiver.http_endpoint
        http = {
            "requestContext": {"http": {"method": "GET", "path": "/"}},
            "routeKey": "GET /",
            "headers": {"traceparent": parent},
        }
        headers = called("front", extensions, endpoint, http)
        attributes = {
            name: {"stringValue": value, "dataType": "String"} for name, value in headers.items()
        }
        record = {"eventSource": "aws:sqs", "messageAttributes": attributes}
        headers = called("queue", extensions, endpoint, {"Records": [record]})
        called("worker", extensions, endpoint, {"headers": {}, **headers})
        spans = receiver.spans()
    found = {span.span_id: span for span in spans}
    assert {span.trace_id.hex() for span in spans} == {parent.split("-")[1]}
    (last,) = [one for one in spans if one.kind == 1 and _parent(found, one).name == "worker"]
    names = []
    while last is not None:
        names.append(last.name)
        root = last.parent_span_id
        last = found.get(root)
    assert names == ["call", "worker", "call", "queue", "call", "GET /"]
    assert root.hex() == parent.split("-")[2]


def _parent(found: dict[bytes, Any], span: Any) -> Any:
    return found[span.parent_span_id]
