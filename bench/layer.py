"""The built layers: from exec to the first `/next`, read-only as in Lambda, and their size.

Needs what `make layer` has built, and mounts of its own (`unshare`, as root or by user
namespaces). The layers run what Lambda would, `extensions/spanpipe`, the one for Python with the
interpreter that runs this.

    python -m bench.layer [--runs 40] [--quick] [--json FILE] [--results DIR]
"""

from __future__ import annotations

import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.measure import interleaved
from bench.results import ROOT, Report, arguments
from bench.startup import BARE, Api, whole
from sandbox.launcher import write_extensions

NAMES = {"x86_64": "x86_64", "aarch64": "arm64"}
LAYER = "layer for Python"
ANY = "layer for any runtime"
CHECKOUT = "checkout"
UNCOMPILED = "layer without byte code"
_INSIDE = "SPANPIPE_BENCH_FOLDER"


def built() -> dict[str, Path]:
    """The folder of each layer for this machine; the zip lies beside it."""
    machine = NAMES[platform.machine()]
    return {
        name: ROOT / "dist" / f"spanpipe-{kind}-{machine}"
        for name, kind in ((LAYER, "python"), (ANY, "any"))
    }


def size_mb(path: Path) -> float:
    """Of a file, or of all in a folder: MB of 1,000,000 bytes."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.lstat().st_size for file in files if not file.is_dir()) / 1e6


def enter() -> None:
    """Run this program again where the layers are read-only and in their places."""
    layers = list(built().values())
    for layer in layers:
        if not layer.is_dir():
            sys.exit(f"bench.layer: there is no {layer}: make layer")
    with tempfile.TemporaryDirectory(prefix="spanpipe-bench-") as folder:
        bare = Path(folder) / "uncompiled"
        shutil.copytree(layers[0], bare, ignore=shutil.ignore_patterns("__pycache__"))
        lang = Path(sys.executable).resolve().parent.parent
        script = "set -e\n"
        for source, target in (
            (layers[0], Path(folder, "python")),
            (bare, bare),
            (layers[1], Path("/opt")),
        ):
            target.mkdir(exist_ok=True)
            script += f"mount --bind {shlex.quote(str(source))} {shlex.quote(str(target))}\n"
            script += f"mount -o remount,bind,ro {shlex.quote(str(target))}\n"
        script += "mount -t tmpfs -o mode=755 none /var\nmkdir /var/lang\n"
        script += f'mount --bind {shlex.quote(str(lang))} /var/lang\nexec "$@"\n'
        command = ["unshare", *(["-r"] if os.geteuid() else []), "-m", "sh", "-c", script, "sh"]
        command += [sys.executable, "-m", "bench.layer", *sys.argv[1:]]
        environ = {**os.environ, _INSIDE: folder}
        sys.exit(subprocess.run(command, env=environ, check=False).returncode)


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--runs", type=int)
    options = parser.parse_args()
    if _INSIDE not in os.environ:
        enter()
    folder = Path(os.environ[_INSIDE])
    checkout = folder / "checkout"
    checkout.mkdir()
    programs = {
        CHECKOUT: write_extensions(checkout) / "spanpipe",
        LAYER: folder / "python" / "extensions" / "spanpipe",
        UNCOMPILED: folder / "uncompiled" / "extensions" / "spanpipe",
        ANY: Path("/opt/extensions/spanpipe"),
    }
    api = Api()
    environ = {
        "PATH": os.environ["PATH"],
        "AWS_LAMBDA_RUNTIME_API": api.address,
        "SPANPIPE_DIR": str(folder),
    }
    contestants = {
        BARE: lambda: whole(["/var/lang/bin/" + _name(), "-I", "-S", "-c", "pass"], environ),
        **{
            name: lambda program=program: api.time_to_next([str(program)], environ)
            for name, program in programs.items()
        },
    }
    runs = options.runs or (3 if options.quick else 40)
    report = Report(
        "layer",
        options,
        ("fifo", "extension", "exporter", "deploy/layer", "constraints.txt"),
        "The built layers: exec to the first `/next` where they are read-only as in Lambda, "
        "beside this checkout; and their size.",
    )
    seconds = interleaved(contestants, runs)
    report.timings("exec to the first /next, from a layer", seconds, "ms", BARE)
    sizes = [
        (name, [size_mb(path.with_name(f"{path.name}.zip")), size_mb(path)])
        for name, path in built().items()
    ]
    report.table("a layer's size", ["zip MB", "unpacked MB"], sizes)
    report.finish()


def _name() -> str:
    return f"python{sys.version_info[0]}.{sys.version_info[1]}"


if __name__ == "__main__":
    main()
