"""The one scenario and how its spans are compared between places that run it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from exporter.otlp_json import to_value

FOLDER = Path(__file__).resolve().parent
SCENARIO: dict[str, Any] = json.loads((FOLDER / "scenario.json").read_text())
STEPS: list[dict[str, Any]] = SCENARIO["steps"]
HANDLER = "scenario_function.handler"

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
