"""What the sandbox says on the Telemetry API: as documented, and as AWS's emulator says it."""

from __future__ import annotations

import json
import shlex
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from sandbox import schema
from sandbox.environment import Function, LambdaEnvironment
from sandbox.function import MANAGED, ON_DEMAND, SNAP_START
from sandbox.receiver import Receiver
from tests.whole.emulator import MAX_CONCURRENCY, Emulator
from tests.whole.recording_extension import PREFIX
from tests.whole.scenario import FOLDER

NAME = "recorder"
TIMEOUT_S = 1
EMULATOR_TIMEOUT_S = 6
"""There it is the limit of the init as well."""
HANDLER = "fate_function.plain"
IDLE_S = 10.0


def script() -> str:
    """The recording extension, as a file for the extensions folder."""
    program = shlex.quote(str(FOLDER / "recording_extension.py"))
    return f"#!/bin/sh\nexec {shlex.quote(sys.executable)} {program} {NAME}\n"


def recorded(lines: list[str]) -> list[dict[str, Any]]:
    return [json.loads(line.partition(PREFIX)[2]) for line in lines if line.startswith(PREFIX)]


def on_sandbox(
    folder: Path, kind: str, does: tuple[str, ...], timeout_s: int = TIMEOUT_S
) -> list[dict[str, Any]]:
    """Every event of one environment's life, as it came over the wire."""
    extensions = folder / "extensions"
    extensions.mkdir()
    (extensions / NAME).write_text(script())
    (extensions / NAME).chmod(0o755)
    function = Function(
        HANDLER,
        str(FOLDER),
        timeout_s=timeout_s,
        initialization_type=kind,
        max_concurrency=MAX_CONCURRENCY,
    )
    lines: list[str] = []
    with LambdaEnvironment(
        function, str(extensions), on_line=lambda _, line: lines.append(line), telemetry=True
    ) as environment:
        if kind != ON_DEMAND:
            assert environment.init()
        for do in does:
            # A process of Managed Instances that has just answered may not be free yet.
            while b"Runtime.Unavailable" in environment.invoke(event(do)).payload:
                pass
        environment.wait_idle(IDLE_S)
    return recorded(lines)


def event(do: str) -> bytes:
    return json.dumps({"do": do}).encode()


def problems(events: list[dict[str, Any]]) -> list[str]:
    """What in `events` is not as documented."""
    found = []
    for one in events:
        assert set(one) == {"time", "type", "record"}
        assert one["time"].endswith("Z")
        assert datetime.fromisoformat(one["time"].replace("Z", "+00:00"))
        problem = schema.problem(schema.RECORDS[one["type"]], one["record"])
        if problem:
            found.append(f"{one['type']}: {problem}")
    return found


@pytest.mark.parametrize(
    ("kind", "does", "types"),
    [
        (
            ON_DEMAND,
            ("fine", "raise", "_exit", "hang", "fine"),
            {"platform.runtimeDone"},
        ),
        (
            SNAP_START,
            ("fine", "fine"),
            {
                "platform.runtimeDone",
                "platform.restoreStart",
                "platform.restoreRuntimeDone",
                "platform.restoreReport",
            },
        ),
        (MANAGED, ("fine", "raise", "hang"), set()),
    ],
)
def test_every_event_of_the_sandbox_is_as_documented(
    tmp_path: Path, kind: str, does: tuple[str, ...], types: set[str]
) -> None:
    """Each kind of environment through its fates: exactly these types, each of the shape."""
    events = on_sandbox(tmp_path, kind, does)
    assert problems(events) == []
    assert {one["type"] for one in events} == types | {
        "platform.initStart",
        "platform.initRuntimeDone",
        "platform.initReport",
        "platform.extension",
        "platform.telemetrySubscription",
        "platform.start",
        "platform.report",
    }


@pytest.mark.parametrize(
    ("record", "problem"),
    [
        ({"requestId": "1", "status": "success", "metrics": {"durationMs": 1.5}}, None),
        ({"requestId": 1, "status": "success"}, "requestId is of type int"),
        ({"status": "success"}, "requestId is missing"),
        (
            {"requestId": "1", "status": "well"},
            "status must be one of success, error, failure, timeout",
        ),
        ({"requestId": "1", "status": "error", "more": 1}, "more is unknown"),
        (
            {"requestId": "1", "status": "error", "metrics": {"durationMs": True}},
            "metrics.durationMs is of type bool",
        ),
        (
            {"requestId": "1", "status": "error", "spans": [{"name": "a", "start": "b"}]},
            "spans[0].durationMs is missing",
        ),
        ({"requestId": "1", "status": "error", "spans": {}}, "spans must be a list"),
        ([], "the value must be an object"),
    ],
)
def test_the_check_itself_finds_what_is_not_documented(record: Any, problem: str | None) -> None:
    """Each way of being wrong, with its place."""
    assert schema.problem(schema.RECORDS["platform.runtimeDone"], record) == problem


TOLD = ("initializationType", "phase", "status", "errorType", "name", "state", "events", "types")
"""Fields whose values are compared as well."""


def shape(value: Any, key: str = "") -> Any:
    """`value` with the field names kept and what differs from run to run left out."""
    if isinstance(value, dict):
        return {name: shape(inner, name) for name, inner in sorted(value.items())}
    if key in TOLD:
        return value
    if isinstance(value, list):
        return [shape(one) for one in value]
    return "number" if isinstance(value, int | float) else type(value).__name__


def shapes(events: list[dict[str, Any]]) -> list[tuple[str, Any]]:
    """Type and shape of each that is not about another extension."""
    return [
        (one["type"], shape(one["record"]))
        for one in events
        if one["record"].get("name", NAME) == NAME
    ]


@pytest.mark.emulator
def test_the_emulators_managed_instances_say_the_same(tmp_path: Path) -> None:
    """Type by type and field by field, over a success, an error, a timeout and one after it."""
    does = ("fine", "raise", "hang", "fine")
    folder = tmp_path / "emulator"
    folder.mkdir()
    with Receiver() as receiver:
        environ = {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": receiver.http_endpoint}
        with Emulator(
            folder,
            HANDLER,
            FOLDER,
            EMULATOR_TIMEOUT_S,
            environ,
            managed=True,
            more_extensions={NAME: script()},
        ) as emulator:
            for do in does:
                while b"Runtime.Unavailable" in emulator.invoke(event(do))[1]:
                    pass
            emulator.shutdown()
        theirs = recorded(emulator.lines)
    assert theirs, emulator.lines
    assert problems(theirs) == []
    ours = on_sandbox(tmp_path, MANAGED, does, EMULATOR_TIMEOUT_S)
    for one in ours:
        # The emulator does not hand the function's own error type on.
        if one["record"].get("errorType") == "ValueError":
            one["record"]["errorType"] = "Runtime.Unknown"
    assert shapes(ours) == shapes(theirs)
