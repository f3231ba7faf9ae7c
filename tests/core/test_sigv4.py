"""The signer against AWS's published vectors, and against botocore's over any request."""

from __future__ import annotations

import datetime
from unittest import mock
from urllib.parse import quote

import botocore.auth
import botocore.credentials
import pytest
from botocore.awsrequest import AWSRequest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.sigv4 import Credentials, signed_headers

KEYS = Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
MOMENT_UNIX_S = datetime.datetime(2015, 8, 30, 12, 36, tzinfo=datetime.timezone.utc).timestamp()
FORM = "application/x-www-form-urlencoded"


@pytest.mark.parametrize(
    ("name", "method", "url", "headers", "body", "service", "names", "signature"),
    [
        (
            "get-vanilla",
            "GET",
            "https://example.amazonaws.com/",
            {},
            b"",
            "service",
            "host;x-amz-date",
            "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
        ),
        (
            "get-vanilla-query-order-key-case",
            "GET",
            "https://example.amazonaws.com/?Param2=value2&Param1=value1",
            {},
            b"",
            "service",
            "host;x-amz-date",
            "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
        ),
        (
            "get-vanilla-utf8-query",
            "GET",
            "https://example.amazonaws.com/?%E1%88%B4=bar",
            {},
            b"",
            "service",
            "host;x-amz-date",
            "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04",
        ),
        (
            "post-vanilla",
            "POST",
            "https://example.amazonaws.com/",
            {},
            b"",
            "service",
            "host;x-amz-date",
            "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
        ),
        (
            "post-x-www-form-urlencoded",
            "POST",
            "https://example.amazonaws.com/",
            {"Content-Type": FORM},
            b"Param1=value1",
            "service",
            "content-type;host;x-amz-date",
            "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
        ),
        (
            "IAM's ListUsers, of the user guide",
            "GET",
            "https://iam.amazonaws.com/?Action=ListUsers&Version=2010-05-08",
            {"Content-Type": f"{FORM}; charset=utf-8"},
            b"",
            "iam",
            "content-type;host;x-amz-date",
            "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) and "-" in value else "",
)
def test_the_published_vectors(
    name: str,
    method: str,
    url: str,
    headers: dict[str, str],
    body: bytes,
    service: str,
    names: str,
    signature: str,
) -> None:
    """AWS's own Signature Version 4 test suite, by name."""
    added = signed_headers(
        method,
        url,
        headers,
        body,
        region="us-east-1",
        service=service,
        credentials=KEYS,
        unix_s=MOMENT_UNIX_S,
    )
    assert added == {
        "X-Amz-Date": "20150830T123600Z",
        "Authorization": "AWS4-HMAC-SHA256 "
        f"Credential=AKIDEXAMPLE/20150830/us-east-1/{service}/aws4_request, "
        f"SignedHeaders={names}, Signature={signature}",
    }, name


def botocores(
    method: str,
    url: str,
    headers: dict[str, str],
    body: bytes,
    region: str,
    service: str,
    keys: Credentials,
    unix_s: float,
) -> dict[str, str]:
    """What botocore adds to the same request."""
    request = AWSRequest(method=method, url=url, headers=headers, data=body)
    theirs = botocore.credentials.Credentials(
        keys.access_key_id, keys.secret_access_key, keys.session_token or None
    )
    moment = datetime.datetime.fromtimestamp(unix_s, datetime.timezone.utc)
    with mock.patch.object(botocore.auth, "get_current_datetime", return_value=moment):
        botocore.auth.SigV4Auth(theirs, service, region).add_auth(request)
    return {name: value for name, value in request.headers.items() if name not in headers}


TEXT = st.text(max_size=12)
VISIBLE = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20)
SEGMENT = st.one_of(st.sampled_from(("", ".", "..", "v1", "a b")), TEXT)
NAMES = st.from_regex(r"x-[a-z]{1,8}(-[A-Z]{1,4})?", fullmatch=True) | st.just("Content-Type")
TOKEN = st.text("ABCabc012+/=", min_size=1, max_size=40)
QUERY = st.lists(
    st.one_of(
        st.tuples(TEXT, TEXT).map(lambda pair: f"{quote(pair[0], '')}={quote(pair[1], '')}"),
        TEXT.map(lambda name: quote(name, "")),
    ),
    max_size=4,
)


@settings(deadline=None)
@given(
    method=st.sampled_from(("GET", "POST", "PUT")),
    scheme=st.sampled_from(("http", "https")),
    host=st.sampled_from(("xray.us-east-1.amazonaws.com", "127.0.0.1", "Host", "[::1]")),
    port=st.sampled_from(("", ":80", ":443", ":4318")),
    segments=st.lists(SEGMENT, max_size=5),
    query=QUERY,
    headers=st.dictionaries(NAMES, VISIBLE, max_size=3),
    body=st.binary(max_size=64),
    region=st.sampled_from(("us-east-1", "us-gov-west-1", "cn-north-1")),
    service=st.sampled_from(("xray", "ssm", "secretsmanager")),
    token=st.one_of(st.just(""), TOKEN),
    unix_s=st.integers(0, 2**32),
)
def test_any_request_is_signed_as_botocore_signs_it(
    method: str,
    scheme: str,
    host: str,
    port: str,
    segments: list[str],
    query: list[str],
    headers: dict[str, str],
    body: bytes,
    region: str,
    service: str,
    token: str,
    unix_s: int,
) -> None:
    """Paths with dots and empty parts, queries in any order, headers with blanks, with a token."""
    path = "".join(f"/{quote(segment, safe='')}" for segment in segments)
    url = f"{scheme}://{host}{port}{path}{'?' if query else ''}{'&'.join(query)}"
    keys = Credentials("AKID", "a secret", token)
    ours = signed_headers(
        method,
        url,
        headers,
        body,
        region=region,
        service=service,
        credentials=keys,
        unix_s=unix_s,
    )
    assert ours == botocores(method, url, headers, body, region, service, keys, unix_s)


def test_credentials_show_nothing() -> None:
    """An error's text or a log may hold their `repr`."""
    assert repr(Credentials("AKID", "hidden", "token")) == "Credentials(…)"
