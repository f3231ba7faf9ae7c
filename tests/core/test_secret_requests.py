"""Answers of stores and of a container's endpoint: any bytes are a value or an error of ours."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.aws_answers import code_of, reason_of
from exporter.settings import SecretReference
from extension.aws_credentials import (
    CredentialsError,
    container_request,
    from_environment,
    parse_container_answer,
)
from extension.secret_requests import SecretError, local_url, refusal, text_in, value_of

JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=30)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.one_of(
                st.sampled_from(
                    (
                        "SecretString",
                        "Parameter",
                        "Value",
                        "key",
                        "__type",
                        "AccessKeyId",
                        "SecretAccessKey",
                        "Token",
                        "Expiration",
                    )
                ),
                st.text(max_size=5),
            ),
            inner,
            max_size=5,
        ),
    ),
    max_leaves=8,
)
ANSWER = st.one_of(st.binary(max_size=60), JSON.map(lambda value: json.dumps(value).encode()))


def tried(action: Callable[[], str]) -> tuple[str | None, str]:
    """(value, "") or (None, the error's text)."""
    try:
        return action(), ""
    except SecretError as error:
        return None, str(error)


@given(ANSWER, st.sampled_from(("secretsmanager", "ssm")), st.text(max_size=40))
def test_any_answer_is_a_text_or_an_error_of_ours(answer: bytes, store: str, date: str) -> None:
    """And what is refused is told in one short line without what it held."""
    text, problem = tried(lambda: text_in(store, answer))
    assert (text is None) == bool(problem)
    assert len(problem) < 100
    line = refusal(store, 400, answer, {"Date": date, "x-amzn-ErrorType": date}, 0.0)
    assert line.startswith("answered 400")
    assert line.isprintable()
    assert len(line) < 300
    assert code_of(answer, {}).isalpha() or code_of(answer, {}) == ""
    assert reason_of(403, answer, {"Date": date}, 0.0).isprintable()


@given(st.one_of(st.text(max_size=60), JSON.map(json.dumps)), st.sampled_from(("", "key")))
def test_any_secret_is_a_headers_value_or_an_error_of_ours(text: str, key: str) -> None:
    """Nothing of it is in the error."""
    value, problem = tried(lambda: value_of(SecretReference("secretsmanager", "name", key), text))
    assert problem.isascii()
    if value is not None:
        assert value.isascii()
        assert value.isprintable()
        assert value == value.strip(" ") != ""


@given(ANSWER)
def test_any_containers_answer_is_credentials_or_an_error_of_ours(answer: bytes) -> None:
    """Each of them such that a header can carry it."""
    try:
        found = parse_container_answer(answer)
    except CredentialsError:
        return
    for text in (found.access_key_id, found.secret_access_key):
        assert text.isascii()
        assert text.isprintable()
        assert text


@pytest.mark.parametrize(
    "name", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"]
)
@pytest.mark.parametrize("end", ["\n", " ", "é"])
def test_a_variable_that_no_header_can_carry_is_told_without_its_value(name: str, end: str) -> None:
    """A library would repeat it."""
    role = {
        "AWS_ACCESS_KEY_ID": "hidden",
        "AWS_SECRET_ACCESS_KEY": "hidden",
        "AWS_SESSION_TOKEN": "hidden",
    }
    assert from_environment(role) is not None
    with pytest.raises(CredentialsError) as caught:
        from_environment({**role, name: f"hidden{end}"})
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "is_taken"),
    [
        ("http://127.0.0.1:9001/role", True),
        ("http://localhost/role", True),
        ("http://169.254.170.23/v1/credentials", True),
        ("https://role.example/", True),
        ("http://role.example/", False),
        ("http://127.0.0.1.role.example/", False),
        ("file:///etc/passwd", False),
        ("http://[", False),
    ],
)
def test_a_role_is_asked_for_where_nobody_listens_in(url: str, is_taken: bool) -> None:
    """By TLS, or on this machine and at the containers' two addresses."""
    environ = {
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": url,
        "AWS_CONTAINER_AUTHORIZATION_TOKEN": "token",
    }
    if is_taken:
        request = container_request(environ)
        assert (request.url, request.headers) == (url, {"Authorization": "token"})
    else:
        with pytest.raises(CredentialsError):
            container_request(environ)


@pytest.mark.parametrize(
    ("port", "expected"),
    [("", 2773), ("2774", 2774), ("0", 2773), ("65536", 2773), ("soon", 2773), ("9" * 5000, 2773)],
)
def test_the_local_extensions_port(port: str, expected: int) -> None:
    """What is no port is the default's; names are quoted."""
    environ = {"PARAMETERS_SECRETS_EXTENSION_HTTP_PORT": port}
    base = f"http://localhost:{expected}"
    assert local_url("secretsmanager", "a/b&c", environ) == (
        f"{base}/secretsmanager/get?secretId=a%2Fb%26c"
    )
    assert local_url("ssm", "/a", environ) == (
        f"{base}/systemsmanager/parameters/get?name=%2Fa&withDecryption=true"
    )
