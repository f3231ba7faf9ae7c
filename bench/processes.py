"""What processes use, from /proc: CPU time and memory. Linux, proc(5)."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path


def cpu_s(pids: Iterable[int]) -> float:
    """Seconds on a CPU of all threads that live; nanoseconds exact, unlike ``stat``'s ticks."""
    total_ns = 0
    for pid in pids:
        total_ns += sum(int(text.split()[0]) for text in _of_threads(pid, "schedstat"))
    return total_ns / 1e9


def is_running(pid: int) -> bool:
    """Whether one of its threads is on a CPU or wants one."""
    return any(text.rpartition(") ")[2][:1] == "R" for text in _of_threads(pid, "stat"))


def _of_threads(pid: int, name: str) -> Iterator[str]:
    """The file `name` of every thread that lives; one may end while it is looked at."""
    for path in Path(f"/proc/{pid}/task").glob(f"*/{name}"):
        try:
            yield path.read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue


def main_thread_cpu_s(pid: int) -> float:
    """Of a process's first thread alone."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


def memory_mb(pid: int, name: str = "VmRSS") -> float:
    """``VmRSS`` (now) or ``VmHWM`` (the peak), in MB of 1,000,000 bytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise ValueError(f"/proc/{pid}/status has no {name}")


def reset_peak(pid: int) -> None:
    """Let VmHWM begin anew (clear_refs, 5)."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def grown_mb(ready: str, taking: str) -> float:
    """What a process of its own grows by: its peak resident memory, MB of 1,000,000 bytes."""
    code = (
        "import os\nfrom bench.processes import memory_mb, reset_peak\n"
        f"{ready}before = memory_mb(os.getpid())\nreset_peak(os.getpid())\n{taking}"
        "print(memory_mb(os.getpid(), 'VmHWM') - before)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout)
