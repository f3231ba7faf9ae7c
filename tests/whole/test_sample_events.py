"""AWS's own sample events, as `sam local generate-event` makes them: what each is taken for."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from fifo import triggers
from tests.whole.fetch import program

pytestmark = pytest.mark.emulator

WINDOWS = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
MACINTOSH = WINDOWS.replace("Windows NT 10.0; Win64; x64", "Macintosh; Intel Mac OS X 10_15_6")
OTHER = ("other", "", {})


def cloudfront(path: str, query: str = "", agent: str = "") -> Any:
    """What a request at the edge gives."""
    attributes = {
        "http.request.method": "GET",
        "url.path": path,
        "url.scheme": "https",
        "server.address": "d123.cf.net",
    }
    attributes.update({"url.query": query} if query else {})
    attributes.update({"user_agent.original": agent} if agent else {})
    return ("http", "GET", attributes)


def s3(operation: str) -> Any:
    """What an object's event gives."""
    return (
        "datasource",
        "",
        {
            "faas.document.collection": "example-bucket",
            "faas.document.name": "test%2Fkey",
            "faas.document.time": "1970-01-01T00:00:00.000Z",
            "faas.document.operation": operation,
        },
    )


def messaging(system: str, **more: Any) -> Any:
    """What messages give."""
    attributes = {
        "messaging.system": system,
        "messaging.operation.type": "process",
        "messaging.operation.name": "process",
    }
    return ("pubsub", "", {**attributes, **{key.replace("__", "."): more[key] for key in more}})


RECOGNISED: dict[str, Any] = {
    "alb request": (
        "http",
        "POST",
        {
            "url.query": "query=1234ABCD",
            "http.request.method": "POST",
            "url.path": "/path/to/resource",
            "url.scheme": "http",
            "server.address": "lambda-alb-123578498.us-east-2.elb.amazonaws.com",
            "user_agent.original": f"{WINDOWS}Chrome/71.0.3578.98 Safari/537.36",
        },
    ),
    "apigateway aws-proxy": (
        "http",
        "POST /{proxy+}",
        {
            "url.query": "foo=bar",
            "http.request.method": "POST",
            "http.route": "/{proxy+}",
            "url.path": "/path/to/resource",
            "url.scheme": "https",
            "server.address": "1234567890.execute-api.us-east-1.amazonaws.com",
            "user_agent.original": "Custom User Agent String",
        },
    ),
    "apigateway http-api-proxy": (
        "http",
        "POST",
        {
            "url.query": "parameter1=value1&parameter1=value2&parameter2=value",
            "http.request.method": "POST",
            "url.path": "/path/to/resource",
            "url.scheme": "https",
            "user_agent.original": "agent",
        },
    ),
    "appsync resolver": (
        "http",
        "",
        {
            "graphql.operation.type": "mutation",
            "user_agent.original": f"{MACINTOSH}Chrome/85.0.4183.83 Safari/537.36",
        },
    ),
    "cloudfront ab-test": cloudfront("/test", agent="Test Agent"),
    "cloudfront access-request-in-response": cloudfront("/test"),
    "cloudfront http-redirect": cloudfront("/test", agent="test-agent"),
    "cloudfront modify-querystring": cloudfront("/test", "auth=test&foo=bar", "Test Agent"),
    "cloudfront modify-response-header": ("http", "", {}),
    "cloudfront multiple-remote-calls-aggregate-response": cloudfront(
        "/forecast/Seattle:NewYork:Chicago:SanFrancisco", agent="Test Agent"
    ),
    "cloudfront normalize-querystring-to-improve-cache-hit": cloudfront(
        "/test", "size=LARGE&color=RED", "Test Agent"
    ),
    "cloudfront redirect-on-viewer-country": cloudfront("/test"),
    "cloudfront redirect-unauthenticated-users": cloudfront("/test", "foo=bar"),
    "cloudfront response-generation": cloudfront("/test"),
    "cloudfront serve-object-on-viewer-device": cloudfront("/test"),
    "cloudfront simple-remote-call": cloudfront("/test", agent="Test Agent"),
    "cloudwatch scheduled-event": ("timer", "", {"faas.time": "1970-01-01T00:00:00Z"}),
    "dynamodb update": (
        "datasource",
        "",
        {
            "faas.document.collection": "ExampleTableWithStream",
            "faas.document.operation": "insert",
            "faas.document.time": "2015-04-09T00:00:00Z",
        },
    ),
    # Its ARN names no stream.
    "kinesis get-records": messaging("aws.kinesis"),
    "rekognition s3-request": s3("insert"),
    "s3 delete": s3("delete"),
    "s3 put": s3("insert"),
    "sns notification": messaging(
        "aws.sns",
        messaging__destination__name="ExampleTopic",
        aws__sns__topic__arn="arn:aws:sns:us-east-1:123456789012:ExampleTopic",
        messaging__message__id="95df01b4-ee98-5cb9-9903-4c221d41eb5e",
    ),
    "sqs receive-message": messaging(
        "aws_sqs",
        messaging__destination__name="MyQueue",
        messaging__message__id="19dd0b57-b21e-4ac1-bd88-01bbb068cb78",
    ),
}
"""All the others are of triggers that have no name in OpenTelemetry: ``other``."""
OTHERS = {
    *(f"alexa-skills-kit {name}" for name in ("end-session", "intent-answer", "start-session")),
    *("alexa-skills-kit intent-getnewfact", "alexa-skills-kit intent-mycoloris"),
    *("alexa-skills-kit intent-recipe", "alexa-smart-home smart-home-control-turn-off-request"),
    "alexa-smart-home smart-home-control-turn-on-request",
    *("alexa-smart-home smart-home-discovery-request", "apigateway authorizer"),
    *("apigateway request-authorizer", "batch get-job", "batch submit-job"),
    *("cloudformation create-request", "cloudwatch logs", "codecommit repository"),
    *("codepipeline job", "cognito sync-trigger", "config item-change-notification"),
    *("config oversized-item-change-notification", "config periodic-rule"),
    *("connect contact-flow-event", "kinesis kinesis-firehose", "kinesis apachelog"),
    *("kinesis analytics", "kinesis analytics-compressed", "kinesis analytics-dynamodb"),
    *("kinesis analytics-kpl", "kinesis cloudwatch-logs-processor", "kinesis syslog"),
    *("kinesis streams-as-source", "lex book-car", "lex book-hotel", "lex make-appointment"),
    *("lex order-flowers", "lex-v2 banking-bot", "lex-v2 book-car", "lex-v2 book-hotel"),
    *("s3 batch-invocation", "sagemaker ground-truth-pre-human", "workmail email"),
    *("sagemaker ground-truth-annotation-consolidation", "ses email-receiving"),
    "stepfunctions error",
}
FILLED = {"account_id": "123456789012", "dns_suffix": "amazonaws.com", "queue_name": "MyQueue"}
"""What the templates ask for beside what the mapping has a value for; more is empty there."""


