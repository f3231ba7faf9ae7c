"""The shell's function, in dash and in bash, on real FIFOs."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest

from fifo import mailbox, messages, parsing, pipes, wire
from tests.core.test_wire import VECTORS
from tests.shells.conftest import ReadingEnd
from tests.writers.languages import WRITERS, python_speaker, tool
from tests.writers.test_manners import NOTHING_LOST, PLACES, begun, put_untrusted, said

WAIT_S = 30
SCRIPT = WRITERS / "shell" / "spanpipe.sh"

pytestmark = pytest.mark.parametrize("shell", ["dash", "bash"])


def program(shell: str, script: str) -> list[str]:
    return [tool(shell), "-euc", f". {shlex.quote(str(SCRIPT))}\n{script}"]


def speak(shell: str, directory: Path, script: str) -> str:
    """What was said on standard error by a shell that goes on after each call and ends well."""
    done = subprocess.run(
        program(shell, f"{script}\nprintf done"),
        env={**os.environ, "SPANPIPE_DIR": str(directory)},
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "done"), done.stderr
    return done.stderr


def told(request_id: str, payload: object) -> str:
    return f"spanpipe_result {shlex.quote(request_id)} {shlex.quote(str(payload))}"


def test_a_line_is_that_of_the_vectors(reading_end: ReadingEnd, shell: str) -> None:
    """Byte for byte, in one piece."""
    assert speak(shell, reading_end.directory, told("r-1", '{"ok":true}')) == ""
    (vector,) = [one for one in VECTORS["streams"] if one["name"] == "a line"]
    assert os.read(reading_end.results, 1 << 16) == bytes.fromhex(vector["hex"])


@pytest.mark.parametrize(
    "payload", ["'", '{"a": "$(exit 1)`%s\\\\n"}', '"ä€ *"', "[\n1,\n2\n]", ""]
)
def test_a_payload_arrives_as_it_is(reading_end: ReadingEnd, shell: str, payload: str) -> None:
    """Whatever a shell or printf could make of it; newlines are JSON's blanks; none is null."""
    speak(shell, reading_end.directory, told("r-1", payload))
    line = os.read(reading_end.results, 1 << 16).decode()
    shown = payload.replace("\n", " ") or "null"
    assert line == f'{{"request_id":"r-1","payload":{shown}}}\n'


