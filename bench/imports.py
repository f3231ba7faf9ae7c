"""What `fifo` costs a function to import, and each dependency the extension.

`fifo` from byte code made before, as a layer ships it, in an interpreter without site-packages
(`-I -S`): nothing that another package has imported is spared it. Lambda's runtime has imported
`json` by then, so its part is told.

python -m bench.imports [--runs 15]
"""

from __future__ import annotations

import argparse
import compileall
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.measure import interleaved, machine, percentile

ROOT = Path(__file__).resolve().parent.parent
MODULES = (
    "requests",
    "opentelemetry.exporter.otlp.proto.http.trace_exporter",
    "opentelemetry.exporter.otlp.proto.grpc.trace_exporter",
    "yaml",
    "rich.console",
    "uvicorn",
    "starlette.applications",
    "dotenv.parser",
    "watchfiles",
)
BARE = "bare"
OURS = "from fifo import capture, span, event, emit, flush"
JSON = "import json"
GOAL_MS = 15


def _time(code: str, *options: str) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, *options, "-c", code], check=True)
    return time.perf_counter() - began


def measure_fifo(runs: int) -> None:
    """`fifo` over a bare interpreter, p50 of interleaved runs."""
    with tempfile.TemporaryDirectory(prefix="spanpipe-bench-") as folder:
        shutil.copytree(
            ROOT / "fifo", Path(folder) / "fifo", ignore=shutil.ignore_patterns("__pycache__")
        )
        compileall.compile_dir(folder, quiet=1)

        def contestant(code: str) -> float:
            return _time(f"import sys; sys.path.insert(0, {folder!r})\n{code}", "-I", "-S")

        codes = {BARE: "", OURS: OURS, JSON: JSON}
        seconds = interleaved(
            {name: lambda code=code: contestant(code) for name, code in codes.items()}, runs
        )
    floor = percentile(seconds[BARE], 0.5)
    print(f"import, over a bare interpreter (-I -S, {floor * 1000:.1f} ms); p50; {machine()}")
    for name in (OURS, JSON):
        print(f"{(percentile(seconds[name], 0.5) - floor) * 1000:6.1f} ms  {name}")
    ours_ms = (percentile(seconds[OURS], 0.5) - floor) * 1000
    print(f"goal: at most {GOAL_MS} ms: {ours_ms:.1f}")


def measure_dependencies(runs: int) -> None:
    """Each dependency over a bare interpreter of this environment, p50 of interleaved runs."""
    contestants = {BARE: lambda: _time("pass")}
    for module in MODULES:
        contestants[module] = lambda module=module: _time(f"import {module}")
    seconds = interleaved(contestants, runs)
    floor = percentile(seconds[BARE], 0.5)
    print(f"import, over a bare interpreter with site ({floor * 1000:.0f} ms); p50")
    for module in MODULES:
        print(f"{(percentile(seconds[module], 0.5) - floor) * 1000:6.1f} ms  {module}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=15)
    options = parser.parse_args()
    measure_fifo(2 * options.runs)
    measure_dependencies(options.runs)


if __name__ == "__main__":
    main()
