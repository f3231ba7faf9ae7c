"""The execution environment: init, invoke, timeout, crash, reset, freeze, shutdown.

Sources: AWS Lambda developer guide, "Lambda execution environment lifecycle", and what AWS's
runtime interface emulator does.
"""

from __future__ import annotations

import json
import stat
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from sandbox.faults import RUNTIME
from sandbox.function import (
    CRASH,
    ERROR,
    RETURNED,
    SNAP_START,
    TIMEOUT,
    ExtensionExit,
    Function,
    InvocationResult,
)
from sandbox.generation import Generation
from sandbox.memory import MemoryWatch
from sandbox.opt import Opt
from sandbox.platform_events import PlatformEvents, duration_of, error_type_of
from sandbox.processes import OnLine, Process
from sandbox.server import ApiServer
from sandbox.state import Invocation
from sandbox.telemetry import Telemetry, TelemetryFaults
from sandbox.variables import variables

__all__ = [
    "CRASH",
    "ERROR",
    "RETURNED",
    "TIMEOUT",
    "ExtensionExit",
    "Function",
    "InvocationResult",
    "LambdaEnvironment",
]

EXIT_ERROR = "Runtime.ExitError"
EXTENSION_CRASH = "Extension.Crash"
KILLED_S = 5.0
"""How long a killed process may take to be gone: the kernel's time, and no more."""
OUT_OF_MEMORY = "Runtime.OutOfMemory"
TIMED_OUT = "Sandbox.Timedout"


def _runtime_command(function: Function) -> tuple[str, ...]:
    """As Lambda's own bootstrap starts the runtime: by the wrapper that the function names."""
    wrapper = function.environ.get("AWS_LAMBDA_EXEC_WRAPPER")
    command = (sys.executable, "-m", "awslambdaric", function.handler)
    return (wrapper, *command) if wrapper else command


