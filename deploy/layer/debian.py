"""Debian's packages by their pins: fetched from the mirrors that apt-get knows here, and checked.

Nothing is installed, and no index is read: a pin names the file and its hash. The machine may run
another release than the packages are of.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy.layer.debian_pins import DebianPin
from deploy.layer.errors import LayerError, NotHereError

_HELPER = Path("/usr/lib/apt/apt-helper")
"""apt's own downloader, by its own configuration: proxies, certificates, users."""
_MIRROR = re.compile(r"^'([^']+/)(debian(?:-security)?)/dists/", re.MULTILINE)
# Its own user may not write into a cache of ours; in a container it often cannot be taken at all.
AS_ROOT = ("-o", "APT::Sandbox::User=root")


@dataclass(frozen=True, slots=True)
class Package:
    """A `.deb` that has been checked against its pin."""

    pin: DebianPin
    path: Path

    def files(self) -> dict[str, tuple[bytes, int]]:
        """Path → (content, mode); links to files of the same package are those files."""
        packed = subprocess.run(
            ["dpkg-deb", "--fsys-tarfile", str(self.path)], capture_output=True, check=True
        )
        found: dict[str, tuple[bytes, int]] = {}
        with tempfile.TemporaryFile() as spooled:
            spooled.write(packed.stdout)
            spooled.seek(0)
            with tarfile.open(fileobj=spooled) as archive:
                for member in archive.getmembers():
                    try:
                        content = archive.extractfile(member)
                    except KeyError:
                        continue  # a link out of the package
                    if content is not None:
                        path = member.name.removeprefix("./")
                        found[path] = (content.read(), member.mode)
        return found


def mirrors() -> dict[str, list[str]]:
    """Archive (``debian``, ``debian-security``) → what stands before it in a URL, in apt's order.

    Raises NotHereError where there is no apt-get, or it knows none, as on Ubuntu.
    """
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise NotHereError("there is no apt-get, by which Debian's packages are fetched")
    found: dict[str, list[str]] = {}
    for base, archive in _MIRROR.findall(run(["apt-get", "--print-uris", "update"])):
        if base not in found.setdefault(archive, []):
            found[archive].append(base)
    if "debian" not in found:
        raise NotHereError("apt-get knows no mirror of Debian's here: name one in its sources")
    return found


def fetch(pins: Sequence[DebianPin], cache: Path) -> list[Package]:
    """One for each pin; what is kept in `cache` needs no network. Raises LayerError."""
    missing = [pin for pin in pins if not (cache / pin.file_name).exists()]
    if missing:
        cache.mkdir(parents=True, exist_ok=True)
        bases = mirrors()
        for pin in missing:
            _download(pin, bases, cache)
    for pin in pins:
        kept = cache / pin.file_name
        found = hashlib.sha256(kept.read_bytes()).hexdigest()
        if found != pin.sha256:
            raise LayerError(f"{kept} has SHA-256 {found}, not the pinned {pin.sha256}: remove it")
    return [Package(pin, cache / pin.file_name) for pin in pins]


def _download(pin: DebianPin, mirrors: dict[str, list[str]], cache: Path) -> None:
    """Whole or not at all: what cannot be checked stays elsewhere."""
    archive = pin.path.partition("/")[0]
    told = f"apt-get knows no mirror of {archive} here"
    with tempfile.TemporaryDirectory(dir=cache) as made:
        for base in mirrors.get(archive, ()):
            target = Path(made) / pin.file_name
            command = [str(_HELPER), *AS_ROOT, "download-file", base + pin.path, str(target)]
            try:
                run([*command, f"SHA256:{pin.sha256}"])
            except LayerError as error:
                told = str(error)
            else:
                target.rename(cache / pin.file_name)
                return
    raise LayerError(
        f"{pin.name} {pin.version}, as deploy/layer/debian.txt pins it, cannot be fetched: {told}. "
        "Mirrors keep what a release has now: `make layer-pins` pins that; look at the difference"
    )


def run(command: Sequence[str], folder: Path | None = None) -> str:
    """What it printed. Raises LayerError."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = (done.stdout + done.stderr).splitlines()
        errors = [line.removeprefix("E: ") for line in lines if line.startswith("E: ")]
        told = " ".join([*errors, *lines[-1:]][:1]) or f"exit {done.returncode}"
        raise LayerError(f"{Path(command[0]).name}: {told}")
    return done.stdout
