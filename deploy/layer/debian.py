"""Packages of the Debian that apt-get knows here, for any architecture: fetched, never installed.

apt-get checks each against the signed index; everything it writes is below the cache, so that the
machine's own packages are not touched. What is kept there is used as it is: `make clean` forgets.
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
from urllib.parse import unquote

from deploy.layer.errors import LayerError
from deploy.layer.platforms import ARM64, X86_64, Architecture

_NAMES = {X86_64: "amd64", ARM64: "arm64"}
_URI = re.compile(r"^'[^']*/([^/']+)_([^/_']+)_[^/_']+\.deb'", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Package:
    """A `.deb` that has been fetched."""

    name: str
    version: str
    sha256: str
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


def fetch(
    roots: Sequence[str], wanted: re.Pattern[str], architecture: Architecture, cache: Path
) -> list[Package]:
    """Of `roots` and all that they depend on, the packages whose whole names are `wanted`.

    Raises LayerError, as where there is no apt-get.
    """
    kept = cache / architecture.name
    if not kept.exists():
        if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
            raise LayerError("there is no apt-get, which an interpreter is fetched with")
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as made:
            _download(roots, wanted, _NAMES[architecture], Path(made)).rename(kept)
    packages = []
    for path in sorted(kept.glob("*.deb")):
        name, version, _ = path.name.split("_")
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        packages.append(Package(name, unquote(version), digest, path))
    return packages


def _download(roots: Sequence[str], wanted: re.Pattern[str], name: str, folder: Path) -> Path:
    state, debs = folder / "state", folder / "debs"
    (state / "lists" / "partial").mkdir(parents=True)
    (state / "archives" / "partial").mkdir(parents=True)
    debs.mkdir()
    (state / "status").touch()
    options = [
        f"Dir::State={state}",
        f"Dir::State::status={state / 'status'}",
        f"Dir::Cache={state}",
        f"APT::Architecture={name}",
        f"APT::Architectures={name}",
        "Acquire::Languages=none",
        # Its own user may not write here; in a container it often cannot be taken at all.
        "APT::Sandbox::User=root",
    ]
    apt = ["apt-get", "-qq", *(part for option in options for part in ("-o", option))]
    _run([*apt, "update"], folder)
    needed = _run([*apt, "install", "--no-install-recommends", "--print-uris", *roots], folder)
    names = sorted({match[1] for match in _URI.finditer(needed) if wanted.fullmatch(match[1])})
    if not names:
        raise LayerError(f"apt-get knows no {', '.join(roots)} for {name}")
    _run([*apt, "download", *names], debs)
    return debs


def _run(command: list[str], folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise LayerError(f"apt-get failed: {done.stderr.strip()[-300:]}")
    return done.stdout
