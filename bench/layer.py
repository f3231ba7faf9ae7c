"""From exec to the first `/next`: the built layers, read-only as in Lambda, and this checkout.

Needs what `make layer` has built, and mounts of its own (`unshare`, as root or by user
namespaces). The layers run what Lambda would, `extensions/spanpipe`, the one for Python with the
interpreter that runs this.

    python -m bench.layer [--runs 40] [--json FILE]
"""

from __future__ import annotations

import argparse
import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.measure import interleaved, machine, percentile, table, write_json
from bench.startup import BARE, Api, whole
from sandbox.launcher import write_extensions

ROOT = Path(__file__).resolve().parent.parent
NAMES = {"x86_64": "x86_64", "aarch64": "arm64"}
LAYER = "layer for Python"
ANY = "layer for any runtime"
CHECKOUT = "checkout"
UNCOMPILED = "layer without byte code"
_INSIDE = "SPANPIPE_BENCH_FOLDER"


def enter() -> None:
    """Run this program again where the layers are read-only and in their places."""
    dist, machine_name = ROOT / "dist", NAMES[platform.machine()]
    layers = [dist / f"spanpipe-{kind}-{machine_name}" for kind in ("python", "any")]
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
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=40)
    parser.add_argument("--json", metavar="FILE")
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
    seconds = interleaved(contestants, options.runs)
    print(f"exec to the first /next; {options.runs} interleaved runs; {machine()}")
    print(table(seconds, 1e-3, "ms", BARE))
    layer, uncompiled = (percentile(seconds[name], 0.5) for name in (LAYER, UNCOMPILED))
    print(f"byte code saves {(uncompiled - layer) * 1000:.1f} ms before the first /next")
    if options.json:
        write_json(options.json, seconds)


def _name() -> str:
    return f"python{sys.version_info[0]}.{sys.version_info[1]}"


if __name__ == "__main__":
    main()
