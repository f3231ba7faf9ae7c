"""``--layer``: further layers' folders, as `/opt` for a function and its extensions."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from sandbox.opt import Opt, merge, mount_problem
from spanpipe.errors import CommandError

OURS = "spanpipe/main.py"
"""In a built layer of ours for Lambda's Python."""
OWN_PYTHON = "spanpipe/runtime"
"""In the one for every runtime."""


def layer_folders(given: Sequence[str]) -> list[Path]:
    """What ``--layer`` names. Raises CommandError."""
    folders = []
    for one in given:
        path = Path(one)
        if path.is_file():
            raise CommandError(f"--layer {one}: is a file; unpack it, and name the folder")
        if not path.is_dir():
            raise CommandError(f"--layer {one}: there is no such folder")
        if not any(path.iterdir()):
            raise CommandError(f"--layer {one}: is empty; name what is to be in /opt")
        folders.append(path.resolve())
    return folders


def why_not_mounted(layers: Sequence[Path], code: Sequence[Path]) -> str | None:
    """Why the layers cannot be at `/opt` itself, None where they can, or there are none.

    `code` are the functions' folders. Raises CommandError where a layer cannot do without.
    """
    if not layers:
        return None
    here = [Path(sys.prefix), Path(sys.base_prefix), *map(Path, filter(None, sys.path))]
    why = mount_problem([*here, *code, *layers])
    if why is not None:
        for layer in layers:
            if (layer / OWN_PYTHON).exists():
                raise CommandError(f"--layer {layer}: must be at /opt, and cannot be: {why}")
    return why


def opt_of(layers: Sequence[Path], extensions: Path, folder: Path, mounted: bool) -> Opt | None:
    """`layers` merged in `folder`, with our extension from `extensions` unless a layer has it."""
    if not layers:
        return None
    folder.mkdir()
    merge(layers, folder)
    opt = Opt(folder, mounted)
    opt.extensions.mkdir(exist_ok=True)
    for script in extensions.iterdir():
        ours = opt.extensions / script.name
        if not ours.exists():
            ours.symlink_to(script)
        elif (folder / OURS).exists() and not (folder / OWN_PYTHON).exists():
            # The layer's own launcher looks for Lambda's interpreter, at a path of Lambda's.
            ours.unlink()
            program = shlex.quote(str(opt.seen_as / OURS))
            command = f"exec {shlex.quote(sys.executable)} -I -S {program}"
            ours.write_text(f"#!/bin/sh\n{command}\n")
            ours.chmod(0o755)
    return opt
