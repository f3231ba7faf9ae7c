"""Why an AWS service has refused a request, in words of our own (pure).

Its own words are not shown: they may repeat the signed headers, the session's token among them.
Source: AWS General Reference, "Common errors"; the errors' codes and messages as services send
them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any

MAX_SKEW_S = 60.0
"""AWS takes five minutes; a date has whole seconds, and an answer its time on the way."""
_CODE = re.compile(r"[A-Za-z]{1,64}")
_CLOCK = re.compile(
    r"Signature expired|Signature not yet current|RequestTimeTooSkewed|RequestExpired"
    r"|RequestInTheFuture"
)
_REASONS = (
    (re.compile(r"ExpiredToken|token included in the request is expired"), "expired"),
    (
        re.compile(
            r"UnrecognizedClient|InvalidClientTokenId|InvalidAccessKeyId|NotSignedUp"
            r"|token included in the request is invalid"
        ),
        "unknown",
    ),
    (re.compile(r"MissingAuthenticationToken|Missing Authentication Token"), "unsigned"),
    (
        re.compile(
            r"SignatureDoesNotMatch|InvalidSignature|IncompleteSignature"
            r"|signature we calculated does not match"
        ),
        "mismatch",
    ),
    (re.compile(r"AccessDenied|NotAuthorized|not authorized to perform"), "denied"),
)
"""The first that is found counts."""
TEXTS = {
    "clock": "the signature's time is refused: the clock here is wrong",
    "expired": "the credentials have expired",
    "unknown": "the credentials are not known there: another partition's or region's, or deleted",
    "unsigned": "the request came without a signature: something on the way removes it",
    "mismatch": "the signature does not match: wrong auth.sigv4.region or service, or a proxy "
    "that changes requests",
    "denied": "the function's role does not allow it",
}


def code_of(body: bytes, headers: Mapping[str, str]) -> str:
    """The error's code, such as ``AccessDeniedException``; "" where there is none.

    `headers` are the answer's, by names without case. A namespace before ``#`` and what follows
    a colon are left out.
    """
    value = _json(body)
    of_header = headers.get("x-amzn-ErrorType")
    for text in (value.get("__type"), value.get("code"), value.get("Code"), of_header):
        if isinstance(text, str):
            code = _CODE.match(text.rpartition("#")[2].partition(":")[0].strip())
            if code is not None:
                return code[0]
    return ""


def reason_of(status: int, body: bytes, headers: Mapping[str, str], unix_s: float) -> str:
    """Why credentials or signature were refused; "" where the answer is about something else.

    `headers` are as for `code_of`. `unix_s` is our time: a clock that is wrong is told by how much.
    """
    text = f"{code_of(body, headers)} {body.decode('utf-8', 'replace')}"
    date = headers.get("Date")
    if _CLOCK.search(text):
        return TEXTS["clock"] + _skew(date, unix_s)
    for pattern, name in _REASONS:
        if pattern.search(text):
            return TEXTS[name]
    if status == 403 and (skew := _skew(date, unix_s)):
        return TEXTS["clock"] + skew
    return ""


def _skew(date: str | None, unix_s: float) -> str:
    """`` by 3600 s (ahead)``; "" where nothing is known, or it is not far off."""
    try:
        ahead_s = unix_s - parsedate_to_datetime(date or "").timestamp()
    except (ValueError, TypeError, OverflowError):
        return ""
    if abs(ahead_s) <= MAX_SKEW_S:
        return ""
    return f" by {abs(ahead_s):.0f} s ({'ahead' if ahead_s > 0 else 'behind'})"


def _json(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
