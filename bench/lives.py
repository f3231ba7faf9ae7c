"""A function under one kind of telemetry in the sandbox, invoked and measured.

Which kinds, and how each is set up, stands in bench/BASELINES.md.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from bench import peers
from bench.held import ASKS_ONLY
from bench.processes import cpu_s
from sandbox.environment import Function, LambdaEnvironment
from sandbox.launcher import write_extensions

FUNCTIONS = Path(__file__).resolve().parent / "functions"
IDLE_S = 40.0
TIMEOUT_S = 15.0
"""Over the 10 s that OpenTelemetry's exporter tries a hanging collector, so that it may."""
SETTLE_S = 10.0
STILL_S = 0.1
STILL_CPU_S = 0.002


@dataclass(frozen=True, slots=True)
class Telemetry:
    """`python` is the peer's environment, `command` what stands before the runtime's command."""

    name: str
    handler: str
    point: str
    python: str = "bare"
    command: tuple[str, ...] = ()
    environ: Mapping[str, str] = field(default_factory=dict)
    flush: Mapping[str, Any] | None = None
    """Of our own extension; None: it is not there."""
    empty_extension: bool = False
    exports: bool = False
    """Whether it sends to the collector."""


def ours(mode: str, name: str = "", **flush: Any) -> Telemetry:
    """Our extension and `capture`."""
    return Telemetry(
        name or f"spanpipe, {mode}",
        "captured.handler",
        "accepted, later" if mode == "next" else "accepted",
        flush={"mode": mode, **flush},
        exports=True,
    )


NOTHING = Telemetry("no telemetry", "plain.handler", "–")
EMPTY = Telemetry("empty extension", "plain.handler", "–", empty_extension=True)
OPENTELEMETRY = Telemetry(
    "OpenTelemetry, in process",
    "plain.handler",
    "accepted",
    python="opentelemetry",
    command=("opentelemetry-instrument",),
    environ={
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_METRICS_EXPORTER": "none",
        "OTEL_LOGS_EXPORTER": "none",
    },
    exports=True,
)
NEW_RELIC = Telemetry(
    "New Relic, into the log",
    "monitored.handler",
    "the log",
    python="newrelic",
    environ={
        "NEW_RELIC_SERVERLESS_MODE_ENABLED": "true",
        "NEW_RELIC_ACCOUNT_ID": "1",
        "NEW_RELIC_TRUSTED_ACCOUNT_KEY": "1",
        "NEW_RELIC_PRIMARY_APPLICATION_ID": "1",
    },
)
DATADOG = Telemetry(
    "Datadog, into the log",
    "datadog_lambda.handler.handler",
    "the log",
    python="datadog",
    environ={"DD_LAMBDA_HANDLER": "plain.handler", "DD_FLUSH_TO_LOG": "true"},
)


@dataclass(frozen=True, slots=True)
class Paid:
    """One invocation, in seconds: to the response, and until everything waited again."""

    caller_s: float
    billed_s: float


class Life:
    """One environment. Raises peers.NotObtainableError."""

    def __init__(
        self,
        telemetry: Telemetry,
        endpoint: str = "",
        on_line: Callable[[str, str], None] = lambda name, line: None,
        *,
        memory_mb: int = 128,
        freeze: bool = False,
    ) -> None:
        self.telemetry = telemetry
        self._stack = ExitStack()
        folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
        environ = dict(telemetry.environ)
        if telemetry.exports:
            environ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"] = endpoint
        extensions = None
        if telemetry.flush is not None:
            config = folder / "spanpipe.yaml"
            config.write_text(json.dumps({"flush": dict(telemetry.flush)}))
            environ["SPANPIPE_CONFIG"] = str(config)
            extensions = str(write_extensions(folder))
        elif telemetry.empty_extension:
            extensions = str(_asks_only(folder))
        python = peers.python(telemetry.python)
        before = [str(python.parent / one) for one in telemetry.command]
        function = Function(
            telemetry.handler,
            str(FUNCTIONS),
            timeout_s=TIMEOUT_S,
            init_timeout_s=30,
            memory_mb=memory_mb,
            environ=environ,
        )
        command = (*before, str(python), "-m", "awslambdaric", telemetry.handler)
        self.environment = LambdaEnvironment(
            function,
            extensions,
            runtime_command=command,
            on_line=on_line,
            freeze_when_idle=freeze,
        )

    def __enter__(self) -> Life:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self._stack:
            self.environment.close(patient=kind is None)

    def invoke(self, handler_ms: int) -> Paid:
        """Once; back when everything waits for the next."""
        environment = self.environment
        result = environment.invoke(json.dumps({"ms": handler_ms}).encode())
        assert result.status == "returned", (self.telemetry.name, result.payload)
        assert environment.wait_idle(IDLE_S)
        invocation = environment.invocations[result.ordinal - 1]
        assert invocation.idle_s is not None
        return Paid(result.duration_s, invocation.idle_s - invocation.began_s)

    def settle(self) -> None:
        """Wait until nothing is imported any more: processes are still for a while."""
        until_s = time.monotonic() + SETTLE_S
        before_s = -1.0
        while time.monotonic() < until_s:
            now_s = self.function_cpu_s + self.extension_cpu_s
            if now_s - before_s < STILL_CPU_S:
                return
            before_s = now_s
            time.sleep(STILL_S)

    @property
    def function_cpu_s(self) -> float:
        """Of the runtime's process, so far."""
        pid = self.environment.runtime_pid
        return cpu_s([pid] if pid else [])

    @property
    def extension_cpu_s(self) -> float:
        """Of the extensions, so far."""
        return cpu_s(self.environment.extension_pids)


def _asks_only(folder: Path) -> Path:
    extensions = folder / "extensions"
    extensions.mkdir()
    program = extensions / "asks"
    program.write_text(ASKS_ONLY.format(python=peers.python("bare")))
    program.chmod(0o755)
    return extensions
