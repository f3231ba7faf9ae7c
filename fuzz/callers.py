"""Target `callers`: the event that a function is invoked with, which a stranger may have sent."""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Iterator
from typing import Any

from fifo import caller, encoding, messages, parsing, propagation, triggers
from fifo.bounded_json import attributes_field
from fuzz.draw import Draw, block

PATHS = ("", "detail.trace", "Records.kinesis.data.headers", "Records.0.body", "a.b.c.d.e.f.g.h.i")
HEADERS = propagation.HEADERS
_ANSWERS = (
    b'{"statusCode":503,"body":"x"}',
    b'{"batchItemFailures":[{"itemIdentifier":"a"}]}',
    b"",
)
PREFIX = encoding.encode_prefix("r-1", b"12345678")


def check(data: bytes) -> None:
    """Neither recognisers nor propagators raise, whatever the event, and besides:

    - what is kept of it is bounded, and START with it is read back, trace and links and all;
    - what is passed on is a header's text: it holds no line's end;
    - an answer is looked at as little as an event is trusted.
    """
    draw = Draw(data)
    path, chosen, extra = draw.pick(PATHS), draw.byte(), draw.byte()
    event = _value(draw.block())
    answer = _value(draw.block())
    if isinstance(event, dict) and extra & 1:
        name = HEADERS[extra % len(HEADERS)]
        event.setdefault("headers", {})
        if isinstance(event["headers"], dict):
            event["headers"][name] = draw.rest().decode("utf-8", "replace")
    names = tuple(name for bit, name in enumerate(propagation.NAMES) if chosen >> bit & 1)
    found = triggers.recognise(event, path)
    assert len(found.carriers) <= triggers.MAX_RECORDS + 1
    for value in found.attributes.values():
        assert not isinstance(value, str) or len(value) <= triggers.MAX_TEXT
    parent = caller.parent_of(names, found, "Root=1-5759e988-bd862e3fe1be46a994272793")
    fields = caller.context_fields(names, found, parent)
    trace_id = b"t" * 16 if parent is None else parent.trace_id
    body = encoding.encode_start(PREFIX, trace_id, 1, 2, 3, 4, fields, cold_start=False)
    start = parsing.parse(messages.START, body)
    assert isinstance(start, messages.Start)
    assert len(start.links) <= messages.MAX_LINKS
    assert parent is None or start.parent_span_id == parent.span_id
    if parent is not None:
        headers: dict[str, str] = {}
        propagation.inject(names, headers, parent, propagation.baggage_in(found.carrier))
        for value in headers.values():
            assert re.fullmatch("[ -~]*", value)
    attributes_field(triggers.outcome_of(found.trigger, answer))


def _value(data: bytes) -> Any:
    """JSON where it is such, else a mapping of texts that the bytes spell."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        text = data.decode("utf-8", "replace")
        return {"headers": dict(zip(HEADERS, text.split("\n"), strict=False))}


def seeds() -> Iterator[tuple[str, bytes]]:
    """An event of each trigger, with each propagator's headers."""
    events = importlib.import_module("tests.core.test_triggers").EVENTS
    for index, (name, (event, *_)) in enumerate(events.items()):
        text = json.dumps(event, separators=(",", ":")).encode()
        head = bytes((index % len(PATHS), 0xFF >> index % 7, 0))
        yield re.sub("[^a-z]+", "-", name.lower()), head + block(text) + block(_ANSWERS[index % 3])
