"""The thread that fetches, from a real server, moved through time by the moments it is told."""

from __future__ import annotations

import io
import select
from collections.abc import Mapping

import pytest

from collectors import breaking
from collectors.ports import free_port
from exporter.settings import OTLP_HTTP, ExporterSettings, SecretReference, SecretText
from extension.instant import Instant
from extension.key_delivery import LAST_TRIES, MAX_GIVEN_UP, KeyDelivery, KeyStore
from extension.keyring import LONGEST_FETCH_S, LONGEST_PAUSE_S
from extension.log import Log
from extension.secret_fetch import Fetcher
from tests.secret_stores import TOKEN, ParametersAndSecrets
from tests.whole.test_environments import eventually

KEY = SecretReference("ssm", "/key")
MAX_AGE_S = 300.0
BACK_MS = 10_000


class Fetching:
    """A delivery that finds its server by `environ`; `log` is what it has said."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        settings = ExporterSettings(OTLP_HTTP, "http://x/", {"a": SecretText((KEY,))})
        self._stream = io.StringIO()
        self.store = KeyStore()
        self.delivery = KeyDelivery(
            self.store,
            settings,
            MAX_AGE_S,
            {
                **environ,
                "AWS_REGION": "eu-west-1",
                "AWS_ENDPOINT_URL": f"http://127.0.0.1:{free_port()}",
                "AWS_ACCESS_KEY_ID": "AKID",
                "AWS_SECRET_ACCESS_KEY": "hidden",
            },
            Log(stream=self._stream),
            lambda: 0.0,
        )

    @property
    def log(self) -> list[str]:
        return self._stream.getvalue().splitlines()

    def advance(self, seconds: float) -> bool:
        return self.delivery.advance(at(seconds))

    def back(self, seconds: float) -> bool:
        """Once the fetch on its way has come back."""
        poll = select.poll()
        poll.register(self.delivery.fileno(), select.POLLIN)
        assert poll.poll(BACK_MS)
        return self.advance(seconds)


def at(seconds: float) -> Instant:
    return Instant(seconds, 1_800_000_000.0 + seconds)


def test_fetched_at_once_and_again_when_it_is_old() -> None:
    """Told as new only where it is another value."""
    with ParametersAndSecrets() as server:
        server.parameters["/key"] = "one"
        fetching = Fetching(server.environ())
        assert not fetching.advance(0)
        assert not fetching.delivery.may_export(at(0))
        assert fetching.delivery.wake_at_s(at(0)) == LONGEST_FETCH_S
        assert fetching.back(1)
        assert fetching.delivery.may_export(at(1))
        assert fetching.store.keys().secrets == {KEY: "one"}
        assert fetching.delivery.wake_at_s(at(1)) == 1 + MAX_AGE_S
        fetching.advance(2 + MAX_AGE_S)
        assert not fetching.back(3 + MAX_AGE_S)
        server.parameters["/key"] = "two"
        fetching.advance(4 + 2 * MAX_AGE_S)
        assert fetching.delivery.may_export(at(4 + 2 * MAX_AGE_S))
        assert fetching.back(5 + 2 * MAX_AGE_S)
        assert fetching.store.keys().secrets == {KEY: "two"}
        assert len(server.asked) == 3
        assert fetching.log == []


def test_a_refusal_from_any_thread_is_seen_at_the_next_look() -> None:
    """Fetched again; while it is on its way no export begins."""
    with ParametersAndSecrets() as server:
        server.parameters["/key"] = "one"
        fetching = Fetching(server.environ())
        fetching.advance(0)
        fetching.back(0)
        server.parameters["/key"] = "two"
        fetching.store.refused(fetching.store.keys())
        assert not fetching.advance(1)
        assert not fetching.delivery.may_export(at(1))
        assert fetching.back(2)
        assert fetching.delivery.may_export(at(2))
        assert fetching.store.keys().secrets == {KEY: "two"}


def test_the_same_trouble_is_told_once_and_its_end_too() -> None:
    """What waits, what goes on with the old value, and at the end what is missing."""
    with ParametersAndSecrets() as server:
        fetching = Fetching(server.environ())
        fetching.advance(0)
        assert fetching.delivery.why_missing(at(0)) == "ssm:/key: nothing has answered yet"
        fetching.back(0)
        trouble = (
            "127.0.0.1: cannot be reached (ConnectionError); the Parameters and Secrets extension "
            "answered 400"
        )
        waits = (
            f"spanpipe: warning: keys: ssm:/key: {trouble}; invocations wait for it in memory and "
            "in /tmp"
        )
        fetching.advance(1)
        fetching.back(1)
        assert fetching.log == [waits]
        assert fetching.delivery.why_missing(at(1)) == f"ssm:/key: {trouble}"
        server.parameters["/key"] = "one"
        fetching.delivery.leave()
        fetching.advance(1.1)
        assert fetching.back(1.2)
        assert fetching.delivery.why_missing(at(2)) == ""
        assert fetching.log[1:] == ["spanpipe: info: keys: all are there now"]
        del server.parameters["/key"]
        fetching.advance(2 + MAX_AGE_S)
        fetching.back(3 + MAX_AGE_S)
        assert fetching.log[2:] == [
            f"spanpipe: warning: keys: ssm:/key: {trouble}; what was fetched before is used"
        ]
        assert fetching.delivery.may_export(at(3 + MAX_AGE_S))


def test_at_shutdown_it_is_tried_twice_and_no_more() -> None:
    """Without a pause; what is there by then is no question of tries."""
    with ParametersAndSecrets() as server:
        fetching = Fetching(server.environ())
        fetching.advance(0)
        fetching.back(0)
        fetching.delivery.leave()
        for _ in range(LAST_TRIES):
            assert not fetching.delivery.is_hopeless(at(0.1))
            fetching.advance(0.1)
            fetching.back(0.2)
        assert fetching.delivery.is_hopeless(at(0.2))
        fetching.advance(0.2)
        assert len(server.asked) == 1 + LAST_TRIES
        server.parameters["/key"] = "one"
        there = Fetching(server.environ())
        there.advance(0)
        there.back(0)
        there.delivery.leave()
        assert not there.delivery.is_hopeless(at(1))


def test_a_fetch_that_does_not_come_back_is_given_up_with_its_thread() -> None:
    """Another thread asks anew; after some of them no more is tried."""
    with breaking.hanging() as server:
        environ = {
            "PARAMETERS_SECRETS_EXTENSION_HTTP_PORT": str(server.port),
            "AWS_SESSION_TOKEN": TOKEN,
        }
        fetching = Fetching(environ)
        moment = 0.0
        for count in range(MAX_GIVEN_UP + 1):
            fetching.advance(moment)
            assert eventually(lambda wanted: server.requests == wanted, count + 1)
            moment += LONGEST_FETCH_S
            fetching.advance(moment)
            moment += LONGEST_PAUSE_S
        assert fetching.delivery.wake_at_s(at(moment)) == float("inf")
        assert len(fetching.log) == 1
        assert "ssm:/key: no answer in time; invocations wait" in fetching.log[0]


def test_a_fault_of_ours_tells_its_kind_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its words may hold what was fetched."""
    with ParametersAndSecrets() as server:
        server.parameters["/key"] = "one"
        fetching = Fetching(server.environ())

        def broken(*_: object, **__: object) -> None:
            raise LookupError("one")

        monkeypatch.setattr(Fetcher, "fetch", broken)
        fetching.advance(0)
        fetching.back(0)
        assert fetching.log == [
            "spanpipe: warning: keys: ssm:/key: internal: LookupError; invocations wait for it in "
            "memory and in /tmp"
        ]
