"""Requests of the Extensions API, 2020-01-01, and the Telemetry API, 2022-07-01, as bytes.

Nothing is sent here.

https://docs.aws.amazon.com/lambda/latest/dg/runtimes-extensions-api.html
"""

EXTENSION_NAME = "spanpipe"
BASE_PATH = "/2020-01-01/extension"

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

MANAGED_INSTANCES = "lambda-managed-instances"
"""Of AWS_LAMBDA_INITIALIZATION_TYPE."""

TELEMETRY_PATH = "/2022-07-01/telemetry"
TELEMETRY_SCHEMA = "2025-01-29"

IDENTIFIER_HEADER = "lambda-extension-identifier"

INVOKE = "INVOKE"
SHUTDOWN = "SHUTDOWN"


def _request(method: str, path: str, host: str, headers: str, body: bytes) -> bytes:
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: {host}\r\n{headers}Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode("latin-1") + body


def is_managed(environ: "Mapping[str, str]") -> bool:
    """Whether this is a Managed Instance, which refuses subscriptions to INVOKE."""
    return environ.get("AWS_LAMBDA_INITIALIZATION_TYPE") == MANAGED_INSTANCES


def register(host: str, *, managed: bool) -> bytes:
    """``POST /register`` for what there is to hear of, asking for the account ID as well."""
    headers = (
        f"Lambda-Extension-Name: {EXTENSION_NAME}\r\n"
        "Lambda-Extension-Accept-Feature: accountId\r\n"
        "Content-Type: application/json\r\n"
    )
    events = f'"{SHUTDOWN}"' if managed else f'"{INVOKE}","{SHUTDOWN}"'
    body = f'{{"events":[{events}]}}'.encode()
    return _request("POST", f"{BASE_PATH}/register", host, headers, body)


def telemetry(host: str, identifier: str, port: int, *, logs: bool) -> bytes:
    """``PUT /telemetry``: platform events, and with `logs` the function's, as lines to `port`.

    A line for each event and nothing to answer; buffered for the shortest time that is
    allowed, since an event tells the end of an invocation.
    """
    headers = f"Lambda-Extension-Identifier: {identifier}\r\nContent-Type: application/json\r\n"
    types = '"platform","function"' if logs else '"platform"'
    body = (
        f'{{"schemaVersion":"{TELEMETRY_SCHEMA}","types":[{types}],'
        '"buffering":{"maxItems":1000,"maxBytes":262144,"timeoutMs":25},'
        f'"destination":{{"protocol":"TCP","port":{port}}}}}'
    )
    return _request("PUT", TELEMETRY_PATH, host, headers, body.encode())


def next_event(host: str, identifier: str) -> bytes:
    """``GET /event/next``: answered when there is an event, however long that takes."""
    headers = f"Lambda-Extension-Identifier: {identifier}\r\n"
    return _request("GET", f"{BASE_PATH}/event/next", host, headers, b"")


def _error(path: str, host: str, identifier: str, error_type: str, message: str) -> bytes:
    import json

    headers = (
        f"Lambda-Extension-Identifier: {identifier}\r\n"
        f"Lambda-Extension-Function-Error-Type: {error_type}\r\n"
        "Content-Type: application/json\r\n"
    )
    value = {"errorMessage": message, "errorType": error_type, "stackTrace": []}
    return _request("POST", f"{BASE_PATH}{path}", host, headers, json.dumps(value).encode())


def init_error(host: str, identifier: str, error_type: str, message: str) -> bytes:
    """``POST /init/error``, before the first `/next`; `error_type` is ``category.reason``."""
    return _error("/init/error", host, identifier, error_type, message)


def exit_error(host: str, identifier: str, error_type: str, message: str) -> bytes:
    """``POST /exit/error``, the last call of an extension that gives up."""
    return _error("/exit/error", host, identifier, error_type, message)
