"""AWS Signature Version 4 over one HTTP request (pure): what goes in, and the headers to add.

Of our own because botocore is too large for a layer; tests compare the two. For services other
than S3: the path is normalised and encoded once more, and the body's hash is no header. Source:
AWS IAM User Guide, "Create a signed AWS API request".
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Mapping
from urllib.parse import quote, urlsplit

ALGORITHM = "AWS4-HMAC-SHA256"
_DEFAULT_PORTS = {"http": 80, "https": 443}


class Credentials:
    """Of a role: never shown, not even by `repr`.

    `session_token` is empty for a user's long-lived keys. `expires_unix_s` None: nobody has said.
    """

    __slots__ = ("access_key_id", "expires_unix_s", "secret_access_key", "session_token")

    def __init__(
        self,
        access_key_id: str,
        secret_access_key: str,
        session_token: str = "",
        expires_unix_s: float | None = None,
    ) -> None:
        self.access_key_id = access_key_id
        self.secret_access_key = secret_access_key
        self.session_token = session_token
        self.expires_unix_s = expires_unix_s

    def __repr__(self) -> str:
        return "Credentials(…)"


def signed_headers(
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: bytes,
    *,
    region: str,
    service: str,
    credentials: Credentials,
    unix_s: float,
) -> dict[str, str]:
    """The headers to add to a request: its date, its token, its signature.

    `url` is whole and percent-encoded. `headers` are signed, and `Host` beside them; others may be
    sent unsigned. `body` is what goes over the wire, so after compression.
    """
    moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(unix_s))
    parts = urlsplit(url)
    added = {"X-Amz-Date": moment}
    if credentials.session_token:
        added["X-Amz-Security-Token"] = credentials.session_token
    signed = {
        name.lower(): " ".join(value.split())
        for name, value in {"Host": _host(url), **headers, **added}.items()
    }
    names = ";".join(sorted(signed))
    canonical = "\n".join(
        [
            method.upper(),
            quote(_without_dots(parts.path), safe="/~"),
            _canonical_query(parts.query),
            *(f"{name}:{signed[name]}" for name in sorted(signed)),
            "",
            names,
            hashlib.sha256(body).hexdigest(),
        ]
    )
    scope = f"{moment[:8]}/{region}/{service}/aws4_request"
    to_sign = "\n".join([ALGORITHM, moment, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = f"AWS4{credentials.secret_access_key}".encode()
    for part in (moment[:8], region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, to_sign.encode(), "sha256").hex()
    added["Authorization"] = (
        f"{ALGORITHM} Credential={credentials.access_key_id}/{scope}, "
        f"SignedHeaders={names}, Signature={signature}"
    )
    return added


def _host(url: str) -> str:
    """As HTTP clients send it: without user, without the scheme's own port."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if ":" in host:
        host = f"[{host}]"
    if parts.port in (None, _DEFAULT_PORTS.get(parts.scheme)):
        return host
    return f"{host}:{parts.port}"


def _without_dots(path: str) -> str:
    """RFC 3986, section 5.2.4, and no empty segments."""
    kept: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            if kept:
                kept.pop()
        elif segment not in ("", "."):
            kept.append(segment)
    ends = "/" if kept and path.endswith("/") else ""
    return f"/{'/'.join(kept)}{ends}"


def _canonical_query(query: str) -> str:
    """Sorted by name, then by value; a name alone has an empty value."""
    if not query:
        return ""
    pairs = []
    for part in query.split("&"):
        name, _, value = part.partition("=")
        pairs.append((name, value))
    return "&".join(f"{name}={value}" for name, value in sorted(pairs))
