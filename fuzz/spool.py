"""Target `spool`: what lies in the folder when an extension starts: spool and black box."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from typing import Any

from exporter.record import Environment, Fate, Invocation, Payload, Supplement
from exporter.record_json import RecordError, from_json, to_json
from extension.blackbox import NAME, SLOT_BYTES, BlackBox
from extension.ledger import NOTHING, Amount
from extension.spool import MAX_SET_ASIDE, Spool
from fuzz.draw import Draw, block
from fuzz.folder import OUTSIDE, folder_of
from fuzz.guard import watched

NOW_NS = 1_700_000_000_000_000_000
MOMENTS = (NOW_NS, NOW_NS - 1, 0, 2**64 - 1)
AMOUNTS = ((1, 0), (1, 3), (0, 0), (2, 0), (2**32 - 1, 2**64 - 1))
FILE, RAW, LINK, FIFO, FOLDER = range(5)
NAMES = ("spanpipe-spool-x.json", "spanpipe-spool-" + "0" * 16 + ".json", "r-1")


def check(data: bytes) -> None:
    """`from_json` raises RecordError or nothing, the spool and the black box nothing, and:

    - what is read back is written again as it was, and is what its file's name says;
    - every invocation that a name tells of is given out or counted as lost, once;
    - nothing but files of the spool is opened, removed or renamed, and little is told.
    """
    draw, folder = Draw(data), folder_of("spool")
    folder.empty()
    for number in range(draw.byte() % 5):
        _make(f"{folder.path}/{_name(draw, number)}", draw.pick(range(5)), draw.block())
    lost: list[Amount] = []
    told: list[str] = []
    spool = Spool(
        str(folder.path), lambda amount, _: lost.append(amount), told.append, unix_ns=lambda: NOW_NS
    )
    with watched() as seen:
        found, given = spool.scan(), NOTHING
        while (stored := spool.take()) is not None:
            given += stored.amount
            assert from_json(to_json(stored.records)) == stored.records
            spool.remove(stored.name)
    assert given + sum(lost, NOTHING) == found
    assert spool.is_empty
    assert len(told) <= MAX_SET_ASIDE
    for _, path in seen:
        parent, _, name = path.rpartition("/")
        assert parent == str(folder.path)
        assert name.startswith("spanpipe-spool-")
    folder.check_outside()
    text = draw.rest()
    _parse(text)
    with open(f"{folder.path}/{NAME}", "wb") as stream:
        stream.write(_slot(text))
    box = BlackBox(str(folder.path), told.append)
    box.release()
    remains = box.remains
    assert remains is None or remains.uncertain.invocations <= remains.waiting.invocations


def _slot(text: bytes) -> bytes:
    """The black box's first slot with `text` for its record, or `text` itself where it is long."""
    others, waiting, lent, body_bytes = 1, 2, 3, 4
    counts = struct.pack(">IQQQI", others, waiting, lent, body_bytes, len(text))
    body = struct.pack(">II", 7, 1) + counts + text
    return (struct.pack(">I", zlib.crc32(body)) + body)[: 2 * SLOT_BYTES]


def _parse(data: bytes) -> None:
    try:
        records = from_json(data)
    except RecordError:
        return
    assert from_json(to_json(records)) == records


def _name(draw: Draw, number: int) -> str:
    invocations, body_bytes = draw.pick(AMOUNTS)
    moment = draw.pick(MOMENTS)
    ending = draw.pick((".json", ".printed.json", ".json.damaged", ".json.part"))
    odd = draw.byte()
    if odd < len(NAMES):
        return NAMES[odd]
    return f"spanpipe-spool-{moment:016x}-{invocations:08x}-{body_bytes:016x}-{number:08x}{ending}"


def _make(path: str, kind: int, content: bytes) -> None:
    try:
        if kind == LINK:
            os.symlink(f"../{OUTSIDE}", path)
        elif kind == FIFO:
            os.mkfifo(path)
        elif kind == FOLDER:
            os.mkdir(path)
        else:
            head = b"spanpipe-spool 1 %08x\n" % zlib.crc32(content) if kind == FILE else b""
            with open(path, "xb") as stream:
                stream.write(head + content)
    except FileExistsError:
        pass


def seeds() -> Iterator[tuple[str, bytes]]:
    """Real records, damaged ones, and each kind of entry."""
    environment = Environment("f", "1", memory_mb=128)
    values: dict[str, Any] = {
        "ordinal": 1,
        "request_id": "r",
        "invoked_function_arn": "arn",
        "environment": environment,
        "trace_id": b"t" * 16,
        "span_id": b"spanspan",
        "start_unix_ns": 1,
        "end_unix_ns": 2,
        "fate": Fate.RETURNED,
        "deadline_unix_ms": 3,
    }
    bare = to_json([Invocation(**values)])
    body = Payload(b"[1]", 3, truncated=False, content_kind="json")
    late = Supplement(b"t" * 16, b"spanspan", environment, 4)
    both = to_json([Invocation(**values, result=body), late])
    for amount, content in ((0, bare), (1, both), (2, b"[]"), (4, bare)):
        for moment in (0, 2):
            name = bytes((amount, moment, 0, 255))
            yield "records", b"\1" + name + bytes((FILE,)) + block(content) + content
    for kind in range(5):
        for ending in range(4):
            yield "entry", bytes((1, 0, 0, ending, 255, kind)) + block(bare)
    for wrong in (
        bare.replace(b'"returned"', b'"gone"'),
        bare.replace(b'"ordinal":1', b'"ordinal":1e999'),
        bare.replace(b'"r"', b'"\\ud800"'),
        bare.replace(b'"f"', b"[" * 900 + b"]" * 900),
        b'[["supplement",{}]]',
        b'["ab"]',
        b"[[[],{}]]",
        b"{}",
    ):
        yield "wrong", b"\0" + wrong
