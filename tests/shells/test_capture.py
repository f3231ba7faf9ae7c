"""`capture` and its friends: the handler's result and error are exactly its own."""

from __future__ import annotations

import asyncio
import io
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from fifo import api, current, messages, pipes
from fifo.handler import capture
from fifo.writer import BUDGET_S, Writer
from tests.shells.conftest import ReadingEnd

ROOT = Path(__file__).resolve().parents[2]


class Context:
    """As awslambdaric's."""

    aws_request_id = "r-1"
    invoked_function_arn = "arn"
    memory_limit_in_mb = "128"
    log_group_name = "group"
    log_stream_name = "stream"
    _epoch_deadline_time_in_ms = 3


@pytest.fixture
def writer(reading_end: ReadingEnd, monkeypatch: pytest.MonkeyPatch) -> Writer:
    """This process's writer, into the test's own folder."""
    made = Writer(str(reading_end.directory), environ={}, budget_s=60.0)
    monkeypatch.setattr(current, "made_writer", made)
    return made


def kinds(found: list[messages.Message]) -> list[str]:
    return [type(one).__name__ for one in found]


def test_the_same_object_is_returned(reading_end: ReadingEnd, writer: Writer) -> None:
    """Not an equal one: the handler's own, described where JSON cannot hold it."""
    value = {1: object(), "set": {1}, "nan": float("nan")}

    @capture(writer=writer)
    def handler(event: Any, context: Any) -> Any:
        """The handler's own words."""
        return value

    assert handler({}, Context()) is value
    assert (handler.__name__, handler.__doc__) == ("handler", "The handler's own words.")
    assert kinds(reading_end.messages()) == ["Start", "Result"]


def test_the_same_exception_is_raised_with_its_own_traceback(
    reading_end: ReadingEnd, writer: Writer
) -> None:
    """The same object, its cause untouched, and from 3.11 on no frame of ours."""
    cause, error = KeyError("cause"), ValueError("bad")

    @capture(writer=writer)
    def handler(event: Any, context: Any) -> Any:
        raise error from cause

    with pytest.raises(ValueError, match="bad") as caught:
        handler({}, Context())
    assert caught.value is error
    assert (error.__cause__, error.__context__) == (cause, None)
    names = [frame.name for frame in traceback.extract_tb(error.__traceback__)][1:]
    assert names == (["handler"] if sys.version_info >= (3, 11) else ["captured", "handler"])
    start, sent = reading_end.messages()
    assert isinstance(start, messages.Start)
    assert isinstance(sent, messages.Error)
    assert (sent.error_type, sent.message) == ("ValueError", "bad")
    assert "captured" not in sent.stack_trace
    assert "KeyError: 'cause'" in sent.stack_trace


def test_without_an_extension_the_traceback_is_the_handlers_own_too(tmp_path: Path) -> None:
    """Nothing to send is no reason to leave a frame behind; nor is a decorated helper."""

    @api.span
    def helper() -> None:
        raise ValueError("bad")

    @capture(writer=Writer(str(tmp_path), environ={}))
    def handler(event: Any, context: Any) -> None:
        helper()

    with pytest.raises(ValueError, match="bad") as caught:
        handler({}, Context())
    names = [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)][1:]
    if sys.version_info >= (3, 11):
        assert names == ["handler", "helper"]
    else:
        assert names == ["captured", "handler", "spanned", "helper"]


def test_what_a_decorated_handler_says_of_itself_is_the_handlers(writer: Writer) -> None:
    """Name, module, documentation, annotations and attributes, and where the original is."""

    def handler(event: int, context: str) -> bool:
        """Words."""
        return True

    handler.limit = 3  # type: ignore[attr-defined]
    decorated: Any = capture(handler, writer=writer)
    assert (decorated.__name__, decorated.__module__, decorated.__doc__) == (
        "handler",
        __name__,
        "Words.",
    )
    assert decorated.__annotations__ == handler.__annotations__
    assert (decorated.limit, decorated.__wrapped__) == (3, handler)


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt()])
def test_what_is_no_exception_is_raised_too(
    reading_end: ReadingEnd, writer: Writer, error: BaseException
) -> None:
    """sys.exit in a handler is an error of the invocation, and still an exit."""

    @capture(writer=writer)
    def handler(event: Any, context: Any) -> Any:
        raise error

    with pytest.raises(type(error)) as caught:
        handler({}, Context())
    assert caught.value is error
    assert kinds(reading_end.messages()) == ["Start", "Error"]


