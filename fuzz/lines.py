"""Target `lines`: the line form, through the decoder."""

from __future__ import annotations

import json
from collections.abc import Iterator

from exporter.record import Payload
from extension import details
from fifo import messages, parsing, wire
from fifo.errors import ProtocolError
from fuzz.draw import Draw

AS_PAYLOAD, NEST = 1, 2
MAX_BODY_BYTES = 1_000
MAX_NEST_BYTES = 3_000
_AFTER = b'{"request_id":"after","payload":[]}\n'
_PAYLOAD = messages.Body(b"[]", 2, truncated=False, content_kind=messages.JSON)
_LONGER = 8
"""A number in few characters may be written back in many: 1e15."""


def check(data: bytes) -> None:
    """`parse_line` raises ProtocolError or nothing, and besides:

    - the body is the payload, as JSON and in size, and a cut of it is sound UTF-8;
    - no line over the bound comes out, and a line after a newline is read whatever went before.
    """
    draw = Draw(data)
    flags = draw.byte()
    if flags & NEST:
        times = draw.byte() * 8
        before, after = draw.block(), draw.block()
        text = (before * times)[:MAX_NEST_BYTES] + draw.rest() + (after * times)[:MAX_NEST_BYTES]
    else:
        text = draw.rest()
    if flags & AS_PAYLOAD:
        text = b'{"request_id":"r-1","payload":' + text + b"}"
    decoder = wire.Decoder()
    units = decoder.feed(text + b"\n" + _AFTER) + decoder.feed(b"", settle=True)
    lines = [unit for unit in units if isinstance(unit, bytes)]
    for line in lines:
        assert len(line) < wire.MAX_LINE_BYTES
        _parse(line)
    assert parsing.parse_line(lines[-1]) == messages.Result(
        "after", None, end_unix_ns=None, body=_PAYLOAD
    )


def _parse(line: bytes) -> None:
    try:
        result = parsing.parse_line(line)
    except ProtocolError as error:
        assert len(str(error)) < 1_000
        return
    body = result.body
    assert messages.valid_request_id(result.request_id)
    assert body.size_bytes == len(body.data) <= _LONGER * wire.MAX_LINE_BYTES
    try:
        # As text: NaN is no equal of itself.
        assert repr(json.loads(body.data)) == repr(json.loads(line)["payload"])
    except RecursionError:
        pass
    cut = details.payload(body, MAX_BODY_BYTES)
    cut.body.decode("utf-8")
    truncated = len(body.data) > MAX_BODY_BYTES
    assert cut == Payload(cut.body, len(body.data), truncated, "json")
    assert len(cut.body) <= MAX_BODY_BYTES


HOSTILE = (
    b'"\\ud800"',
    b'{"\\udfff":"\\ud83d\\ude00"}',
    b"NaN",
    b"[Infinity,-Infinity,1e999,-0.0,1e15]",
    b"1" * 3_900,
    b'{"a":1,"a":2}',
    b'"\xff"',
    b'"\x00"',
    b"\xef\xbb\xbf1",
    "1".encode("utf-16"),
)
"""JSON as nobody means it; payloads of lines and of files."""


def seeds() -> Iterator[tuple[str, bytes]]:
    """The vectors' lines, and JSON as nobody means it."""
    from fuzz.draw import block
    from tests.vectors import generate

    for vector in generate.LINES:
        yield "line", b"\0" + vector["line"].encode()
    for payload in HOSTILE:
        yield "payload", bytes((AS_PAYLOAD,)) + payload
    for before, after in ((b"[", b"]"), (b'{"":', b"}"), (b'["', b'"]'), (b"{", b"")):
        for times in (3, 123, 255):
            yield (
                "nested",
                bytes((AS_PAYLOAD | NEST, times)) + block(before) + block(after) + b"1",
            )
