"""A tree as a zip, the same bytes for the same tree, and as a folder."""

from __future__ import annotations

import io
import shutil
import stat
import zipfile
from pathlib import Path

from deploy.layer.tree import Tree

_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The first moment that a zip can tell: no file has a time of its own."""
_UNIX = 3
_SHIFT = 16
"""Permissions stand in the upper half of a member's external attributes."""


def to_zip(tree: Tree) -> bytes:
    """In order of paths, with permissions and without times."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for path in sorted(tree):
            member = zipfile.ZipInfo(path, _EPOCH)
            member.create_system = _UNIX
            member.external_attr = (stat.S_IFREG | tree[path].mode) << _SHIFT
            member.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(member, tree[path].data)
    return packed.getvalue()


def to_folder(tree: Tree, folder: Path) -> None:
    """Replace `folder` by the tree: what an image's ``COPY`` puts into `/opt`."""
    shutil.rmtree(folder, ignore_errors=True)
    for path, file in tree.items():
        written = folder / path
        written.parent.mkdir(parents=True, exist_ok=True)
        written.write_bytes(file.data)
        written.chmod(file.mode)
