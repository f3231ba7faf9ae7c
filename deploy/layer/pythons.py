"""The interpreters that make byte code: this machine's, and for what it lacks Maven Central's.

`org.bytedeco:cpython` is a whole CPython for each of Lambda's versions, in a jar that never
changes: a hash pins it for good, where Debian's mirrors keep a version for some weeks. It compiles,
and runs in tests. Nothing of it gets into a layer.
"""

from __future__ import annotations

import hashlib
import platform
import re
import shutil
import subprocess
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy.layer.errors import LayerError
from deploy.layer.platforms import ARCHITECTURES, Architecture
from deploy.layer.tree import EXECUTABLE

FETCH_S = 600
"""27 MB, and Maven's own plugins the first time."""


@dataclass(frozen=True, slots=True)
class Jar:
    """`version` is Maven's: CPython's, and the release of its presets."""

    version: str
    sha256: str


JARS = {
    ("3.10", "x86_64"): Jar(
        "3.10.8-1.5.8", "2f101b1aa06effdbda3c318c1728b13f22b571707c7b7704abaf5d19a33aa981"
    ),
    ("3.11", "x86_64"): Jar(
        "3.11.3-1.5.9", "668b42f6a8b1a9789de7d3ca54a81fefb754cd8e885554b42858bbcbc0dd497c"
    ),
    ("3.12", "x86_64"): Jar(
        "3.12.1-1.5.10", "a135fcf4dc01adebf7ea439252276fc3196db80f7e0dd3da0b61f1ec489b68bd"
    ),
    ("3.13", "x86_64"): Jar(
        "3.13.5-1.5.12", "50ad91aa0baa57f0235bb666b87d8bf2a44e215d28c250de1030502906af143b"
    ),
    ("3.14", "x86_64"): Jar(
        "3.14.3-1.5.13", "eb5f1a6fe2dc498ac18927189a37f28a47b0ba06ae6bd85112eff023fe2eb46f"
    ),
    ("3.10", "arm64"): Jar(
        "3.10.8-1.5.8", "b14738d971f43bcb7e74242980d0a621c4464b9a7f1294d22c17f9186b32db09"
    ),
    ("3.11", "arm64"): Jar(
        "3.11.3-1.5.9", "c98d023d4f79bdae2fb8973443324e48bb39e5b8f149a24e9d0317eb165d7925"
    ),
    ("3.12", "arm64"): Jar(
        "3.12.1-1.5.10", "4876e6a9eb45c4e2faf7c9f9ef8cb9f16a462c45c3440d4c2e15e6acc8f4e0df"
    ),
    ("3.14", "arm64"): Jar(
        "3.14.3-1.5.13", "75d0ac8f457bdb2d6b684796c282ce4da1e0c377a02b954de2c718f80901a15f"
    ),
}
"""By version and architecture. They want glibc 2.17, 2.30 (3.12) and 2.35 (3.13, 3.14)."""
_UNUSED = re.compile(r"(include|share)/|lib/python[^/]+/(test|config-[^/]+|idlelib|tkinter)/")


@dataclass(frozen=True, slots=True)
class Pythons:
    """`found` has the interpreter of each version, `missing` why there is none."""

    found: Mapping[str, Path]
    missing: Mapping[str, str]


def pythons(
    versions: Sequence[str], environ: Mapping[str, str], cache: Path, *, pinned: bool = False
) -> Pythons:
    """For each of `versions` the machine's, else the one that is kept in `cache` or fetched.

    `pinned`: never the machine's, so that every machine has the same.
    """
    found = {} if pinned else on_this_machine(versions, environ)
    missing: dict[str, str] = {}
    for version in versions:
        if version not in found:
            try:
                found[version] = _fetched(version, environ, cache)
            except LayerError as error:
                missing[version] = f"{'' if pinned else 'none is on this machine, and '}{error}"
    return Pythons(found, missing)


