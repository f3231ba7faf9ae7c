"""One environment under a plan, with us or without: invoked, measured, and ended."""

from __future__ import annotations

import json
import shlex
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from chaos.ledger_line import LedgerLine, parse
from chaos.plan import TIMEOUT_S, Plan
from sandbox.environment import ExtensionExit, Function, LambdaEnvironment
from sandbox.launcher import write_extensions

SETTLE_S = TIMEOUT_S + 2.0
"""After that an environment is not merely slow."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One invocation. `answer` is status and payload, the request ID aside.

    `latency_s` is to the response, `held_s` from the runtime's wish for the next one to an idle
    environment, Lambda's PostRuntimeExtensionsDuration; None where it never came to that.
    """

    answer: str
    latency_s: float | None
    held_s: float | None


class Life:
    """An environment and what was seen of it. `ours`: with the extension and `capture`."""

    def __init__(self, plan: Plan, *, ours: bool, number: int = 0) -> None:
        self.ours = ours
        self.lines: list[str] = []
        self.peak_kb = 0
        self.deaths = 0
        self.stuck = 0
        self._plan = plan
        handler = f"chaos.handlers.{'captured' if ours else 'plain'}"
        folder = plan.folder / f"life-{number}-{'ours' if ours else 'alone'}"
        folder.mkdir()
        extensions = _write_extensions(folder, plan) if ours else None
        environ = dict(plan.environ)
        if ours:
            config = folder / "spanpipe.yaml"
            config.write_text(json.dumps(plan.config))
            environ["SPANPIPE_CONFIG"] = str(config)
        if plan.directory is not None:
            environ["SPANPIPE_DIR"] = environ["TMPDIR"] = str(plan.directory)
        self.environment = LambdaEnvironment(
            Function(
                handler,
                str(folder),
                timeout_s=TIMEOUT_S,
                environ=environ,
                extension_crash_fails=False,
            ),
            str(extensions) if extensions is not None else None,
            runtime_command=(*plan.runtime_prefix, sys.executable, "-m", "awslambdaric", handler),
            on_line=lambda name, line: self.lines.append(line),
        )

    def __enter__(self) -> Life:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.environment.close(patient=kind is None)

    def invoke(self, index: int) -> Measured:
        """Invoke, wait until the environment is idle, and reset it where its extension died."""
        environment, plan = self.environment, self._plan
        arounds = [*plan.around_both, *(plan.around if self.ours else ())]
        self._initialised()
        with ExitStack() as stack:
            for around in arounds:
                stack.enter_context(around(environment, index))
            result = environment.invoke(json.dumps(plan.event(index)).encode())
        settled = environment.wait_settled(SETTLE_S)
        invocation = environment.invocations[result.ordinal - 1]
        latency_s = held_s = None
        if invocation.responded_s is not None:
            latency_s = result.duration_s
            held_s = invocation.post_runtime_extensions_s
        if self.ours:
            self._look(settled, environment.runtime_pid is not None)
        payload = result.payload.decode("utf-8", "replace")
        payload = payload.replace(result.request_id, "(request)")
        return Measured(f"{result.status} {payload}", latency_s, held_s)

    def end(self) -> list[ExtensionExit]:
        """SHUTDOWN; how every extension left that did not die before."""
        if self.ours:
            self._note_peak()
        self.environment.shutdown()
        return [one for one in self.environment.exits if one.before_deadline_s < 2.0]

    def ledgers(self) -> list[LedgerLine]:
        """Of every generation that came to its end."""
        return [found for line in self.lines if (found := parse(line)) is not None]

    def _initialised(self) -> None:
        """Init ahead: an extension that dies in it fails no invocation, and init comes again."""
        if self.environment.runtime_pid is None and not self.environment.init():
            self.deaths += 1

    def _look(self, settled: bool, runtime_lives: bool) -> None:
        environment = self.environment
        self._note_peak()
        if runtime_lives and not environment.extension_pids:
            # As Lambda does after Extension.Crash: everything starts anew.
            self.deaths += 1
            environment.shutdown("failure", patient=False)
        elif not settled:
            self.stuck += 1

    def _note_peak(self) -> None:
        for pid in self.environment.extension_pids:
            self.peak_kb = max(self.peak_kb, memory_kb(pid, "VmHWM"))


def memory_kb(pid: int, name: str) -> int:
    """A figure of /proc/PID/status (proc(5)), in KiB; 0 where there is no such process."""
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1])
    except OSError:
        pass
    return 0


def _write_extensions(folder: Path, plan: Plan) -> Path:
    """As the sandbox writes them, with the plan's prefix and preamble."""
    extensions = write_extensions(folder)
    script = extensions / "spanpipe"
    if plan.extension_prefix:
        prefix = shlex.join(plan.extension_prefix)
        script.write_text(script.read_text().replace("exec ", f"exec {prefix} ", 1))
    if plan.preamble:
        (program,) = folder.glob("*.py")
        program.write_text(plan.preamble + program.read_text())
    return extensions
