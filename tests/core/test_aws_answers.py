"""What AWS's refusals are called here: by their kind, and with nothing of their own words."""

from __future__ import annotations

import json
from email.utils import formatdate

import pytest

from exporter.aws_answers import TEXTS, code_of, reason_of

NOW_UNIX_S = 1_796_000_000.0


def body(code: str = "", message: str = "") -> bytes:
    return json.dumps({"__type": code, "message": message}).encode()


@pytest.mark.parametrize(
    ("status", "answer", "headers", "expected"),
    [
        (403, body("com.amazon.coral.service#InvalidSignatureException"), {}, "mismatch"),
        (403, body("", "The request signature we calculated does not match"), {}, "mismatch"),
        (403, b"", {"x-amzn-ErrorType": "SignatureDoesNotMatch:http://x/"}, "mismatch"),
        (400, body("ExpiredTokenException"), {}, "expired"),
        (403, body("", "The security token included in the request is expired"), {}, "expired"),
        (400, body("UnrecognizedClientException"), {}, "unknown"),
        (403, body("", "The security token included in the request is invalid."), {}, "unknown"),
        (403, body("", "Missing Authentication Token"), {}, "unsigned"),
        (400, body("AccessDeniedException"), {}, "denied"),
        (
            403,
            body("", "User: x is not authorized to perform: xray:PutTraceSegments"),
            {},
            "denied",
        ),
        (403, body("InvalidSignatureException", "Signature expired: x"), {}, "clock"),
        (400, body("InvalidSignatureException", "Signature not yet current: x"), {}, "clock"),
        (403, b"<Error><Code>RequestTimeTooSkewed</Code></Error>", {}, "clock"),
    ],
)
def test_each_kind_has_one_text(
    status: int, answer: bytes, headers: dict[str, str], expected: str
) -> None:
    """By the code or by the message, as services put it."""
    assert reason_of(status, answer, headers, NOW_UNIX_S) == TEXTS[expected]


@pytest.mark.parametrize(
    ("status", "answer"),
    [(400, body("ValidationException", "no span")), (403, b"no"), (401, b""), (400, b"[" * 9_999)],
)
def test_what_is_about_something_else_has_none(status: int, answer: bytes) -> None:
    """A bad request is no question of keys."""
    assert reason_of(status, answer, {}, NOW_UNIX_S) == ""


@pytest.mark.parametrize(
    ("ahead_s", "text"),
    [(3_600, " by 3600 s (ahead)"), (-601, " by 601 s (behind)"), (20, ""), (-60, "")],
)
def test_a_wrong_clock_is_told_by_how_much(ahead_s: int, text: str) -> None:
    """By the answer's date; what is near enough is not put down to the clock."""
    headers = {"Date": formatdate(NOW_UNIX_S - ahead_s, usegmt=True)}
    expired = body("", "Signature expired")
    assert reason_of(403, expired, headers, NOW_UNIX_S) == TEXTS["clock"] + text
    assert reason_of(403, b"", headers, NOW_UNIX_S) == (TEXTS["clock"] + text if text else "")


def test_the_services_own_words_are_not_repeated() -> None:
    """They may hold the canonical request, with the session token in it."""
    said = "does not match. The Canonical String should have been x-amz-security-token:hidden"
    told = reason_of(403, body("SignatureDoesNotMatch", said), {}, NOW_UNIX_S)
    assert "hidden" not in told
    assert code_of(body("a#Hidden; token"), {}) == "Hidden"
    assert code_of(b"not JSON", {"x-amzn-ErrorType": "Throttled:x"}) == "Throttled"
    assert code_of(b"not JSON", {}) == ""
