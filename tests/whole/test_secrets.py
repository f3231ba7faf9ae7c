"""A header's secret in a real life: late, rotated, never there; each span arrives once or waits."""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from collectors import breaking
from collectors.ports import free_port
from sandbox.environment import Function, LambdaEnvironment
from sandbox.function import MANAGED
from sandbox.launcher import write_extensions
from sandbox.receiver import Receiver
from tests.guard import Guard, wants_header
from tests.secret_stores import TOKEN, ParametersAndSecrets
from tests.whole.scenario import FOLDER
from tests.whole.test_environments import attributes_of, eventually, servers
from tests.whole.test_flush import SLACK_S, held_s
from tests.whole.test_nothing_lost import LEDGER

ARRIVED_S = 10.0
IDLE_S = 10.0
CONFIG = """
exporter:
  otlp_http:
    endpoint: {endpoint}
    headers:
      - name: Authorization
        value: Bearer ${{{reference}}}
flush: {{mode: next, max_age_ms: 0, hold_ms: 500}}
"""
SECRET, RENEWED = "xs-first-41", "xs-second-42"


def nowhere() -> dict[str, str]:
    """The services themselves cannot be reached."""
    return {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{free_port()}",
        "AWS_REGION": "eu-west-1",
        "AWS_ACCESS_KEY_ID": "AKID",
        "AWS_SECRET_ACCESS_KEY": "not-to-be-shown",
    }


class Life:
    """One environment whose spans leave with a secret in their header, and its log."""

    def __init__(
        self,
        folder: Path,
        config: str,
        environ: Mapping[str, str],
        *,
        freeze_when_idle: bool = False,
        **changes: Any,
    ) -> None:
        file = folder / "spanpipe.yaml"
        file.write_text(config)
        self.lines: list[str] = []
        values: dict[str, Any] = {
            "handler": "captured_function.captured",
            "timeout_s": 10.0,
            **changes,
        }
        self.environment = LambdaEnvironment(
            Function(
                code_directory=str(FOLDER),
                environ={"SPANPIPE_CONFIG": str(file), **environ},
                **values,
            ),
            str(write_extensions(folder)),
            on_line=lambda name, line: self.lines.append(line),
            freeze_when_idle=freeze_when_idle,
        )

    def ledgers(self) -> list[str]:
        found = [LEDGER.fullmatch(line) for line in self.lines]
        return [one.group(2).partition("; body bytes")[0] for one in found if one]

    def invoke_until(self, done: Callable[[], bool], payload: bytes = b"0") -> None:
        """What is due leaves with the next invocation, once what sending needs is imported."""
        until_s = time.monotonic() + ARRIVED_S
        while not done():
            assert time.monotonic() < until_s, "\n".join(self.lines)
            self.environment.invoke(payload)
            assert self.environment.wait_idle(IDLE_S)

    def warnings(self) -> list[str]:
        return [line for line in self.lines if line.startswith("spanpipe: warning: keys: ")]


def ids(receiver: Receiver) -> Counter[str]:
    return Counter(
        attributes_of(span)["faas.invocation_id"] for span in receiver.spans() if span.kind == 2
    )


def test_spans_wait_for_a_secret_that_is_late(tmp_path: Path) -> None:
    """Without it nothing is sent and nothing is held; once it is there each arrives once."""
    with (
        Receiver() as receiver,
        Guard(receiver, wants_header("Authorization", lambda: f"Bearer {SECRET}")) as guard,
        ParametersAndSecrets() as store,
    ):
        config = CONFIG.format(endpoint=guard.endpoint, reference="secretsmanager:backend#key")
        life = Life(tmp_path, config, {**nowhere(), **store.environ()})
        with life.environment as environment:
            for index in range(3):
                environment.invoke(json.dumps(index).encode())
            assert environment.wait_idle(IDLE_S)
            assert store.wait_asked(1, ARRIVED_S)
            assert guard.requests == []
            store.secrets["backend"] = json.dumps({"key": SECRET, "user": "shop"})
            asked = len(store.asked)
            assert store.wait_asked(asked + 1, ARRIVED_S)
            assert eventually(lambda: "spanpipe: info: keys: all are there now" in life.lines)
            life.invoke_until(lambda: 200 in guard.statuses)
            environment.shutdown()
            expected = Counter(one.request_id for one in environment.invocations)
        assert ids(receiver) == expected
        assert set(guard.statuses) == {200}
        assert {one[:2] for one in store.asked} == {("secretsmanager", "backend")}
    count = expected.total()
    assert life.ledgers() == [f"accepted {count} = exported {count} + waiting 0 + dropped 0"]
    assert len(life.warnings()) == 1
    assert "invocations wait for it in memory and in /tmp" in life.warnings()[0]
    shown = "\n".join(life.lines)
    assert not [one for one in (SECRET, TOKEN, "not-to-be-shown") if one in shown]


