"""One seed for every random plan of a run, told at the end; and SIGINT as a terminal has it."""

from __future__ import annotations

import os
import secrets
import signal

import pytest

SEED = "PLAN_SEED"


def pytest_configure() -> None:
    # Workers inherit it.
    os.environ.setdefault(SEED, str(secrets.randbelow(2**32)))
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # As in the background of a script: what tests start could not be interrupted either.
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    told = [
        str(value)
        for report in terminalreporter.getreports("passed")
        for name, value in report.user_properties
        if name == "invocations"
    ]
    lived = f", {' + '.join(told)} invocations lived" if told else ""
    terminalreporter.write_line(f"random plans: {SEED}={os.environ[SEED]}{lived}")
