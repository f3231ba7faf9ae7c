"""One generation of an environment's processes: from their start to SHUTDOWN."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from sandbox.function import SNAP_START, ExtensionExit, Function
from sandbox.processes import OnLine, Process
from sandbox.state import ApiState, Invocation
from sandbox.telemetry import Telemetry

SHUTDOWN_LIMIT_S = 2.0
RUNTIME_SHUTDOWN_S = 0.3
"""Of the shutdown window; the runtime gets SIGTERM, then SIGKILL."""

HIDDEN_FROM_EXTENSIONS = (
    "_HANDLER",
    "LAMBDA_TASK_ROOT",
    "AWS_EXECUTION_ENV",
    "AWS_LAMBDA_LOG_GROUP_NAME",
    "AWS_LAMBDA_LOG_STREAM_NAME",
)


class Generation:
    """Extensions and runtime, started once, shut down once.

    `phase` is ``init``, or ``invoke`` where init happens inside an invocation. `started_by` gives
    the command that starts a command.
    """

    def __init__(
        self,
        function: Function,
        extension_files: Sequence[Path],
        telemetry: Telemetry | None,
        phase: str,
        *,
        on_runtime_done: Callable[[Invocation], None],
        on_idle: Callable[[], None],
        started_by: Callable[[Sequence[str]], list[str]] = list,
    ) -> None:
        self._started_by = started_by
        self.function = function
        self.phase = phase
        self.init_s: float | None = None
        self.init_timed_out = False
        self.ready = False
        self.runtime: Process | None = None
        self.extensions: list[Process] = []
        self.frozen = False
        self._files = extension_files
        self._telemetry = telemetry
        self.state = ApiState(
            frozenset(path.name for path in extension_files),
            {
                "functionName": function.name,
                "functionVersion": function.version,
                "handler": function.handler,
                "accountId": function.account_id,
            },
            telemetry,
            managed=function.managed,
            on_runtime_done=on_runtime_done,
            on_idle=on_idle,
        )

    @property
    def processes(self) -> list[Process]:
        """All of them."""
        return [*self.extensions, *([self.runtime] if self.runtime else [])]

    @property
    def crashed(self) -> Process | None:
        """The process that ended first, of itself or by a signal; None where all run."""
        ended = [one for one in self.processes if not one.running]
        return min(ended, key=lambda one: one.ended_s or 0.0, default=None)

    @property
    def init_error_type(self) -> str:
        """Why init failed, as Lambda names it."""
        if self.init_timed_out:
            return "Sandbox.Timedout"
        try:
            return str(json.loads(self.state.init_error or b"")["errorType"])
        except (ValueError, KeyError, TypeError):
            return "Runtime.ExitError"

    def start(
        self,
        command: Sequence[str],
        environ: Mapping[str, str],
        directory: str,
        on_line: OnLine,
        limit_s: float,
    ) -> None:
        """Start extensions, then the runtime; `ready` once all of them are, in `limit_s`."""
        function, state = self.function, self.state
        shown = {
            name: value
            for name, value in environ.items()
            if name not in HIDDEN_FROM_EXTENSIONS and not name.startswith("_X_AMZN_")
        }

        def changed() -> None:
            with state.changed:
                state.changed.notify_all()

        began_s = time.monotonic()
        self._emit("platform.initStart", **self._described())
        self.extensions = [
            Process(path.name, self._started_by([str(path)]), shown, directory, on_line, changed)
            for path in self._files
        ]
        names = {path.name for path in self._files}
        with state.changed:
            state.changed.wait_for(
                lambda: (
                    names <= state.registered_names
                    or any(not one.running for one in self.extensions)
                ),
                timeout=limit_s,
            )
        if names <= state.registered_names:
            self.runtime = runtime = Process(
                "function",
                self._started_by(command),
                environ,
                function.code_directory,
                on_line,
                changed,
            )
            with state.changed:
                state.changed.wait_for(
                    lambda: self._all_wait or state.init_error is not None or not runtime.running,
                    timeout=max(0.0, began_s + limit_s - time.monotonic()),
                )
                self.ready = self._all_wait
                self.init_timed_out = (
                    not self.ready and state.init_error is None and runtime.running
                )
        self.init_s = time.monotonic() - began_s
        told = {"status": "success"}
        if not self.ready:
            status = "timeout" if self.init_timed_out else "error"
            told = {"status": status, "errorType": self.init_error_type}
        phase = {"initializationType": function.initialization_type, "phase": self.phase}
        self._emit("platform.initRuntimeDone", **phase, **told)
        for extension in state.extensions.values():
            at = "Ready" if extension.ready_s is not None else "Registered"
            events = list(extension.events)
            self._emit("platform.extension", name=extension.name, state=at, events=events)
        metrics = {"durationMs": round(self.init_s * 1000, 3)}
        self._emit("platform.initReport", **phase, **told, metrics=metrics)

    @property
    def _all_wait(self) -> bool:
        wanted = self.function.max_concurrency if self.function.managed else 0
        return self.state.idle and self.state.waiting_runtimes >= wanted

    def wait_idle(self, timeout_s: float) -> bool:
        """Whether the runtime and every extension wait for the next event within `timeout_s`."""
        state = self.state
        with state.changed:
            return state.changed.wait_for(lambda: state.idle, timeout=timeout_s)

    def wait_idle_or_broken(self, timeout_s: float) -> bool:
        """The same, or a process has ended."""
        state = self.state
        with state.changed:
            return state.changed.wait_for(
                lambda: state.idle or self.crashed is not None,
                timeout=timeout_s,
            )

    def restore(self) -> float:
        """Resume the snapshot; the seconds that took."""
        began_s = time.monotonic()
        function = self.function
        self._emit(
            "platform.restoreStart",
            runtimeVersion="",
            runtimeVersionArn="",
            functionName=function.name,
            functionVersion=function.version,
        )
        self.thaw()
        self.state.restore()
        runtime = self.runtime
        with self.state.changed:
            self.state.changed.wait_for(
                lambda: self.state.waiting_runtimes or runtime is None or not runtime.running,
                timeout=function.init_timeout_s,
            )
        restore_s = time.monotonic() - began_s
        self._emit("platform.restoreRuntimeDone", status="success")
        metrics = {"durationMs": round(restore_s * 1000, 3)}
        self._emit("platform.restoreReport", status="success", metrics=metrics)
        return restore_s

    @property
    def awaits_restore(self) -> bool:
        """Whether this is a snapshot that was not resumed yet."""
        snap_start = self.function.initialization_type == SNAP_START
        return snap_start and self.state.snapshot_taken and not self.state.waiting_runtimes

    def freeze(self) -> None:
        """SIGSTOP to every process."""
        if not self.frozen:
            self.frozen = True
            for process in self.processes:
                process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT to every process."""
        if self.frozen:
            self.frozen = False
            for process in self.processes:
                process.send_signal(signal.SIGCONT)

    def shutdown(self, reason: str, after_told: Callable[[], None]) -> list[ExtensionExit]:
        """SIGTERM to the runtime, SHUTDOWN to the extensions, and SIGKILL at the limit."""
        self.thaw()
        began_s = time.monotonic()
        deadline_unix_ms = int((time.time() + SHUTDOWN_LIMIT_S) * 1000)
        if self.runtime is not None:
            if reason == "spindown":
                self.runtime.send_signal(signal.SIGTERM)
                self.runtime.wait(RUNTIME_SHUTDOWN_S)
            self.runtime.stop()
        told_s = time.monotonic()
        self.state.post_shutdown(reason, deadline_unix_ms)
        after_told()
        exits = []
        for extension in self.extensions:
            left_s = began_s + SHUTDOWN_LIMIT_S - time.monotonic()
            by_itself = extension.wait(max(0.0, left_s))
            extension.stop()
            ended_s = extension.ended_s or time.monotonic()
            exits.append(
                ExtensionExit(
                    name=extension.name,
                    status=extension.status,
                    killed=not by_itself,
                    after_s=ended_s - told_s,
                    before_deadline_s=began_s + SHUTDOWN_LIMIT_S - ended_s,
                )
            )
        self.state.end()
        return exits

    def stop(self) -> None:
        """Nothing is left running."""
        for process in self.processes:
            process.stop()

    def _described(self) -> dict[str, object]:
        function = self.function
        return {
            "initializationType": function.initialization_type,
            "phase": self.phase,
            "runtimeVersion": "",
            "runtimeVersionArn": "",
            "functionName": function.name,
            "functionVersion": function.version,
            "instanceId": "sandbox",
            "instanceMaxMemory": function.memory_mb * 1024 * 1024,
        }

    def _emit(self, kind: str, **record: object) -> None:
        if self._telemetry is not None:
            self._telemetry.emit(kind, record)
