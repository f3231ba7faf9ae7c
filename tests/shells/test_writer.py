"""The function's end on real FIFOs: everything arrives, or goes by file, or is counted."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from fifo import mailbox, messages, overflow, parsing, pipes, wire
from fifo.outlet import WRITE_S
from fifo.writer import POLICY_AGE_NS, Invocation, Writer
from tests.shells.conftest import ReadingEnd

ROOT = Path(__file__).resolve().parents[2]
REQUEST = "r-1"


class Unprintable:
    def __str__(self) -> str:
        raise ValueError("no name")


def make_writer(directory: Path, **options: Any) -> Writer:
    return Writer(str(directory), environ={}, **options)


def begun(writer: Writer) -> Invocation:
    invocation = writer.start(REQUEST)
    assert invocation is not None
    return invocation


def texts(found: list[messages.Message]) -> list[bytes]:
    return [one.body.data for one in found if isinstance(one, messages.Result | messages.Partial)]


def test_start_and_result_arrive(reading_end: ReadingEnd) -> None:
    """What the writer was told is what the reader reads, whole."""
    times = iter([11, 22])
    writer = make_writer(
        reading_end.directory, draw=lambda n: bytes([n]) * n, unix_ns=times.__next__
    )
    invocation = writer.start(
        REQUEST,
        deadline_unix_ms=3,
        place=("128", "arn", "group", "stream"),
        xray_header="Root=1",
    )
    assert invocation is not None
    writer.result(invocation, {"a": 1})
    assert reading_end.messages() == [
        messages.Start(
            REQUEST,
            bytes([32]) * 8,
            trace_id=bytes([32]) * 16,
            start_unix_ns=11,
            deadline_unix_ms=3,
            memory_mb=128,
            pid=os.getpid(),
            cold_start=True,
            invoked_function_arn="arn",
            log_group="group",
            log_stream="stream",
            xray_header="Root=1",
        ),
        messages.Result(
            REQUEST,
            bytes([32]) * 8,
            end_unix_ns=22,
            body=messages.Body(b'{"a":1}', 7, truncated=False, content_kind=messages.JSON),
        ),
    ]
    writer.close()


def test_only_the_first_start_is_cold(reading_end: ReadingEnd) -> None:
    """And with provisioned concurrency not even that."""
    writer = make_writer(reading_end.directory)
    writer.start("r-1")
    writer.start("r-2")
    provisioned = Writer(
        str(reading_end.directory),
        environ={"AWS_LAMBDA_INITIALIZATION_TYPE": "provisioned-concurrency"},
    )
    provisioned.start("r-3")
    cold = [one.cold_start for one in reading_end.messages() if isinstance(one, messages.Start)]
    assert cold == [True, False, False]


def test_the_policy_is_followed(reading_end: ReadingEnd) -> None:
    """Body limit, no responses, disabled: from the mailbox, at the next START."""
    times = itertools.count(POLICY_AGE_NS, POLICY_AGE_NS)
    writer = make_writer(reading_end.directory, unix_ns=times.__next__)
    reading_end.publish(mailbox.Policy(1, max_body_bytes=3))
    writer.result(begun(writer), "äöü")
    reading_end.publish(mailbox.Policy(2, response=False))
    writer.result(begun(writer), "secret")
    bodies = [one.body for one in reading_end.messages() if isinstance(one, messages.Result)]
    assert bodies == [
        messages.Body('"ä'.encode(), 8, truncated=True, content_kind=messages.JSON),
        messages.Body(b"", None, truncated=False, content_kind=messages.NO_BODY),
    ]
    reading_end.publish(mailbox.Policy(3, enabled=False))
    assert writer.start(REQUEST) is None
    assert reading_end.messages() == []


def test_taking_the_record_empties_the_mailbox(reading_end: ReadingEnd) -> None:
    """One slot: the reader that takes it leaves the pipe empty, and empty changes nothing."""
    writer = make_writer(reading_end.directory)
    reading_end.publish(mailbox.Policy(5, max_body_bytes=9))
    writer.announce()
    assert pipes.unread_bytes(reading_end.control) == 0
    writer.announce()
    assert (writer.policy.generation, writer.policy.max_body_bytes) == (5, 9)


@pytest.mark.parametrize(
    ("later_ns", "looks"),
    [
        pytest.param(POLICY_AGE_NS - 1, False, id="within its time"),
        pytest.param(POLICY_AGE_NS, True, id="after it"),
        pytest.param(-1, True, id="the clock was set back"),
    ],
)
def test_a_record_is_good_for_a_while(reading_end: ReadingEnd, later_ns: int, looks: bool) -> None:
    """A START soon after another leaves the record where it is, a later one follows it."""
    times = iter([1_000, 1_000 + later_ns])
    writer = make_writer(reading_end.directory, unix_ns=times.__next__)
    writer.announce()
    known, newer = mailbox.Policy(1, max_body_bytes=9), mailbox.Policy(2)
    reading_end.publish(known)
    begun(writer)
    assert (pipes.unread_bytes(reading_end.control), writer.policy) == (0, known)
    reading_end.publish(newer)
    begun(writer)
    left = pipes.unread_bytes(reading_end.control)
    assert (left, writer.policy) == ((0, newer) if looks else (mailbox.RECORD_BYTES, known))


def test_large_messages_go_by_file(reading_end: ReadingEnd) -> None:
    """Over seventeen frames a message is a private file, named by one frame, and whole."""
    reading_end.publish(mailbox.Policy(1, max_body_bytes=6_291_456))
    writer = make_writer(reading_end.directory)
    value = "x" * 3_000_000
    writer.result(begun(writer), value)
    (name,) = (n for n in os.listdir(reading_end.directory) if overflow.is_overflow_name(n))
    assert (reading_end.directory / name).stat().st_mode & 0o777 == 0o600
    found = reading_end.messages()
    assert [one.name for one in found if isinstance(one, messages.File)] == [name]
    assert texts(found) == [f'"{value}"'.encode()]


def test_a_full_pipe_sends_the_rest_by_file(reading_end: ReadingEnd) -> None:
    """Nothing waits and nothing is lost while nobody reads."""
    writer = make_writer(reading_end.directory, budget_s=60.0)
    invocation = begun(writer)
    sent = [f"{index}{'x' * 60_000}" for index in range(24)]
    for value in sent:
        writer.partial(invocation, value)
    arrived = {text.decode().strip('"') for text in texts(reading_end.messages())}
    assert arrived == set(sent)
    assert writer.dropped_count == 0


def test_files_are_bounded_and_what_is_over_is_counted(reading_end: ReadingEnd) -> None:
    """With the pipe full and the files at their bound, messages are dropped and counted."""
    while True:
        try:
            os.write(reading_end.results, bytes(4096))
        except BlockingIOError:
            break
    writer = make_writer(reading_end.directory, budget_s=60.0)
    invocation = begun(writer)
    for _ in range(overflow.MAX_FILES + 9):
        writer.partial(invocation, 1)
    files = [
        n for n in os.listdir(reading_end.directory) if n.startswith("spanpipe-") and ".msg" in n
    ]
    assert len(files) == overflow.MAX_FILES
    assert writer.dropped_count == 10


def test_a_disk_that_fails_cuts_the_body_to_what_frames_hold(reading_end: ReadingEnd) -> None:
    """The pipe still works: the result arrives truncated, and the cut is counted."""
    program = (
        "import resource, sys\n"
        "from fifo import mailbox\n"
        "from fifo.writer import Writer\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100000, 100000))\n"
        "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "writer = Writer(sys.argv[1], environ={})\n"
        "writer.result(writer.start('r-1'), 'x' * 3_000_000)\n"
        "assert (writer.cut_count, writer.fault_count) == (1, 0)\n"
    )
    reading_end.publish(mailbox.Policy(1, max_body_bytes=6_291_456))
    run_python(program, str(reading_end.directory))
    (result,) = (one for one in reading_end.messages() if isinstance(one, messages.Result))
    assert (result.body.size_bytes, result.body.truncated) == (3_000_002, True)
    assert 65_536 < len(result.body.data) < wire.MAX_FRAMED_MESSAGE_BYTES
    assert sorted(os.listdir(reading_end.directory)) == [pipes.CONTROL_NAME, pipes.RESULTS_NAME]


def fill(reading_end: ReadingEnd) -> None:
    """From here on messages go by file."""
    try:
        while True:
            os.write(reading_end.results, bytes(4096))
    except BlockingIOError:
        pass


def files_in(reading_end: ReadingEnd) -> list[str]:
    return [one for one in os.listdir(reading_end.directory) if overflow.is_overflow_name(one)]


def test_the_budget_stops_an_invocation_not_the_next(reading_end: ReadingEnd) -> None:
    """What is over 50 ms of handing over is dropped and counted; a new invocation starts afresh."""
    ticks = iter(range(1000))
    writer = make_writer(reading_end.directory, monotonic=lambda: next(ticks) * 0.030)
    fill(reading_end)
    first = begun(writer)
    for _ in range(4):
        writer.partial(first, 1)
    assert (writer.dropped_count, len(files_in(reading_end))) == (3, 2)
    writer.result(begun(writer), 2)
    assert (writer.dropped_count, len(files_in(reading_end))) == (3, 4)


def test_details_leave_room_for_the_end(reading_end: ReadingEnd) -> None:
    """Four fifths of the budget are for details; what is over it costs nothing and is missed."""
    ticks = iter(range(1000))
    writer = make_writer(reading_end.directory, monotonic=lambda: next(ticks) * 0.006)
    fill(reading_end)
    invocation = begun(writer)
    for index in range(20):
        # A name that cannot be encoded is a fault, if somebody tries.
        name = "step" if index < 6 else Unprintable()
        writer.event(invocation, name, {}, None)  # type: ignore[arg-type]
    writer.result(invocation, "end")
    assert len(files_in(reading_end)) == 8
    assert (writer.dropped_count, writer.fault_count) == (14, 0)


def test_a_write_into_the_pipe_counts_for_the_same_each_time(reading_end: ReadingEnd) -> None:
    """What lasts longer, as in a throttled function, is another's turn: nothing is lost by it."""
    writer = make_writer(reading_end.directory, monotonic=lambda: pytest.fail("it is not timed"))
    invocation = begun(writer)
    writer.span(invocation, bytes(7) + b"1", None, 1, "step", {"index": 1}, None)
    writer.partial(invocation, "x" * 8_000)
    writer.result(invocation, "end")
    assert texts(reading_end.messages()) == [b'"' + b"x" * 8_000 + b'"', b'"end"']
    assert (writer.dropped_count, writer.fault_count) == (0, 0)
    assert invocation.spent_s == pytest.approx((1 + 1 + 2 + 1) * WRITE_S)


