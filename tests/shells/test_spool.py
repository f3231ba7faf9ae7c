"""The spool on a real folder: bounds, damage, what a disk refuses, and what nobody else may do."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from exporter.record import Record
from extension.backlog import amount_of
from extension.ledger import NOTHING, Amount
from extension.settings import SpoolSettings
from extension.spool import MAX_SET_ASIDE, REFUSED_FOR_NS, Spool
from tests.core.test_backlog import CUT, LATE, ONE, numbered

SECOND_NS = 1_000_000_000
RECORDS: list[Record] = [CUT, LATE, ONE]
AMOUNT = sum(map(amount_of, RECORDS), NOTHING)


@dataclass
class Made:
    """A spool in `folder`, what it lost and told, and its clock."""

    folder: Path
    spool: Spool = field(init=False)
    lost: list[tuple[Amount, str]] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    now_ns: int = 1_000 * SECOND_NS

    def __post_init__(self) -> None:
        self.spool = Spool(
            str(self.folder),
            lambda amount, reason: self.lost.append((amount, reason)),
            self.told.append,
            unix_ns=self.tick,
        )

    def tick(self) -> int:
        self.now_ns += 1
        return self.now_ns

    def names(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir())


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return Made(tmp_path)


def test_what_one_extension_leaves_the_next_one_finds(made: Made) -> None:
    """Whole, in order, mode 0600; a file goes when it is not needed any more."""
    assert made.spool.put(RECORDS, AMOUNT, 3_000)
    assert made.spool.put(numbered(2), Amount(2), 2_000)
    assert {stat.S_IMODE(path.stat().st_mode) for path in made.folder.iterdir()} == {0o600}
    after = Made(made.folder)
    assert after.spool.scan() == AMOUNT + Amount(2)
    first = after.spool.take()
    assert first is not None
    assert (list(first.records), first.amount) == (RECORDS, AMOUNT)
    assert after.spool.take() == first
    after.spool.remove(first.name)
    second = after.spool.take()
    assert second is not None
    assert list(second.records) == numbered(2)
    after.spool.remove(second.name)
    assert (after.spool.take(), after.spool.is_empty, after.names()) == (None, True, [])
    assert (after.lost, after.told) == ([], [])


def test_it_is_bounded_in_bytes(made: Made) -> None:
    """What would be over the bound is refused, and nothing is written."""
    made.spool.settings = SpoolSettings(max_bytes=1_000)
    assert made.spool.put([ONE], Amount(1), 1_000)
    assert not made.spool.put(numbered(20), Amount(20), 20_000)
    assert len(made.names()) == 1
    made.spool.settings = SpoolSettings(max_bytes=0)
    made.now_ns += REFUSED_FOR_NS
    assert not made.spool.put([], NOTHING, 1)


def test_what_is_full_is_not_asked_again_at_once(made: Made) -> None:
    """As many are refused unread until ten seconds are over or a file has gone; fewer may fit."""
    made.spool.settings = SpoolSettings(max_bytes=2_000)
    assert made.spool.put([ONE], Amount(1), 1_000)
    unread: list[Record] = [None] * 20  # type: ignore[list-item]
    assert not made.spool.put(numbered(20), Amount(20), 20_000)
    assert not made.spool.put(unread, Amount(20), 20_000)
    made.now_ns += REFUSED_FOR_NS
    with pytest.raises(KeyError):
        made.spool.put(unread, Amount(20), 20_000)
    assert not made.spool.put(unread, Amount(20), 20_000)
    assert made.spool.put([ONE], Amount(1), 1_000)
    made.spool.remove(made.names()[0])
    with pytest.raises(KeyError):
        made.spool.put(unread, Amount(20), 20_000)


def test_it_is_bounded_in_age(made: Made) -> None:
    """What is too old is removed and counted, when anything is done with the spool."""
    made.spool.settings = SpoolSettings(max_age_s=60)
    made.spool.put([ONE], Amount(1), 1_000)
    made.now_ns += 61 * SECOND_NS
    made.spool.put(numbered(2), Amount(2), 2_000)
    assert made.lost == [(Amount(1), "spool_expired")]
    assert (made.spool.amount, len(made.names())) == (Amount(2), 1)


@pytest.mark.parametrize(
    "damage", ["cut", "flipped", "emptied", "no head", "other version", "a link", "a folder"]
)
def test_a_damaged_file_is_set_aside_and_counted(made: Made, damage: str) -> None:
    """Its name says how much is lost; the file behind it is read all the same."""
    made.spool.put(RECORDS, AMOUNT, 3_000)
    made.spool.put([ONE], Amount(1), 1_000)
    path = made.folder / made.names()[0]
    data = path.read_bytes()
    if damage in ("a link", "a folder"):
        path.unlink()
        if damage == "a link":
            path.symlink_to("/etc/passwd")
        else:
            path.mkdir()
    else:
        path.write_bytes(
            {
                "cut": data[:-1],
                "flipped": data[:-9] + bytes([data[-9] ^ 1]) + data[-8:],
                "emptied": b"",
                "no head": data.partition(b"\n")[2],
                "other version": data.replace(b"spool 1", b"spool 2"),
            }[damage]
        )
    stored = made.spool.take()
    assert stored is not None
    assert list(stored.records) == [ONE]
    assert made.lost == [(AMOUNT, "spool_damaged")]
    assert made.names() == sorted([path.name + ".damaged", stored.name])
    assert len(made.told) == 1


def test_a_name_that_says_something_else_is_damage(made: Made) -> None:
    """A stranger must not invent invocations for the ledger."""
    made.spool.put([ONE], Amount(1), 1_000)
    (name,) = made.names()
    forged = name.replace("-00000001-", "-00000099-")
    os.rename(made.folder / name, made.folder / forged)
    after = Made(made.folder)
    assert after.spool.scan() == Amount(0x99)
    assert after.spool.take() is None
    assert after.lost == [(Amount(0x99), "spool_damaged")]


def test_few_damaged_files_are_kept(made: Made) -> None:
    """The newest, for a look; strangers' files are never touched."""
    foreign = ["other.json.damaged", "spanpipe-spool-1.json", "notes"]
    for name in foreign:
        (made.folder / name).write_text("x")
    for index in range(MAX_SET_ASIDE + 3):
        made.spool.put(numbered(index + 1), Amount(index + 1), 1_000)
    for name in made.names():
        if name not in foreign:
            (made.folder / name).write_text("damaged")
    assert made.spool.take() is None
    assert len(made.names()) == MAX_SET_ASIDE + len(foreign)
    assert set(foreign) < set(made.names())
    assert sum((amount for amount, _ in made.lost), NOTHING) == Amount(28)


