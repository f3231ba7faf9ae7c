"""A folder as `/opt/extensions` would be, with our extension in it."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

LARGE_BLOCKS = "MALLOC_MMAP_THRESHOLD_=1048576"
"""As in the layer's `launch/python`: a body of megabytes goes back to the system when it is freed.
Else glibc keeps such blocks, and several bodies in turn take twice the memory of one."""


def write_extensions(folder: Path, seen_as: str | None = None) -> Path:
    """Make ``folder/extensions/spanpipe`` and what it starts; the extensions folder.

    `seen_as` is where its processes find `folder`, where that is somewhere else.

    The interpreter runs isolated and without `site` (``-I -S``), as in the layer: neither
    ``PYTHONPATH`` nor the function's packages can answer its imports first. ``-I`` also
    disregards ``PYTHONDONTWRITEBYTECODE``, so the second start reads byte code.
    """
    import extension

    root = str(Path(extension.__file__).resolve().parent.parent)
    paths = [root, *(path for path in sys.path if path and path != root)]
    program = folder / "spanpipe_main.py"
    program.write_text(
        f"import sys\n\nsys.path[:] = {paths!r}\n\nfrom extension.__main__ import run\n\nrun()\n"
    )
    extensions = folder / "extensions"
    extensions.mkdir()
    script = extensions / "spanpipe"
    path = str(program) if seen_as is None else f"{seen_as}/{program.name}"
    script.write_text(
        f"#!/bin/sh\nexport {LARGE_BLOCKS}\n"
        f"exec {shlex.quote(sys.executable)} -I -S {shlex.quote(path)}\n"
    )
    script.chmod(0o755)
    return extensions
