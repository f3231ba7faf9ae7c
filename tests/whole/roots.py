"""Roots of another Debian: packages of a release, unpacked and never configured."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from deploy.layer import debian
from deploy.layer.debian_index import resolve
from deploy.layer.errors import LayerError
from deploy.layer.platforms import Architecture
from tests.whole.fetch import CACHE, cannot, making

_LINKS = ("bin", "sbin", "lib", "lib64")


def debian_root(release: str, roots: Sequence[str], architecture: Architecture) -> dict[str, Path]:
    """`roots` and what they depend on, as what is to be bound where. Skips without Debian's index.

    The versions are the release's newest: apt-get checks its index's signature, and the index each
    file.
    """
    kept = CACHE / f"debian-{release}-{architecture.name}-{'-'.join(roots)}"
    with making(kept) as wanting:
        if wanting:
            made = kept.with_name(f"{kept.name}.making")
            shutil.rmtree(made, ignore_errors=True)
            # Since Debian 12 every package's files are meant for these links.
            for name in _LINKS:
                (made / "usr" / name).mkdir(parents=True, exist_ok=True)
                (made / name).symlink_to(f"usr/{name}")
            try:
                pins = resolve(release, roots, architecture)
                packages = debian.fetch(pins, CACHE / "debian")
            except LayerError as error:
                cannot(str(error))
                raise AssertionError from error
            for package in packages:
                subprocess.run(["dpkg-deb", "-x", str(package.path), str(made)], check=True)
            made.rename(kept)
    return {f"/{name}": (kept / name).resolve() for name in ("usr", *_LINKS)}