def test_so_many_messages_are_too_many(reading_end: ReadingEnd) -> None:
    """Details into a pipe that takes them all end where their part of the budget does."""
    writer = make_writer(reading_end.directory, budget_s=100.5 * WRITE_S)
    invocation = begun(writer)
    for _ in range(100):
        writer.event(invocation, "step", {}, None)
    writer.result(invocation, "end")
    found = [type(one).__name__ for one in reading_end.messages()]
    assert found == ["Start"] + ["Event"] * 80 + ["Result"]
    assert (writer.dropped_count, writer.fault_count) == (20, 0)


def test_a_reader_that_was_replaced_is_found_again(reading_end: ReadingEnd) -> None:
    """EPIPE opens the FIFO once more: an extension that restarted reads on."""
    writer = make_writer(reading_end.directory)
    invocation = begun(writer)
    assert len(reading_end.messages()) == 1
    reading_end.close()
    writer.partial(invocation, "while nobody reads")
    again = ReadingEnd(reading_end.directory)
    writer.result(begun(writer), "to the new one")
    assert sorted(texts(again.messages())) == [b'"to the new one"', b'"while nobody reads"']
    again.close()


def test_a_function_that_clears_the_folder_is_heard_on(reading_end: ReadingEnd) -> None:
    """An unlinked FIFO serves as long as the extension reads it."""
    writer = make_writer(reading_end.directory)
    begun(writer)
    os.unlink(reading_end.directory / pipes.RESULTS_NAME)
    writer.result(begun(writer), 1)
    assert texts(reading_end.messages()) == [b"1"]


