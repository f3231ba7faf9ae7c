"""The page that survives a killed extension: whole slots, strangers' files, and its bounds."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from exporter.record import Failure, Fate, Invocation, Payload
from exporter.values import replace
from extension.blackbox import NAME, SLOT_BYTES, BlackBox, Remains
from extension.ledger import NOTHING, Amount
from tests.core.test_backlog import ONE

RUNNING = replace(ONE, fate=Fate.CRASHED, failure=Failure("Extension.Crash", "killed"))


def opened(folder: Path) -> BlackBox:
    told: list[str] = []
    box = BlackBox(str(folder), told.append)
    assert told == []
    return box


def note(
    box: BlackBox, waiting: int, running: Invocation | None = None, open_count: int = 0
) -> None:
    amount = Amount(waiting, 10 * waiting)
    box.note(amount, NOTHING, open_count, lambda: running, (waiting, running))


def test_what_is_noted_is_found_by_the_next_one(tmp_path: Path) -> None:
    """Counts, the invocation that ran without its body, and how many others were open."""
    box = opened(tmp_path)
    assert box.remains is None
    with_body = replace(RUNNING, result=Payload(b"secret", 6, False, "text"))
    box.note(Amount(5, 50), Amount(2, 20), 3, lambda: with_body, "key")
    bare = replace(RUNNING, result=Payload(b"", 6, True, "text"))
    found = opened(tmp_path).remains
    assert found == Remains(Amount(5, 50), Amount(2), 2, bare)
    assert stat.S_IMODE((tmp_path / NAME).stat().st_mode) == 0o600


def test_after_a_close_nothing_is_missed(tmp_path: Path) -> None:
    """An extension that has left by itself has accounted for everything."""
    box = opened(tmp_path)
    note(box, 7)
    box.close()
    assert opened(tmp_path).remains is None
    note(box, 8)
    assert opened(tmp_path).remains is None


def test_what_has_not_changed_is_not_written(tmp_path: Path) -> None:
    """The record is asked for where its key has changed, and never else."""
    box = opened(tmp_path)
    note(box, 1, RUNNING, 1)
    before = (tmp_path / NAME).read_bytes()
    box.note(Amount(1, 10), NOTHING, 1, lambda: pytest.fail("asked"), (1, RUNNING))
    assert (tmp_path / NAME).read_bytes() == before


@pytest.mark.parametrize("place", [0, 3, 9, 40, 200])
def test_a_torn_slot_leaves_the_one_before(tmp_path: Path, place: int) -> None:
    """A process may die in the middle of a write: then the older slot counts."""
    box = opened(tmp_path)
    for count in (1, 2, 3):
        note(box, count, RUNNING, 1)
    data = bytearray((tmp_path / NAME).read_bytes())
    data[SLOT_BYTES + place] ^= 1
    (tmp_path / NAME).write_bytes(data)
    found = opened(tmp_path).remains
    assert found == Remains(Amount(2, 20), NOTHING, 0, RUNNING)


def test_a_record_over_the_slot_is_counted(tmp_path: Path) -> None:
    """Its names may be of the longest kind."""
    box = opened(tmp_path)
    note(box, 1, replace(RUNNING, xray_header="x" * SLOT_BYTES), 1)
    assert opened(tmp_path).remains == Remains(Amount(1), NOTHING, 1, None)


@pytest.mark.parametrize("kind", ["garbage", "empty", "zeros"])
def test_a_file_of_somebody_else_says_nothing(tmp_path: Path, kind: str) -> None:
    """And is used from then on."""
    content = {"garbage": os.urandom(3 * SLOT_BYTES), "empty": b"", "zeros": bytes(SLOT_BYTES)}
    (tmp_path / NAME).write_bytes(content[kind])
    box = opened(tmp_path)
    assert box.remains is None
    note(box, 4)
    assert opened(tmp_path).remains == Remains(Amount(4, 40), NOTHING, 0, None)


@pytest.mark.parametrize("kind", ["link", "folder", "fifo", "nowhere"])
def test_without_its_file_it_notes_nothing_and_says_so(tmp_path: Path, kind: str) -> None:
    """One line, and the extension goes on."""
    folder, target = tmp_path, tmp_path / "target"
    target.write_text("untouched")
    if kind == "link":
        (tmp_path / NAME).symlink_to(target)
    elif kind == "folder":
        (tmp_path / NAME).mkdir()
    elif kind == "fifo":
        os.mkfifo(tmp_path / NAME)
    else:
        folder = tmp_path / "missing"
    told: list[str] = []
    box = BlackBox(str(folder), told.append)
    note(box, 1)
    box.close()
    assert (len(told), box.remains, target.read_text()) == (1, None, "untouched")


def test_it_survives_sigkill(tmp_path: Path) -> None:
    """What was noted before the kill is there, with no call that writes it out."""
    script = (
        "import os, signal, sys\n"
        "from extension.blackbox import BlackBox\n"
        "from extension.ledger import Amount\n"
        "box = BlackBox(sys.argv[1], print)\n"
        "box.note(Amount(6, 60), Amount(1, 1), 0, lambda: None, None)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False)
    assert done.returncode == -9
    assert opened(tmp_path).remains == Remains(Amount(6, 60), Amount(1), 0, None)


def test_a_truncated_file_hurts_nobody(tmp_path: Path) -> None:
    """Whoever empties /tmp must not end the extension, nor blind it for long."""
    box = opened(tmp_path)
    note(box, 1)
    (tmp_path / NAME).write_bytes(b"")
    note(box, 2)
    assert opened(tmp_path).remains == Remains(Amount(2, 20), NOTHING, 0, None)