class LambdaEnvironment:
    """A function, its extensions, and their private folder in place of `/tmp`.

    Every non-folder in `extensions_directory` is executed. Processes start at the first
    invocation or at `init`, and anew after a timeout or a crash; the folder is kept, as `/tmp`
    is. `telemetry` False: there is no Telemetry API, as in AWS's emulator; `faults` says what
    goes wrong on its way. `freeze_when_idle`: stopped between invocations, as in Lambda. `opt` is
    what its layers put there.
    """

    def __init__(
        self,
        function: Function,
        extensions_directory: str | None = None,
        *,
        runtime_command: tuple[str, ...] | None = None,
        on_line: OnLine = lambda name, line: None,
        telemetry: bool = False,
        faults: TelemetryFaults | None = None,
        freeze_when_idle: bool = False,
        opt: Opt | None = None,
    ) -> None:
        self.function = function
        self._opt = opt
        self.invocations: list[Invocation] = []
        self.exits: list[ExtensionExit] = []
        self._extensions_directory = extensions_directory
        self._runtime_command = runtime_command or _runtime_command(function)
        self._print = on_line
        self._telemetry = Telemetry(faults) if telemetry else None
        self._logs_json = function.environ.get("AWS_LAMBDA_LOG_FORMAT", "").lower() == "json"
        self._freeze_when_idle = freeze_when_idle and not function.managed
        self._folder = tempfile.TemporaryDirectory(prefix="spanpipe-sandbox-")
        self._server = ApiServer()
        self._generation: Generation | None = None
        self._statuses: dict[str, int | None] = {}
        self._was_initialised = False
        self._events = PlatformEvents(function, self._emit)
        self._lock = threading.Lock()

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
        generation = self._generation
        return [one.pid for one in generation.extensions if one.running] if generation else []

    @property
    def runtime_pid(self) -> int | None:
        """Of the runtime, while there is one."""
        generation = self._generation
        runtime = generation.runtime if generation else None
        return runtime.pid if runtime is not None and runtime.running else None

    def extension_statuses(self) -> dict[str, int | None]:
        """Exit status by name, of the newest generation."""
        generation = self._generation
        if generation is not None:
            return {one.name: one.status for one in generation.extensions}
        return dict(self._statuses)

    # Between invocations

    def init(self) -> bool:
        """Initialise ahead of the first invocation; whether that went well.

        Provisioned concurrency and Managed Instances do, and so does Lambda on its own account
        (proactive initialisation). With SnapStart everything is frozen afterwards.
        """
        generation = self._generation
        if generation is None:
            generation = self._start("init", self.function.init_timeout_s)
            if not generation.ready:
                self._reset("timeout" if generation.init_timed_out else "spindown", None)
                return False
        if self.function.initialization_type == SNAP_START:
            generation.freeze()
        return True

    def freeze(self) -> None:
        """Stop every process."""
        if self._generation is not None:
            self._generation.freeze()

    def thaw(self) -> None:
        """Let them go on."""
        if self._generation is not None:
            self._generation.thaw()

    def kill(self, which: str) -> bool:
        """SIGKILL to the runtime or to the extensions, and their end; whether there were any."""
        generation = self._generation
        if generation is None:
            return False
        runtimes = [generation.runtime] if generation.runtime else []
        processes = runtimes if which == RUNTIME else generation.extensions
        killed = [one for one in processes if one.running]
        for process in killed:
            process.kill()
        return bool(killed) and all(one.wait(KILLED_S) for one in killed)

    def wait_idle(self, timeout_s: float) -> bool:
        """Whether the runtime and every extension wait for the next event within `timeout_s`."""
        return self._generation is None or self._generation.wait_idle(timeout_s)

    def wait_settled(self, timeout_s: float) -> bool:
        """Whether all wait for the next event, or a process has ended, within `timeout_s`."""
        return self._generation is None or self._generation.wait_idle_or_broken(timeout_s)

    def wait_for_telemetry(self, timeout_s: float) -> bool:
        """Whether an extension has subscribed to the Telemetry API within `timeout_s`."""
        return self._telemetry is not None and self._telemetry.wait(timeout_s)

    def flush_telemetry(self) -> None:
        """Send the events that are buffered now: what they tell has been told then."""
        if self._telemetry is not None:
            self._telemetry.flush()

    # Invocations

    def invoke(
        self,
        event: bytes,
        trace_header: str | None = None,
        *,
        request_id: str | None = None,
        tenant_id: str | None = None,
        on_begin: Callable[[], None] = lambda: None,
    ) -> InvocationResult:
        """Invoke once; back with the response, not waiting for the extensions.

        The wait for the invocation before to be over, extensions included, comes first, as
        in Lambda: until its deadline, and then the environment is reset. `request_id` is given
        for a retry, which brings the same again. `on_begin` is called when everything is
        ready, before runtime or extension hears of the invocation; not where the init failed.
        On Managed Instances several threads may invoke at once.
        """
        generation = self._ready_generation()
        with self._lock:
            invocation = Invocation(
                ordinal=len(self.invocations) + 1,
                request_id=request_id or str(uuid.uuid4()),
                payload=event,
                deadline_unix_ms=int((time.time() + self.function.timeout_s) * 1000),
                invoked_function_arn=self.function.arn,
                trace_header=trace_header,
                began_s=time.monotonic(),
                began_unix_s=time.time(),
                tenant_id=tenant_id,
            )
            self.invocations.append(invocation)
        if generation is None:
            generation = self._start_for_invocation()
            if not generation.ready:
                return self._failed_init(generation, invocation)
            invocation.began_s, invocation.began_unix_s = time.monotonic(), time.time()
            invocation.deadline_unix_ms = int((time.time() + self.function.timeout_s) * 1000)
        if generation.awaits_restore:
            self._events.restore_s = generation.restore()
        generation.thaw()
        on_begin()
        if self.function.managed:
            return self._invoke_managed(generation, invocation)
        return self._invoke(generation, invocation)

    def _invoke(self, generation: Generation, invocation: Invocation) -> InvocationResult:
        function, state, runtime = self.function, generation.state, generation.runtime

        def crashed() -> Process | None:
            if function.extension_crash_fails:
                return generation.crashed
            return None if runtime is None or runtime.running else runtime

        limit_mb = function.memory_mb if function.enforce_memory else None
        with MemoryWatch(runtime, limit_mb) as self._events.memory:
            self._events.start(invocation)
            state.begin(invocation)
            with state.changed:
                state.changed.wait_for(
                    lambda: invocation.done or crashed() is not None,
                    timeout=function.timeout_s,
                )
        if invocation.response is not None:
            status = ERROR if invocation.failed else RETURNED
            return self._ended(invocation, status, invocation.response)
        broken = crashed()
        if broken is not None:
            error_type, status = EXIT_ERROR, "failure"
            text = f"Runtime exited with error: {broken.exit_text}"
            if broken is not runtime:
                error_type, status, text = EXTENSION_CRASH, "error", broken.exit_text
            elif self._events.memory.killed and function.names_out_of_memory:
                error_type, status = OUT_OF_MEMORY, "error"
            elif not broken.status:
                text = "Runtime exited without providing a reason"
            self._events.runtime_done(invocation, status, error_type)
            self._reset("failure", invocation)
            return self._ended(invocation, CRASH, _error(error_type, text, invocation))
        self._events.runtime_done(invocation, "timeout", None)
        self._reset("timeout", invocation)
        text = f"Task timed out after {function.timeout_s:.2f} seconds"
        return self._ended(invocation, TIMEOUT, _error(TIMED_OUT, text, invocation))

    def _invoke_managed(self, generation: Generation, invocation: Invocation) -> InvocationResult:
        state = generation.state
        with state.changed:
            if not state.waiting_runtimes:
                self.invocations.remove(invocation)
                text = "no runtime is free"
                return self._ended(
                    invocation, ERROR, _error("Runtime.Unavailable", text, invocation)
                )
            self._events.start(invocation)
            state.begin(invocation)
            state.changed.wait_for(lambda: invocation.done, timeout=self.function.timeout_s)
        payload, status, told, error_type = invocation.response, RETURNED, "success", None
        if payload is None:
            state.give_up(invocation)
            text = f"Task timed out after {self.function.timeout_s:.2f} seconds"
            payload = _error(TIMED_OUT, text, invocation)
            status, told, error_type = TIMEOUT, "timeout", TIMED_OUT
        elif invocation.failed:
            status, told, error_type = ERROR, "error", error_type_of(payload)
        self._events.managed_report(invocation, told, error_type)
        return self._ended(invocation, status, payload)

    # The end

    def shutdown(self, reason: str = "spindown", *, patient: bool = True) -> None:
        """End this generation of processes: SIGTERM, SHUTDOWN, and SIGKILL at the limit.

        Between invocations this comes to an idle environment only: that is waited for, until
        the last invocation's deadline, unless `patient` is false.
        """
        generation = self._generation
        if generation is None:
            return
        if patient and self.invocations and not generation.frozen:
            left_s = self.invocations[-1].began_s + self.function.timeout_s - time.monotonic()
            generation.wait_idle_or_broken(max(0.0, left_s))
        self._reset(reason, None)

    def close(self, *, patient: bool = True) -> None:
        """Shut down, and leave nothing behind."""
        generation = self._generation
        try:
            self.shutdown(patient=patient)
        finally:
            if generation is not None:
                generation.stop()
            self._server.close()
            self._folder.cleanup()

    def _reset(self, reason: str, invocation: Invocation | None) -> None:
        generation, self._generation = self._generation, None
        if generation is None:
            return

        def report() -> None:
            if invocation is not None:
                self._events.report(invocation)

        self.exits += generation.shutdown(reason, report)
        self._statuses = {one.name: one.status for one in generation.extensions}
        if self._telemetry is not None:
            self._telemetry.close()

    # Init

    def _ready_generation(self) -> Generation | None:
        """One that waits for an event; None where there is none."""
        generation = self._generation
        if generation is None or self.function.managed or generation.frozen:
            return generation
        left_s = self.function.timeout_s
        if self.invocations:
            left_s = self.invocations[-1].began_s + self.function.timeout_s - time.monotonic()
        generation.wait_idle_or_broken(max(0.05, left_s))
        if generation.state.idle:
            return generation
        self._reset("timeout" if generation.crashed is None else "failure", None)
        return None

    def _start(self, phase: str, limit_s: float) -> Generation:
        """Start a generation, `ready` or not."""
        function = self.function
        generation = Generation(
            function,
            self._extension_files(),
            self._telemetry,
            phase,
            on_runtime_done=self._events.answered,
            on_idle=self._on_idle,
            started_by=list if self._opt is None else self._opt.command,
        )
        environ = variables(function, self._server.address, self.directory, self._opt)
        self._server.use(generation.state)
        self._generation = generation
        generation.start(self._runtime_command, environ, self.directory, self._on_line, limit_s)
        self._was_initialised = True
        if generation.ready and phase == "init":
            self._events.init_s = generation.init_s
        return generation

    def _start_for_invocation(self) -> Generation:
        """Init while an invocation waits: Lambda tries a failed first one once more.

        AWS's emulator, which has no Telemetry API, fails the invocation at once.
        """
        first = not self._was_initialised
        limit_s = self.function.init_timeout_s if first else self.function.timeout_s
        generation = self._start("init" if first else "invoke", limit_s)
        if first and not generation.ready and self._telemetry is not None:
            self._reset("timeout" if generation.init_timed_out else "spindown", None)
            generation = self._start("invoke", self.function.timeout_s)
        return generation

    def _failed_init(self, generation: Generation, invocation: Invocation) -> InvocationResult:
        """The extensions never hear of this invocation, save by the Telemetry API."""
        timed_out, error_type = generation.init_timed_out, generation.init_error_type
        self._events.start(invocation)
        self._events.runtime_done(
            invocation,
            "timeout" if timed_out else "error",
            None if timed_out else error_type,
        )
        reason = "spindown" if generation.phase == "init" else "failure"
        self._reset("timeout" if timed_out else reason, invocation)
        payload = generation.state.init_error
        crashed = [name for name, code in self.extension_statuses().items() if code]
        if crashed and payload is None and not timed_out:
            text = f"extension {', '.join(crashed)} exited during init"
            payload = _error(EXTENSION_CRASH, text, invocation)
        payload = payload or _error(error_type, "init did not succeed", invocation)
        return self._ended(invocation, TIMEOUT if timed_out else ERROR, payload)

    def _on_idle(self) -> None:
        """Everything waits: the report leaves, and Lambda may freeze."""
        generation = self._generation
        if generation is None or self.function.managed:
            return
        last = self.invocations[-1] if self.invocations else None
        if last is not None and last.done:
            self._events.report(last)
        if self._freeze_when_idle and last is not None and last.done:
            generation.freeze()

    # Telemetry

    def _on_line(self, name: str, line: str) -> None:
        """Somebody printed a line; the function's are told to whoever has subscribed."""
        if self._telemetry is not None and name == "function":
            self._telemetry.log(line, as_json=self._logs_json)
        self._print(name, line)

    def _emit(self, kind: str, record: dict[str, Any]) -> None:
        if self._telemetry is not None:
            self._telemetry.emit(kind, record)

    def _ended(self, invocation: Invocation, status: str, payload: bytes) -> InvocationResult:
        return InvocationResult(
            invocation.ordinal,
            invocation.request_id,
            status,
            payload,
            duration_of(invocation),
        )

    # What processes see

    def _extension_files(self) -> list[Path]:
        if self._extensions_directory is None:
            return []
        files = sorted(Path(self._extensions_directory).iterdir())
        return [path for path in files if not stat.S_ISDIR(path.stat().st_mode)]


def _error(error_type: str, text: str, invocation: Invocation) -> bytes:
    message = f"RequestId: {invocation.request_id} Error: {text}"
    return json.dumps({"errorType": error_type, "errorMessage": message}).encode()
