"""Whether a process is still there, with real processes."""

from __future__ import annotations

import subprocess
import sys

from extension.runtime_watch import RuntimeWatch


def test_a_process_that_is_gone_already_is_named_once() -> None:
    """Its PID was read after its end: there is nothing left to watch."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    watch = RuntimeWatch()
    assert watch.follow([process.pid]) == [process.pid]
    assert watch.follow([process.pid]) == []
    assert watch.descriptors() == []


def test_a_process_that_runs_is_watched_to_its_end() -> None:
    """Its descriptor is ready when it has ended, and then it is followed no more."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    watch = RuntimeWatch()
    assert watch.follow([process.pid]) == []
    descriptors = watch.descriptors()
    assert len(descriptors) == 1
    process.communicate(b"\n")
    assert watch.gone(set(descriptors)) == [process.pid]
    assert watch.descriptors() == []
