"""Freeze and thaw, provisioned concurrency, SnapStart, Managed Instances: the same promise."""

from __future__ import annotations

import json
import os
import random
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sandbox.environment import Function, InvocationResult, LambdaEnvironment
from sandbox.function import MANAGED, PROVISIONED, SNAP_START
from sandbox.launcher import write_extensions
from sandbox.receiver import Receiver
from sandbox.telemetry import TelemetryFaults
from tests.whole.configured import configured

IDLE_S = 10.0
XRAY = "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=1"


def made(
    folder: Path, receiver: Receiver, config: str = "", **changes: Any
) -> tuple[Function, str]:
    """(function, extensions folder)."""
    values = {"handler": "fate_function.handler", **changes}
    function = configured(folder, config, receiver.http_endpoint, **values)
    return function, str(write_extensions(folder))


def event(do: str, **more: Any) -> bytes:
    return json.dumps({"do": do, **more}).encode()


def attributes_of(span: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in span.attributes}


def servers(receiver: Receiver) -> list[Any]:
    """Invocation spans, each once, in order of start."""
    found = {span.span_id: span for span in receiver.spans() if span.kind == 2}
    return sorted(found.values(), key=lambda span: span.start_time_unix_nano)


def fates(receiver: Receiver) -> list[tuple[str, str]]:
    """(request ID, fate) in order of start."""
    told = [attributes_of(span) for span in servers(receiver)]
    return [(one["faas.invocation_id"], one["spanpipe.fate"]) for one in told]


def test_frozen_between_invocations_nothing_is_lost(tmp_path: Path) -> None:
    """Every process stopped whenever all wait: one span each, and the spindown thaws them."""
    with Receiver() as receiver:
        function, extensions = made(tmp_path, receiver, "flush: {mode: next}")
        with LambdaEnvironment(
            function, extensions, telemetry=True, freeze_when_idle=True
        ) as environment:
            results = []
            for index in range(6):
                results.append(environment.invoke(event("raise" if index % 3 == 2 else "fine")))
                assert environment.wait_idle(IDLE_S)
                assert all(eventually(stopped, pid) for pid in environment.extension_pids)
        assert fates(receiver) == [
            (one.request_id, "raised" if index % 3 == 2 else "returned")
            for index, one in enumerate(results)
        ]


def stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def test_a_thaw_in_the_middle_of_an_export_is_no_loss(tmp_path: Path) -> None:
    """The extension is stopped while it exports: what was cut off is sent again, and counted."""
    with Receiver() as receiver:
        function, extensions = made(tmp_path, receiver, "flush: {mode: end}")
        with LambdaEnvironment(function, extensions) as environment:
            results = []
            for _ in range(8):
                worker = threading.Thread(
                    target=lambda: results.append(environment.invoke(event("fine")))
                )
                worker.start()
                environment.freeze()
                environment.thaw()
                worker.join()
        assert sorted(fates(receiver)) == sorted((one.request_id, "returned") for one in results)


@pytest.mark.parametrize(
    ("kind", "cold", "children"),
    [
        (PROVISIONED, False, ["init"]),
        (SNAP_START, True, ["init", "restore"]),
    ],
)
def test_an_environment_that_was_initialised_ahead(
    tmp_path: Path, kind: str, cold: bool, children: list[str]
) -> None:
    """Provisioned concurrency is no cold start; a restore is one, and has its own span."""
    with Receiver() as receiver:
        function, extensions = made(tmp_path, receiver, initialization_type=kind)
        with LambdaEnvironment(function, extensions, telemetry=True) as environment:
            assert environment.init()
            assert environment.wait_for_telemetry(IDLE_S) or kind == SNAP_START
            environment.invoke(event("fine"))
            environment.invoke(event("fine"))
        first, second = (attributes_of(span) for span in servers(receiver))
        names = {span.name for span in receiver.spans() if span.kind == 1}
    assert (first["faas.coldstart"], first["spanpipe.init.type"]) == (cold, kind)
    assert (second["faas.coldstart"], "spanpipe.init.type" in second) == (False, False)
    assert names >= set(children)
    assert ("restore" in names) == ("restore" in children)


def test_an_invocation_carries_its_links_tenant_and_execution(tmp_path: Path) -> None:
    """The X-Ray header is a link, not the parent; tenant and durable execution are attributes."""
    arn = "arn:aws:lambda:eu-west-1:123456789012:function:f:1/durable-execution/n/1"
    with Receiver() as receiver:
        function, extensions = made(tmp_path, receiver)
        with LambdaEnvironment(function, extensions) as environment:
            for _ in range(2):
                environment.invoke(event("fine", DurableExecutionArn=arn), XRAY, tenant_id="blue")
        spans = servers(receiver)
    assert len(spans) == 2, "one span for each replay"
    for span in spans:
        (link,) = span.links
        assert link.trace_id.hex() == "5bef4de7ad49b0e87f6ef6c87fc2e700"
        assert link.span_id.hex() == "9a9197af755a6419"
        assert (span.parent_span_id, span.trace_id == link.trace_id) == (b"", False)
        attributes = attributes_of(span)
        assert attributes["spanpipe.tenant.id"] == "blue"
        assert attributes["spanpipe.durable_execution.arn"] == arn


