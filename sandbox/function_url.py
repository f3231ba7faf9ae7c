"""A function's URL: an HTTP request into payload 2.0, a result into a response; no I/O.

Source: AWS Lambda developer guide, "Invoking Lambda function URLs", request and response
payload formats.
"""

from __future__ import annotations

import base64
import binascii
import json
import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

_TEXTS = ("text/", "application/json", "application/xml", "application/javascript")
_TEXTS_TOO = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class Response:
    """What goes back; `headers` may have a name several times."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


ERROR = Response(
    502, [("Content-Type", "application/json")], b'{"message":"Internal Server Error"}'
)
THROTTLED = Response(
    429, [("Content-Type", "application/json")], b'{"Reason":"ConcurrentInvocationLimitExceeded"}'
)


def event_of(
    method: str, target: str, headers: Iterable[tuple[str, str]], body: bytes, unix_s: float
) -> dict[str, Any]:
    """The event for a request; `target` is path and query, as the request line has them."""
    path, _, query = target.partition("?")
    lower: dict[str, str] = {}
    cookies: list[str] = []
    for name, value in headers:
        key = name.lower()
        if key == "cookie":
            cookies += [one.strip() for one in value.split(";")]
        else:
            lower[key] = f"{lower[key]},{value}" if key in lower else value
    parameters: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        parameters[name] = f"{parameters[name]},{value}" if name in parameters else value
    host = lower.get("host", "")
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": query,
        "headers": lower,
        "requestContext": {
            "accountId": "anonymous",
            "apiId": host.partition(".")[0],
            "domainName": host,
            "domainPrefix": host.partition(".")[0],
            "http": {
                "method": method,
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": "127.0.0.1",
                "userAgent": lower.get("user-agent", ""),
            },
            "requestId": str(uuid.uuid4()),
            "routeKey": "$default",
            "stage": "$default",
            "time": time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(unix_s)),
            "timeEpoch": int(unix_s * 1000),
        },
        "isBase64Encoded": False,
    }
    if cookies:
        event["cookies"] = cookies
    if parameters:
        event["queryStringParameters"] = parameters
    if body:
        kind = lower.get("content-type", "")
        text = kind.startswith((*_TEXTS, _TEXTS_TOO))
        event["isBase64Encoded"] = not text
        event["body"] = body.decode(errors="replace") if text else base64.b64encode(body).decode()
    return event


def response_of(payload: bytes) -> Response:
    """The response for a handler's result; one without ``statusCode`` is the body itself."""
    result = json.loads(payload)
    if not isinstance(result, dict) or "statusCode" not in result:
        body = result if isinstance(result, str) else json.dumps(result)
        return Response(200, [("Content-Type", "application/json")], body.encode())
    status, body = result["statusCode"], result.get("body") or ""
    headers = result.get("headers") or {}
    cookies = result.get("cookies") or []
    if not (
        type(status) is int
        and 200 <= status <= 599
        and isinstance(body, str)
        and isinstance(headers, dict)
        and isinstance(cookies, list)
    ):
        return ERROR
    pairs = [(str(name), str(value)) for name, value in headers.items()]
    pairs += [("Set-Cookie", str(one)) for one in cookies]
    if any("\r" in text or "\n" in text for pair in pairs for text in pair):
        return ERROR
    if not any(name.lower() == "content-type" for name, _ in pairs):
        pairs.append(("Content-Type", "application/json"))
    if result.get("isBase64Encoded"):
        try:
            return Response(status, pairs, base64.b64decode(body, validate=True))
        except binascii.Error:
            return ERROR
    return Response(status, pairs, body.encode())
