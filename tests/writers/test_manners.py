"""Every writer's manners, on real FIFOs: held to what the Python writer says and does."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from fifo import mailbox, messages, overflow, pipes
from tests.shells.conftest import ReadingEnd
from tests.writers.languages import ROOT, SPEAKERS, python_speaker

WAIT_S = 30
TIMES = ("start_unix_ns", "end_unix_ns", "time_unix_ns", "deadline_unix_ms")
RESULTS = pipes.RESULTS_NAME

pytestmark = pytest.mark.parametrize("language", SPEAKERS)


def environ(directory: Path) -> dict[str, str]:
    return {
        **os.environ,
        "SPANPIPE_DIR": str(directory),
        "PYTHONPATH": str(ROOT),
        "_X_AMZN_TRACE_ID": "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1",
    }


def begun(
    command: list[str], directory: Path, *arguments: object, **options: Any
) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*command, *map(str, arguments)],
        **options,
        env=environ(directory),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def said(process: subprocess.Popen[str]) -> tuple[dict[str, int], str]:
    """(what it counted, its standard error), when it has ended well."""
    output, errors = process.communicate(timeout=WAIT_S)
    assert process.returncode == 0, errors
    return json.loads(output.splitlines()[-1]), errors


def speak(command: list[str], directory: Path, *arguments: object) -> tuple[dict[str, int], str]:
    return said(begun(command, directory, *arguments))


NOTHING_LOST = {"dropped": 0, "faults": 0}


def shown(found: list[messages.Message]) -> list[dict[str, Any]]:
    """Whole messages, without what is drawn or measured: IDs by the order they are met in."""
    met: dict[bytes, str] = {}
    values = []
    for message in found:
        value: dict[str, Any] = {"kind": type(message).__name__}
        for base in type(message).__mro__:
            for name in getattr(base, "__slots__", ()):
                one = getattr(message, name)
                if name in TIMES:
                    one = one > 1_700_000_000_000
                elif name == "pid":
                    one = one > 1
                elif name == "stack_trace":
                    one = "(its own)" if one else ""
                elif isinstance(message, messages.File) and name == "name":
                    one = overflow.is_overflow_name(one)
                elif isinstance(one, bytes):
                    one = met.setdefault(one, f"ID {len(met) + 1}")
                elif isinstance(one, messages.Body):
                    one = (one.data, one.size_bytes, one.truncated, one.content_kind)
                value[name] = one
        values.append(value)
    return values


@pytest.mark.parametrize("end", ["result", "error"])
def test_it_says_what_the_python_writer_says(
    reading_end: ReadingEnd, language: str, end: str
) -> None:
    """START, EVENT, SPAN, PARTIAL and the end, whole, of a cold and a warm invocation."""
    found = []
    for command in (python_speaker(), SPEAKERS[language]()):
        assert speak(command, reading_end.directory, "r", 2, 9, end) == (NOTHING_LOST, "")
        found.append(shown(reading_end.messages()))
    expected, got = found
    assert got == expected
    kinds = ["Start", "Event", "Span", "Partial", end.capitalize()]
    assert [one["kind"] for one in got] == kinds * 2
    stacks = {one["stack_trace"] for one in got if one["kind"] == "Error"}
    assert stacks == ({"(its own)"} if end == "error" else set())


@pytest.mark.parametrize(
    "policy",
    [
        mailbox.Policy(1, enabled=False),
        mailbox.Policy(1, response=False),
        mailbox.Policy(1, exporter_down=True),
        mailbox.Policy(1, max_body_bytes=50),
        mailbox.Policy(1, request=True),
        mailbox.Policy(1, max_body_bytes=1_000_000),
    ],
    ids=["disabled", "no response", "exporter down", "fifty bytes", "request", "a megabyte"],
)
def test_it_follows_the_policy(
    reading_end: ReadingEnd, language: str, policy: mailbox.Policy
) -> None:
    """Read from the control FIFO, and told in the same messages as by the Python writer."""
    found = []
    for command in (python_speaker(), SPEAKERS[language]()):
        reading_end.publish(policy)
        counts, _ = speak(command, reading_end.directory, "r", 1, 100_000, "result")
        assert pipes.unread_bytes(reading_end.control) == 0
        found.append((counts, shown(reading_end.messages())))
    expected, got = found
    assert got == expected


def test_several_writers_of_both_languages_share_one_pipe(
    reading_end: ReadingEnd, language: str
) -> None:
    """At once, of several frames each: nothing is lost, mixed or missing a number."""
    commands = [python_speaker(), SPEAKERS[language]()] * 2
    processes = [
        begun(command, reading_end.directory, f"w{index}", 10, 6000, "result")
        for index, command in enumerate(commands)
    ]
    found = reading_end.messages()
    while any(process.poll() is None for process in processes):
        found += reading_end.messages()
    assert [said(process) for process in processes] == [(NOTHING_LOST, "")] * len(commands)
    found += reading_end.messages()
    results = {one.request_id: one.body.data for one in found if isinstance(one, messages.Result)}
    expected = {
        f"w{index}-{number}": b'{"id":%d,"text":"%s"}' % (number, b"x" * 6000)
        for index in range(len(commands))
        for number in range(10)
    }
    assert results == expected
    kinds = Counter(type(one).__name__ for one in found)
    assert kinds == dict.fromkeys(("Start", "Event", "Span", "Partial", "Result"), len(expected))
    assert (reading_end.decoder.garbage_count, reading_end.reassembler.missing_count) == (0, 0)


def test_a_full_pipe_is_never_waited_for(reading_end: ReadingEnd, language: str) -> None:
    """Everything goes by file, under the message's own numbers, and is whole."""
    while True:
        try:
            os.write(reading_end.results, b" " * 4096)
        except BlockingIOError:
            break
    assert speak(SPEAKERS[language](), reading_end.directory, "r", 6, 9, "result") == (
        NOTHING_LOST,
        "",
    )
    names = [name for name in os.listdir(reading_end.directory) if name.startswith("spanpipe-")]
    files = [reading_end.directory / name for name in names if overflow.is_overflow_name(name)]
    assert (len(files), {one.stat().st_mode & 0o777 for one in files}) == (30, {0o600})
    assert len(names) == 32  # both FIFOs, and no unfinished file
    results = [one for one in reading_end.messages() if isinstance(one, messages.Result)]
    assert sorted((one.request_id, one.body.data) for one in results) == [
        (f"r-{n}", b'{"id":%d,"text":"xxxxxxxxx"}' % n) for n in range(6)
    ]
    assert reading_end.reassembler.missing_count == 0


