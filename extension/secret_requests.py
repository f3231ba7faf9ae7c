"""Requests for one secret or parameter, and what their answers say (pure).

Sources: AWS Secrets Manager API Reference, "GetSecretValue"; AWS Systems Manager API Reference,
"GetParameter"; AWS Secrets Manager User Guide, "AWS Parameters and Secrets Lambda Extension".
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from exporter.aws_answers import TEXTS, code_of, reason_of
from exporter.settings import SECRETS_MANAGER, SecretReference
from exporter.values import dataclass
from extension.destination import can_be_header

TOKEN_HEADER = "X-Aws-Parameters-Secrets-Token"  # noqa: S105 - a header's name
PORT_VARIABLE = "PARAMETERS_SECRETS_EXTENSION_HTTP_PORT"
DEFAULT_PORT = 2773
MAX_PORT = 65_535
MAX_PORT_DIGITS = 5
_TARGETS = {"secretsmanager": "secretsmanager.GetSecretValue", "ssm": "AmazonSSM.GetParameter"}
_PERMISSIONS = {
    "secretsmanager": "secretsmanager:GetSecretValue",
    "ssm": "ssm:GetParameter",
}
_ABSENT = ("ResourceNotFoundException", "ParameterNotFound", "ParameterVersionNotFound")


class SecretError(Exception):
    """A secret that cannot be had or used: why, without anything of its value."""


@dataclass(frozen=True, slots=True)
class StoreRequest:
    """To the service itself, for `POST`; still to be signed."""

    headers: Mapping[str, str]
    body: bytes


def store_request(store: str, name: str) -> StoreRequest:
    """For the secret `name` of `store`, decrypted."""
    if store == SECRETS_MANAGER:
        value: dict[str, Any] = {"SecretId": name}
    else:
        value = {"Name": name, "WithDecryption": True}
    headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": _TARGETS[store]}
    return StoreRequest(headers, json.dumps(value).encode())


def local_url(store: str, name: str, environ: Mapping[str, str]) -> str:
    """Of AWS's Parameters and Secrets extension; to be asked with the session token."""
    given = environ.get(PORT_VARIABLE, "")
    is_number = given.isascii() and given.isdigit() and len(given) <= MAX_PORT_DIGITS
    is_port = is_number and 0 < int(given) <= MAX_PORT
    base = f"http://localhost:{int(given) if is_port else DEFAULT_PORT}"
    if store == SECRETS_MANAGER:
        return f"{base}/secretsmanager/get?secretId={quote(name, safe='')}"
    return f"{base}/systemsmanager/parameters/get?name={quote(name, safe='')}&withDecryption=true"


def text_in(store: str, body: bytes) -> str:
    """The secret in an answer of the service's or of the extension's. Raises SecretError."""
    try:
        value = json.loads(body)
        text = value["SecretString"] if store == SECRETS_MANAGER else value["Parameter"]["Value"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        if store == SECRETS_MANAGER and isinstance(error, KeyError):
            raise SecretError("has no text: it is binary, which no header can carry") from None
        raise SecretError(
            "the answer is not the service's: what does AWS_ENDPOINT_URL name?"
        ) from None
    if not isinstance(text, str):
        raise SecretError("has no text")
    return text


def value_of(reference: SecretReference, text: str) -> str:
    """What `reference` names in the secret's whole text. Raises SecretError."""
    value = text
    if reference.key:
        try:
            found = json.loads(text)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise SecretError("is no JSON object, so it has no keys: leave out what follows #")
        if reference.key not in found:
            raise SecretError("its JSON has no such key")
        one = found[reference.key]
        if isinstance(one, bool) or not isinstance(one, str | int | float):
            raise SecretError("what its key holds is no text")
        value = str(one)
    if not value:
        raise SecretError("is empty")
    if not can_be_header(value):
        raise SecretError(
            "no header can carry it: it must be printable ASCII without a line break (at its end, "
            "perhaps) or outer spaces"
        )
    return value


def refusal(store: str, status: int, body: bytes, headers: Mapping[str, str], unix_s: float) -> str:
    """Why the service gave nothing; `headers` are its answer's, by names without case."""
    code = code_of(body, headers)
    reason = reason_of(status, body, headers, unix_s)
    named = f"answered {status}" + (f" {code}" if code else "")
    if code in _ABSENT:
        return f"{named}: there is none of that name in this region and account"
    if reason == TEXTS["denied"]:
        needs = f"{_PERMISSIONS[store]}, and kms:Decrypt for a key of your own"
        reason += f": it needs {needs} (docs/secrets.md)"
    return f"{named}: {reason}" if reason else named
