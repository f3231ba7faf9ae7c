"""A collector that is down, comes back, or never was: every invocation is accounted for."""

from __future__ import annotations

import json
import re
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from collectors import breaking
from collectors.ports import free_port
from extension.blackbox import NAME
from extension.breaker import OPEN_AFTER
from extension.loop import FREEZE_LOOK_S, FROZEN_S
from sandbox.environment import LambdaEnvironment
from sandbox.launcher import write_extensions
from sandbox.receiver import Receiver
from tests.whole.configured import configured
from tests.whole.test_environments import attributes_of, eventually, servers
from tests.whole.test_flush import held_s

IDLE_S = 10.0
SLACK_S = 0.4
HANG_S = 30.0
LEDGER = re.compile(r"spanpipe: shutdown (\w+): (.*)")


class Life:
    """One environment whose extension reads `config`, its log, and its ledger's lines."""

    def __init__(self, folder: Path, endpoint: str, config: str, **changes: Any) -> None:
        self.lines: list[str] = []
        values = {"handler": "captured_function.captured", **changes}
        function = configured(folder, config, endpoint, **values)
        self.environment = LambdaEnvironment(
            function,
            str(write_extensions(folder)),
            on_line=lambda name, line: self.lines.append(line),
        )

    def ledgers(self) -> list[tuple[str, str]]:
        """(SHUTDOWN's reason, what became of the invocations) of each extension."""
        found = [LEDGER.fullmatch(line) for line in self.lines]
        return [(one.group(1).lower(), one.group(2).partition(";")[0]) for one in found if one]

    def printed(self) -> list[dict[str, Any]]:
        """Invocation spans in the log, each line of which is below 256 KiB."""
        spans = []
        for line in self.lines:
            if line.startswith('{"resourceSpans"'):
                assert len(line.encode()) < 262_144
                for one in json.loads(line)["resourceSpans"]:
                    spans += [span for scope in one["scopeSpans"] for span in scope["spans"]]
        return [span for span in spans if span["kind"] == 2]


def refused() -> str:
    return f"http://127.0.0.1:{free_port()}/v1/traces"


def request_ids(receiver: Receiver) -> list[str]:
    return [attributes_of(one)["faas.invocation_id"] for one in servers(receiver)]


def test_what_a_reset_finds_is_delivered_by_the_next_extension(tmp_path: Path) -> None:
    """A timeout resets the environment with a dead collector; the spool has everything."""
    with Receiver() as receiver:
        config = "flush: {mode: next, max_age_ms: 600000}\nspool: {max_age_s: 60}"
        life = Life(tmp_path, refused(), config, handler="fate_function.handler", timeout_s=1.0)
        with life.environment as environment:
            for do in ("fine", "raise", "hang"):
                environment.invoke(json.dumps({"do": do}).encode())
            spooled = [one for one in Path(environment.directory).iterdir() if "spool" in one.name]
            assert len(spooled) == 1
            environment.function.environ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"] = (
                receiver.http_endpoint
            )
            environment.invoke(b'{"do": "fine"}')
            environment.shutdown()
            expected = [one.request_id for one in environment.invocations]
            assert not [one for one in Path(environment.directory).iterdir() if "spool" in one.name]
        assert request_ids(receiver) == expected
    assert life.ledgers() == [
        ("timeout", "accepted 3 = exported 0 + waiting 0 + spooled 3 + dropped 0"),
        ("spindown", "accepted 1 + recovered 3 = exported 4 + waiting 0 + dropped 0"),
    ]


def test_with_the_fallback_a_collector_that_is_never_there_loses_nothing(tmp_path: Path) -> None:
    """At the end each of 1,000 invocations stands in the log, and nothing is left in /tmp."""
    life = Life(tmp_path, refused(), "fallback: stdout")
    with life.environment as environment:
        for index in range(1_000):
            environment.invoke(json.dumps("x" * index).encode())
        environment.shutdown()
        left = sorted(one.name for one in Path(environment.directory).iterdir())
        (exit_,) = environment.exits
    assert left == ["spanpipe-blackbox", "spanpipe-control.fifo", "spanpipe-results.fifo"]
    assert (exit_.status, exit_.killed) == (0, False)
    told = Counter(
        value["value"]["stringValue"]
        for span in life.printed()
        for value in span["attributes"]
        if value["key"] == "faas.invocation_id"
    )
    assert told == Counter(one.request_id for one in environment.invocations)
    assert life.ledgers() == [
        ("spindown", "accepted 1000 = exported 0 + waiting 0 + printed 1000 + dropped 0")
    ]