def test_the_longest_line_goes_by_pipe_and_a_longer_one_by_file(
    reading_end: ReadingEnd, shell: str
) -> None:
    """4096 bytes with the newline, counted in bytes and not in characters."""
    room = wire.MAX_LINE_BYTES - len('{"request_id":"r-1","payload":""}\n')
    longest = '"' + "ä" * (room // 2) + "x" * (room % 2) + '"'
    speak(shell, reading_end.directory, told("r-1", longest))
    line = os.read(reading_end.results, 1 << 16)
    assert len(line) == wire.MAX_LINE_BYTES
    assert parsing.parse_line(line[:-1]).body.data.decode() == longest
    longer = longest[:-1] + 'x"'
    speak(shell, reading_end.directory, told("r-2", longer))
    assert pipes.unread_bytes(reading_end.results) == 0
    assert payload_file(reading_end.directory, "r-2") == longer


def payload_file(directory: Path, request_id: str) -> str:
    """What the reader makes of it."""
    path = directory / request_id
    assert path.stat().st_mode & 0o777 == 0o600
    return parsing.parse_payload_file(request_id, path.read_bytes()).body.data.decode()


def test_a_full_pipe_is_never_waited_for(reading_end: ReadingEnd, shell: str) -> None:
    """The result goes by file."""
    while True:
        try:
            os.write(reading_end.results, b" " * 4096)
        except BlockingIOError:
            break
    assert speak(shell, reading_end.directory, told("r-1", "[1]")) == ""
    assert payload_file(reading_end.directory, "r-1") == "[1]"


def test_without_a_reader_it_goes_by_file(reading_end: ReadingEnd, shell: str) -> None:
    """The extension is gone, and may come back."""
    reading_end.close()
    assert speak(shell, reading_end.directory, told("r-1", "[1]")) == ""
    assert payload_file(reading_end.directory, "r-1") == "[1]"


def test_without_an_extension_nothing_is_written(tmp_path: Path, shell: str) -> None:
    """One line of warning in a life, and no file."""
    errors = speak(shell, tmp_path, "\n".join([told("r-1", 1), told("r-2", 2)]))
    assert os.listdir(tmp_path) == []
    assert errors.splitlines() == [
        f"spanpipe: warning: no extension: {tmp_path}/{pipes.RESULTS_NAME} is not there, "
        "so results go nowhere"
    ]


@pytest.mark.parametrize("place", PLACES)
def test_what_is_not_to_be_trusted_is_not_used(tmp_path: Path, shell: str, place: str) -> None:
    """A file, a folder, a link or a FIFO open to others at the path: results go by file."""
    channel = tmp_path / "channel"
    channel.mkdir()
    end = ReadingEnd(channel)
    path = channel / pipes.RESULTS_NAME
    try:
        put_untrusted(path, place, tmp_path)
        speak(shell, channel, told("r-1", "[1]"))
        assert pipes.unread_bytes(end.results) == 0
        assert place != "file" or path.read_bytes() == b"mine"
        assert payload_file(channel, "r-1") == "[1]"
    finally:
        end.close()


def test_a_request_id_that_is_a_path_writes_nothing(reading_end: ReadingEnd, shell: str) -> None:
    """Nor one that is empty, too long, or a link that somebody has put there."""
    (reading_end.directory / "r-1").symlink_to("elsewhere")
    before = sorted(os.listdir(reading_end.directory))
    calls = [told(one, "1" * 5000) for one in ("../r", "", "r" * 129, "r\n", "ä", "r-1")]
    assert speak(shell, reading_end.directory, "\n".join(calls)) == ""
    assert pipes.unread_bytes(reading_end.results) == 0
    assert sorted(os.listdir(reading_end.directory)) == before


def test_lines_and_frames_share_one_pipe(reading_end: ReadingEnd, shell: str) -> None:
    """Shells and Python at once: nothing is lost or mixed."""
    payload = json.dumps("x" * 4000)
    script = f'for n in 1 2 3 4 5; do spanpipe_result "$name-$n" {shlex.quote(payload)}; done'
    shells = [
        subprocess.Popen(
            program(shell, f"name=s{index}\n{script}"),
            env={**os.environ, "SPANPIPE_DIR": str(reading_end.directory)},
        )
        for index in range(2)
    ]
    writers = [
        begun(python_speaker(), reading_end.directory, f"w{index}", 10, 6000, "result")
        for index in range(2)
    ]
    assert [process.wait(WAIT_S) for process in shells] == [0, 0]
    assert [said(process) for process in writers] == [(NOTHING_LOST, "")] * 2
    units: list[Any] = []
    while pipes.unread_bytes(reading_end.results):
        units += reading_end.decoder.feed(os.read(reading_end.results, 1 << 20))
    lines = [parsing.parse_line(unit) for unit in units if isinstance(unit, bytes)]
    assert sorted((one.request_id, one.body.data.decode()) for one in lines) == [
        (f"s{index}-{n}", payload) for index in range(2) for n in range(1, 6)
    ]
    frames = [unit for unit in units if isinstance(unit, wire.Frame)]
    whole = [reading_end.reassembler.add(frame) for frame in frames]
    ends = [one for one in whole if one is not None and one.kind == messages.RESULT]
    assert len(ends) == 20
    assert (reading_end.decoder.garbage_count, reading_end.reassembler.missing_count) == (0, 0)


def test_the_extension_enforces_what_a_shell_does_not_read(
    reading_end: ReadingEnd, shell: str
) -> None:
    """The record stays in the mailbox: without a reader there is nobody whom it could tell."""
    reading_end.publish(mailbox.Policy(1, response=False))
    speak(shell, reading_end.directory, told("r-1", 1))
    assert pipes.unread_bytes(reading_end.control) == mailbox.RECORD_BYTES
