"""The execution environment: init, invoke, timeout, crash, reset, shutdown."""

from __future__ import annotations

import json
import os
import signal
import stat
import sys
import tempfile
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from sandbox.processes import OnLine, Process
from sandbox.server import ApiServer
from sandbox.state import ApiState, Invocation
from sandbox.telemetry import Telemetry, report, runtime_done

INIT_LIMIT_S = 10.0
SHUTDOWN_LIMIT_S = 2.0
RUNTIME_SHUTDOWN_S = 0.3
"""Of the shutdown window; the runtime gets SIGTERM, then SIGKILL."""

RETURNED = "returned"
ERROR = "error"
TIMEOUT = "timeout"
CRASH = "crash"

_HIDDEN_FROM_EXTENSIONS = (
    "_HANDLER",
    "LAMBDA_TASK_ROOT",
    "AWS_EXECUTION_ENV",
    "AWS_LAMBDA_LOG_GROUP_NAME",
    "AWS_LAMBDA_LOG_STREAM_NAME",
)


@dataclass(frozen=True, slots=True)
class Function:
    """What is run, and with which limits."""

    handler: str
    code_directory: str
    timeout_s: float = 3.0
    memory_mb: int = 128
    name: str = "function"
    version: str = "$LATEST"
    region: str = "eu-west-1"
    account_id: str = "123456789012"
    environ: Mapping[str, str] = field(default_factory=dict)
    """Variables of the function and of its extensions."""

    @property
    def arn(self) -> str:
        """Its name in Amazon's form."""
        return f"arn:aws:lambda:{self.region}:{self.account_id}:function:{self.name}"


@dataclass(frozen=True, slots=True)
class ExtensionExit:
    """How an extension left: `killed` at the limit, else by itself, `after_s` SHUTDOWN."""

    name: str
    status: int | None
    killed: bool
    after_s: float
    before_deadline_s: float


@dataclass(frozen=True, slots=True)
class InvocationResult:
    """What the caller gets. `status` is ``returned``, ``error``, ``timeout`` or ``crash``."""

    ordinal: int
    request_id: str
    status: str
    payload: bytes
    duration_s: float


