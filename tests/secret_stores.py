"""What stands on loopback for AWS's Parameters and Secrets extension, and for container roles.

Sources: AWS Secrets Manager User Guide, "AWS Parameters and Secrets Lambda Extension"; AWS SDKs
and Tools Reference Guide, "Container credential provider".
"""

from __future__ import annotations

import json
import threading
from urllib.parse import parse_qs, urlsplit

from sandbox.http_server import LoopbackServer, QuietHandler

TOKEN = "a-session-token"  # noqa: S105 - of a test


class ParametersAndSecrets(LoopbackServer):
    """`secrets` and `parameters` by name; not `ready`, it answers as the real one does in init.

    With `caches` the first value of each is kept, as the real one does for minutes. `asked` has
    (store, name, token) of each request; `changed` is notified of each.
    """

    def __init__(self, *, ready: bool = True, caches: bool = False, token: str = TOKEN) -> None:
        self.secrets: dict[str, str] = {}
        self.parameters: dict[str, str] = {}
        self.ready = ready
        self.asked: list[tuple[str, str, str | None]] = []
        self.changed = threading.Condition()
        self._caches = caches
        self._token = token
        self._cache: dict[tuple[str, str], str] = {}
        served = self

        class Handler(QuietHandler):
            def do_GET(self) -> None:
                self.reply(*served.answer(self.path, self.headers.get(HEADER)))

        super().__init__(Handler)

    def answer(self, target: str, token: str | None) -> tuple[int, bytes]:
        parts = urlsplit(target)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        if parts.path == "/secretsmanager/get":
            store, name, values = "secretsmanager", query["secretId"], self.secrets
        elif parts.path == "/systemsmanager/parameters/get":
            assert query["withDecryption"] == "true"
            store, name, values = "ssm", query["name"], self.parameters
        else:
            return 404, b"no such path"
        with self.changed:
            self.asked.append((store, name, token))
            self.changed.notify_all()
        if token != self._token:
            return 401, b"unauthorized"
        if not self.ready:
            return 400, b"not ready to serve traffic, please wait"
        value = self._cache.get((store, name)) if self._caches else None
        value = values.get(name) if value is None else value
        if value is None:
            return 400, b"Failed to retrieve it"
        self._cache[store, name] = value
        if store == "ssm":
            return 200, json.dumps({"Parameter": {"Name": name, "Value": value}}).encode()
        return 200, json.dumps({"Name": name, "SecretString": value}).encode()

    def environ(self) -> dict[str, str]:
        """What the extension finds it by."""
        return {
            "PARAMETERS_SECRETS_EXTENSION_HTTP_PORT": str(self.port),
            "AWS_SESSION_TOKEN": self._token,
        }

    def wait_asked(self, count: int, timeout_s: float) -> bool:
        """Whether it was asked `count` times within `timeout_s`."""
        with self.changed:
            return self.changed.wait_for(lambda: len(self.asked) >= count, timeout=timeout_s)


HEADER = "X-Aws-Parameters-Secrets-Token"


class ContainerRole(LoopbackServer):
    """Gives credentials to whoever has the container's token."""

    def __init__(self, answer: dict[str, str]) -> None:
        self.answer = answer
        self.asked = 0
        served = self

        class Handler(QuietHandler):
            def do_GET(self) -> None:
                served.asked += 1
                allowed = self.headers.get("Authorization") == TOKEN
                body = json.dumps(served.answer if allowed else {}).encode()
                self.reply(200 if allowed else 403, body)

        super().__init__(Handler)

    def environ(self) -> dict[str, str]:
        """What Lambda sets in a function with SnapStart."""
        return {
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"http://127.0.0.1:{self.port}/role",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN": TOKEN,
        }