def test_an_sdks_spans_are_printed_with_the_rest(tmp_path: Path) -> None:
    """Those that the function's own OpenTelemetry made, each once."""
    life = Life(tmp_path, refused(), "fallback: stdout", handler="otel_function.handler")
    with life.environment as environment:
        environment.invoke(b"{}")
        environment.shutdown()
    found = [
        (span["name"], scope["scope"]["name"])
        for line in life.lines
        if line.startswith('{"resourceSpans"')
        for one in json.loads(line)["resourceSpans"]
        for scope in one["scopeSpans"]
        for span in scope["spans"]
    ]
    assert sorted(found) == [
        ("function", "spanpipe"),
        ("in init", "shop"),
        ("inner", "shop"),
        ("outer", "shop"),
    ]


def test_after_a_reset_what_was_printed_is_delivered_too(tmp_path: Path) -> None:
    """Nobody knows whether a next extension comes, so the log has it, and the spool."""
    with Receiver() as receiver:
        config = "flush: {mode: next, max_age_ms: 600000}\nfallback: stdout"
        life = Life(tmp_path, refused(), config, handler="fate_function.handler", timeout_s=1.0)
        with life.environment as environment:
            environment.invoke(b'{"do": "fine"}')
            environment.invoke(b'{"do": "hang"}')
            environment.function.environ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"] = (
                receiver.http_endpoint
            )
            environment.invoke(b'{"do": "fine"}')
        expected = [one.request_id for one in environment.invocations]
        assert request_ids(receiver) == expected
        sent = {span.span_id.hex() for span in servers(receiver)}
    assert len(life.printed()) == 2
    assert {span["spanId"] for span in life.printed()} < sent
    assert life.ledgers() == [
        ("timeout", "accepted 2 = exported 0 + waiting 0 + spooled 2 + dropped 0"),
        ("spindown", "accepted 1 + recovered 2 = exported 3 + waiting 0 + dropped 0"),
    ]
    assert any("; noted: printed 2;" in line for line in life.lines if LEDGER.match(line))


@pytest.mark.parametrize("mode", ["next", "end", "auto"])
def test_once_the_breaker_is_open_nothing_is_held(tmp_path: Path, mode: str) -> None:
    """A hanging collector costs a few invocations something, and then none anything."""
    with breaking.hanging() as collector:
        endpoint = f"http://127.0.0.1:{collector.port}/v1/traces"
        config = f"flush: {{mode: {mode}, max_age_ms: 0}}"
        life = Life(tmp_path, endpoint, config, handler="fate_function.handler")
        with life.environment as environment:
            sleep = b'{"do": "sleep", "seconds": 0.02}'
            until_s = time.monotonic() + HANG_S
            while collector.requests < OPEN_AFTER and time.monotonic() < until_s:
                environment.invoke(sleep)
                held_s(environment)
            assert collector.requests == OPEN_AFTER
            held = []
            for _ in range(20):
                environment.invoke(sleep)
                held.append(held_s(environment))
            tried = len(environment.invocations)
    # The first of them may still have been held for the third failure.
    assert max(held[1:]) < 0.1 + SLACK_S
    (ledger,) = life.ledgers()
    assert ledger[1].startswith(f"accepted {tried} = exported 0 + waiting 0 + spooled {tried}")


