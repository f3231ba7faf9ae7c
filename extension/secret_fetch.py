"""Fetches secrets and credentials, in a thread that nobody waits for.

A secret is asked for of AWS's Parameters and Secrets extension where that is there, else of the
service itself. That extension keeps what it has for minutes: what the endpoint has refused, and
it gives again, is asked for of the service too.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from exporter.keys import Keys
from exporter.lean_requests import requests
from exporter.settings import SecretReference
from exporter.sigv4 import Credentials, signed_headers
from exporter.values import dataclass
from extension import aws_credentials, aws_endpoints, secret_requests
from extension.aws_credentials import CredentialsError
from extension.keyring import CREDENTIALS, Fetched
from extension.secret_requests import SecretError

LOCAL_TIMEOUT_S = (0.5, 3.0)
SERVICE_TIMEOUT_S = (2.0, 5.0)
"""To connect, and for each read; nobody waits for it."""
MAX_ANSWER_BYTES = 262_144
"""A secret has 64 KiB at most, and JSON may write a character in six."""


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    body: bytes
    headers: Mapping[str, str]


class Fetcher:
    """Asks as `environ` says; `unix_s` is the clock that signatures tell."""

    def __init__(self, environ: Mapping[str, str], unix_s: Callable[[], float] = time.time) -> None:
        self._environ = environ
        self._unix_s = unix_s

    def fetch(
        self, references: Sequence[SecretReference], *, signs: bool, doubted: Keys | None = None
    ) -> Fetched:
        """Each of `references`, and with `signs` credentials; never raises for what is not there.

        `doubted` are those that the endpoint has refused.
        """
        problems: dict[str, str] = {}
        credentials = None
        if signs:
            try:
                credentials = self._credentials()
            except CredentialsError as error:
                problems[CREDENTIALS] = str(error)
        secrets: dict[SecretReference, str] = {}
        grouped: dict[tuple[str, str], list[SecretReference]] = {}
        for reference in references:
            grouped.setdefault((reference.store, reference.name), []).append(reference)
        for (store, name), wanted in grouped.items():
            known = doubted.secrets if doubted is not None else {}
            refused = {one: known[one] for one in wanted if one in known}
            try:
                text = self._text(store, name, refused)
            except SecretError as error:
                problems |= dict.fromkeys(map(str, wanted), str(error))
                continue
            for reference in wanted:
                try:
                    secrets[reference] = secret_requests.value_of(reference, text)
                except SecretError as error:
                    problems[str(reference)] = str(error)
        return Fetched(secrets, credentials, problems)

    def _text(self, store: str, name: str, refused: Mapping[SecretReference, str]) -> str:
        local, trouble = self._local(store, name)
        if local is not None and not (refused and _is_same(local, refused)):
            return local
        try:
            return self._from_service(store, name)
        except SecretError as error:
            if local is not None:
                return local
            raise SecretError(f"{error}{trouble}") from error

    def _local(self, store: str, name: str) -> tuple[str | None, str]:
        """The text, or None and what is to be said of it where there is such an extension."""
        token = self._environ.get("AWS_SESSION_TOKEN")
        if not token:
            return None, ""
        url = secret_requests.local_url(store, name, self._environ)
        try:
            answer = self._ask("GET", url, {secret_requests.TOKEN_HEADER: token}, is_local=True)
            if answer.status == 200:
                return secret_requests.text_in(store, answer.body), ""
        except requests.ConnectionError:
            return None, ""
        except (requests.RequestException, SecretError) as error:
            return None, f"; the Parameters and Secrets extension: {_shown(error)}"
        return None, f"; the Parameters and Secrets extension answered {answer.status}"

    def _from_service(self, store: str, name: str) -> str:
        region = aws_endpoints.region_of(name, self._environ)
        if not aws_endpoints.is_region(region):
            raise SecretError("no region is known: set AWS_REGION")
        url = aws_endpoints.store_url(store, region, self._environ)
        request = secret_requests.store_request(store, name)
        try:
            credentials = self._credentials()
        except CredentialsError as error:
            raise SecretError(f"{CREDENTIALS}: {error}") from error
        signature = signed_headers(
            "POST",
            url,
            request.headers,
            request.body,
            region=region,
            service=store,
            credentials=credentials,
            unix_s=self._unix_s(),
        )
        headers = {**request.headers, **signature}
        try:
            answer = self._ask("POST", url, headers, request.body)
        except requests.RequestException as error:
            raise SecretError(f"{aws_endpoints.host_of(url)}: {_shown(error)}") from error
        if answer.status == 200:
            return secret_requests.text_in(store, answer.body)
        raise SecretError(
            secret_requests.refusal(
                store, answer.status, answer.body, answer.headers, self._unix_s()
            )
        )

    def _credentials(self) -> Credentials:
        """Raises CredentialsError."""
        found = aws_credentials.from_environment(self._environ)
        if found is not None:
            return found
        request = aws_credentials.container_request(self._environ)
        try:
            answer = self._ask("GET", request.url, request.headers, is_local=True)
        except requests.RequestException as error:
            text = f"{aws_credentials.FULL_URI}: {_shown(error)}"
            raise CredentialsError(text) from error
        if answer.status != 200:
            raise CredentialsError(f"{aws_credentials.FULL_URI} answered {answer.status}")
        return aws_credentials.parse_container_answer(answer.body)

    def _ask(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes = b"",
        *,
        is_local: bool = False,
    ) -> _Answer:
        """Raises what `requests` raises."""
        with requests.Session() as session:
            # A proxy is for what is outside; a .netrc must not replace a signature.
            session.trust_env = not is_local
            session.auth = lambda request: request
            with session.request(
                method,
                url,
                headers=dict(headers),
                data=body,
                timeout=LOCAL_TIMEOUT_S if is_local else SERVICE_TIMEOUT_S,
                allow_redirects=False,
                stream=True,
                verify=self._environ.get("AWS_CA_BUNDLE") or True,
            ) as response:
                content = response.raw.read(MAX_ANSWER_BYTES, decode_content=True) or b""
                return _Answer(response.status_code, content, response.headers)


def _is_same(text: str, refused: Mapping[SecretReference, str]) -> bool:
    """Whether `text` still says what was refused."""
    try:
        return all(secret_requests.value_of(one, text) == was for one, was in refused.items())
    except SecretError:
        return False


def _shown(error: Exception) -> str:
    """What kind of trouble it is: a library's words may have the whole URL."""
    if isinstance(error, SecretError):
        return str(error)
    if isinstance(error, requests.Timeout):
        return "no answer in time"
    if isinstance(error, requests.exceptions.SSLError):
        return "TLS fails (SSLError)"
    return f"cannot be reached ({type(error).__name__})"
