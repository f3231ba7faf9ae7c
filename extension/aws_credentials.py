"""The function's role: from the environment, or, with SnapStart, from the container's endpoint.

Lambda puts keys into the environment when an environment begins, and renews them with the next
one. A snapshot outlives such keys, so with SnapStart it names an endpoint on loopback that gives
them. Sources: AWS Lambda Developer Guide, "Using environment variables" and "SnapStart: security";
AWS SDKs and Tools Reference Guide, "Container credential provider".
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime
from urllib.parse import urlsplit

from exporter.sigv4 import Credentials
from exporter.values import dataclass

FULL_URI = "AWS_CONTAINER_CREDENTIALS_FULL_URI"
_TOKEN = "AWS_CONTAINER_AUTHORIZATION_TOKEN"  # noqa: S105 - a variable's name
_VISIBLE = re.compile(r"[!-~]*")
"""What a library refuses in a header it repeats in its error."""
_PLAIN_HOSTS = ("localhost", "127.0.0.1", "::1", "169.254.170.2", "169.254.170.23", "fd00:ec2::23")
"""Where keys may travel without TLS: this machine, and the two containers' endpoints."""


class CredentialsError(Exception):
    """There are none: why, and what to do."""


@dataclass(frozen=True, slots=True)
class CredentialsRequest:
    """A `GET` for them."""

    url: str
    headers: Mapping[str, str]


def from_environment(environ: Mapping[str, str]) -> Credentials | None:
    """Those that stand there themselves. Raises CredentialsError."""
    key_id, secret = environ.get("AWS_ACCESS_KEY_ID"), environ.get("AWS_SECRET_ACCESS_KEY")
    if not key_id or not secret:
        return None
    token = environ.get("AWS_SESSION_TOKEN", "")
    if not all(map(_VISIBLE.fullmatch, (key_id, secret, token))):
        raise CredentialsError(
            "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY or AWS_SESSION_TOKEN holds a blank, a line "
            "break or what is no ASCII"
        )
    return Credentials(key_id, secret, token)


def container_request(environ: Mapping[str, str]) -> CredentialsRequest:
    """Where to ask for them. Raises CredentialsError."""
    url = environ.get(FULL_URI)
    if not url:
        raise CredentialsError(
            f"there are none: neither AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY nor {FULL_URI} "
            "are set; give the function a role"
        )
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        host = None
    is_safe = host is not None and (
        parts.scheme == "https" or (parts.scheme == "http" and host in _PLAIN_HOSTS)
    )
    if not is_safe:
        raise CredentialsError(f"{FULL_URI} is neither https:// nor on this machine")
    token = environ.get(_TOKEN)
    return CredentialsRequest(url, {"Authorization": token} if token else {})


def parse_container_answer(body: bytes) -> Credentials:
    """What the endpoint answers. Raises CredentialsError."""
    try:
        value = json.loads(body)
        expiry = value.get("Expiration")
        key_id, secret = value["AccessKeyId"], value["SecretAccessKey"]
        token = value.get("Token") or ""
        if not (key_id and secret and all(map(_VISIBLE.fullmatch, (key_id, secret, token)))):
            raise ValueError("what no header can carry")
        return Credentials(key_id, secret, token, _unix_s(expiry) if expiry else None)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        raise CredentialsError(f"{FULL_URI} answered no credentials") from None


def _unix_s(text: str) -> float:
    # Python 3.10 reads no Z.
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
