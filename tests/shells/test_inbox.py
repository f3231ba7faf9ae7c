"""What the extension reads from the folder: all that is good, nothing hostile."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from extension.inbox import MAX_FILE_BYTES, MAX_FILES_BYTES, MAX_FOLDER_ENTRIES, MAX_UNITS, Inbox
from fifo import encoding, messages, pipes, wire
from tests.shells.conftest import ReadingEnd

PREFIX = encoding.encode_prefix("r-1", b"spanspan")
EVENT_BODY = encoding.encode_event(PREFIX, 5, None, "noted")
EVENT = messages.Event("r-1", b"spanspan", time_unix_ns=5, span_id=None, name="noted")
NAME = "spanpipe-0123456789abcdef.msg"


class Told(list[str]):
    """What was said of bad input."""


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def inbox(reading_end: ReadingEnd, told: Told) -> Inbox:
    """The extension's inbox on a pair of its own."""
    return Inbox(str(reading_end.directory), reading_end.results, told.append)


def event_frame(counter: int = 1) -> bytes:
    return wire.encode_frame(messages.EVENT, 7, counter, EVENT_BODY)


def file_frame(name: str, counter: int = 1) -> bytes:
    body = encoding.encode_file(PREFIX, name)
    return wire.encode_frame(messages.FILE, 7, counter, body)


def received(inbox: Inbox, request_id: str | None = None) -> list[messages.Message]:
    return [
        message for message, _ in inbox.read_boundary(() if request_id is None else (request_id,))
    ]


def test_frames_lines_and_files_are_read_in_one_go(
    inbox: Inbox, reading_end: ReadingEnd, told: Told
) -> None:
    """All three ways at a boundary, the files removed."""
    os.write(reading_end.results, event_frame() + b'{"request_id":"r-1","payload":1}\n')
    (reading_end.directory / "r-1").write_text('{"payload": "by file"}')
    (reading_end.directory / NAME).write_bytes(event_frame(2))
    found = received(inbox, "r-1")
    assert [type(one).__name__ for one in found] == ["Event", "Result", "Result", "Event"]
    assert found[0] == found[3] == EVENT
    assert [one.body.data for one in found if isinstance(one, messages.Result)] == [
        b"1",
        b'"by file"',
    ]
    assert sorted(os.listdir(reading_end.directory)) == [
        "spanpipe-control.fifo",
        "spanpipe-results.fifo",
    ]
    assert (told, inbox.counts, inbox.gaps()) == ([], {}, {})


def test_a_named_file_is_read_at_once(inbox: Inbox, reading_end: ReadingEnd) -> None:
    """A FILE message needs no boundary."""
    (reading_end.directory / NAME).write_bytes(event_frame(1))
    os.write(reading_end.results, file_frame(NAME, 2))
    assert [message for message, _ in inbox.read()] == [EVENT]
    assert not (reading_end.directory / NAME).exists()


@pytest.mark.parametrize(
    "name", ["../secret", "/etc/passwd", "r-1", "spanpipe-0123456789abcdef.msg/../../secret", ""]
)
def test_a_message_cannot_name_another_path(
    inbox: Inbox, reading_end: ReadingEnd, told: Told, name: str
) -> None:
    """Only names of our own form are opened."""
    secret = reading_end.directory.parent / "secret"
    secret.write_bytes(event_frame())
    os.write(reading_end.results, file_frame(name))
    assert received(inbox) == []
    assert (inbox.counts, len(told), secret.exists()) == ({"malformed": 1}, 1, True)


def test_links_folders_and_fifos_are_neither_read_nor_removed(
    inbox: Inbox, reading_end: ReadingEnd, told: Told
) -> None:
    """Under our own names too; what a link points to stays as it was."""
    folder = reading_end.directory
    secret = folder.parent / "secret"
    secret.write_bytes(event_frame())
    names = [f"spanpipe-{index:016x}.msg" for index in range(3)]
    (folder / names[0]).symlink_to(secret)
    (folder / names[1]).mkdir()
    os.mkfifo(folder / names[2])
    (folder / "r-1").symlink_to(secret)
    assert received(inbox, "r-1") == []
    assert inbox.counts == {"file": 4}
    assert len(told) == 1
    assert all((folder / name).is_symlink() or (folder / name).exists() for name in names)
    assert secret.exists()


