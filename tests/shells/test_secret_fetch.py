"""Secrets fetched from servers that speak AWS's APIs: moto's checks the signature."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import botocore.session
import pytest
import requests

from collectors import breaking
from collectors.ports import free_port
from exporter.keys import Keys
from exporter.settings import PARAMETER_STORE, SECRETS_MANAGER, SecretReference
from exporter.values import dataclass
from extension.config import load
from extension.keyring import CREDENTIALS, Fetched
from extension.secret_fetch import Fetcher
from tests.secret_stores import TOKEN, ContainerRole, ParametersAndSecrets

PAGE = Path(__file__).resolve().parents[2] / "docs" / "secrets.md"
REGION = "eu-west-1"
VALUE = "xs-the-value-17"
WHOLE = SecretReference(SECRETS_MANAGER, "backend")
KEY = SecretReference(SECRETS_MANAGER, "backend", "key")
PARAMETER = SecretReference(PARAMETER_STORE, "/backend/key")


@dataclass(frozen=True, slots=True)
class Aws:
    """moto's server; `role` may read secrets and parameters, `stranger` nothing.

    Both as a function has them: passing keys with a session token.
    """

    url: str
    role: Mapping[str, str]
    stranger: Mapping[str, str]

    def environ(self, role: Mapping[str, str] | None = None) -> dict[str, str]:
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_REGION": REGION,
            **(self.role if role is None else role),
            # AWS's own extension is not there.
            "PARAMETERS_SECRETS_EXTENSION_HTTP_PORT": str(free_port()),
        }


@pytest.fixture(scope="module")
def aws() -> Iterator[Aws]:
    """Secrets, parameters and two roles; from then on each request needs its right signature."""
    try:
        from moto.server import ThreadedMotoServer
    except ImportError:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip("moto is not installed")
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"

    def client(service: str) -> Any:
        session = botocore.session.Session()
        session.set_credentials("before", "auth")
        return session.create_client(service, REGION, endpoint_url=url)

    def reset_auth(count: str) -> None:
        requests.post(f"{url}/moto-api/reset-auth", data=count, timeout=5).raise_for_status()

    # What the page says to give, save that moto is asked of every resource at once.
    allowed = json.loads(PAGE.read_text().partition("```json\n")[2].partition("```")[0])
    for statement in allowed["Statement"]:
        statement["Resource"] = "*"
    iam, sts = client("iam"), client("sts")
    made = []
    for name in ("role", "stranger"):
        role = iam.create_role(RoleName=name, AssumeRolePolicyDocument="{}")["Role"]
        if name == "role":
            policy = json.dumps(allowed)
            iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=policy)
        assumed = sts.assume_role(RoleArn=role["Arn"], RoleSessionName="function")
        credentials = assumed["Credentials"]
        made.append(
            {
                "AWS_ACCESS_KEY_ID": credentials["AccessKeyId"],
                "AWS_SECRET_ACCESS_KEY": credentials["SecretAccessKey"],
                "AWS_SESSION_TOKEN": credentials["SessionToken"],
            }
        )
    secrets = client("secretsmanager")
    secrets.create_secret(
        Name="backend", SecretString=json.dumps({"key": VALUE, "port": 7, "on": True, "no": ""})
    )
    secrets.create_secret(Name="plain", SecretString=VALUE)
    secrets.create_secret(Name="line", SecretString=f"{VALUE}\n")
    secrets.create_secret(Name="binary", SecretBinary=b"\0\1")
    ssm = client("ssm")
    ssm.put_parameter(Name="/backend/key", Value=VALUE, Type="SecureString")
    ssm.put_parameter(Name="simple", Value=VALUE, Type="String")
    reset_auth("0")
    yield Aws(url, *made)
    reset_auth("inf")
    server.stop()


def fetch(environ: Mapping[str, str], *references: SecretReference, **options: Any) -> Fetched:
    fetched = Fetcher(environ).fetch(references, signs=False, **options)
    assert VALUE not in repr(fetched)
    return fetched


def test_the_services_give_what_a_signed_request_asks_for(aws: Aws) -> None:
    """A key of a secret's JSON, a whole secret, and parameters, decrypted."""
    port = SecretReference(SECRETS_MANAGER, "backend", "port")
    plain = SecretReference(SECRETS_MANAGER, "plain")
    simple = SecretReference(PARAMETER_STORE, "simple")
    fetched = fetch(aws.environ(), KEY, port, plain, PARAMETER, simple)
    assert fetched.secrets == {KEY: VALUE, port: "7", plain: VALUE, PARAMETER: VALUE, simple: VALUE}
    assert fetched.problems == {}