def test_a_collector_that_comes_back_gets_everything(tmp_path: Path) -> None:
    """Of 1,000 none is missing, no more come twice than the ledger says, equal to the byte."""
    back = threading.Event()
    taken = 0

    def answer_late(request: ExportTraceServiceRequest) -> None:
        nonlocal taken
        taken += 1
        if taken in (2, 3):
            back.wait(HANG_S)

    with Receiver(answer_late) as receiver:
        # Long enough for a loaded machine: what is cut off here is cut off by the collector.
        config = "flush: {mode: next, max_age_ms: 0, hold_ms: 2000}"
        life = Life(tmp_path, receiver.http_endpoint, config)
        with life.environment as environment:
            for index in range(1_000):
                environment.invoke(json.dumps("x" * (index % 50)).encode())
            until_s = time.monotonic() + HANG_S
            while taken < 4 and time.monotonic() < until_s:
                environment.invoke(b'"more"')
                held_s(environment)
            environment.shutdown()
            expected = {one.request_id for one in environment.invocations}
        back.set()
        spans = [span for span in receiver.spans() if span.kind == 2]
    copies: dict[bytes, set[bytes]] = {}
    for span in spans:
        copies.setdefault(span.span_id, set()).add(span.SerializeToString())
    assert {attributes_of(span)["faas.invocation_id"] for span in spans} == expected
    assert len(copies) == len(expected) >= 1_000
    assert {len(one) for one in copies.values()} == {1}
    (line,) = [one for one in life.lines if LEDGER.match(one)]
    uncertain = re.search(r"; uncertain (\d+)", line)
    extra = len(spans) - len(copies)
    assert uncertain is not None
    assert 0 < extra <= int(uncertain.group(1)), line
    count = len(copies)
    assert life.ledgers() == [
        ("spindown", f"accepted {count} = exported {count} + waiting 0 + dropped 0")
    ]


def test_what_a_freeze_cut_off_is_tried_again_at_once(tmp_path: Path) -> None:
    """Stopped in mid-request again and again: the breaker stays closed, and nothing is lost."""
    thawed = threading.Event()
    taken = threading.Semaphore(0)

    def hang(request: ExportTraceServiceRequest) -> None:
        taken.release()
        thawed.wait(HANG_S)

    with Receiver(hang) as receiver:
        life = Life(
            tmp_path, receiver.http_endpoint, "flush: {mode: next, max_age_ms: 0, hold_ms: 100}"
        )
        with life.environment as environment:
            for _ in range(OPEN_AFTER + 1):
                while not taken.acquire(timeout=0.2):
                    environment.invoke(b"1")
                environment.freeze()
                # Longer than the loop could oversleep by itself.
                threading.Event().wait(FREEZE_LOOK_S + FROZEN_S + 0.2)
                environment.thaw()
                assert environment.wait_idle(IDLE_S)
            thawed.set()
            environment.invoke(b"1")
            held_s(environment)
            before_shutdown = len({span.span_id for span in servers(receiver)})
            environment.shutdown()
            count = len(environment.invocations)
        assert before_shutdown >= OPEN_AFTER
    (ledger,) = life.ledgers()
    assert ledger[1] == f"accepted {count} = exported {count} + waiting 0 + dropped 0"


def test_what_died_with_a_killed_extension_is_counted_by_the_next(tmp_path: Path) -> None:
    """The invocation that ran has its span all the same; those that waited are named as lost."""
    with Receiver() as receiver:
        config = "flush: {mode: next, max_age_ms: 600000}"
        life = Life(tmp_path, receiver.http_endpoint, config, handler="fate_function.handler")
        with life.environment as environment:
            environment.invoke(b'{"do": "fine"}')
            environment.invoke(b'{"do": "fine"}')
            hang = {"event": b'{"do": "hang"}', "request_id": "the-one-that-hangs"}
            caller = threading.Thread(target=environment.invoke, kwargs=hang)
            caller.start()
            page = Path(environment.directory) / NAME
            # Its START has been read: the page has what it told.
            assert eventually(lambda: b"the-one-that-hangs" in page.read_bytes())
            assert environment.kill("extension")
            caller.join()
            environment.invoke(b'{"do": "fine"}')
            expected = [one.request_id for one in environment.invocations]
        told = [attributes_of(one) for one in servers(receiver)]
    assert [one["faas.invocation_id"] for one in told] == expected[2:]
    assert [one["spanpipe.fate"] for one in told] == ["crashed", "returned"]
    assert told[0]["error.type"] == "Extension.Crash"
    assert life.ledgers() == [
        (
            "spindown",
            "accepted 2 + recovered 2 = exported 2 + waiting 0 + dropped 2 "
            "(lost_extension_killed 2)",
        )
    ]