def test_files_cannot_name_files(inbox: Inbox, reading_end: ReadingEnd, told: Told) -> None:
    """A chain of files that name each other ends at the first."""
    names = [f"spanpipe-{index:016x}.msg" for index in range(2000)]
    for name, following in itertools.pairwise(names):
        (reading_end.directory / name).write_bytes(file_frame(following))
    os.write(reading_end.results, file_frame(names[0], 1))
    assert [message for message, _ in inbox.read()] == []
    assert (inbox.counts, told) == ({"malformed": 1}, ["a file names another file"])


@pytest.mark.parametrize("request_id", ["..", ".", "a/b", "x" * 200, ""])
def test_a_request_id_that_is_a_path_opens_nothing(
    inbox: Inbox, reading_end: ReadingEnd, request_id: str
) -> None:
    """It came from Lambda, and is looked at all the same."""
    assert received(inbox, request_id) == []
    assert inbox.counts == {}


def test_garbage_is_counted_and_told_once(
    inbox: Inbox, reading_end: ReadingEnd, told: Told
) -> None:
    """A thousand bad lines are one line in the log and a count."""
    for _ in range(1000):
        os.write(reading_end.results, b'{"nope": 1}\n')
    os.write(reading_end.results, b"garbage" + event_frame() + wire.encode_frame(99, 7, 2, PREFIX))
    assert received(inbox) == [EVENT]
    assert inbox.counts == {"malformed": 1001}
    assert told == ['line has no "request_id" that could be one']
    assert inbox.gaps() == {"garbage": 1}


def test_a_folder_full_of_files_is_looked_at_in_part(
    inbox: Inbox, reading_end: ReadingEnd, told: Told
) -> None:
    """/tmp is the user's: the search stops at its bound, and says so once."""
    for index in range(MAX_FOLDER_ENTRIES + 10):
        (reading_end.directory / f"user-{index}").touch()
    assert received(inbox) == []
    assert received(inbox) == []
    assert set(inbox.counts) == {"folder_cut"}
    assert len(told) == 1


def test_a_result_file_is_found_whenever_it_comes(
    inbox: Inbox, reading_end: ReadingEnd, told: Told
) -> None:
    """Before its invocation is known or after, in a folder that has changed or has been still."""
    long_ago = time.time() - 60
    for early, late in (("r-1", "r-2"), ("r-3", "r-4")):
        (reading_end.directory / early).write_text('{"payload": 1}')
        os.utime(reading_end.directory, (long_ago, long_ago))
        assert received(inbox) == []
        assert received(inbox, late) == []
        assert len(received(inbox, early)) == 1
        os.utime(reading_end.directory, (long_ago, long_ago))
        assert received(inbox, late) == []
        (reading_end.directory / late).write_text('{"payload": 1}')
        assert len(received(inbox, late)) == 1
    assert told == []


def test_a_folder_whose_time_is_in_whole_seconds_is_looked_at_for_longer(
    inbox: Inbox, reading_end: ReadingEnd
) -> None:
    """A change within the same second does not show."""
    now_s = int(time.time())
    os.utime(reading_end.directory, (now_s, now_s))
    assert received(inbox, "r-1") == []
    (reading_end.directory / "r-1").write_text('{"payload": 1}')
    os.utime(reading_end.directory, (now_s, now_s))
    assert len(received(inbox, "r-1")) == 1


def test_an_oversized_file_is_removed_and_counted(
    inbox: Inbox, reading_end: ReadingEnd, told: Told
) -> None:
    """Not a byte of it is read into memory."""
    path = reading_end.directory / "r-1"
    with path.open("wb") as stream:
        stream.truncate(64 * 1024 * 1024)
    assert received(inbox, "r-1") == []
    assert (inbox.counts, path.exists()) == ({"file": 1}, False)
    assert told == [f"{path}: 67108864 bytes, over 8392704"]


