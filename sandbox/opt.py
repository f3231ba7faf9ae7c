"""`/opt` as the layers of a function fill it: merged into a folder, and mounted where that may be.

A mount namespace of its own shows a process the folder at `/opt`, and nobody else: as root, or
where the kernel lets users have namespaces. Without it the layers' packages, programs and libraries
are still found, by the paths in the process's variables; a path that is written out is not.
Source: AWS Lambda developer guide, "Layer paths for each Lambda runtime".
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

OPT = Path("/opt")
EXTENSIONS = "extensions"
_TRY_S = 10.0
_MOUNT = 'mount --bind "$0" /opt && exec "$@"'


@dataclass(frozen=True, slots=True)
class Opt:
    """What stands at `/opt`. `mounted` False: its processes find it in `folder` alone."""

    folder: Path
    mounted: bool

    @property
    def seen_as(self) -> Path:
        """Where its processes find it."""
        return OPT if self.mounted else self.folder

    @property
    def extensions(self) -> Path:
        """Whose programs are the extensions."""
        return self.folder / EXTENSIONS

    def command(self, command: Sequence[str]) -> list[str]:
        """What starts `command`, an extension by the path that Lambda starts it by."""
        if not self.mounted:
            return list(command)
        program = Path(command[0])
        if program.parent == self.extensions:
            command = [str(OPT / EXTENSIONS / program.name), *command[1:]]
        return [*_namespace(), "sh", "-c", _MOUNT, str(self.folder), *command]

    def variables(self, environ: Mapping[str, str]) -> dict[str, str]:
        """`environ` with the layers' paths: after the function's own code, as in Lambda."""
        opt = self.seen_as
        version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
        packages = [opt / "python" / "lib" / version / "site-packages", opt / "python"]
        code, *rest = environ["PYTHONPATH"].split(os.pathsep)
        libraries = [str(opt / "lib"), environ.get("LD_LIBRARY_PATH", "")]
        return {
            **environ,
            "PYTHONPATH": os.pathsep.join([code, *map(str, packages), *rest]),
            "PATH": os.pathsep.join([environ.get("PATH", os.defpath), str(opt / "bin")]),
            "LD_LIBRARY_PATH": os.pathsep.join(filter(None, libraries)),
        }


def merge(layers: Iterable[Path], folder: Path) -> None:
    """Fill `folder` with links to the layers' files; of two by one name the later layer's stays."""
    for layer in layers:
        for parent, _, names in os.walk(layer, followlinks=True):
            target = folder / Path(parent).relative_to(layer)
            target.mkdir(parents=True, exist_ok=True)
            for name in names:
                link = target / name
                link.unlink(missing_ok=True)
                link.symlink_to(Path(parent, name).resolve())


def mount_problem(needed: Iterable[Path]) -> str | None:
    """Why `/opt` cannot be mounted for processes that need the files in `needed`; None: it can."""
    if not OPT.is_dir():
        return "there is no /opt on this machine to mount over"
    for path in needed:
        if path.resolve().is_relative_to(OPT):
            return f"{path} is needed, which a mount would hide"
    if shutil.which("unshare") is None:
        return "unshare (util-linux) is not installed"
    try:
        tried = subprocess.run(
            [*_namespace(), "sh", "-c", _MOUNT, os.path.dirname(__file__), "true"],
            capture_output=True,
            text=True,
            timeout=_TRY_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"unshare: {error}"
    return (tried.stderr.strip() or "it is not allowed") if tried.returncode else None


def _namespace() -> list[str]:
    return ["unshare", *([] if os.geteuid() == 0 else ["--map-root-user"]), "--mount"]
