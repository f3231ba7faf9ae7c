"""Signals and limits that hit the processes of an environment while it is invoked."""

from __future__ import annotations

import os
import resource
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from chaos.plan import Around, Plan
from sandbox.environment import LambdaEnvironment

LONGEST_DELAY_S = 0.010
"""From the invocation's beginning to the signal: an invocation takes a few milliseconds."""
LONGEST_STOP_S = 0.060
KILLED_OF = 4
"""One invocation in so many is hit by a SIGKILL: each costs a reset."""

PidOf = Callable[[LambdaEnvironment], "int | None"]


def _extension(environment: LambdaEnvironment) -> int | None:
    return next(iter(environment.extension_pids), None)


def _runtime(environment: LambdaEnvironment) -> int | None:
    return environment.runtime_pid


def kill_extension_at_random(plan: Plan) -> None:
    """SIGKILL from outside, at a moment that the seed draws, once in four invocations."""

    @contextmanager
    def around(environment: LambdaEnvironment, index: int) -> Iterator[None]:
        # The last generation lives, to tell its ledger.
        if index % KILLED_OF == 1 and index < plan.count - 1:
            delay_s = plan.random.uniform(0, LONGEST_DELAY_S)
            with _meanwhile(delay_s, lambda: _send(_extension(environment), signal.SIGKILL)):
                yield
        else:
            yield

    plan.around.append(around)
    plan.kills_extension = True
    plan.loses_spans = True


def stop_extension_at_random(plan: Plan) -> None:
    """SIGSTOP and, after at most 60 ms, SIGCONT, in every invocation."""
    plan.around.append(_stopping(plan, _extension))
    plan.held_extra_s += LONGEST_STOP_S


def stop_function_at_random(plan: Plan) -> None:
    """The same for the runtime, with us and without."""
    plan.around_both.append(_stopping(plan, _runtime))
    plan.latency_extra_s += LONGEST_STOP_S
    plan.held_extra_s += LONGEST_STOP_S


def kill_function_in_mid_message(plan: Plan) -> None:
    """The runtime kills itself while a thread of it writes, once in four invocations."""
    plan.order_of.append(lambda index: {"dies": True} if index % KILLED_OF == 1 else {})


def exhaust_extension_descriptors(plan: Plan) -> None:
    """From the second invocation on the extension can open nothing more."""
    plan.around.append(_exhausting(_extension))


def exhaust_function_descriptors(plan: Plan) -> None:
    """The same for the runtime, with us and without."""
    plan.around_both.append(_exhausting(_runtime))
    plan.order["bytes"] = 200_000
    plan.config["capture"] = {"max_body_bytes": 1_000_000}


def _stopping(plan: Plan, pid_of: PidOf) -> Around:
    @contextmanager
    def around(environment: LambdaEnvironment, index: int) -> Iterator[None]:
        delay_s = plan.random.uniform(0, LONGEST_DELAY_S)
        stop_s = plan.random.uniform(0, LONGEST_STOP_S)

        def stop() -> None:
            pid = pid_of(environment)
            _send(pid, signal.SIGSTOP)
            try:
                threading.Event().wait(stop_s)
            finally:
                _send(pid, signal.SIGCONT)

        with _meanwhile(delay_s, stop):
            yield

    return around


def _exhausting(pid_of: PidOf) -> Around:
    @contextmanager
    def around(environment: LambdaEnvironment, index: int) -> Iterator[None]:
        pid = pid_of(environment)
        if index == 1 and pid is not None:
            highest = max(int(name) for name in os.listdir(f"/proc/{pid}/fd"))
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (highest + 1, highest + 1))
        yield

    return around


@contextmanager
def _meanwhile(delay_s: float, action: Callable[[], None]) -> Iterator[None]:
    timer = threading.Timer(delay_s, action)
    timer.start()
    try:
        yield
    finally:
        timer.join()


def _send(pid: int | None, number: int) -> None:
    if pid is not None:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass
