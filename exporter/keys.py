"""What requests need that no configuration holds: secrets in headers, credentials to sign with.

Imported only where the configuration asks for it. Who fetches them, and when, is
`extension.keyring`'s.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Protocol
from urllib.parse import urlsplit

from exporter.aws_answers import reason_of
from exporter.outcome import KeyMissingError
from exporter.settings import ExporterSettings, SecretReference, SecretText
from exporter.signals import TRACES
from exporter.sigv4 import Credentials, signed_headers

_AWS_LABELS = 4
"""SERVICE.REGION and the partition's domain of two labels at least."""


class Keys:
    """What there is at a moment; never shown. `number` grows with each change of a value."""

    __slots__ = ("credentials", "number", "secrets")

    def __init__(
        self,
        secrets: Mapping[SecretReference, str] | None = None,
        credentials: Credentials | None = None,
        number: int = 0,
    ) -> None:
        self.secrets: Mapping[SecretReference, str] = secrets or {}
        self.credentials = credentials
        self.number = number

    def __repr__(self) -> str:
        return f"Keys(…, number={self.number})"


class KeySource(Protocol):
    """Where senders ask before each request; from any thread, and never waiting."""

    def keys(self) -> Keys:
        """What there is now."""

    def refused(self, keys: Keys) -> None:
        """The endpoint has refused them: they may have been changed."""


class FixedKeys:
    """A source of the same for ever, for commands."""

    def __init__(self, keys: Keys | None = None) -> None:
        self._keys = keys or Keys()

    def keys(self) -> Keys:
        """See `KeySource.keys`."""
        return self._keys

    def refused(self, keys: Keys) -> None:
        """Nothing: the outcome tells it."""


class KeyedAuthorization:
    """`exporter.outcome.Authorization` with the keys that `source` has at each request."""

    def __init__(self, settings: ExporterSettings, signal: str, source: KeySource) -> None:
        self._settings = settings
        self._signal = signal
        self._source = source
        self._keys = Keys()

    def headers(self) -> dict[str, str]:
        """See `Authorization.headers`."""
        settings = self._settings
        self._keys = keys = self._source.keys()
        missing = [str(one) for one in settings.secrets if one not in keys.secrets]
        if settings.sigv4 is not None and keys.credentials is None:
            missing.append("credentials to sign with")
        if missing:
            raise KeyMissingError(f"waits for {', '.join(missing)}")
        return {
            name: value.filled(keys.secrets) if isinstance(value, SecretText) else value
            for name, value in settings.headers.items()
        }

    def signature(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes
    ) -> Mapping[str, str]:
        """See `Authorization.signature`."""
        sigv4, credentials = self._settings.sigv4, self._keys.credentials
        if sigv4 is None or credentials is None:
            return {}
        return signed_headers(
            method,
            url,
            headers,
            body,
            region=sigv4.region,
            service=_service(sigv4.service, url, self._signal),
            credentials=credentials,
            unix_s=time.time(),
        )

    def refused(self) -> None:
        """See `Authorization.refused`."""
        self._source.refused(self._keys)

    def reason(self, status: int, body: bytes, headers: Mapping[str, str]) -> str:
        """See `Authorization.reason`."""
        if self._settings.sigv4 is None:
            return ""
        return reason_of(status, body, headers, time.time())


def _service(given: str, url: str, signal: str) -> str:
    """AWS has a service for each signal: of those other than traces the host says which."""
    host = urlsplit(url).hostname or ""
    labels = host.split(".")
    if signal == TRACES or len(labels) < _AWS_LABELS or "amazonaws" not in labels:
        return given
    # An endpoint of one's own network has its ID in front.
    return labels[1] if labels[0].startswith("vpce-") else labels[0]