def on_this_machine(versions: Sequence[str], environ: Mapping[str, str]) -> dict[str, Path]:
    """Version → interpreter, of pyenv or on ``PATH``; what is not found is not in it."""
    root = Path(environ.get("PYENV_ROOT") or Path(environ.get("HOME", "/"), ".pyenv"))
    found: dict[str, Path] = {}
    for version in versions:
        of_pyenv = (root / "versions").glob(f"{version}.*/bin/python{version}")
        candidates = sorted(of_pyenv, key=_patch_version, reverse=True)
        on_path = shutil.which(f"python{version}", path=environ.get("PATH", ""))
        for candidate in [*candidates, *([Path(on_path)] if on_path else [])]:
            if full_version(candidate).startswith(f"{version}."):
                found[version] = candidate
                break
    return found


def _fetched(version: str, environ: Mapping[str, str], cache: Path) -> Path:
    """One that runs here."""
    machine = platform.machine()
    here = [one for one in ARCHITECTURES if one.machine == machine]
    if not here:
        raise LayerError(f"none is pinned for {machine}")
    interpreter = fetch(version, here[0], environ, cache)
    if not full_version(interpreter).startswith(f"{version}."):
        raise LayerError(f"{interpreter} does not run here")
    return interpreter


def fetch(
    version: str, architecture: Architecture, environ: Mapping[str, str], cache: Path
) -> Path:
    """Maven Central's, in ``bin`` of a prefix below `cache`. Raises LayerError."""
    name = architecture.name
    jar = JARS.get((version, name))
    if jar is None:
        raise LayerError(f"none is pinned for {name}")
    prefix = cache / f"cpython-{jar.version}-{name}"
    if not prefix.exists():
        maven = shutil.which("mvn", path=environ.get("PATH", ""))
        if maven is None:
            raise LayerError("there is no mvn, which would fetch it")
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as made:
            packed = _download(maven, jar, name, Path(made))
            _unpack(packed, name, Path(made) / "prefix")
            (Path(made) / "prefix").rename(prefix)
    return prefix / "bin" / f"python{version}"


def full_version(interpreter: Path) -> str:
    """What it says of itself, "" where it does not run: a shim may stand for nothing."""
    program = "import platform; print(platform.python_version())"
    command = [str(interpreter), "-I", "-S", "-c", program]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _patch_version(path: Path) -> list[int]:
    return [int(part) for part in path.parts[-3].split(".") if part.isdigit()]


def _download(maven: str, jar: Jar, architecture: str, folder: Path) -> Path:
    artifact = f"org.bytedeco:cpython:{jar.version}:jar:linux-{architecture}"
    command = [maven, "-q", "-B", "dependency:copy", f"-Dartifact={artifact}"]
    command += [f"-DoutputDirectory={folder}"]
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=FETCH_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise LayerError(f"mvn did not fetch {artifact} within {FETCH_S} s") from error
    packed = folder / f"cpython-{jar.version}-linux-{architecture}.jar"
    if done.returncode or not packed.exists():
        told = next((line for line in done.stdout.splitlines() if "ERROR" in line), "")
        raise LayerError(f"mvn cannot fetch {artifact}: {told[-200:]}")
    found = hashlib.sha256(packed.read_bytes()).hexdigest()
    if found != jar.sha256:
        raise LayerError(f"{artifact} has SHA-256 {found}, not the pinned {jar.sha256}")
    return packed


def _unpack(packed: Path, architecture: str, folder: Path) -> None:
    """The prefix that lies in the jar; a jar keeps no permissions."""
    inside = f"org/bytedeco/cpython/linux-{architecture}/"
    with zipfile.ZipFile(packed) as archive:
        for name in archive.namelist():
            path = name.removeprefix(inside)
            if name.endswith("/") or path == name or _UNUSED.match(path):
                continue
            written = folder / path
            written.parent.mkdir(parents=True, exist_ok=True)
            written.write_bytes(archive.read(name))
            if path.startswith("bin/"):
                written.chmod(EXECUTABLE)
