"""Where FIFOs, files and the spool are: a disk that is full, read-only or not ours."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from chaos.plan import Plan, SkippedError

DISK_BYTES = 128 * 1024
LARGE_BYTES = 200_000
"""Over what frames hold (64 KiB): such a result wants to go by file."""

WITHOUT_CAPABILITIES = ("setpriv", "--inh-caps=-all", "--bounding-set=-all")
"""Root that obeys a folder's mode as any other user does."""

_FILL_PIPES = """
import fcntl, os, sys
held = []
for _ in range(4096):
    ends = os.pipe()
    held.append(ends)
    try:
        fcntl.fcntl(ends[0], 1031, 1024 * 1024)
    except PermissionError:
        break
print(len(held), flush=True)
sys.stdin.read()
"""


def disk_full(plan: Plan) -> None:
    """A tmpfs of 128 KiB, filled to the last byte; results that want to go by file."""
    _mount(plan, "-t", "tmpfs", "-o", f"size={DISK_BYTES},mode=0700", "tmpfs")
    with (_folder(plan) / "filler").open("wb", buffering=0) as filler:
        try:
            while filler.write(b"x" * 4096):
                pass
        except OSError:
            pass
    _large_results(plan)


def read_only(plan: Plan) -> None:
    """A folder in which nothing can be made: no FIFO, no file, no spool."""
    folder = _folder(plan)
    _mount(plan, "--bind", str(folder))
    subprocess.run(["mount", "-o", "remount,ro,bind", str(folder)], check=True)
    _large_results(plan)


def no_permission(plan: Plan) -> None:
    """A folder that our user may read and not write; processes without any capability."""
    folder = _folder(plan)
    folder.chmod(0o555)
    plan.stack.callback(folder.chmod, 0o755)
    plan.directory = folder
    _unprivileged(plan)
    _large_results(plan)


def no_larger_pipe(plan: Plan) -> None:
    """Our user's pipes have all the pages there are for them (pipe-user-pages-soft)."""
    _unprivileged(plan)
    holder = subprocess.Popen(
        [*plan.runtime_prefix, sys.executable, "-I", "-S", "-c", _FILL_PIPES],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )

    def release() -> None:
        if holder.stdin is not None and holder.stdout is not None:
            holder.stdin.close()
            holder.wait()
            holder.stdout.close()

    plan.stack.callback(release)
    if holder.stdout is None or not holder.stdout.readline().strip():
        raise SkippedError("pipes cannot be used up here")
    _large_results(plan)


def _unprivileged(plan: Plan) -> None:
    if os.geteuid() != 0:
        return
    if shutil.which("setpriv") is None:
        raise SkippedError("setpriv (util-linux) is not here")
    plan.runtime_prefix = (*WITHOUT_CAPABILITIES, *plan.runtime_prefix)
    plan.extension_prefix = (*WITHOUT_CAPABILITIES, *plan.extension_prefix)


def _large_results(plan: Plan) -> None:
    plan.order.setdefault("bytes", LARGE_BYTES)
    plan.config["capture"] = {"max_body_bytes": 1_000_000}


def _folder(plan: Plan) -> Path:
    folder = plan.folder / "place"
    folder.mkdir(exist_ok=True)
    return folder


def _mount(plan: Plan, *options: str) -> None:
    folder = _folder(plan)
    done = subprocess.run(
        ["mount", *options, str(folder)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SkippedError(f"mount: {done.stderr.strip()}")
    plan.stack.callback(subprocess.run, ["umount", "-l", str(folder)], check=False)
    plan.directory = folder
