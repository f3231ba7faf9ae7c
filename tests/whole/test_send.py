"""The command `spanpipe send`, run as a user runs it, against real receivers."""

from __future__ import annotations

import gzip
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from collectors import breaking
from collectors.ports import free_port
from exporter.encoder import encoded
from exporter.otlp_lines import MIN_LINE_BYTES, lines_of
from extension.otlp_from_json import from_value
from sandbox.receiver import Receiver
from tests.core.test_batches import spans_of
from tests.core.test_otlp_log import csv, events, wrapped
from tests.whole.test_run import ROOT, spanpipe

SPANS = spans_of(1000, 100)
REQUEST = encoded(SPANS)
LINES = [line.data.decode() for line in lines_of(SPANS, MIN_LINE_BYTES)]
SENT = "sent 1000 spans (1000 invocations)"


@pytest.fixture(autouse=True)
def conforming() -> None:
    """These spans are made up, and not held to the table: nothing here has captured them."""


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A function's log: our lines, and some of everybody's between them."""
    path = tmp_path / "function.log"
    foreign = 'START RequestId: 1\n{"level":"INFO","message":"resourceSpans"}\n\n'
    path.write_text("".join(f"{foreign}2026-11-24T13:00:00.123Z {line}" for line in LINES))
    return path


def send(folder: Path, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return spanpipe(folder, "send", *arguments, **options)


def names_of(receiver: Receiver) -> list[bytes]:
    return sorted(span.span_id for span in receiver.spans())


def summary(done: subprocess.CompletedProcess[str]) -> tuple[int, str]:
    (line,) = done.stdout.splitlines()
    return done.returncode, line


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_a_log_is_delivered_whole(log: Path, protocol: str) -> None:
    """What arrives is what would have been exported, in one request, over either protocol."""
    with Receiver(grpc=True) as receiver:
        grpc = protocol == "grpc"
        endpoint = receiver.grpc_endpoint if grpc else receiver.http_endpoint
        environ = {"OTEL_EXPORTER_OTLP_PROTOCOL": protocol}
        done = send(log.parent, log.name, "--endpoint", endpoint, environ=environ)
        assert summary(done) == (
            0,
            f"{SENT} of {4 * len(LINES)} lines; {3 * len(LINES)} lines ignored",
        ), done.stderr
        assert receiver.requests == [REQUEST]


def test_the_endpoint_is_the_one_in_force(log: Path) -> None:
    """The extension's own file and OpenTelemetry's variables lead there too."""
    with Receiver() as receiver:
        (log.parent / "mine.yaml").write_text(
            f"exporter: {{otlp_http: {{endpoint: '{receiver.http_endpoint}'}}}}"
        )
        environ = {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": receiver.http_endpoint}
        assert send(log.parent, log.name, "--config", "mine.yaml").returncode == 0
        assert send(log.parent, log.name, environ=environ).returncode == 0
        assert receiver.requests == [REQUEST] * 2


def test_requests_stay_below_their_limit(log: Path) -> None:
    """Many small requests instead of one; together they have every span once."""
    with Receiver() as receiver:
        options = ("--endpoint", receiver.http_endpoint, "--max-request-bytes", "65536")
        assert send(log.parent, log.name, *options).returncode == 0
        assert len(receiver.requests) > 2
        assert max(one.ByteSize() for one in receiver.requests) <= 65536
        assert names_of(receiver) == sorted(span.span_id for span in one_by_one(REQUEST))


def one_by_one(request: Any) -> Iterator[Any]:
    for resource_spans in request.resource_spans:
        for scope_spans in resource_spans.scope_spans:
            yield from scope_spans.spans


def test_every_form_at_once_from_files_gzip_and_standard_input(tmp_path: Path) -> None:
    """Five forms of the same log, three inputs, thousands of foreign lines: each span once."""
    foreign = "".join(f"2026-11-24T13:00:00Z INFO line {n} {{}}\n" for n in range(5000))
    (tmp_path / "a.json").write_text(events(*LINES[:4], *map(wrapped, LINES[4:7])))
    with gzip.open(tmp_path / "b.gz", "wt") as stream:
        stream.write(foreign + "".join(map(csv, LINES[6:10])))
    rest = "".join(wrapped(line) + "\n" + foreign[:999] + "\n" for line in LINES[9:])
    with Receiver() as receiver:
        done = send(
            tmp_path, "a.json", "b.gz", "-", "--endpoint", receiver.http_endpoint, input=rest
        )
        assert done.returncode == 0, done.stderr
        again = sum(len(list(one_by_one(from_value(json.loads(LINES[n]))))) for n in (6, 9))
        assert done.stdout.startswith(SENT)
        assert done.stdout.endswith(f" {again} spans there again left out\n")
        assert names_of(receiver) == sorted(span.span_id for span in one_by_one(REQUEST))


def test_the_same_log_twice_in_one_run_is_sent_once(log: Path) -> None:
    """Whoever saves a log twice sends no span twice; a second run sends the same IDs again."""
    with Receiver() as receiver:
        options = ("--endpoint", receiver.http_endpoint)
        done = send(log.parent, log.name, log.name, *options)
        assert summary(done) == (
            0,
            f"{SENT} of {8 * len(LINES)} lines; {6 * len(LINES)} lines ignored, "
            "1000 spans there again left out",
        )
        assert send(log.parent, log.name, *options).returncode == 0
        assert receiver.requests == [REQUEST] * 2


def test_a_collector_that_is_down_and_comes_back_while_the_user_waits(log: Path) -> None:
    """Refused at first, then there: nothing is lost, and the user was told of the wait."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{listener.getsockname()[1]}/v1/traces"
        with subprocess.Popen(
            [sys.executable, "-m", "spanpipe", "send", str(log), "--endpoint", endpoint],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stderr is not None
            waiting = process.stderr.readline()
            listener.listen()
            with breaking.Collector(
                lambda connection, stopped: connection.sendall(breaking.OK), listener=listener
            ) as collector:
                output, errors = process.communicate(timeout=60)
                assert collector.requests == 1
    assert waiting == (
        f"spanpipe send: {endpoint}: ConnectionRefusedError: Connection refused; "
        "trying again for 30 s\n"
    )
    assert (process.returncode, errors) == (0, "")
    assert output.startswith(SENT)


def test_a_collector_that_stays_down_loses_nothing(log: Path) -> None:
    """Status 1, where to go on, and the next run delivers all of it."""
    endpoint = f"http://127.0.0.1:{free_port()}/v1/traces"
    done = send(log.parent, log.name, "--endpoint", endpoint, "--timeout", "0.7")
    assert summary(done)[0] == 1
    assert done.stdout.startswith("sent 0 spans (0 invocations) of ")
    assert done.stdout.endswith(", 1000 spans not delivered\n")
    assert done.stderr.splitlines()[-1] == (
        f"spanpipe send: {endpoint}: ConnectionRefusedError: Connection refused; not delivered: "
        "1000 spans from line 4 of function.log on, and what follows; run the same again later: "
        "what was sent does no harm twice"
    )
    with Receiver() as receiver:
        assert send(log.parent, log.name, "--endpoint", receiver.http_endpoint).returncode == 0
        assert receiver.requests == [REQUEST]


@pytest.mark.parametrize(
    ("answer", "status", "told", "count"),
    [
        (
            breaking.http_answer("400 Bad Request"),
            1,
            "answered 400 Bad Request; not delivered: 1000 spans from line 4 of function.log on",
            "sent 0 spans (0 invocations)",
        ),
        (
            breaking.http_answer("413 Too Large"),
            1,
            "answered 413 Too Large; not delivered: 1000 spans from line 4 of function.log on; "
            "try a smaller --max-request-bytes",
            "sent 0 spans (0 invocations)",
        ),
        (
            breaking.http_answer("401 Who"),
            1,
            "answered 401 Who; not delivered: 1000 spans from line 4 of function.log on, and "
            "what follows; run the same again later: what was sent does no harm twice",
            "sent 0 spans (0 invocations)",
        ),
        (
            breaking.http_answer("200 OK", breaking.partial_success(3, "too old")),
            1,
            "answered 200 OK but rejected 3 of 1000 spans: too old",
            "sent 997 spans (997 invocations)",
        ),
    ],
    ids=["400", "413", "401", "partial success"],
)
def test_what_a_collector_refuses_is_told(
    log: Path, answer: bytes, status: int, told: str, count: str
) -> None:
    """One request, one line with the reason and the place, and status 1."""
    with breaking.answering(answer) as collector:
        endpoint = f"http://127.0.0.1:{collector.port}/v1/traces"
        done = send(log.parent, log.name, "--endpoint", endpoint)
        assert collector.requests == 1
    assert done.returncode == status
    assert done.stderr == f"spanpipe send: {endpoint} {told}\n"
    assert done.stdout.startswith(f"{count} of ")


def test_damaged_lines_are_named_and_the_rest_is_sent(log: Path) -> None:
    """Status 1, since spans were in them; twenty names at most."""
    log.write_text(log.read_text() + "".join(f"{LINES[0][:90]}\n" for _ in range(25)))
    with Receiver() as receiver:
        done = send(log.parent, log.name, "--endpoint", receiver.http_endpoint)
        assert receiver.requests == [REQUEST]
    first, *_, last = done.stderr.splitlines()
    assert first.startswith(
        f"spanpipe send: function.log: line {4 * len(LINES) + 1}: cut off or damaged: "
    )
    assert last == "spanpipe send: further damaged lines are counted only"
    assert len(done.stderr.splitlines()) == 21
    assert summary(done) == (
        1,
        f"{SENT} of {4 * len(LINES) + 25} lines; {3 * len(LINES)} lines ignored, 25 damaged",
    )


def test_a_dry_run_connects_to_nothing(log: Path) -> None:
    """It says what would go where."""
    endpoint = f"http://user:secret@127.0.0.1:{free_port()}/v1/traces"
    done = send(log.parent, log.name, "--endpoint", endpoint, "--dry-run")
    shown = endpoint.replace("user:secret@", "")
    assert summary(done) == (
        0,
        f"would send 1000 spans (1000 invocations) in 1 request to {shown} of {4 * len(LINES)} "
        f"lines; {3 * len(LINES)} lines ignored",
    )
    assert done.stderr == ""


def test_a_log_without_requests_is_nothing_to_worry_about(tmp_path: Path) -> None:
    """Where nothing had to be printed nothing has to be sent."""
    (tmp_path / "quiet.log").write_text("START\nEND\n")
    done = send(tmp_path, "quiet.log")
    assert summary(done) == (0, "sent 0 spans (0 invocations) of 2 lines; 2 lines ignored")


def test_what_spanpipe_run_prints_can_be_sent(tmp_path: Path) -> None:
    """`run --output json` is such a log."""
    (tmp_path / "app.py").write_text("def handler(event, context):\n    return 1\n")
    printed = spanpipe(tmp_path, "run", "app.handler", "--output", "json").stdout
    with Receiver() as receiver:
        done = send(tmp_path, "-", "--endpoint", receiver.http_endpoint, input=printed)
        assert done.returncode == 0, done.stderr
        found = [span.span_id.hex() for span in receiver.spans()]
    requests = [from_value(json.loads(line)) for line in printed.splitlines()]
    assert found == [span.span_id.hex() for one in requests for span in one_by_one(one)]
    assert found != []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["gone.log"], "gone.log: there is no such file"),
        (["."], ".: is a folder"),
        (["empty.log"], "empty.log: is empty"),
        (["-"], "standard input: is empty"),
        (["image.png"], "image.png: is no log: neither UTF-8 text nor gzip"),
        (["cut.gz"], "cut.gz: cannot be read on: Compressed file ended before"),
        (["quiet.log", "--timeout", "0"], "--timeout must be above 0"),
        (["quiet.log", "--max-request-bytes", "1"], "--max-request-bytes must be at least 1024"),
        (["quiet.log", "--config", "gone"], "--config gone: there is no such file"),
        (["quiet.log", "--config", "bad.yaml"], "bad.yaml:1:9: flush.mod: unknown key"),
        (["quiet.log", "--endpoint", "ftp://x"], "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: "),
    ],
)
def test_wrong_input_is_one_clear_line(tmp_path: Path, arguments: list[str], message: str) -> None:
    """Status 2, and what to correct."""
    (tmp_path / "quiet.log").write_text("START\n")
    (tmp_path / "empty.log").touch()
    (tmp_path / "image.png").write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(range(256)))
    (tmp_path / "cut.gz").write_bytes(gzip.compress(b"START\n" * 1000)[:-9])
    (tmp_path / "bad.yaml").write_text("flush: {mod: end}\n")
    done = send(tmp_path, *arguments, input="")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"spanpipe send: {message}")


def test_an_interrupted_send_ends_at_once(log: Path) -> None:
    """Status 130 in the middle of a wait."""
    with breaking.hanging() as collector:
        endpoint = f"http://127.0.0.1:{collector.port}/v1/traces"
        with subprocess.Popen(
            [sys.executable, "-m", "spanpipe", "send", str(log), "--endpoint", endpoint],
            env={**os.environ, "PYTHONPATH": str(ROOT), "OTEL_EXPORTER_OTLP_TIMEOUT": "500"},
            stderr=subprocess.PIPE,
            text=True,
            # A background job is started with SIGINT ignored, and hands that on.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
        ) as process:
            assert process.stderr is not None
            assert "trying again" in process.stderr.readline()
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=30)
    assert process.returncode == 130