def test_files_are_bounded_and_what_is_over_is_counted(
    reading_end: ReadingEnd, language: str
) -> None:
    """32 of one process; the rest is dropped, and the function goes on."""
    while True:
        try:
            os.write(reading_end.results, b" " * 4096)
        except BlockingIOError:
            break
    counts, _ = speak(SPEAKERS[language](), reading_end.directory, "r", 8, 9, "result")
    assert counts == {"dropped": 8, "faults": 0}
    assert len(reading_end.messages()) == 32


def small_files() -> None:
    """As a disk that is full: what is over 50,000 bytes cannot be written, and no signal kills."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))


def test_a_disk_that_fails_cuts_the_body_to_what_frames_hold(
    reading_end: ReadingEnd, language: str
) -> None:
    """The pipe still works: the result arrives, truncated, and the file is counted as dropped."""
    found = []
    for command in (python_speaker(), SPEAKERS[language]()):
        reading_end.publish(mailbox.Policy(1, max_body_bytes=1_000_000))
        arguments = ("r", 1, 100_000, "result")
        process = begun(
            command,
            reading_end.directory,
            *arguments,
            preexec_fn=small_files,
            restore_signals=False,
        )
        counts, errors = said(process)
        found.append((counts, errors, shown(reading_end.messages())))
    expected, got = found
    assert got == expected
    assert got[0] == {"dropped": 1, "faults": 0}
    assert [one for one in os.listdir(reading_end.directory) if one.endswith(".part")] == []


def test_without_an_extension_nothing_is_written(tmp_path: Path, language: str) -> None:
    """One line of warning in a life, and no file."""
    counts, errors = speak(SPEAKERS[language](), tmp_path, "r", 3, 9, "result")
    assert (counts, os.listdir(tmp_path)) == (NOTHING_LOST, [])
    assert errors.splitlines() == [errors.strip()]
    assert errors.startswith(f"spanpipe: warning: no extension: {tmp_path}/{RESULTS} is not there")


PLACES = ("file", "folder", "link", "open to others")


def put_untrusted(path: Path, place: str, folder: Path) -> None:
    """Something of `PLACES` where a FIFO was, which moves into `folder`."""
    if place == "open to others":
        path.chmod(0o666)
        return
    path.rename(folder / "fifo")
    if place == "file":
        path.write_bytes(b"mine")
    elif place == "folder":
        path.mkdir()
    else:
        path.symlink_to(folder / "fifo")


@pytest.mark.parametrize("place", PLACES)
def test_what_is_not_to_be_trusted_is_not_used(tmp_path: Path, language: str, place: str) -> None:
    """A file, a folder, a link or a FIFO open to others at the path: results go by file."""
    channel = tmp_path / "channel"
    channel.mkdir()
    end = ReadingEnd(channel)
    path = channel / RESULTS
    try:
        put_untrusted(path, place, tmp_path)
        counts, errors = speak(SPEAKERS[language](), channel, "r", 1, 9, "result")
        assert counts == NOTHING_LOST
        assert len(errors.splitlines()) == 1
        assert errors.startswith(f"spanpipe: warning: {path}")
        assert pipes.unread_bytes(end.results) == 0
        assert place != "file" or path.read_bytes() == b"mine"
        kinds = Counter(type(one).__name__ for one in end.messages())
        assert kinds == dict.fromkeys(("Start", "Event", "Span", "Partial", "Result"), 1)
    finally:
        end.close()


def test_an_extension_that_goes_and_comes_back(reading_end: ReadingEnd, language: str) -> None:
    """Nobody reads: by file, and no signal kills; read again: by pipe; made anew: there too."""

    def invoked() -> None:
        assert process.stdout is not None
        assert process.stdout.readline() == ".\n"

    def go_on() -> None:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()

    path = str(reading_end.directory / RESULTS)
    process = begun(SPEAKERS[language](), reading_end.directory, "r", 5, 9, "result", "step")
    with process:
        invoked()
        ways = [_way(reading_end)]
        os.close(reading_end.results)
        go_on()
        invoked()
        reading_end.results = pipes.make_fifo(path, pipes.RESULTS_CAPACITY_BYTES)
        ways.append(_way(reading_end))
        go_on()
        invoked()
        ways.append(_way(reading_end))
        os.unlink(path)
        os.close(reading_end.results)
        reading_end.results = pipes.make_fifo(path, pipes.RESULTS_CAPACITY_BYTES)
        go_on()
        invoked()
        ways.append(_way(reading_end))
        os.unlink(path)  # as a function does that clears its folder; the extension reads on
        go_on()
        invoked()
        ways.append(_way(reading_end))
        go_on()
        counts, errors = said(process)
    assert (counts, errors) == (NOTHING_LOST, "")
    assert ways == [("pipe", 5), ("file", 5), ("pipe", 5), ("pipe", 5), ("pipe", 5)]


def _way(end: ReadingEnd) -> tuple[str, int]:
    files = any(overflow.is_overflow_name(name) for name in os.listdir(end.directory))
    return "file" if files else "pipe", len(end.messages())
