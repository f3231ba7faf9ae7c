"""The FIFO pair on disk: made once, reused when good, refused when hostile, never unlinked."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import pytest

from fifo import pipes
from fifo.errors import HostilePathError


def test_a_fifo_is_made_private_and_reused(tmp_path: Path) -> None:
    """0600 whatever the umask; the second time it is the same inode."""
    path = str(tmp_path / "one.fifo")
    before = os.umask(0)
    try:
        first = pipes.make_fifo(path, pipes.RESULTS_CAPACITY_BYTES)
    finally:
        os.umask(before)
    second = pipes.make_fifo(path, pipes.RESULTS_CAPACITY_BYTES)
    status = os.fstat(first)
    assert stat.S_IMODE(status.st_mode) == 0o600
    assert status.st_ino == os.fstat(second).st_ino
    os.close(first)
    os.close(second)


def test_data_outlives_its_writer_and_the_capacity_is_ours(tmp_path: Path) -> None:
    """The reading end holds both ends, so a writer's exit loses nothing."""
    path = str(tmp_path / "one.fifo")
    reader = pipes.make_fifo(path, 4096)
    writer = pipes.open_fifo(path, os.O_WRONLY)
    os.write(writer, b"data")
    os.close(writer)
    assert (pipes.unread_bytes(reader), os.read(reader, 99)) == (4, b"data")
    assert pipes.capacity_bytes(reader) == 4096
    os.close(reader)


def make_file(path: Path) -> None:
    path.write_text("precious")


def make_folder(path: Path) -> None:
    path.mkdir()


def make_dangling_link(path: Path) -> None:
    path.symlink_to(path.parent / "nowhere")


def make_link_to_fifo(path: Path) -> None:
    os.mkfifo(path.parent / "real", 0o600)
    path.symlink_to(path.parent / "real")


def make_open_fifo(path: Path) -> None:
    os.mkfifo(path)
    path.chmod(0o666)


def make_foreign_fifo(path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a file away")
    os.mkfifo(path, 0o600)
    os.chown(path, 65534, 65534)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (make_file, "is no FIFO"),
        (make_folder, "is no FIFO but a folder"),
        (make_dangling_link, "is a symbolic link"),
        (make_link_to_fifo, "is a symbolic link"),
        (make_open_fifo, "is open to other users (mode 0666, not 0600)"),
        (make_foreign_fifo, "belongs to user 65534, not to us"),
    ],
)
def test_a_hostile_path_is_refused_and_left_alone(tmp_path: Path, make: Any, reason: str) -> None:
    """One clear error; nothing is followed, unlinked or changed."""
    path = tmp_path / "one.fifo"
    make(path)
    before = path.lstat()
    with pytest.raises(HostilePathError) as caught:
        pipes.make_fifo(str(path), 4096)
    assert str(caught.value) == f"{path}: {reason}; remove it and the FIFO is made anew"
    after = path.lstat()
    assert (before.st_ino, before.st_mode, before.st_size) == (
        after.st_ino,
        after.st_mode,
        after.st_size,
    )
    assert not (tmp_path / "nowhere").exists()


def test_a_writer_never_blocks_where_nobody_reads(tmp_path: Path) -> None:
    """ENXIO without a reader, ENOENT without a FIFO: both at once."""
    path = str(tmp_path / "one.fifo")
    with pytest.raises(FileNotFoundError):
        pipes.open_fifo(path, os.O_WRONLY)
    os.mkfifo(path, 0o600)
    with pytest.raises(OSError, match="No such device or address"):
        pipes.open_fifo(path, os.O_WRONLY)
