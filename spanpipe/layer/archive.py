"""A layer's zip: within Lambda's limits, whole, and for which runtimes and machines it is."""

from __future__ import annotations

import os
import re
import tempfile
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

from spanpipe.doctor.findings import Level
from spanpipe.doctor.layer import (
    ARCHITECTURES,
    OWN_PYTHON,
    PYTHONS,
    is_layer,
    layer_findings,
    machines,
)
from spanpipe.errors import CommandError

MAX_ZIP_BYTES = 50 * 1024 * 1024
"""What PublishLayerVersion takes in the request. Source: Lambda quotas, "Deployment package"."""
MAX_UNPACKED_BYTES = 250 * 1024 * 1024
"""Of a function and all its layers together. Source: as above."""
PYTHON_RUNTIMES = tuple(f"python{version}" for version in PYTHONS)
OTHER_RUNTIMES = (
    "nodejs22.x",
    "nodejs24.x",
    "java17",
    "java21",
    "java25",
    "ruby3.3",
    "ruby3.4",
    "dotnet8",
    "provided.al2",
    "provided.al2023",
)
"""With Python's, the 15 that one version may name. It is a filter in lists, no fence."""
_SHIFT = 16
"""Permissions stand in the upper half of a member's external attributes."""
_VERSION = re.compile(r"python/spanpipe-([^/-]+)\.dist-info/METADATA")


@dataclass(frozen=True, slots=True)
class LayerZip:
    """A zip that Lambda would take. `architectures` are AWS's names, `version` is spanpipe's."""

    path: str
    version: str
    runtimes: tuple[str, ...]
    architectures: tuple[str, ...]

    @property
    def name(self) -> str:
        """What `make layer` called it."""
        return Path(self.path).stem


def read_layer_zip(path: str, architecture: str | None = None) -> LayerZip:
    """Look into the zip, as Lambda would unpack it; `architecture` is one that it must be for.

    Raises CommandError: no file, no zip, over a limit, damaged, no layer, or not for that
    architecture.
    """
    file = Path(path)
    if not file.is_file():
        what = "is a folder; give its zip" if file.is_dir() else "there is no such file"
        raise CommandError(f"{path}: {what}; `make layer` builds the zips into dist/")
    size_bytes = file.stat().st_size
    if size_bytes > MAX_ZIP_BYTES:
        raise CommandError(
            f"{path}: has {_mib(size_bytes)}; Lambda takes {_mib(MAX_ZIP_BYTES)} in a request; a "
            "larger zip goes through S3: aws lambda publish-layer-version --content"
        )
    try:
        with zipfile.ZipFile(file) as archive:
            return _read(path, archive, architecture)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise CommandError(
            f"{path}: is no zip that can be read: {error}; build it again: make layer"
        ) from error
    except OSError as error:
        raise CommandError(f"{path}: cannot be read: {error}") from error


def _read(path: str, archive: zipfile.ZipFile, architecture: str | None) -> LayerZip:
    unpacked_bytes = sum(member.file_size for member in archive.infolist())
    if unpacked_bytes > MAX_UNPACKED_BYTES:
        raise CommandError(
            f"{path}: unpacks to {_mib(unpacked_bytes)}; a function and all its layers may have "
            f"{_mib(MAX_UNPACKED_BYTES)} together"
        )
    with tempfile.TemporaryDirectory(prefix="spanpipe-layer-") as made:
        folder = Path(made)
        for member in archive.infolist():
            written = Path(archive.extract(member, folder))
            mode = member.external_attr >> _SHIFT
            if mode and not written.is_dir():
                os.chmod(written, mode & 0o777)
        if not is_layer(folder):
            raise CommandError(
                f"{path}: is no layer of spanpipe: it has no extensions/spanpipe; "
                "build one: make layer"
            )
        _refuse_problems(path, folder, architecture)
        there = machines(folder)
        unknown = sorted(there - set(ARCHITECTURES))
        if unknown:
            raise CommandError(f"{path}: holds programs for {unknown[0]}, which Lambda has not")
        if len(there) > 1:
            raise CommandError(f"{path}: holds programs for both of {', '.join(sorted(there))}")
        own_python = (folder / OWN_PYTHON).exists()
    found = next((m for name in archive.namelist() if (m := _VERSION.fullmatch(name))), None)
    return LayerZip(
        path,
        "unknown version" if found is None else found[1],
        (*PYTHON_RUNTIMES, *OTHER_RUNTIMES) if own_python else PYTHON_RUNTIMES,
        tuple(sorted(there)) or (ARCHITECTURES if architecture is None else (architecture,)),
    )


def _refuse_problems(path: str, folder: Path, architecture: str | None) -> None:
    """What the doctor finds wrong with it, as one error."""
    for finding in layer_findings(folder, None, architecture):
        if finding.level is Level.PROBLEM:
            seen = finding.seen.replace(f"{folder}/", "")
            raise CommandError(f"{path}: {finding.says}: {seen}. {finding.todo}")


def _mib(size_bytes: int) -> str:
    return f"{size_bytes / (1024 * 1024):.1f} MiB"