def test_a_rotated_secret_is_fetched_again_at_once(tmp_path: Path) -> None:
    """401, fetched again, accepted: within one invocation's time, and nothing is lost."""
    key = [SECRET]
    with (
        Receiver() as receiver,
        Guard(receiver, wants_header("Authorization", lambda: f"Bearer {key[0]}")) as guard,
        ParametersAndSecrets() as store,
    ):
        store.parameters["/backend/key"] = SECRET
        config = CONFIG.format(endpoint=guard.endpoint, reference="ssm:/backend/key")
        life = Life(tmp_path, config, {**nowhere(), **store.environ()})
        with life.environment as environment:
            environment.init()
            assert store.wait_asked(1, ARRIVED_S)
            life.invoke_until(lambda: 200 in guard.statuses)
            key[0] = store.parameters["/backend/key"] = RENEWED
            life.invoke_until(lambda: 401 in guard.statuses)
            assert store.wait_asked(2, ARRIVED_S)
            refused_count = len(guard.statuses)
            life.invoke_until(lambda: len(guard.statuses) > refused_count)
            environment.shutdown()
            expected = Counter(one.request_id for one in environment.invocations)
        assert ids(receiver) == expected
        assert guard.statuses.count(401) == 1
        assert [one.headers["Authorization"] for one in guard.requests][-1] == f"Bearer {RENEWED}"
        assert store.asked == [("ssm", "/backend/key", TOKEN)] * 2
    count = expected.total()
    assert life.ledgers() == [f"accepted {count} = exported {count} + waiting 0 + dropped 0"]
    shown = "\n".join(life.lines)
    assert not [one for one in (SECRET, RENEWED) if one in shown]


def test_without_its_secret_all_is_kept_and_the_ledger_says_why(tmp_path: Path) -> None:
    """Nothing leaves without the header, not at SHUTDOWN either; the next extension has it."""
    with (
        Receiver() as receiver,
        Guard(receiver, wants_header("Authorization", lambda: f"Bearer {SECRET}")) as guard,
        ParametersAndSecrets() as store,
    ):
        config = CONFIG.format(endpoint=guard.endpoint, reference="secretsmanager:backend")
        life = Life(
            tmp_path,
            config,
            {**nowhere(), **store.environ()},
            handler="fate_function.handler",
            timeout_s=1.0,
        )
        with life.environment as environment:
            for do in ("fine", "hang"):
                environment.invoke(json.dumps({"do": do}).encode())
            assert guard.requests == []
            assert [one for one in Path(environment.directory).iterdir() if "-spool-" in one.name]
            store.secrets["backend"] = SECRET
            environment.invoke(b'{"do": "fine"}')
            environment.shutdown()
            expected = Counter(one.request_id for one in environment.invocations)
        assert ids(receiver) == expected
    assert life.ledgers() == [
        "accepted 2 = exported 0 + waiting 0 + spooled 2 + dropped 0; noted: secret_missing 2",
        "accepted 1 + recovered 2 = exported 3 + waiting 0 + dropped 0",
    ]
    reason = r"secretsmanager:backend: .*cannot be reached \(ConnectionError\).*"
    assert re.search(reason, life.warnings()[0])
    assert life.warnings()[-1].endswith("nothing could be sent without them")


def test_without_a_spool_what_lacks_its_secret_is_dropped_by_that_name(tmp_path: Path) -> None:
    """The ledger does not blame the collector, nor the disk."""
    with Receiver() as receiver, Guard(receiver, lambda request: None) as guard:
        config = CONFIG.format(endpoint=guard.endpoint, reference="ssm:/gone")
        life = Life(tmp_path, config + "spool: {max_bytes: 0}\n", nowhere())
        with life.environment as environment:
            environment.invoke(b"1")
            environment.shutdown()
        assert guard.requests == []
        assert servers(receiver) == []
    (line,) = life.ledgers()
    assert line.startswith("accepted 1 = exported 0 + waiting 0 + dropped 1 (secret_missing 1)")


