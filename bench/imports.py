"""What each dependency costs to import, over a bare interpreter.

python -m bench.imports [--runs 15]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time

from bench.measure import interleaved, machine, percentile

MODULES = (
    "fifo.handler",
    "requests",
    "opentelemetry.exporter.otlp.proto.http.trace_exporter",
    "opentelemetry.exporter.otlp.proto.grpc.trace_exporter",
    "yaml",
    "rich.console",
    "uvicorn",
    "starlette.applications",
)


def _time(code: str) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=15)
    options = parser.parse_args()
    contestants = {"bare": lambda: _time("pass")}
    for module in MODULES:
        contestants[module] = lambda module=module: _time(f"import {module}")
    seconds = interleaved(contestants, options.runs)
    floor = percentile(seconds["bare"], 0.5)
    print(f"import, over a bare interpreter ({floor * 1000:.0f} ms); p50; {machine()}")
    for module in MODULES:
        print(f"{(percentile(seconds[module], 0.5) - floor) * 1000:6.1f} ms  {module}")


if __name__ == "__main__":
    main()