def test_hostile_values_and_errors_hurt_nobody(reading_end: ReadingEnd, writer: Writer) -> None:
    """A __repr__, a __str__ or an iteration that raises never reaches the caller."""

    class Hostile(dict):
        def items(self) -> Any:
            raise RuntimeError

        def __repr__(self) -> str:
            raise RuntimeError

    class UnspeakableError(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    cycle: list[Any] = []
    cycle.append(cycle)
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    values: list[Any] = [Hostile(a=1), cycle, deep, "\ud800", 10**5000, b"\xff", float("inf")]

    @capture(writer=writer)
    def handler(event: Any, context: Any) -> Any:
        if event < len(values):
            return values[event]
        raise UnspeakableError

    for index, value in enumerate(values):
        assert handler(index, Context()) is value
    with pytest.raises(UnspeakableError):
        handler(len(values), Context())
    assert kinds(reading_end.messages()) == ["Start", "Result"] * len(values) + ["Start", "Error"]
    assert writer.fault_count == 0


def test_decorated_twice_is_one_invocation(reading_end: ReadingEnd, writer: Writer) -> None:
    """A wrapper and a decorator together send one START and one RESULT."""

    @capture(writer=writer)
    @capture(writer=writer)
    def handler(event: Any, context: Any) -> Any:
        return 1

    assert handler({}, Context()) == 1
    assert kinds(reading_end.messages()) == ["Start", "Result"]


@pytest.mark.parametrize("context", [None, 7, object()])
def test_a_context_that_is_none_runs_the_handler_alone(
    reading_end: ReadingEnd, writer: Writer, context: Any
) -> None:
    """Called from a unit test with any stand-in, the handler just runs."""

    @capture(writer=writer)
    def handler(event: Any, context: Any) -> Any:
        return "ran"

    assert handler({}, context) == "ran"
    assert reading_end.messages() == []


def test_capture_of_something_else_is_a_clear_error() -> None:
    """A name in place of a handler."""
    with pytest.raises(TypeError, match="capture decorates a handler, not str"):
        capture("handler")  # type: ignore[arg-type]


def test_spans_nest_over_calls_coroutines_and_threads(
    reading_end: ReadingEnd, writer: Writer
) -> None:
    """Parents follow the code that opened them; a plain thread hangs under the invocation."""

    @api.span
    def inner() -> None:
        api.event("tick", {"n": 1})

    @api.span("coroutine")
    async def coroutine() -> None:
        inner()

    @capture(writer=writer)
    def handler(event: Any, context: Any) -> Any:
        with api.span("outer", {"a": 1}) as outer:
            outer.set("b", "two")
            asyncio.run(coroutine())
        thread = threading.Thread(target=inner)
        thread.start()
        thread.join()
        api.emit({"part": 1})
        with pytest.raises(ValueError, match="no"), api.span("failing"):
            raise ValueError("no")

    handler({}, Context())
    found = reading_end.messages()
    spans = [one for one in found if isinstance(one, messages.Span)]
    by_id = {one.span_id: one.name for one in spans}
    inner_name = inner.__qualname__
    assert [(one.name, by_id.get(one.parent_span_id or b"")) for one in spans] == [
        (inner_name, "coroutine"),
        ("coroutine", "outer"),
        ("outer", None),
        (inner_name, None),
        ("failing", None),
    ]
    assert spans[2].attributes_json == '{"a":1,"b":"two"}'
    assert (spans[4].error_type, spans[4].error_message) == ("ValueError", "no")
    events = [one for one in found if isinstance(one, messages.Event)]
    assert [(one.name, one.span_id) for one in events] == [
        ("tick", spans[0].span_id),
        ("tick", spans[3].span_id),
    ]
    assert kinds(found)[-1] == "Result"


def test_outside_an_invocation_nothing_is_sent(reading_end: ReadingEnd, writer: Writer) -> None:
    """Module-level code may use them too."""
    with api.span("outside"):
        api.event("nothing")
    api.emit(1)
    assert reading_end.messages() == []


READER = (
    "import os, sys\n"
    "from fifo import pipes\n"
    "d = pipes.make_fifo(sys.argv[1] + '/' + pipes.RESULTS_NAME, 65536)\n"
    "print('ready', flush=True)\n"
    "os.set_blocking(d, True)\n"
    "while os.read(d, 4096): pass\n"
)


class Reader:
    """A process that reads the pipe, to be killed or stopped."""

    def __init__(self, directory: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", READER, str(directory)], cwd=ROOT, stdout=subprocess.PIPE
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"ready\n"

    def signal(self, number: int) -> None:
        self.process.send_signal(number)
        if number == signal.SIGKILL:
            self.process.wait()

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        if isinstance(self.process.stdout, io.IOBase):
            self.process.stdout.close()


RESULTS: list[Any] = [None, {"a": [1, "ä"]}, "x" * 1_048_576]


def invoke_all(directory: Path, disturb: Any = None) -> tuple[list[Any], list[float]]:
    """(results, seconds of each call): a handler that emits much, disturbed in the middle."""
    writer = Writer(str(directory), environ={})
    disturbances: list[Any] = [disturb] if disturb else []

    @capture(writer=writer)
    def handler(event: int, context: Any) -> Any:
        invocation = writer.current
        if invocation is not None:
            for index in range(20):
                if index == 10 and disturbances:
                    disturbances.pop()()
                writer.partial(invocation, "y" * 3000)
        return RESULTS[event % len(RESULTS)]

    found, seconds = [], []
    for event in range(9):
        began = time.perf_counter()
        found.append(handler(event, Context()))
        seconds.append(time.perf_counter() - began)
    writer.close()
    return found, seconds


@pytest.mark.parametrize(
    "story",
    ["absent", "no reader", "killed before", "killed during", "stopped", "file", "folder", "link"],
)
def test_no_fault_of_ours_changes_a_result_or_costs_more_than_the_budget(
    tmp_path: Path, story: str
) -> None:
    """Results are the handler's own objects in every story, within the 50 ms of an invocation."""
    path = tmp_path / pipes.RESULTS_NAME
    reader = None
    disturb = None
    if story == "no reader":
        os.mkfifo(path, 0o600)
    elif story == "file":
        path.write_bytes(b"")
    elif story == "folder":
        path.mkdir()
    elif story == "link":
        path.symlink_to(tmp_path / "nowhere")
    elif story != "absent":
        reader = Reader(tmp_path)
        if story == "killed before":
            reader.signal(signal.SIGKILL)
        elif story == "killed during":
            disturb = lambda: reader.signal(signal.SIGKILL)  # noqa: E731
        elif story == "stopped":
            reader.signal(signal.SIGSTOP)
    try:
        found, seconds = invoke_all(tmp_path, disturb)
    finally:
        if reader is not None:
            reader.close()
    assert all(one is RESULTS[index % 3] for index, one in enumerate(found))
    assert median(seconds) <= BUDGET_S, seconds
    assert not (tmp_path / "nowhere").exists()


def test_spanpipe_is_fifo_under_another_name() -> None:
    """Whoever owns a `fifo` of their own imports the same objects from `spanpipe`."""
    import fifo
    import spanpipe

    assert spanpipe.__all__ == fifo.__all__
    assert [getattr(spanpipe, name) for name in fifo.__all__] == [
        getattr(fifo, name) for name in fifo.__all__
    ]
    with pytest.raises(AttributeError, match="module 'spanpipe' has no attribute 'nothing'"):
        spanpipe.nothing  # type: ignore[attr-defined]  # noqa: B018
