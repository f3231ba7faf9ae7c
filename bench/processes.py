"""What processes use, from /proc: CPU time and memory. Linux, proc(5)."""

from __future__ import annotations

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