@pytest.mark.parametrize(
    ("reference", "problem"),
    [
        (
            SecretReference(SECRETS_MANAGER, "gone"),
            # The service itself says 400.
            "answered 404 ResourceNotFoundException: there is none of that name in this region and "
            "account",
        ),
        (
            SecretReference(PARAMETER_STORE, "/gone"),
            "answered 400 ParameterNotFound: there is none of that name in this region and account",
        ),
        (SecretReference(SECRETS_MANAGER, "backend", "gone"), "its JSON has no such key"),
        (SecretReference(SECRETS_MANAGER, "backend", "on"), "what its key holds is no text"),
        (SecretReference(SECRETS_MANAGER, "backend", "no"), "is empty"),
        (
            SecretReference(SECRETS_MANAGER, "plain", "key"),
            "is no JSON object, so it has no keys: leave out what follows #",
        ),
        (
            SecretReference(SECRETS_MANAGER, "line"),
            "no header can carry it: it must be printable ASCII without a line break (at its end, "
            "perhaps) or outer spaces",
        ),
        (
            SecretReference(SECRETS_MANAGER, "binary"),
            "has no text: it is binary, which no header can carry",
        ),
    ],
    ids=str,
)
def test_what_cannot_be_used_is_told_without_its_value(
    aws: Aws, reference: SecretReference, problem: str
) -> None:
    """One line each, and what is well comes all the same."""
    fetched = fetch(aws.environ(), reference, PARAMETER)
    assert fetched.problems == {str(reference): problem}
    assert fetched.secrets == {PARAMETER: VALUE}


def test_a_role_without_the_permission_is_told_which(aws: Aws) -> None:
    """Both stores, by the permission's name."""
    fetched = fetch(aws.environ(aws.stranger), KEY, PARAMETER)
    told = (
        "the function's role does not allow it: it needs {}, and kms:Decrypt for a key of your own"
    )
    assert {name: text.partition(": ")[2] for name, text in fetched.problems.items()} == {
        str(KEY): told.format("secretsmanager:GetSecretValue") + " (docs/secrets.md)",
        str(PARAMETER): told.format("ssm:GetParameter") + " (docs/secrets.md)",
    }


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"AWS_SECRET_ACCESS_KEY": "another"}, "the signature does not match: wrong"),
        ({"AWS_ACCESS_KEY_ID": "AKIANOBODY"}, "the credentials are not known there: another"),
    ],
)
def test_a_wrong_key_is_refused(aws: Aws, change: dict[str, str], reason: str) -> None:
    """moto makes the signature anew with botocore: ours is no better than its key."""
    fetched = fetch(aws.environ({**aws.role, **change}), PARAMETER)
    (problem,) = fetched.problems.values()
    assert reason in problem
    assert change.popitem()[1] not in problem


def test_aws_own_extension_goes_first() -> None:
    """With its token, names quoted, and no request to the services."""
    with ParametersAndSecrets() as store:
        store.secrets["backend"] = json.dumps({"key": VALUE})
        store.parameters["/backend/key"] = VALUE
        fetched = fetch({**unreachable(), **store.environ()}, KEY, WHOLE, PARAMETER)
        assert fetched.secrets == {
            KEY: VALUE,
            WHOLE: json.dumps({"key": VALUE}),
            PARAMETER: VALUE,
        }
        assert store.asked == [
            ("secretsmanager", "backend", TOKEN),
            ("ssm", "/backend/key", TOKEN),
        ]


def test_where_aws_extension_is_not_ready_the_service_is_asked(aws: Aws) -> None:
    """In init it answers 400 to everything."""
    token = aws.role["AWS_SESSION_TOKEN"]
    with ParametersAndSecrets(ready=False, token=token) as store:
        fetched = fetch({**aws.environ(), **store.environ()}, PARAMETER)
        assert fetched.secrets == {PARAMETER: VALUE}
        assert store.asked == [("ssm", "/backend/key", token)]
        (problem,) = fetch({**unreachable(), **store.environ()}, PARAMETER).problems.values()
        assert problem == (
            "127.0.0.1: cannot be reached (ConnectionError); the Parameters and Secrets extension "
            "answered 400"
        )


def test_what_was_refused_and_is_kept_there_is_asked_of_the_service(aws: Aws) -> None:
    """AWS's extension gives an old value for minutes; the service knows the new one."""
    with ParametersAndSecrets(caches=True, token=aws.role["AWS_SESSION_TOKEN"]) as store:
        store.parameters["/backend/key"] = "xs-the-old-one"
        environ = {**aws.environ(), **store.environ()}
        old = fetch(environ, PARAMETER)
        assert old.secrets == {PARAMETER: "xs-the-old-one"}
        store.parameters["/backend/key"] = VALUE
        assert fetch(environ, PARAMETER).secrets == old.secrets
        doubted = Keys(old.secrets)
        assert fetch(environ, PARAMETER, doubted=doubted).secrets == {PARAMETER: VALUE}
        kept = fetch({**unreachable(), **store.environ()}, PARAMETER, doubted=doubted)
        assert (kept.secrets, kept.problems) == (old.secrets, {})