def test_what_was_printed_is_not_printed_again(made: Made) -> None:
    """It is still delivered, by this extension or the next."""
    made.spool.put([ONE], Amount(1), 1_000)
    made.spool.put(numbered(2), Amount(2), 2_000)
    first, second = made.spool.unprinted()
    made.spool.mark_printed(first.name)
    assert [one.name for one in made.spool.unprinted()] == [second.name]
    after = Made(made.folder)
    assert after.spool.scan() == Amount(3)
    assert [one.name for one in after.spool.unprinted()] == [second.name]
    taken = after.spool.take()
    assert taken is not None
    assert list(taken.records) == [ONE]


def test_a_folder_that_cannot_be_written_loses_nothing_but_says_so(tmp_path: Path) -> None:
    """Read-only for an ordinary user: refused, told once, and nothing raised."""
    tmp_path.chmod(0o555)
    script = (
        "import os, sys\n"
        "if os.geteuid() == 0:\n"
        "    os.setresgid(65534, 65534, 65534); os.setresuid(65534, 65534, 65534)\n"
        "from extension.spool import Spool\n"
        "from extension.ledger import Amount\n"
        "told = []\n"
        "spool = Spool(sys.argv[1], print, told.append, unix_ns=lambda: 1)\n"
        "put = [spool.put([], Amount(), 1) for _ in range(2)]\n"
        "print(*put, len(told), told[0].count('Permission denied'))\n"
    )
    # Modules are read as root first, where the checkout is not for everybody.
    preload = "import extension.spool, exporter.record_json\n"
    for folder in [tmp_path, *tmp_path.parents][:-1]:
        if os.geteuid() == 0 and not folder.stat().st_mode & stat.S_IXOTH:
            folder.chmod(folder.stat().st_mode | stat.S_IXOTH)
    done = subprocess.run(
        [sys.executable, "-c", preload + script, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("False False 1 1\n", "")