def test_a_secret_that_was_rotated_unseen_costs_nothing_at_shutdown(tmp_path: Path) -> None:
    """The first export of all meets 401 within SHUTDOWN's window, and leaves within it."""
    with (
        Receiver() as receiver,
        Guard(receiver, wants_header("Authorization", lambda: f"Bearer {RENEWED}")) as guard,
        ParametersAndSecrets() as store,
    ):
        store.parameters["/key"] = SECRET
        config = CONFIG.format(endpoint=guard.endpoint, reference="ssm:/key")
        config = config.replace("max_age_ms: 0", "max_age_ms: 600000")
        life = Life(tmp_path, config, {**nowhere(), **store.environ()})
        with life.environment as environment:
            environment.invoke(b"1")
            assert store.wait_asked(1, ARRIVED_S)
            store.parameters["/key"] = RENEWED
            environment.invoke(b"2")
            environment.shutdown()
            expected = Counter(one.request_id for one in environment.invocations)
            (exit_,) = environment.exits
        assert (exit_.status, exit_.killed) == (0, False)
        assert ids(receiver) == expected
        assert guard.statuses[-1] == 200
        assert guard.statuses.count(401) <= 1
    assert life.ledgers() == ["accepted 2 = exported 2 + waiting 0 + dropped 0"]


@pytest.mark.parametrize("mode", ["next", "end", "auto"])
def test_a_store_that_hangs_holds_nothing(tmp_path: Path, mode: str) -> None:
    """Neither init, nor an invocation, nor `/next`; SHUTDOWN ends within its window."""
    with Receiver() as receiver, breaking.hanging() as hanging:
        config = CONFIG.format(endpoint=receiver.http_endpoint, reference="ssm:/key")
        config = config.replace("mode: next", f"mode: {mode}")
        environ = {
            **nowhere(),
            "AWS_SESSION_TOKEN": TOKEN,
            "PARAMETERS_SECRETS_EXTENSION_HTTP_PORT": str(hanging.port),
        }
        life = Life(tmp_path, config, environ)
        with life.environment as environment:
            for _ in range(5):
                environment.invoke(b"1")
                assert held_s(environment) < SLACK_S
            assert eventually(lambda: hanging.requests > 0)
            environment.shutdown()
            (exit_,) = environment.exits
        assert (exit_.status, exit_.killed) == (0, False)
        assert receiver.spans() == []
    assert life.ledgers() == [
        "accepted 5 = exported 0 + waiting 0 + spooled 5 + dropped 0; noted: secret_missing 5"
    ]


def test_between_freezes_a_secret_comes_while_the_function_runs(tmp_path: Path) -> None:
    """Stopped between invocations, as in Lambda; rotated in between, too."""
    key = [SECRET]
    with (
        Receiver() as receiver,
        Guard(receiver, wants_header("Authorization", lambda: f"Bearer {key[0]}")) as guard,
        ParametersAndSecrets() as store,
    ):
        store.parameters["/key"] = SECRET
        config = CONFIG.format(endpoint=guard.endpoint, reference="ssm:/key")
        life = Life(tmp_path, config, {**nowhere(), **store.environ()}, freeze_when_idle=True)
        with life.environment as environment:
            life.invoke_until(lambda: 200 in guard.statuses)
            key[0] = store.parameters["/key"] = RENEWED
            life.invoke_until(lambda: 401 in guard.statuses and guard.statuses[-1] == 200)
            environment.shutdown()
            expected = Counter(one.request_id for one in environment.invocations)
        assert ids(receiver) == expected
        assert guard.statuses.count(401) == 1


def test_on_managed_instances_no_event_is_needed(tmp_path: Path) -> None:
    """The secret comes late, and what waited leaves on time."""
    with (
        Receiver() as receiver,
        Guard(receiver, wants_header("Authorization", lambda: f"Bearer {SECRET}")) as guard,
        ParametersAndSecrets() as store,
    ):
        config = CONFIG.format(endpoint=guard.endpoint, reference="ssm:/key")
        life = Life(
            tmp_path,
            config,
            {**nowhere(), **store.environ()},
            initialization_type=MANAGED,
        )
        with life.environment as environment:
            assert environment.init()
            environment.invoke(b"1")
            assert store.wait_asked(1, ARRIVED_S)
            assert guard.requests == []
            store.parameters["/key"] = SECRET
            assert guard.wait_for(200, 1, ARRIVED_S)
            environment.shutdown()
        assert len(servers(receiver)) == 1
        assert set(guard.statuses) == {200}
