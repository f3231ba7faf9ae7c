"""A run of one function, with what a fault plan does to it."""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path
from typing import TYPE_CHECKING

from sandbox.faults import ACCEPTED, NO_FAULTS, RUNTIME, Answer, not_reached
from spanpipe.errors import CommandError
from spanpipe.run.layers import layer_folders, opt_of, why_not_mounted
from spanpipe.run.plan import fault_plan, telemetry_faults
from spanpipe.run.screen import Screen
from spanpipe.run.session import OK_STATUS, Session
from spanpipe.run.variables import check_handler, environ_of
from spanpipe.wording import counted

if TYPE_CHECKING:
    from sandbox.environment import LambdaEnvironment


class SingleSession(Session):
    """The handler that the user names. Raises CommandError for what cannot be run."""

    def __init__(self, options: argparse.Namespace, screen: Screen) -> None:
        super().__init__(options, screen)
        if options.handler is None:
            raise CommandError("name a handler, such as app.handler, or --functions FILE")
        self._directory = Path(options.directory or ".").resolve()
        check_handler(options.handler, self._directory)
        self._plan = fault_plan(options.faults, options.endpoint)
        self._layers = layer_folders(options.layer)
        self._why_not_mounted = why_not_mounted(self._layers, [self._directory])
        self._environ = environ_of(options, self._directory, self._layers)
        self._name = options.handler.replace("/", ".").partition(".")[0]
        self._environment: LambdaEnvironment | None = None

    @property
    def folders(self) -> list[Path]:
        """Of the function's code and of its layers."""
        return [self._directory, *self._layers]

    def run(self, events: list[bytes], count: int, folder: Path) -> int:
        """Invoke `count` times; the exit status."""
        from sandbox.environment import Function, LambdaEnvironment
        from sandbox.launcher import write_extensions
        from sandbox.receiver import Receiver

        options, plan = self._options, self._plan
        extensions = write_extensions(folder)
        mounted = self._why_not_mounted is None
        opt = opt_of(self._layers, extensions, folder / "opt", mounted)
        self._tell_layers(self._why_not_mounted)
        with Receiver(self._take, answer_to=self._answer_to) as receiver:
            environ = self._with_wrapper(self._environ, opt)
            self._send_to(receiver.http_endpoint, environ)
            function = Function(
                handler=options.handler,
                code_directory=str(self._directory),
                timeout_s=options.timeout,
                memory_mb=options.memory,
                name=self._name,
                environ=environ,
                enforce_memory=plan.enforce_memory,
            )
            with (
                self._screen.progress(count),
                LambdaEnvironment(
                    function,
                    str(opt.extensions if opt else extensions),
                    opt=opt,
                    on_line=self._on_named_line,
                    telemetry=plan.telemetry.enabled,
                    faults=telemetry_faults(plan.telemetry),
                    freeze_when_idle=plan.freeze_when_idle,
                ) as environment,
            ):
                self._environment = environment
                if not self._sends_elsewhere:
                    self._screen.header()
                self._invoke_all(environment, events, count)
                environment.shutdown()
                self._held(self._name, environment.invocations)
            if self.stopped.is_set():
                return OK_STATUS
            if not self._sends_elsewhere:
                self._await_spans()
            requests = receiver.request_count
        hints = [
            f"{one.place}: {one.path}: not reached, {count} invoked"
            for one in not_reached(plan.invocations, count)
        ]
        hints += [
            f"{one.place}: {one.path}: not reached, {counted(requests, 'request')} came"
            for one in not_reached(plan.collector, requests)
        ]
        return self._conclude(count, hints)

    def _invoke_all(self, environment: LambdaEnvironment, events: list[bytes], count: int) -> None:
        from sandbox.environment import CRASH, EXTENSION_CRASH
        from sandbox.injection import Injection

        fresh = itertools.cycle(events)
        event, request_id = events[0], None
        for number in range(1, count + 1):
            if self.stopped.is_set():
                return
            faults = self._plan.of_invocation(number)
            if not faults.retry:
                event, request_id = next(fresh), None
            if faults != NO_FAULTS:
                self._screen.log("faults", f"invocation {number}: {faults}")
            injection = Injection(environment, faults)
            result = environment.invoke(
                event,
                faults.trace_header,
                request_id=request_id,
                tenant_id=faults.tenant_id,
                on_begin=injection.begin,
            )
            request_id = result.request_id
            invocation = environment.invocations[-1]
            self._tally.invoked(number, request_id, invocation.began_unix_s)
            self._answered(self._name, result.status, result.duration_s)
            if result.status == CRASH and EXTENSION_CRASH.encode() in result.payload:
                # The function's log does not tell it, and no span can.
                self._screen.log("sandbox", f"invocation {number}: {result.payload.decode()}")
            injection.wait()
            if injection.wanted and not injection.struck:
                text = f"invocation {number}: nothing was left to strike by then"
                self._screen.log("faults", text)
            if faults.shutdown_after is not None:
                environment.shutdown(faults.shutdown_after)
            self._advance(number)

    def _on_named_line(self, name: str, line: str) -> None:
        self._on_line(self._name, name, line)

    def _answer_to(self, number: int) -> Answer:
        answer = self._plan.answer(number)
        if answer != ACCEPTED:
            self._screen.log("faults", f"request {number} to the collector: {answer}")
        return answer

    def _kill(self) -> None:
        environment = self._environment
        if environment is not None:
            environment.kill(RUNTIME)
