"""The one scenario, on AWS's emulator, and how its spans are compared between places."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from exporter.otlp_json import to_value
from sandbox.receiver import Receiver
from tests.whole.emulator import Emulator
from tests.whole.places import Place

FOLDER = Path(__file__).resolve().parent
SCENARIO: dict[str, Any] = json.loads((FOLDER / "scenario.json").read_text())
STEPS: list[dict[str, Any]] = SCENARIO["steps"]
EVENTS: list[Any] = [step["event"] for step in STEPS]
ANSWERS: list[str] = [step["answer"] for step in STEPS]
ESSENTIALS: list[tuple[str, bool]] = [(step["fate"], step["cold_start"]) for step in STEPS]
HANDLER = "scenario_function.handler"
SPANS_S = 10.0

VARIES = {
    "faas.invocation_id": "drawn for each invocation",
    "faas.instance": "the log stream of one environment",
    "aws.log.stream.names": "the log stream of one environment",
    "aws.log.group.names": "the emulator has a group name of its own",
    "aws.lambda.invoked_arn": "the emulator's account and region are made up",
    "cloud.resource_id": "from the ARN",
    "cloud.account.id": "from the ARN; the emulator registers without one",
    "telemetry.sdk.version": "of the installed package",
    "telemetry.distro.version": "of this one",
}
"""Attributes whose value may differ from place to place, and why."""


def on_emulator(
    folder: Path,
    events: Sequence[Any] = EVENTS,
    *,
    code: Path = FOLDER,
    handler: str = HANDLER,
    timeout_s: int = SCENARIO["timeout_s"],
    environ: Mapping[str, str] | None = None,
    layer: Place | None = None,
    spans_each: int = 2,
    grpc: bool = False,
) -> tuple[list[str], list[dict[str, Any]], list[str]]:
    """(what the caller was told of each event, the spans, what all processes printed)."""
    with Receiver(grpc=grpc) as receiver:
        endpoint = receiver.grpc_endpoint if grpc else receiver.http_endpoint
        own = {
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": endpoint,
            "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "grpc" if grpc else "http/protobuf",
            **(environ or {}),
        }
        with Emulator(folder, handler, code, timeout_s, own, layer=layer) as emulator:
            answers = [answer_of(*emulator.invoke(json.dumps(one).encode())) for one in events]
            emulator.shutdown()
        receiver.wait_for_spans(spans_each * len(events), SPANS_S)
        return answers, invocation_spans(receiver.requests), emulator.lines


def answer_of(status: int, payload: bytes) -> str:
    """As `scenario.json` names it."""
    if b"timed out" in payload[:500]:
        return "timeout"
    return "error" if status != 200 or b'"errorType"' in payload[:500] else "returned"


def essentials(spans: list[dict[str, Any]]) -> list[tuple[str, bool]]:
    """Fate and cold start of each."""
    return [
        (one["attributes"]["spanpipe.fate"], one["attributes"]["faas.coldstart"]) for one in spans
    ]


def invocation_spans(requests: list[Any]) -> list[dict[str, Any]]:
    """Every invocation with its children, normalised, in order of start."""
    found: list[tuple[int, dict[str, Any]]] = []
    seen: set[str] = set()
    for request in requests:
        for resource_spans in to_value(request)["resourceSpans"]:
            resource = _attributes(resource_spans["resource"])
            spans = [span for one in resource_spans["scopeSpans"] for span in one["spans"]]
            for span in spans:
                # On a loaded machine an export may be cut off and sent again, span ID and all.
                if span["kind"] == 2 and span["spanId"] not in seen:
                    seen.add(span["spanId"])
                    children = [one for one in spans if one.get("parentSpanId") == span["spanId"]]
                    value = {
                        "resource": resource,
                        **_span(span),
                        "children": [_span(child) for child in children],
                    }
                    found.append((int(span["startTimeUnixNano"]), value))
    return [value for _, value in sorted(found, key=lambda pair: pair[0])]


def _span(span: dict[str, Any]) -> dict[str, Any]:
    assert int(span["endTimeUnixNano"]) >= int(span["startTimeUnixNano"])
    return {
        "name": span["name"],
        "kind": span["kind"],
        "status": span.get("status", {}),
        "attributes": _attributes(span),
        "events": [
            {"name": event["name"], "attributes": _attributes(event)}
            for event in span.get("events", ())
        ],
    }


def _attributes(holder: dict[str, Any]) -> dict[str, Any]:
    return {
        one["key"]: "(varies)" if one["key"] in VARIES else next(iter(one["value"].values()))
        for one in holder.get("attributes", ())
    }
