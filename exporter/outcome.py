"""Sending: what became of it, as a value; the senders behind one protocol."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any, Protocol

from exporter.values import dataclass


class Verdict(enum.Enum):
    """What the collector made of a request."""

    ACCEPTED = "accepted"
    PARTIAL = "partial success"
    """Some were rejected; they must not be sent again (OTLP, "Partial Success")."""
    RETRYABLE = "to be tried again"
    REFUSED = "refused"
    """It must not be sent again (OTLP, "Failures")."""


MIN_EXPORT_S = 0.005
"""With less time than this no request is begun."""

FAULT = "fault"
"""An outcome's status where not the collector but something here failed."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One request's end.

    `detail` is one sentence for the log: endpoint, answer, reason; no header and no
    credential is in it. `uncertain`: sending had begun and no answer came, so the collector
    may have it. `retry_after_s` is what the collector asked for.
    """

    verdict: Verdict
    item_count: int
    detail: str
    rejected_count: int = 0
    status: str | None = None
    retry_after_s: float | None = None
    uncertain: bool = False
    duration_s: float = 0.0
    too_large: bool = False
    """Refused for its size alone: smaller ones may be taken."""


class KeyMissingError(Exception):
    """A secret or the credentials are not there; the message names them, and no value."""


class Authorization(Protocol):
    """What a request needs beside the configuration; for one sender, and never waiting."""

    def headers(self) -> dict[str, str]:
        """Every header of the next request, secrets filled in. Raises KeyMissingError."""

    def signature(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes
    ) -> Mapping[str, str]:
        """Headers to add to the request, whose `body` is what is sent; {} where none is signed.

        `headers` may be signed as well.
        """

    def refused(self) -> None:
        """The endpoint has refused the last request's key or signature."""

    def reason(self, status: int, body: bytes, headers: Mapping[str, str]) -> str:
        """In words of our own, why a signed request was refused; "" where that is not known.

        `headers` are the answer's, by names without case.
        """


class Sender(Protocol):
    """One endpoint and a connection kept between requests; for one thread, `abort` apart."""

    def send(self, items: Any, count: int, timeout_s: float) -> Outcome:
        """Send `items` in one request and wait for the answer. Never raises.

        `items` are the SDK's: a sequence of ReadableSpan or MetricsData, `count` of them.

        Back within `timeout_s` whatever the collector does, save that no timeout reaches
        into name resolution.
        """

    def send_request(self, request: bytes, count: int, timeout_s: float) -> Outcome:
        """As `send`, for what is encoded already: the signal's own request message."""

    def abort(self) -> None:
        """End the request in flight, from any thread; it is sent no further."""

    def close(self) -> None:
        """Close the connection."""


def shown_endpoint(endpoint: str) -> str:
    """`endpoint` without user information and query, which may be secret."""
    from urllib.parse import urlsplit, urlunsplit

    parts = urlsplit(endpoint)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, "", ""))