def test_a_fifo_that_was_made_anew_is_found(reading_end: ReadingEnd) -> None:
    """Once nobody reads the unlinked one, what is at its path is opened."""
    writer = make_writer(reading_end.directory)
    begun(writer)
    os.unlink(reading_end.directory / pipes.RESULTS_NAME)
    reading_end.close()
    again = ReadingEnd(reading_end.directory)
    writer.result(begun(writer), 1)
    assert texts(again.messages()) == [b"1"]
    again.close()


def test_a_descriptor_that_was_closed_is_opened_anew(reading_end: ReadingEnd) -> None:
    """Where the function closes what it has not opened, a file takes over until the next START."""
    writer = make_writer(reading_end.directory)
    begun(writer)
    reading_end.messages()
    opened = writer._outlet._descriptor
    os.close(opened)
    writer.result(begun(writer), 1)
    assert any(overflow.is_overflow_name(name) for name in os.listdir(reading_end.directory))
    writer.result(begun(writer), 2)
    assert b"2" in texts(reading_end.messages())


def test_sixteen_processes_lose_and_mix_nothing(reading_end: ReadingEnd) -> None:
    """Frames of sixteen writers at once, of one frame and of many, all arrive whole.

    No more for each than may be files (32), where nobody reads the pipe for a while.
    """
    program = (
        "import sys\n"
        "from fifo.writer import Writer\n"
        "writer = Writer(sys.argv[1], environ={}, budget_s=60.0)\n"
        "sys.stdin.read(1)\n"
        "invocation = writer.start('r-' + sys.argv[2])\n"
        "for index in range(30):\n"
        "    writer.partial(invocation, sys.argv[2] * (1 + index * 200))\n"
        "assert (writer.dropped_count, writer.fault_count) == (0, 0)\n"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(reading_end.directory), letter],
            cwd=ROOT,
            stdin=subprocess.PIPE,
        )
        for letter in "abcdefghijklmnop"
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(b"g")
        process.stdin.close()
    found: list[messages.Message] = []
    while any(process.poll() is None for process in processes):
        found += reading_end.messages()
    assert [process.wait() for process in processes] == [0] * 16
    found += reading_end.messages()
    partials = [one for one in found if isinstance(one, messages.Partial)]
    seen = sorted((one.request_id, one.body.data.decode()) for one in partials)
    expected = sorted(
        (f"r-{letter}", f'"{letter * (1 + index * 200)}"')
        for letter in "abcdefghijklmnop"
        for index in range(30)
    )
    assert seen == expected
    assert reading_end.decoder.garbage_count == 0
    assert reading_end.reassembler.missing_count == 0