def test_the_platforms_spans_can_be_left_out(tmp_path: Path) -> None:
    """One switch for those who pay by the span; the init's own stays."""
    with Receiver() as receiver:
        function, extensions = made(tmp_path, receiver, "signals: {platform_spans: false}")
        with LambdaEnvironment(function, extensions, telemetry=True) as environment:
            for _ in range(3):
                environment.invoke(event("fine"))
        assert {span.name for span in receiver.spans() if span.kind == 1} == {"init"}


def test_the_report_is_told_with_the_invocation_or_behind_it(tmp_path: Path) -> None:
    """Billed duration, memory and init: attributes where they come in time, else a span."""
    with Receiver() as receiver:
        function, extensions = made(tmp_path, receiver, "flush: {mode: next, max_age_ms: 600000}")
        with LambdaEnvironment(function, extensions, telemetry=True) as environment:
            environment.invoke(event("fine"))
            environment.invoke(event("sleep", seconds=0.1))
        first = attributes_of(servers(receiver)[0])
    told = {name.removeprefix("spanpipe.report.") for name in first if ".report." in name}
    assert told == {
        "billed_duration_ms",
        "duration_ms",
        "init_duration_ms",
        "memory_used_bytes",
        "memory_size_bytes",
        "produced_bytes",
    }
    assert first["spanpipe.report.memory_size_bytes"] == 128 * 1024 * 1024
    assert first["spanpipe.report.produced_bytes"] == len('"fine"')


def test_managed_instances_many_requests_and_processes(tmp_path: Path) -> None:
    """Several processes on one pipe pair, requests at once, a timeout: a span each, on time."""
    with Receiver() as receiver:
        function, extensions = made(
            tmp_path,
            receiver,
            "flush: {max_age_ms: 100}",
            initialization_type=MANAGED,
            max_concurrency=3,
            timeout_s=1.0,
        )
        with LambdaEnvironment(function, extensions, telemetry=True) as environment:
            assert environment.init()
            results: list[tuple[str, InvocationResult]] = []

            def call(do: str) -> None:
                for _ in range(10):
                    results.append((do, invoked(environment, do)))

            callers = [threading.Thread(target=call, args=(do,)) for do in ("fine", "raise")]
            callers.append(
                threading.Thread(
                    target=lambda: results.append(("hang", invoked(environment, "hang")))
                )
            )
            for caller in callers:
                caller.start()
            for caller in callers:
                caller.join()
            expected = {"fine": "returned", "raise": "raised", "hang": "timed_out"}
            wanted = sorted((one.request_id, expected[do]) for do, one in results)
            # Flushed on time: before any SHUTDOWN.
            assert eventually(there_are, receiver, len(wanted))
            assert environment.extension_pids
        assert sorted(fates(receiver)) == wanted
        assert len(wanted) == 21
        assert {attributes_of(one)["faas.coldstart"] for one in servers(receiver)} == {False}


def eventually(holds: Callable[..., bool], *args: Any) -> bool:
    pause = threading.Event()
    for _ in range(400):
        if holds(*args):
            return True
        pause.wait(0.025)
    return False


def there_are(receiver: Receiver, count: int) -> bool:
    return len(servers(receiver)) >= count


def invoked(environment: LambdaEnvironment, do: str) -> InvocationResult:
    """An invocation that a process of the runtime was free for."""
    while True:
        result = environment.invoke(event(do))
        if b"Runtime.Unavailable" not in result.payload:
            return result


def test_managed_instances_find_files_without_a_frame(tmp_path: Path) -> None:
    """The article's own way: a file named by the request ID is read on time, with no INVOKE."""
    with Receiver() as receiver:
        function, extensions = made(
            tmp_path,
            receiver,
            "flush: {max_age_ms: 100}",
            handler="file_function.handler",
            initialization_type=MANAGED,
        )
        with LambdaEnvironment(function, extensions, telemetry=True) as environment:
            assert environment.init()
            result = environment.invoke(event("fine"))
            assert eventually(there_are, receiver, 1)
            left = [name for name in os.listdir(environment.directory) if "-" in name]
        (span,) = servers(receiver)
    assert attributes_of(span)["spanpipe.result.body"] == '{"by":"file"}'
    assert result.request_id not in left


@pytest.mark.parametrize("seed", range(3))
def test_reordered_and_lost_platform_events_change_no_count(tmp_path: Path, seed: int) -> None:
    """Dropped, doubled and swapped: exactly one span for each invocation, with its own fate."""
    faults = TelemetryFaults(
        drop=0.2,
        duplicate=0.2,
        swap=0.3,
        random=random.Random(seed),  # noqa: S311
    )
    with Receiver() as receiver:
        function, extensions = made(tmp_path, receiver, "flush: {mode: next}")
        with LambdaEnvironment(function, extensions, telemetry=True, faults=faults) as environment:
            results = [
                environment.invoke(event("raise" if index % 4 == 3 else "fine"))
                for index in range(20)
            ]
        assert fates(receiver) == [
            (one.request_id, "raised" if index % 4 == 3 else "returned")
            for index, one in enumerate(results)
        ]