def test_without_a_fifo_files_are_read(tmp_path: Path, told: Told) -> None:
    """A cheated path leaves the descriptor at -1, and the rest goes on."""
    (tmp_path / NAME).write_bytes(event_frame())
    assert received(Inbox(str(tmp_path), -1, told.append)) == [EVENT]


def test_more_files_than_memory_should_hold_are_read_one_boundary_after_the_other(
    inbox: Inbox, reading_end: ReadingEnd, told: Told
) -> None:
    """Several processes may leave more than one may; nothing is lost, and it is counted."""
    event = event_frame()
    filler = wire.encode_frame(messages.RESULT, 7, 2, bytes(MAX_FILE_BYTES - 2 * len(event)))
    at_once = MAX_FILES_BYTES // MAX_FILE_BYTES + 1
    for index in range(at_once + 1):
        name = f"spanpipe-{index:016x}.msg"
        (reading_end.directory / name).write_bytes(event + filler)
    assert received(inbox) == [EVENT] * at_once
    assert inbox.counts["files_postponed"] == 1
    assert received(inbox) == [EVENT]
    assert received(inbox) == []
    assert [text for text in told if "bytes of files" in text] == [
        f"{reading_end.directory}/{name}: more than {MAX_FILES_BYTES} bytes of files"
    ]


def test_a_pipe_is_nearly_full_from_three_quarters_on(
    inbox: Inbox, reading_end: ReadingEnd, told: Told
) -> None:
    """Less need not be read at once; without a pipe nothing waits in one."""
    part = pipes.capacity_bytes(reading_end.results) // 4
    found = []
    for _ in range(3):
        os.write(reading_end.results, bytes(part))
        found.append(inbox.is_nearly_full)
    os.write(reading_end.results, bytes(4096))
    assert [*found, inbox.is_nearly_full] == [False, False, False, True]
    assert not Inbox(str(reading_end.directory), -1, told.append).is_nearly_full


def test_a_flood_of_tiny_lines_holds_up_no_boundary(
    inbox: Inbox, reading_end: ReadingEnd, told: Told
) -> None:
    """So many are looked at, the others at the next boundary, and nothing behind them is lost."""
    line = b'{"request_id":"r-1","payload":1}\n'
    flood = b"{}\n" * (3 * MAX_UNITS)
    written = 0
    while written < len(flood):
        written += os.write(reading_end.results, flood[written : written + 4095])
    os.write(reading_end.results, line)
    boundaries = 0
    found: list[messages.Message] = []
    while not found and boundaries < 9:
        found = received(inbox)
        boundaries += 1
    assert [type(one).__name__ for one in found] == ["Result"]
    assert boundaries > 1
    assert inbox.counts["malformed"] == 3 * MAX_UNITS
    assert inbox.counts["units_postponed"] == boundaries - 1


@pytest.mark.parametrize("spare", [True, False])
def test_files_are_read_where_no_descriptor_is_left(tmp_path: Path, spare: bool) -> None:
    """With the spare one at once; where that is gone too they stay until there is one again."""
    (tmp_path / NAME).write_bytes(event_frame())
    program = f"""
import os, resource
from extension.inbox import Inbox
told = []
inbox = Inbox({str(tmp_path)!r}, -1, told.append)
if not {spare}:
    os.close(inbox._spare._descriptor)
    inbox._spare._descriptor = -1
taken = [os.dup(0)]
while taken[-1] < max(int(name) for name in os.listdir("/proc/self/fd")) - 1:
    taken.append(os.dup(0))
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (taken[-1] + 1, hard))
first = len(inbox.read_boundary(()))
os.close(taken.pop())
print(first, len(inbox.read_boundary(())), inbox.counts)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False
    )
    expected = "1 0 {}" if spare else "0 1 {'folder': 1}"
    assert (done.stdout.strip(), done.stderr) == (expected, "")