def sample_events() -> dict[str, Any]:
    """Every event by service and name, its template filled with the mapping's own values."""
    folder = program("sample events")
    mapping = json.loads((folder / "event-mapping.json").read_text(encoding="utf-8"))
    return {
        f"{service} {name}": _filled(folder / "events" / service, one)
        for service, events in mapping.items()
        for name, one in events.items()
    }


def _filled(folder: Path, one: Any) -> Any:
    values = dict(FILLED)
    for tag, given in one["tags"].items():
        value = given.get("default", "")
        if given.get("encoding") == "url":
            value = quote(value, safe="")
        elif given.get("encoding") == "base64":
            value = base64.b64encode(value.encode()).decode()
        values[tag.replace("-", "_")] = value
    text = (folder / f"{one['filename']}.json").read_text(encoding="utf-8")

    def fill(found: re.Match[str]) -> str:
        return json.dumps(values.get(found[1].replace("-", "_"), ""))[1:-1]

    return json.loads(re.sub(r"\{\{\{?\s*([\w-]+)\s*\}?\}\}", fill, text))


def test_every_sample_event_is_taken_for_what_it_is() -> None:
    """Trigger, span name and attributes of all of them, whole; none raises."""
    events = sample_events()
    found = {name: triggers.recognise(event) for name, event in events.items()}
    assert {name: (one.trigger, one.name, one.attributes) for name, one in found.items()} == {
        **dict.fromkeys(OTHERS, OTHER),
        **RECOGNISED,
    }
    assert len(events) == 68
