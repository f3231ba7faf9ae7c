"""Where a function meets a built layer at `/opt`: in this machine's root, or in one of its own."""

from __future__ import annotations

import os
import platform
import shlex
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from tests.whole.fetch import cannot

_DEVICES = ("null", "urandom")
"""Of those that every environment of Lambda's has: gRPC's random numbers come from the second."""
_BINFMT = "/proc/sys/fs/binfmt_misc"
_ELF_AARCH64 = (
    r"\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00",
    r"\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff",
)
"""First bytes of a program for arm64, and which of their bits count."""


class Place(Protocol):
    """What the emulator is told of it."""

    @property
    def foreign(self) -> bool:
        """Whether programs of another architecture run there, which wants a user namespace."""

    @property
    def path(self) -> str:
        """The function's ``PYTHONPATH``."""

    def script(self, code_directory: Path) -> str:
        """Makes it, with what is to be run in ``$@``."""

    def runtime(self, handler: str) -> list[str]:
        """The runtime's command."""


@dataclass(frozen=True, slots=True)
class LayerOnPython:
    """A built layer, and what stands for one of Lambda's Python runtimes.

    `opt` is bound over `/opt` and `prefix`, which has ``bin/python3.x``, over `/var/lang`, both
    read-only; `client` has the runtime's client, `awslambdaric`.
    """

    opt: Path
    python: str
    prefix: Path
    client: Path

    @property
    def foreign(self) -> bool:
        return False

    @property
    def path(self) -> str:
        # In Lambda's order.
        return os.pathsep.join(("/var/task", "/opt/python", str(self.client)))

    def script(self, code_directory: Path) -> str:
        binds = {"/opt": self.opt, "/var/lang": self.prefix, "/var/task": code_directory}
        return "mount -t tmpfs -o mode=755 none /var\n" + _bound(binds)

    def runtime(self, handler: str) -> list[str]:
        return [f"/var/lang/bin/python{self.python}", "-m", "awslambdaric", handler]


@dataclass(frozen=True, slots=True)
class LayerInRoot:
    """A built layer in a root with nothing but it, `/proc`, `/tmp`, devices and what is named.

    `root` is an empty folder; `binds` has what else is there, read-only: path there → path here.
    `command` is the runtime and the function. `machine` is the layer's, of another than this one
    the kernel starts programs by QEMU, in this place alone.
    """

    opt: Path
    root: Path
    command: Sequence[str]
    binds: Mapping[str, Path] = field(default_factory=dict)
    machine: str = platform.machine()
    path: str = ""

    @property
    def foreign(self) -> bool:
        return self.machine != platform.machine()

    def script(self, code_directory: Path) -> str:
        binds = {"/opt": self.opt, "/var/task": code_directory, **self.binds}
        return (
            (_by_qemu(self.machine) if self.foreign else "")
            + f"cd {shlex.quote(str(self.root))}\nmkdir -p proc tmp dev\n"
            + "".join(f"touch dev/{one}\nmount --bind /dev/{one} dev/{one}\n" for one in _DEVICES)
            + _bound({f".{there}": here for there, here in binds.items()})
            + "mount -t proc none proc\n"
            # The program that is started, at its own path.
            '[ -e ".$1" ] || { mkdir -p ".${1%/*}"; touch ".$1"; mount --bind "$1" ".$1"; }\n'
            'set -- chroot . "$@"\n'
        )

    def runtime(self, handler: str) -> list[str]:
        return list(self.command)


def _bound(binds: Mapping[str, Path]) -> str:
    """Read-only, and made where it is not there."""
    script = ""
    for there, here in binds.items():
        quoted, parent = shlex.quote(there), shlex.quote(os.path.dirname(there))
        make = f"mkdir -p {quoted}" if here.is_dir() else f"mkdir -p {parent} && touch {quoted}"
        script += f"[ -e {quoted} ] || {{ {make}; }}\n"
        script += f"mount --bind {shlex.quote(str(here))} {quoted}\n"
        script += f"mount -o remount,bind,ro {quoted}\n"
    return script


def _by_qemu(machine: str) -> str:
    """Programs of `machine` are started by QEMU, which a user namespace may ask for on its own
    account (Linux 6.7); it is opened here, so that a root without it has it too (``F``)."""
    qemu = shutil.which(f"qemu-{machine}-static")
    if machine != "aarch64" or qemu is None:
        cannot(f"qemu-{machine}-static is not installed (Debian's qemu-user-static)")
        raise AssertionError
    magic, mask = _ELF_AARCH64
    entry = f":arm64:M::{magic}:{mask}:{qemu}:F"
    return (
        f"mount -t binfmt_misc none {_BINFMT}\n"
        f"printf %s {shlex.quote(entry)} > {_BINFMT}/register\n"
    )
