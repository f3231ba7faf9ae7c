"""Every fate has its invocation span, exactly one, wherever it can be produced."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sandbox.environment import Function, LambdaEnvironment
from sandbox.launcher import write_extensions
from sandbox.receiver import Receiver
from tests.whole.emulator import Emulator
from tests.whole.fates import CASES, Case, Told, expected_span, spans_of
from tests.whole.scenario import FOLDER

SPANS_S = 5.0
TIMEOUT_S = 1
INIT_TIMEOUT_S = 5
"""On the emulator an invocation has it in its own: what is to run out there needs the start."""


def function_environ(case: Case, endpoint: str) -> dict[str, str]:
    environ = {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": endpoint}
    if case.init_mode:
        environ["INIT_MODE"] = case.init_mode
    return environ


def handler_of(case: Case) -> str:
    return f"fate_function.{'handler' if case.with_writer else 'plain'}"


def common(told: Told, case: Case, place: str, initialization_type: str) -> dict[str, Any]:
    """What every span of this place has, by whether it was ever invoked and had a writer."""
    invoked = told.fate != "init_failed"
    sandbox = place == "sandbox"
    attributes = {"faas.trigger": "other"}
    if invoked or sandbox:
        attributes["faas.invocation_id"] = "(varies)"
    if invoked:
        attributes["aws.lambda.invoked_arn"] = "(varies)"
        attributes["cloud.resource_id"] = "(varies)"
    if invoked or sandbox:
        attributes["cloud.account.id"] = "(varies)"
    resource = {
        "cloud.provider": "aws",
        "cloud.platform": "aws_lambda",
        "faas.name": "function",
        "faas.version": "$LATEST",
        "service.name": "function",
        "telemetry.sdk.language": "python",
        "telemetry.sdk.name": "opentelemetry",
        "telemetry.sdk.version": "(varies)",
        "telemetry.distro.name": "spanpipe",
        "telemetry.distro.version": "(varies)",
        "cloud.region": "eu-west-1",
        "faas.max_memory": str(128 * 1024 * 1024),
    }
    if invoked and case.with_writer:
        for name in ("aws.log.group.names", "faas.instance", "aws.log.stream.names"):
            resource[name] = "(varies)"
    return {
        "attributes": attributes,
        "resource": resource,
        "initialization_type": initialization_type,
    }


def expected(
    told: tuple[Told, ...], case: Case, place: str, initialization_type: str = "on-demand"
) -> list[dict[str, Any]]:
    """Whole spans; the first of each extension process tells how that was initialised."""
    return [
        expected_span(
            one,
            common(one, case, place, initialization_type),
            first=one.cold_start if initialization_type == "on-demand" else index == 0,
        )
        for index, one in enumerate(told)
    ]


@pytest.mark.parametrize("name", CASES)
def test_every_fate_on_the_sandbox(tmp_path: Path, name: str) -> None:
    """With a Telemetry API: the spans of the table, compared whole, and no others."""
    case = CASES[name]
    with Receiver() as receiver:
        function = Function(
            handler_of(case),
            str(FOLDER),
            timeout_s=TIMEOUT_S,
            environ=function_environ(case, receiver.http_endpoint),
            enforce_memory="memory" in case.does,
            names_out_of_memory=case.names_out_of_memory,
            init_timeout_s=INIT_TIMEOUT_S,
        )
        extensions = str(write_extensions(tmp_path))
        with LambdaEnvironment(function, extensions, telemetry=True) as environment:
            for do in case.does:
                event = json.dumps({"do": do}).encode()
                environment.invoke(event, request_id="again" if case.retried else None)
        spans = spans_of(receiver.requests)
    assert spans == expected(case.sandbox, case, "sandbox")


def on_emulator(folder: Path, case: Case, told: tuple[Told, ...], *, managed: bool) -> list[Any]:
    with Receiver() as receiver:
        environ = function_environ(case, receiver.http_endpoint)
        with Emulator(
            folder, handler_of(case), FOLDER, INIT_TIMEOUT_S, environ, managed=managed
        ) as emulator:
            for do in case.does:
                event = json.dumps({"do": do}).encode()
                # A process of the runtime that is not ready yet takes no invocation.
                while b"Runtime.Unavailable" in emulator.invoke(event)[1]:
                    pass
            emulator.shutdown()
        receiver.wait_for_spans(len(told), SPANS_S)
        return spans_of(receiver.requests)


@pytest.mark.emulator
@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.emulator])
def test_every_fate_on_the_emulator(tmp_path: Path, name: str) -> None:
    """AWS's emulator has no Telemetry API: what it can produce, told by INVOKE and SHUTDOWN."""
    case = CASES[name]
    assert case.emulator is not None
    spans = on_emulator(tmp_path, case, case.emulator, managed=False)
    if case.emulator_or is None or spans != expected(case.emulator_or, case, "emulator"):
        assert spans == expected(case.emulator, case, "emulator")


@pytest.mark.emulator
@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.managed])
def test_every_fate_on_managed_instances(tmp_path: Path, name: str) -> None:
    """The emulator's Managed Instances: no INVOKE, a real Telemetry API, two processes."""
    case = CASES[name]
    assert case.managed is not None
    spans = on_emulator(tmp_path, case, case.managed, managed=True)
    kind = "lambda-managed-instances"
    assert spans == expected(case.managed, case, "emulator", kind)