def test_threads_share_one_writer(reading_end: ReadingEnd) -> None:
    """Messages of many threads keep their own bodies, and every counter is used once."""
    writer = make_writer(reading_end.directory, budget_s=60.0)
    invocation = begun(writer)

    def work(letter: str) -> None:
        for index in range(50):
            writer.partial(invocation, letter * (1 + 100 * index))

    threads = [threading.Thread(target=work, args=(letter,)) for letter in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = sorted(text.decode().strip('"') for text in texts(reading_end.messages()))
    assert found == sorted(letter * (1 + 100 * index) for letter in "abcd" for index in range(50))
    assert reading_end.reassembler.missing_count == 0


def test_a_forked_child_has_an_id_of_its_own(reading_end: ReadingEnd) -> None:
    """Parent and child both write after the fork, and no message is taken for the other's."""
    program = (
        "import os, sys\n"
        "from fifo.writer import Writer\n"
        "writer = Writer(sys.argv[1], environ={})\n"
        "invocation = writer.start('r-1')\n"
        "pid = os.fork()\n"
        "writer.partial(invocation, 'child' if pid == 0 else 'parent')\n"
        "if pid == 0: os._exit(0)\n"
        "assert os.waitpid(pid, 0)[1] == 0\n"
    )
    run_python(program, str(reading_end.directory))
    assert sorted(texts(reading_end.messages())) == [b'"child"', b'"parent"']
    assert reading_end.reassembler.missing_count == 0


def test_a_forked_childs_start_is_its_own(reading_end: ReadingEnd) -> None:
    """START in a child tells the child's process ID, under a writer ID that is not the parent's."""
    program = (
        "import os, sys\n"
        "from fifo.writer import Writer\n"
        "writer = Writer(sys.argv[1], environ={})\n"
        "writer.start('parent')\n"
        "pid = os.fork()\n"
        "if pid == 0:\n"
        "    writer.start(f'child-{os.getpid()}')\n"
        "    os._exit(0)\n"
        "assert os.waitpid(pid, 0)[1] == 0\n"
    )
    run_python(program, str(reading_end.directory))
    frames = wire.Decoder().feed(os.read(reading_end.results, 1 << 16))
    assert [type(frame) for frame in frames] == [wire.Frame] * 2
    parent, child = (one for one in frames if isinstance(one, wire.Frame))
    assert (parent.counter, child.counter) == (1, 1)
    assert parent.writer_id != child.writer_id
    started = parsing.parse(child.kind, child.body)
    assert isinstance(started, messages.Start)
    assert started.request_id == f"child-{started.pid}"


def test_flush_says_whether_all_was_read(reading_end: ReadingEnd) -> None:
    """False while something waits, True once it was read, False without an extension."""
    writer = make_writer(reading_end.directory)
    writer.result(begun(writer), 1)
    assert writer.flush(0.01) is False
    reading_end.messages()
    assert writer.flush(0.01) is True
    writer.dropped_count += 1
    assert [writer.flush(0.01), writer.flush(0.01)] == [False, True]
    assert make_writer(reading_end.directory / "nowhere").flush(0.01) is False


def test_without_an_extension_it_warns_once_and_writes_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """No FIFO: no file either, and one line however many invocations."""
    writer = make_writer(tmp_path)
    assert [writer.start(f"r-{index}") for index in range(3)] == [None] * 3
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr().err == (
        f"spanpipe: warning: no extension: {tmp_path}/{pipes.RESULTS_NAME} is not there, so this "
        "function's results go nowhere; add the spanpipe layer, or try it here with: spanpipe "
        "run\n"
    )


@pytest.mark.parametrize("value", [None, 7, "", "../x", "a b", "ä", "²"])
def test_a_request_id_that_could_be_a_path_is_not_sent(reading_end: ReadingEnd, value: Any) -> None:
    """What may not become a file name starts nothing."""
    writer = make_writer(reading_end.directory)
    assert writer.start(value) is None
    assert reading_end.messages() == []


def run_python(program: str, *arguments: str) -> None:
    subprocess.run([sys.executable, "-c", program, *arguments], cwd=ROOT, check=True, timeout=30)
