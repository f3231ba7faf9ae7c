"""Finding OTLP JSON in logs: every form, anything around it, damage, and any size of piece."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.encoder import encoded
from exporter.otlp_lines import lines_of
from spanpipe import otlp_log
from spanpipe.otlp_log import Damaged, Found, LogReader
from tests.core.test_otlp_lines import made

BODY = '{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"forged"}]}]}]}'
SPAN = made(attributes={"empty": "", "text": 'quote " back \\ comma, é\u2028 \n', "body": BODY})
REQUEST = encoded([SPAN])
(LINE,) = (line.data.decode() for line in lines_of([SPAN]))
TIME = "2026-11-24T13:00:00.123Z"
STREAM = "2026/11/24/[$LATEST]0123456789abcdef"


def wrapped(text: Any = LINE, **options: Any) -> str:
    """Lambda's JSON log format."""
    return json.dumps({"time": TIME, "type": "extension", "record": text}, **options)


def events(*messages: str, **options: Any) -> str:
    """What `aws logs get-log-events` and `filter-log-events` print."""
    kept = [{"timestamp": 1, "message": message, "ingestionTime": 2} for message in messages]
    return json.dumps({"events": kept, "nextToken": "n"}, **options)


def csv(message: str) -> str:
    """What CloudWatch Logs Insights exports."""
    return '2026-11-24 13:00:00.123,"' + message.replace('"', '""') + '",@log\n'


FORMS = {
    "plain": LINE,
    "time": f"{TIME} {LINE}",
    "time and request ID": f"{TIME} 8c1f9b6a-0000-4000-8000-000000000001 {LINE}",
    "aws logs tail": f"2026-11-24T13:00:00.123000+00:00 {STREAM} {LINE}",
    "text output": f"EVENTS\t1\t{LINE.rstrip()}\t1764000000000\n",
    "sandbox": f"[extension] {LINE}",
    "wrapped": wrapped(),
    "wrapped, as Go writes it": wrapped(ensure_ascii=False, separators=(",", ":")),
    "wrapped as an object": wrapped(json.loads(LINE)),
    "time and wrapped": f"{TIME} {wrapped()}\n",
    "events": events("START", LINE, "END"),
    "events, indented": events("START", LINE, "END", indent=4),
    "events, wrapped": events("START", wrapped(), "END"),
    "events, wrapped, in a string": json.dumps(events(wrapped())),
    "csv": csv(LINE),
    "csv, wrapped": csv(wrapped()),
    "spaces": json.dumps(json.loads(LINE)),
    "carriage return": LINE.replace("\n", "\r\n"),
    "byte order mark": "\ufeff" + LINE,
}


def read(text: str) -> list[Found | Damaged]:
    return list(LogReader(io.StringIO(text, newline="\n")).requests())


def requests(text: str) -> list[Any]:
    return [one.request if isinstance(one, Found) else one for one in read(text)]


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_a_log_gives_the_request(form: str) -> None:
    """Whole, whatever stands around it and however deep; the body in it is not one more."""
    assert requests(FORMS[form]) == [REQUEST]


def test_a_log_has_its_lines_counted() -> None:
    """Numbers are from 1; what holds nothing is ignored and counted."""
    log = f"START\n{LINE}\nEND\n{wrapped()}\n{LINE[:80]}\nlast"
    reader = LogReader(io.StringIO(log))
    found = list(reader.requests())
    assert [one.line_number for one in found] == [2, 5, 6]
    assert (reader.line_count, reader.ignored_count) == (7, 4)


@pytest.mark.parametrize("piece", [64, 200, 1000])
def test_a_line_may_come_in_pieces_of_any_size(piece: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line of any length is read in pieces, and nothing is lost where they meet."""
    monkeypatch.setattr(otlp_log, "PIECE_CHARACTERS", piece)
    log = "x" * 333 + events(*["y" * 77, LINE, wrapped()] * 5) + "\n" + LINE + csv(wrapped())
    reader = LogReader(io.StringIO(log))
    assert [getattr(one, "request", one) for one in reader.requests()] == [REQUEST] * 12
    assert (reader.line_count, reader.ignored_count) == (3, 0)


def test_a_request_longer_than_the_bound_is_damaged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is bounded: what does not end is given up, named, and what follows is found."""
    monkeypatch.setattr(otlp_log, "PIECE_CHARACTERS", 100)
    monkeypatch.setattr(otlp_log, "MAX_RECORD_CHARACTERS", 4 * len(LINE))
    endless = '{"resourceSpans":["' + "x" * 8 * len(LINE)
    (damaged, found) = read(f"{endless}\n{LINE}")
    assert isinstance(damaged, Damaged)
    assert damaged.line_number == 1
    assert found == Found(2, REQUEST)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (LINE[:-20], "cut off or damaged: "),
        (wrapped()[:-20], "cut off or damaged: "),
        (csv(LINE)[:-20], "cut off or damaged: "),
        ('{"resourceSpans":1}', "no trace request: "),
        ('{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":7}]}]}]}', "no trace request: "),
        (LINE.replace(f"{7:032x}", "a" * 31), "no trace request: resourceSpans[0]."),
        (LINE.replace(f"{7:032x}", "0" * 32), "no trace request: a span has no ID"),
        ('{"resourceSpans":' + "[" * 100_000, "maximum recursion depth exceeded"),
        (json.dumps(json.loads(LINE), indent=2).split("\n")[1], "is one of several lines"),
        (LINE.replace('"shop"', '"\\ud800"'), "no trace request: "),
    ],
)
def test_a_damaged_line_is_named_and_the_next_one_read(line: str, reason: str) -> None:
    """A reason for each, one line long; the body inside never counts as a request."""
    damaged, found = read(f"{line.rstrip()}\n{LINE}")
    assert isinstance(damaged, Damaged)
    assert damaged.line_number == 1
    assert damaged.reason.startswith(reason)
    assert found == Found(2, REQUEST)


def test_a_cut_line_does_not_let_a_body_forge_a_span() -> None:
    """A captured body that is a request itself stays text, wherever its line was cut."""
    forged = LINE.replace(f"{9:016x}", "f" * 16)
    (line,) = (one.data.decode() for one in lines_of([made(attributes={"body": forged, "z": 1})]))
    for cut in range(40, len(line), 7):
        for text in (line[:cut], wrapped(line)[: cut + 70], csv(line)[:cut]):
            assert not any(isinstance(one, Found) for one in read(text))


def test_broken_utf_8_is_damage_and_not_a_changed_text() -> None:
    """A log is decoded so that broken bytes can be told."""
    data = LINE.replace("quote", "qu\xff").encode("latin-1", "replace")
    text = data.decode("utf-8", "surrogateescape")
    (damaged,) = read(text)
    assert isinstance(damaged, Damaged)


@given(st.text())
def test_no_text_makes_the_reader_raise(text: str) -> None:
    """Anything at all, alone and after what begins a request."""
    read(text)
    read(f'{{"resourceSpans":{text}')
    read(f'{{\\"resourceSpans\\":{text}')
    read(f'{{""resourceSpans"":{text}')