def unreachable() -> dict[str, str]:
    """A role, and services that are not there."""
    return {
        "AWS_REGION": REGION,
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{free_port()}",
        "AWS_ACCESS_KEY_ID": "AKID",
        "AWS_SECRET_ACCESS_KEY": "hidden",
        "PARAMETERS_SECRETS_EXTENSION_HTTP_PORT": str(free_port()),
    }


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({}, "127.0.0.1: cannot be reached (ConnectionError)"),
        ({"AWS_REGION": ""}, "no region is known: set AWS_REGION"),
        (
            {"AWS_ACCESS_KEY_ID": ""},
            "credentials: there are none: neither AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY nor "
            "AWS_CONTAINER_CREDENTIALS_FULL_URI are set; give the function a role",
        ),
        (
            {
                "AWS_ACCESS_KEY_ID": "",
                "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://role.example/",
            },
            "credentials: AWS_CONTAINER_CREDENTIALS_FULL_URI is neither https:// nor on this "
            "machine",
        ),
    ],
    ids=("unreachable", "no region", "no credentials", "credentials in the open"),
)
def test_what_is_missing_here_is_told(changes: dict[str, str], problem: str) -> None:
    """What it is and what to do."""
    assert fetch({**unreachable(), **changes}, PARAMETER).problems == {str(PARAMETER): problem}


def test_a_server_of_another_kind_is_told() -> None:
    """As a collector at AWS_ENDPOINT_URL would be."""
    with breaking.answering(breaking.http_answer("200 OK", b"<html>")) as server:
        environ = {**unreachable(), "AWS_ENDPOINT_URL_SSM": f"http://127.0.0.1:{server.port}"}
        fetched = fetch(environ, PARAMETER)
    assert fetched.problems == {
        str(PARAMETER): "the answer is not the service's: what does AWS_ENDPOINT_URL name?"
    }


def test_a_clock_that_is_wrong_is_told_by_how_much() -> None:
    """From the date of the answer that refuses it."""
    body = json.dumps({"__type": "InvalidSignatureException", "message": "Signature expired: x"})
    date = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(1_700_000_000))
    answer = breaking.http_answer("400 Bad Request", body.encode(), f"Date: {date}")
    with breaking.answering(answer) as server:
        environ = {**unreachable(), "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.port}"}
        fetcher = Fetcher(environ, unix_s=lambda: 1_700_003_600.0)
        fetched = fetcher.fetch([PARAMETER], signs=False)
    assert fetched.problems == {
        str(PARAMETER): "answered 400 InvalidSignatureException: the signature's time is refused: "
        "the clock here is wrong by 3600 s (ahead)"
    }


def test_the_environments_credentials_are_those_to_sign_with() -> None:
    """As they stand there; Lambda renews them with the environment."""
    fetched = Fetcher({**unreachable(), "AWS_SESSION_TOKEN": TOKEN}).fetch([], signs=True)
    found = fetched.credentials
    assert found is not None
    assert (found.access_key_id, found.secret_access_key, found.session_token) == (
        "AKID",
        "hidden",
        TOKEN,
    )
    assert (found.expires_unix_s, fetched.problems) == (None, {})


def test_a_containers_credentials_have_an_end() -> None:
    """As with SnapStart, where they are asked for with the container's token."""
    answer = {
        "AccessKeyId": "ASIA",
        "SecretAccessKey": "hidden",
        "Token": "t",
        "Expiration": "2026-11-29T08:00:00Z",
    }
    with ContainerRole(answer) as container:
        found = Fetcher(container.environ()).fetch([], signs=True).credentials
        assert found is not None
        assert (found.access_key_id, found.secret_access_key, found.session_token) == (
            "ASIA",
            "hidden",
            "t",
        )
        assert found.expires_unix_s == 1_795_939_200.0
        wrong = {**container.environ(), "AWS_CONTAINER_AUTHORIZATION_TOKEN": "another"}
        assert Fetcher(wrong).fetch([], signs=True).problems == {
            CREDENTIALS: "AWS_CONTAINER_CREDENTIALS_FULL_URI answered 403"
        }
        answer.pop("SecretAccessKey")
        assert Fetcher(container.environ()).fetch([], signs=True).problems == {
            CREDENTIALS: "AWS_CONTAINER_CREDENTIALS_FULL_URI answered no credentials"
        }


def test_the_pages_files_are_files_that_work(tmp_path: Path) -> None:
    """Each block of YAML in it is a configuration without an error."""
    blocks = PAGE.read_text().split("```yaml\n")[1:]
    assert len(blocks) == 2
    for block in blocks:
        file = tmp_path / "spanpipe.yaml"
        file.write_text(block.partition("```")[0])
        config = load({"AWS_REGION": REGION}, str(file))
        assert config.errors == ()
        assert config.settings.exporter is not None
        assert config.settings.exporter.needs_keys
