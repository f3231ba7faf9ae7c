"""An extension that prints each event of the Telemetry API as one line, and nothing else.

Run as ``python recording_extension.py NAME``; NAME is its file's, as Lambda wants it. It takes
SHUTDOWN alone, which Managed Instances allow.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import sys
import threading

PREFIX = "recorded "
"""Before each event's JSON."""
LAST_WORDS_S = 0.2
_EXTENSIONS = "/2020-01-01/extension"


def call(method: str, path: str, headers: dict[str, str], value: object = None) -> dict[str, str]:
    """One request to the runtime's API; the answer's headers. Waits as long as it takes."""
    connection = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
    body = None if value is None else json.dumps(value)
    connection.request(method, path, body, {**headers, "Content-Type": "application/json"})
    response = connection.getresponse()
    response.read()
    assert response.status == 200, (path, response.status)
    return dict(response.getheaders())


def record(listener: socket.socket) -> None:
    """Print what comes on one connection."""
    connection, _ = listener.accept()
    with connection, connection.makefile("rb") as stream:
        for line in stream:
            sys.stdout.write(f"{PREFIX}{line.decode().strip()}\n")
            sys.stdout.flush()


def main(name: str) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    recorder = threading.Thread(target=record, args=(listener,), daemon=True)
    recorder.start()
    answer = call(
        "POST",
        f"{_EXTENSIONS}/register",
        {"Lambda-Extension-Name": name},
        {"events": ["SHUTDOWN"]},
    )
    identifier = next(
        value for key, value in answer.items() if key.lower() == "lambda-extension-identifier"
    )
    mine = {"Lambda-Extension-Identifier": identifier}
    subscription = {
        "schemaVersion": "2025-01-29",
        "types": ["platform"],
        "buffering": {"timeoutMs": 25, "maxBytes": 262_144, "maxItems": 1_000},
        "destination": {"protocol": "TCP", "port": listener.getsockname()[1]},
    }
    call("PUT", "/2022-07-01/telemetry", mine, subscription)
    call("GET", f"{_EXTENSIONS}/event/next", mine)
    # The last words come behind the SHUTDOWN; the platform closes, or kills at its limit.
    recorder.join(LAST_WORDS_S)


if __name__ == "__main__":
    main(sys.argv[1])
