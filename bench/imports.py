"""What `fifo` costs a function to import, and each dependency the extension; what it takes on disk.

`fifo` from byte code made before, as a layer ships it, in an interpreter without site-packages
(`-I -S`): nothing that another package has imported is spared it.

python -m bench.imports [--runs 15] [--quick] [--json FILE] [--results DIR]
"""

from __future__ import annotations

import compileall
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import distribution
from pathlib import Path

from bench.measure import interleaved, percentile
from bench.processes import grown_mb
from bench.results import ROOT, Cell, Report, arguments

LEAN = "exporter.lean_requests"
"""`requests` without its guess at encodings."""
MODULES = (
    "requests",
    LEAN,
    "opentelemetry.exporter.otlp.proto.http.trace_exporter",
    "opentelemetry.exporter.otlp.proto.grpc.trace_exporter",
    "yaml",
    "rich.console",
    "uvicorn",
    "starlette.applications",
    "dotenv.parser",
    "watchfiles",
)
DISTRIBUTIONS: Mapping[str, tuple[str, ...]] = {
    "requests and what it needs": (
        "requests",
        "urllib3",
        "certifi",
        "charset-normalizer",
        "idna",
    ),
    "OpenTelemetry's SDK and exporter": (
        "opentelemetry-api",
        "opentelemetry-sdk",
        "opentelemetry-semantic-conventions",
        "opentelemetry-proto",
        "opentelemetry-exporter-otlp-proto-common",
        "opentelemetry-exporter-otlp-proto-http",
    ),
    "protobuf": ("protobuf",),
    "grpcio": ("grpcio",),
    "PyYAML": ("PyYAML",),
    "awslambdaric": ("awslambdaric",),
    "starlette, uvicorn and what they need": ("starlette", "uvicorn", "anyio", "click", "h11"),
    "watchfiles": ("watchfiles",),
    "python-dotenv": ("python-dotenv",),
    "rich": ("rich",),
}
BARE = "bare"
OURS = "from fifo import capture, span, event, emit, flush"
GOAL_MS = 15.0


def _time(code: str, *options: str) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, *options, "-c", code], check=True)
    return time.perf_counter() - began


def measure_fifo(report: Report, runs: int) -> None:
    """`fifo` over a bare interpreter, interleaved."""
    with tempfile.TemporaryDirectory(prefix="spanpipe-bench-") as folder:
        shutil.copytree(
            ROOT / "fifo", Path(folder) / "fifo", ignore=shutil.ignore_patterns("__pycache__")
        )
        compileall.compile_dir(folder, quiet=1)

        def contestant(code: str) -> float:
            return _time(f"import sys; sys.path.insert(0, {folder!r})\n{code}", "-I", "-S")

        codes = {BARE: "", OURS: OURS}
        seconds = interleaved(
            {name: lambda code=code: contestant(code) for name, code in codes.items()}, runs
        )
    over_bare(report, "the function's import, an interpreter with -I -S", seconds)
    ours_s, bare_s = (percentile(seconds[name], 0.5) for name in (OURS, BARE))
    report.target("importing fifo, over a bare interpreter", (ours_s - bare_s) * 1e3, GOAL_MS, "ms")


def measure_dependencies(report: Report, runs: int) -> None:
    """Each dependency over a bare interpreter of this environment, interleaved."""
    contestants = {BARE: lambda: _time("pass")}
    for module in MODULES:
        contestants[module] = lambda module=module: _time(f"import {module}")
    over_bare(
        report, "a dependency's import, an interpreter with site", interleaved(contestants, runs)
    )


def over_bare(report: Report, title: str, seconds: Mapping[str, Sequence[float]]) -> None:
    """The times, and what each p50 is over the bare interpreter's."""
    floor_s = percentile(seconds[BARE], 0.5)
    added = {name: (percentile(of, 0.5) - floor_s) * 1e3 for name, of in seconds.items()}
    report.timings(title, seconds, "ms", more={"p50 over bare, ms": added})


def measure_disk(report: Report) -> None:
    """Files of each distribution as installed, without byte code."""
    rows: list[tuple[str, list[Cell]]] = []
    for group, names in DISTRIBUTIONS.items():
        sizes = {name: size_mb(name) for name in names}
        rows.append((group, [sum(sizes.values())]))
        if len(names) > 1:
            rows += [(f"· {name}", [size]) for name, size in sizes.items()]
    report.table("a dependency on disk", ["MB"], rows)


def measure_memory(report: Report) -> None:
    """Resident memory that an import takes, over the interpreter's own."""
    rows = [(module, [grown_mb("", f"import {module}\n")]) for module in ("requests", LEAN)]
    report.table("an import's memory", ["MB"], rows)


def size_mb(name: str) -> float:
    """MB of 1,000,000 bytes."""
    files = distribution(name).files or ()
    paths = [Path(str(file.locate())) for file in files if file.suffix != ".pyc"]
    return sum(path.stat().st_size for path in paths if path.exists()) / 1e6


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--runs", type=int)
    options = parser.parse_args()
    runs = options.runs or (3 if options.quick else 15)
    report = Report(
        "imports",
        options,
        ("fifo", "exporter/lean_requests.py", "constraints.txt"),
        "What `fifo` costs a function to import, and each dependency the extension, whose worker "
        "imports it after the first `/next`; what each takes on disk.",
    )
    measure_fifo(report, 2 * runs)
    measure_dependencies(report, runs)
    measure_memory(report)
    measure_disk(report)
    report.finish()


if __name__ == "__main__":
    main()
