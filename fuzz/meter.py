"""Counts what a target is given, and keeps what it did not stand."""

from __future__ import annotations

import hashlib
import os
import resource
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

MAX_INPUT_S = 4.0
"""Of this process's time, for one input; with atheris's instruments, the dearest takes half."""
_WARM_UP = 0.1
"""Of the run: what is imported and cached by then is no growth."""
_LOOK_EVERY = 64


class TooSlowError(Exception):
    """An input took longer than any may."""


class Meter:
    """Call it with each input; it raises nothing. `over` once `seconds` have passed."""

    def __init__(self, check: Callable[[bytes], None], folder: Path, seconds: float) -> None:
        self.executions = 0
        self.slowest_s = 0.0
        self.findings: dict[str, Path] = {}
        self._check = check
        self._folder = folder
        self._seconds = seconds
        self._began_s = time.monotonic()
        self._warm_bytes = 0
        self._highest_bytes = 0

    @property
    def over(self) -> bool:
        """Whether the time is up."""
        return self.elapsed_s >= self._seconds

    @property
    def elapsed_s(self) -> float:
        """Since it was made."""
        return time.monotonic() - self._began_s

    def __call__(self, data: bytes) -> None:
        """Run the target on `data`."""
        began_s = time.process_time()
        try:
            self._check(data)
            took_s = time.process_time() - began_s
            if took_s > MAX_INPUT_S:
                raise TooSlowError(f"{took_s:.1f} s, over {MAX_INPUT_S:.1f}")
        except Exception as error:  # noqa: BLE001 - whatever it is, it is a finding
            self._keep(data, error)
        self.slowest_s = max(self.slowest_s, time.process_time() - began_s)
        self.executions += 1
        if self.executions % _LOOK_EVERY == 0:
            self._look()

    def summary(self, target: str, engine: str) -> str:
        """One line."""
        self._look()
        elapsed_s = self.elapsed_s
        peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        growth_mb = (self._highest_bytes - self._warm_bytes) / 1_048_576
        return (
            f"{target}: {engine}: {self.executions:,} executions in {elapsed_s:.0f} s, "
            f"{self.executions / elapsed_s:,.0f}/s, slowest {self.slowest_s:.2f} s; "
            f"RSS +{growth_mb:.1f} MB after the first tenth, peak {peak_mb:.0f} MB; "
            f"findings: {len(self.findings)}"
        )

    def _look(self) -> None:
        with open("/proc/self/statm", "rb") as stream:
            pages = int(stream.read().split()[1])
        now_bytes = pages * os.sysconf("SC_PAGE_SIZE")
        self._highest_bytes = max(self._highest_bytes, now_bytes)
        if not self._warm_bytes and self.elapsed_s >= _WARM_UP * self._seconds:
            self._warm_bytes = self._highest_bytes

    def _keep(self, data: bytes, error: Exception) -> None:
        """The first input of each kind of failure: its type and the place it was raised at."""
        place = traceback.extract_tb(error.__traceback__)[-1]
        kind = f"{type(error).__name__} at {place.filename}:{place.lineno}"
        if kind in self.findings:
            return
        path = self._folder / f"crash-{hashlib.sha256(data).hexdigest()[:12]}"
        path.write_bytes(data)
        self.findings[kind] = path
        print(f"\n{kind}: {path}", file=sys.stderr)
        traceback.print_exception(error, file=sys.stderr)