class LambdaEnvironment:
    """A function, its extensions, and their private folder in place of `/tmp`.

    Every non-folder in `extensions_directory` is executed. Processes start at the first
    invocation, and anew after a timeout or a crash; the folder is kept, as `/tmp` is.
    `telemetry` False: there is no Telemetry API, as in AWS's emulator.
    """

    def __init__(
        self,
        function: Function,
        extensions_directory: str | None = None,
        *,
        runtime_command: tuple[str, ...] | None = None,
        on_line: OnLine = lambda name, line: None,
        telemetry: bool = False,
    ) -> None:
        self.function = function
        self.invocations: list[Invocation] = []
        self.exits: list[ExtensionExit] = []
        self._extensions_directory = extensions_directory
        self._runtime_command = runtime_command or (
            sys.executable,
            "-m",
            "awslambdaric",
            function.handler,
        )
        self._on_line = on_line
        self._telemetry = Telemetry() if telemetry else None
        self._init_s: float | None = None
        self._folder = tempfile.TemporaryDirectory(prefix="spanpipe-sandbox-")
        self._server = ApiServer()
        self._state: ApiState | None = None
        self._runtime: Process | None = None
        self._extensions: list[Process] = []
        self._log_stream = ""

    def __enter__(self) -> LambdaEnvironment:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close(patient=kind is None)

    @property
    def directory(self) -> str:
        """The folder that stands for `/tmp`."""
        return self._folder.name

    @property
    def extension_pids(self) -> list[int]:
        """Of the extensions that run."""
        return [one.pid for one in self._extensions if one.running]

    def extension_statuses(self) -> dict[str, int | None]:
        """Exit status by name, of the newest generation."""
        return {one.name: one.status for one in self._extensions}

    def invoke(self, event: bytes, trace_header: str | None = None) -> InvocationResult:
        """Invoke once; back with the response, not waiting for the extensions.

        The wait for the invocation before to be over, extensions included, comes first, as
        in Lambda: until its deadline, and then the environment is reset.
        """
        state = self._ready_state()
        began_s = time.monotonic()
        invocation = Invocation(
            ordinal=len(self.invocations) + 1,
            request_id=str(uuid.uuid4()),
            payload=event,
            deadline_unix_ms=int((time.time() + self.function.timeout_s) * 1000),
            invoked_function_arn=self.function.arn,
            trace_header=trace_header,
            began_s=began_s,
        )
        self.invocations.append(invocation)
        if state is None:
            return self._ended(invocation, ERROR, self._init_failure())
        self._emit(
            "platform.start", {"requestId": invocation.request_id, "version": self.function.version}
        )
        state.begin(invocation)
        runtime = self._runtime
        with state.changed:
            state.changed.wait_for(
                lambda: invocation.done or runtime is None or not runtime.running,
                timeout=self.function.timeout_s,
            )
        if invocation.response is not None:
            return self._ended(
                invocation, ERROR if invocation.failed else RETURNED, invocation.response
            )
        if runtime is not None and not runtime.running:
            status = runtime.status
            self._runtime_done(invocation, "failure", "Runtime.ExitError")
            self.shutdown("failure")
            return self._ended(
                invocation,
                CRASH,
                _error(
                    "Runtime.ExitError",
                    f"RequestId: {invocation.request_id} Error: Runtime exited with "
                    + (f"error: exit status {status}" if status else "no reason"),
                ),
            )
        self._runtime_done(invocation, "timeout", None)
        self.shutdown("timeout")
        return self._ended(
            invocation,
            TIMEOUT,
            _error(
                "Sandbox.Timedout",
                f"RequestId: {invocation.request_id} Error: Task timed out after "
                f"{self.function.timeout_s:.2f} seconds",
            ),
        )

    def wait_idle(self, timeout_s: float) -> bool:
        """Whether the runtime and every extension wait for the next event within `timeout_s`."""
        state = self._state
        if state is None:
            return True
        with state.changed:
            return state.changed.wait_for(lambda: state.idle, timeout=timeout_s)

    def wait_for_telemetry(self, timeout_s: float) -> bool:
        """Whether an extension has subscribed to the Telemetry API within `timeout_s`."""
        return self._telemetry is not None and self._telemetry.wait(timeout_s)

    def shutdown(self, reason: str = "spindown", *, patient: bool = True) -> None:
        """End this generation of processes: SIGTERM, SHUTDOWN, and SIGKILL at the limit.

        A spindown comes to an idle environment only: that is waited for, until the last
        invocation's deadline, unless `patient` is false.
        """
        state = self._state
        if state is None:
            return
        if reason == "spindown" and patient and self.invocations:
            self._wait_until_idle_or_broken(state)
        self._state = None
        began_s = time.monotonic()
        deadline_unix_ms = int((time.time() + SHUTDOWN_LIMIT_S) * 1000)
        runtime, self._runtime = self._runtime, None
        if runtime is not None:
            if reason == "spindown":
                runtime.send_signal(signal.SIGTERM)
                runtime.wait(RUNTIME_SHUTDOWN_S)
            runtime.stop()
        told_s = time.monotonic()
        state.post_shutdown(reason, deadline_unix_ms)
        for extension in self._extensions:
            left_s = began_s + SHUTDOWN_LIMIT_S - time.monotonic()
            by_itself = extension.wait(max(0.0, left_s))
            extension.stop()
            ended_s = extension.ended_s or time.monotonic()
            self.exits.append(
                ExtensionExit(
                    name=extension.name,
                    status=extension.status,
                    killed=not by_itself,
                    after_s=ended_s - told_s,
                    before_deadline_s=began_s + SHUTDOWN_LIMIT_S - ended_s,
                )
            )
        state.end()
        if self._telemetry is not None:
            self._telemetry.close()

    def _wait_until_idle_or_broken(self, state: ApiState) -> None:
        left_s = self.invocations[-1].began_s + self.function.timeout_s - time.monotonic()
        processes = [*self._extensions, *([self._runtime] if self._runtime else [])]
        with state.changed:
            state.changed.wait_for(
                lambda: state.idle or any(not one.running for one in processes),
                timeout=max(0.0, left_s),
            )

    def close(self, *, patient: bool = True) -> None:
        """Shut down, and leave nothing behind."""
        try:
            self.shutdown(patient=patient)
        finally:
            for process in (*self._extensions, *((self._runtime,) if self._runtime else ())):
                process.stop()
            self._server.close()
            self._folder.cleanup()

    def _emit(self, kind: str, record: dict[str, Any]) -> None:
        if self._telemetry is not None:
            self._telemetry.emit(kind, record)

    def _runtime_done(self, invocation: Invocation, status: str, error_type: str | None) -> None:
        """``platform.runtimeDone`` and the report that follows it."""
        ended_s = invocation.responded_s or time.monotonic()
        duration_s = ended_s - invocation.began_s
        produced = len(invocation.response or b"")
        request_id = invocation.request_id
        self._emit(
            "platform.runtimeDone",
            runtime_done(request_id, status, duration_s, produced, error_type),
        )
        init_s, self._init_s = self._init_s, None
        memory_mb = self.function.memory_mb
        self._emit("platform.report", report(request_id, status, duration_s, memory_mb, init_s))

    def _responded(self, invocation: Invocation) -> None:
        if not invocation.failed:
            self._runtime_done(invocation, "success", None)
            return
        try:
            error_type = json.loads(invocation.response or b"")["errorType"]
        except (ValueError, KeyError, TypeError):
            error_type = None
        self._runtime_done(invocation, "error", error_type)

    def _ended(self, invocation: Invocation, status: str, payload: bytes) -> InvocationResult:
        duration_s = time.monotonic() - invocation.began_s
        if invocation.responded_s is not None:
            duration_s = invocation.responded_s - invocation.began_s
        return InvocationResult(
            invocation.ordinal, invocation.request_id, status, payload, duration_s
        )

    def _ready_state(self) -> ApiState | None:
        """An environment that waits for an event; None where init failed."""
        state = self._state
        if state is not None:
            last = self.invocations[-1] if self.invocations else None
            left_s = self.function.timeout_s
            if last is not None:
                left_s = last.began_s + self.function.timeout_s - time.monotonic()
            if self.wait_idle(max(0.05, left_s)):
                return state
            crashed = self._runtime is not None and not self._runtime.running
            self.shutdown("failure" if crashed else "timeout")
        return self._init()

    def _init(self) -> ApiState | None:
        files = self._extension_files()
        function = self.function
        state = ApiState(
            frozenset(path.name for path in files),
            {
                "functionName": function.name,
                "functionVersion": function.version,
                "handler": function.handler,
                "accountId": function.account_id,
            },
            self._telemetry,
            self._responded,
        )
        self._state = state
        self._server.use(state)
        self._log_stream = f"{time.strftime('%Y/%m/%d')}/[{function.version}]{uuid.uuid4().hex}"
        environ = self._environ()
        shown = {
            name: value
            for name, value in environ.items()
            if name not in _HIDDEN_FROM_EXTENSIONS and not name.startswith("_X_AMZN_")
        }

        def changed() -> None:
            with state.changed:
                state.changed.notify_all()

        began_s = time.monotonic()
        until_s = began_s + INIT_LIMIT_S
        phase = {"initializationType": "on-demand", "phase": "init"}
        self._emit("platform.initStart", phase)
        self._extensions = [
            Process(path.name, [str(path)], shown, self.directory, self._on_line, changed)
            for path in files
        ]
        names = {path.name for path in files}
        with state.changed:
            state.changed.wait_for(
                lambda: (
                    names <= state.registered_names
                    or any(not one.running for one in self._extensions)
                ),
                timeout=INIT_LIMIT_S,
            )
        if names <= state.registered_names:
            self._runtime = Process(
                "function",
                self._runtime_command,
                environ,
                function.code_directory,
                self._on_line,
                changed,
            )
            runtime = self._runtime
            with state.changed:
                state.changed.wait_for(
                    lambda: state.idle or state.init_error is not None or not runtime.running,
                    timeout=max(0.0, until_s - time.monotonic()),
                )
            if state.idle:
                self._init_s = time.monotonic() - began_s
                duration_ms = round(self._init_s * 1000, 3)
                self._emit("platform.initRuntimeDone", {**phase, "status": "success"})
                self._emit(
                    "platform.initReport",
                    {**phase, "status": "success", "metrics": {"durationMs": duration_ms}},
                )
                return state
        self._init_error = state.init_error
        self.shutdown("failure")
        return None

    _init_error: bytes | None = None

    def _init_failure(self) -> bytes:
        if self._init_error is not None:
            return self._init_error
        crashed = [name for name, status in self.extension_statuses().items() if status]
        if crashed:
            return _error("Extension.Crash", f"extension {', '.join(crashed)} exited during init")
        return _error("Runtime.InitError", "init did not end in time, or the runtime exited")

    def _extension_files(self) -> list[Path]:
        if self._extensions_directory is None:
            return []
        files = sorted(Path(self._extensions_directory).iterdir())
        return [path for path in files if not stat.S_ISDIR(path.stat().st_mode)]

    def _environ(self) -> dict[str, str]:
        function = self.function
        kept = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")
        environ = {name: os.environ[name] for name in kept if name in os.environ}
        environ.update(
            AWS_LAMBDA_RUNTIME_API=self._server.address,
            AWS_LAMBDA_FUNCTION_NAME=function.name,
            AWS_LAMBDA_FUNCTION_VERSION=function.version,
            AWS_LAMBDA_FUNCTION_MEMORY_SIZE=str(function.memory_mb),
            AWS_LAMBDA_INITIALIZATION_TYPE="on-demand",
            AWS_LAMBDA_LOG_GROUP_NAME=f"/aws/lambda/{function.name}",
            AWS_LAMBDA_LOG_STREAM_NAME=self._log_stream,
            AWS_EXECUTION_ENV=f"AWS_Lambda_python{sys.version_info[0]}.{sys.version_info[1]}",
            AWS_REGION=function.region,
            AWS_DEFAULT_REGION=function.region,
            LAMBDA_TASK_ROOT=function.code_directory,
            PYTHONPATH=os.pathsep.join((function.code_directory, _root_of_packages())),
            PYTHONUNBUFFERED="1",
            SPANPIPE_DIR=self.directory,
            TMPDIR=self.directory,
            _HANDLER=function.handler,
        )
        environ.update(function.environ)
        return environ


def _root_of_packages() -> str:
    """Where `fifo` is imported from, as the layer's `/opt/python` would be."""
    import fifo

    return str(Path(fifo.__file__).resolve().parent.parent)


def _error(error_type: str, message: str) -> bytes:
    return json.dumps({"errorType": error_type, "errorMessage": message}).encode()
