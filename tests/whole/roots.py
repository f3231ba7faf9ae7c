"""Roots of another Debian: packages of a release, unpacked and never configured."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from deploy.layer import debian
from deploy.layer.debian_index import resolve
from deploy.layer.errors import LayerError
from tests.whole.fetch import CACHE, cannot, making
from tests.whole.layers import here


def debian_root(release: str, roots: Sequence[str]) -> dict[str, Path]:
    """`roots` and what they depend on, as what is to be bound where. Skips without Debian's index.

    The versions are the release's newest: apt-get checks its index's signature, and the index each
    file.
    """
    kept = CACHE / f"debian-{release}-{'-'.join(roots)}"
    with making(kept) as wanting:
        if wanting:
            made = kept.with_name(f"{kept.name}.making")
            shutil.rmtree(made, ignore_errors=True)
            # Since Debian 12 every package's files are meant for these links.
            for name in ("bin", "sbin", "lib", "lib64"):
                (made / "usr" / name).mkdir(parents=True, exist_ok=True)
                (made / name).symlink_to(f"usr/{name}")
            try:
                pins = resolve(release, roots, here())
                packages = debian.fetch(pins, CACHE / "debian")
            except LayerError as error:
                cannot(str(error))
                raise AssertionError from error
            for package in packages:
                subprocess.run(["dpkg-deb", "-x", str(package.path), str(made)], check=True)
            made.rename(kept)
    return {f"/{path.name}": path.resolve() for path in sorted(kept.iterdir())}
