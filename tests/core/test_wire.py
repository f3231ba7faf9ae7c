"""Frames and lines: every split decodes the same, and garbage costs nothing but itself."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fifo import encoding, mailbox, messages, otlp_bytes, parsing, wire
from fifo.errors import ProtocolError
from fifo.fields import cut_utf8
from fifo.reassembly import (
    MAX_PARTIAL_BYTES,
    MAX_PARTIAL_MESSAGES,
    Reassembler,
)
from tests.vectors import generate

VECTORS: dict[str, Any] = json.loads(
    (Path(__file__).resolve().parents[1] / "vectors" / "stream.json").read_text()
)
STREAMS = {one["name"]: one for one in VECTORS["streams"]}
FRAME = wire.encode_frame(2, 7, 1, b"body")
LINE = b'{"request_id":"a","payload":1}'


def shown(units: list[wire.Frame | bytes]) -> list[dict[str, Any]]:
    """Units in the vectors' own form."""
    return [
        {"line": unit.decode("utf-8", "replace")}
        if isinstance(unit, bytes)
        else {
            "version": unit.version,
            "kind": unit.kind,
            "sequence": unit.sequence,
            "count": unit.count,
            "writer_id": unit.writer_id,
            "counter": unit.counter,
            "body_hex": unit.body.hex(),
        }
        for unit in units
    ]


def decode(*parts: bytes) -> tuple[list[wire.Frame | bytes], wire.Decoder]:
    decoder = wire.Decoder()
    units = [unit for part in parts for unit in decoder.feed(part)]
    return units + decoder.feed(b"", settle=True), decoder


@pytest.mark.parametrize("name", STREAMS)
def test_every_split_of_every_vector_decodes_the_same(name: str) -> None:
    """Cut anywhere in two, and byte by byte, a stream gives its units and its counters."""
    vector = STREAMS[name]
    data = bytes.fromhex(vector["hex"])
    expected = decode(data)[0]
    assert shown(expected) == vector["units"]
    splits = [(data[:cut], data[cut:]) for cut in range(len(data))]
    splits.append(tuple(data[index : index + 1] for index in range(len(data))))
    for parts in splits:
        units, decoder = decode(*parts)
        assert units == expected
        assert (decoder.garbage_count, decoder.garbage_bytes) == tuple(vector["garbage"])


@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_any_split_of_any_vector_decodes_the_same(data: st.DataObject) -> None:
    """Cut into any number of parts, the units are the same."""
    vector = STREAMS[data.draw(st.sampled_from(sorted(STREAMS)))]
    whole = bytes.fromhex(vector["hex"])
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=12)))
    parts = [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    assert shown(decode(*parts)[0]) == vector["units"]


garbage = st.one_of(
    st.binary(max_size=200),
    st.lists(
        st.sampled_from([b"\xff", b"\xffS", b"\xffS\x01", b"{", b"\n", b"x", FRAME[:23], LINE]),
        max_size=12,
    ).map(b"".join),
)


@given(before=garbage, between=garbage)
@settings(max_examples=400, deadline=None)
def test_random_bytes_lose_no_frame_that_follows(before: bytes, between: bytes) -> None:
    """Whatever stands around them, both valid frames come out, and nothing is raised."""
    first = wire.encode_frame(2, 7, 1, b"first")
    second = wire.encode_frame(3, 8, 2, b"second {\n\xff")
    units, decoder = decode(before + first + between + second)
    frames = [unit for unit in units if isinstance(unit, wire.Frame)]
    assert wire.Frame(2, 7, 1, b"first") in frames
    assert frames[-1] == wire.Frame(3, 8, 2, b"second {\n\xff")
    assert decoder.pending_bytes == 0


@given(parts=st.lists(garbage, max_size=40))
@settings(max_examples=150, deadline=None)
def test_random_bytes_never_make_the_decoder_grow(parts: list[bytes]) -> None:
    """What it holds between two calls is less than one unit."""
    decoder = wire.Decoder()
    for part in parts:
        decoder.feed(part)
        assert decoder.pending_bytes < max(wire.MAX_FRAME_BYTES, wire.MAX_LINE_BYTES)


@given(position=st.integers(0, len(FRAME) - 1), bit=st.integers(0, 7))
def test_a_flipped_bit_is_never_accepted(position: int, bit: int) -> None:
    """The checksum covers every byte of a frame."""
    damaged = bytearray(FRAME)
    damaged[position] ^= 1 << bit
    units, _ = decode(bytes(damaged))
    assert units == []


def test_a_damaged_frames_body_cannot_forge_a_line() -> None:
    """While resynchronising no line is taken before a frame or a newline."""
    frame = bytearray(wire.encode_frame(2, 7, 1, b"xx" + LINE))
    frame[20] ^= 1
    units, decoder = decode(bytes(frame) + b"\n" + LINE + b"\n")
    assert units == [LINE]
    assert (decoder.garbage_count, decoder.garbage_bytes) == (1, len(frame) + 1)


def test_a_line_may_be_4096_bytes_and_no_more() -> None:
    """The bound counts the newline."""
    longest = b'{"' + b"a" * (wire.MAX_LINE_BYTES - 3)
    assert decode(longest + b"\n")[0] == [longest]
    units, decoder = decode(longest + b"a\n" + FRAME)
    assert shown(units) == shown(decode(FRAME)[0])
    assert decoder.garbage_count == 1


def test_a_message_over_seventeen_frames_is_for_a_file() -> None:
    """The largest fits exactly; one byte more is an error that says so."""
    largest = bytes(wire.MAX_FRAMED_MESSAGE_BYTES)
    frames = wire.encode_message(2, 7, 1, largest)
    assert [len(frame) for frame in frames] == [wire.MAX_FRAME_BYTES] * wire.MAX_FRAGMENTS
    with pytest.raises(ValueError, match="69225 bytes do not fit into 17 frames"):
        wire.encode_message(2, 7, 1, largest + b"x")


@given(st.integers(0, 255), st.integers(1, 2**33), st.binary(max_size=80), st.binary(max_size=80))
def test_a_frame_in_parts_is_the_same_frame(
    kind: int, counter: int, head: bytes, data: bytes
) -> None:
    """A long body need not be copied behind its fields to be framed."""
    parts = wire.encode_parts(kind, 7, counter, head, data)
    assert b"".join(parts) == wire.encode_frame(kind, 7, counter, head + data)


def whole(units: list[wire.Frame | bytes], reassembler: Reassembler) -> list[wire.Frame]:
    found = [reassembler.add(unit) for unit in units if isinstance(unit, wire.Frame)]
    return [message for message in found if message is not None]


@given(st.randoms(use_true_random=False), st.integers(1, 5))
@settings(max_examples=60, deadline=None)
def test_fragments_in_any_order_make_the_same_messages(random: Any, writers: int) -> None:
    """Messages of several writers, their frames shuffled together, come out whole."""
    sent = {
        wire.Frame(2, writer, 1, bytes([writer]) * (3 * wire.MAX_BODY_BYTES + writer)).body
        for writer in range(1, writers + 1)
    }
    frames = [frame for body in sent for frame in wire.encode_message(2, body[0], 1, body)]
    random.shuffle(frames)
    units, _ = decode(*frames)
    reassembler = Reassembler()
    assert {message.body for message in whole(units, reassembler)} == sent
    assert (reassembler.partial_bytes, reassembler.missing_count) == (0, 0)


@given(
    st.lists(
        st.builds(
            wire.Frame,
            kind=st.integers(0, 9),
            writer_id=st.integers(0, 3),
            counter=st.integers(0, 200),
            body=st.binary(max_size=8).map(lambda part: part * 500),
            sequence=st.integers(0, 3),
            count=st.just(4),
            version=st.integers(1, 2),
        ),
        max_size=400,
    )
)
@settings(max_examples=60, deadline=None)
def test_random_fragments_never_exceed_the_bounds(frames: list[wire.Frame]) -> None:
    """Fragments that fit no message are given up, oldest first, and counted."""
    reassembler = Reassembler()
    for frame in frames:
        reassembler.add(frame)
        assert reassembler.partial_bytes <= MAX_PARTIAL_BYTES


def test_the_oldest_unfinished_message_goes_first() -> None:
    """One message over the bound pushes out the oldest, and only that one."""
    reassembler = Reassembler()
    for counter in range(MAX_PARTIAL_MESSAGES + 1):
        assert reassembler.add(wire.Frame(2, 7, counter, b"a", 0, 2)) is None
    assert reassembler.incomplete_count == 1
    assert reassembler.add(wire.Frame(2, 7, 1, b"b", 1, 2)) == wire.Frame(2, 7, 1, b"ab")
    assert reassembler.add(wire.Frame(2, 7, 0, b"b", 1, 2)) is None


def test_contradicting_fragments_are_given_up() -> None:
    """The same place twice, another count or another kind: no message is made up of them."""
    first = wire.Frame(2, 7, 1, b"a", 0, 2)
    for second in (first, wire.Frame(2, 7, 1, b"b", 1, 3), wire.Frame(3, 7, 1, b"b", 1, 2)):
        reassembler = Reassembler()
        assert reassembler.add(first) is None
        assert reassembler.add(second) is None
        assert (reassembler.incomplete_count, reassembler.partial_bytes) == (1, 0)


def test_gaps_and_foreign_versions_are_counted() -> None:
    """Counters start at 1: what was numbered and never came is known."""
    reassembler = Reassembler()
    for counter in (2, 5):
        reassembler.add(wire.Frame(2, 7, counter, b""))
    reassembler.add(wire.Frame(2, 8, 1, b"", version=9))
    assert (reassembler.missing_count, reassembler.unsupported_count) == (3, 1)


def test_a_message_that_comes_again_by_file_replaces_its_fragments() -> None:
    """A full pipe cut it off; the file has it whole, under the same ID."""
    reassembler = Reassembler()
    reassembler.add(wire.Frame(2, 7, 1, b"a", 0, 2))
    assert reassembler.add(wire.Frame(2, 7, 1, b"ab")) == wire.Frame(2, 7, 1, b"ab")
    assert reassembler.partial_bytes == 0


@given(kind=st.integers(0, 255), body=st.binary(max_size=300))
@settings(max_examples=400, deadline=None)
def test_a_random_body_raises_the_one_error_or_none(kind: int, body: bytes) -> None:
    """Nothing but ProtocolError comes out of a stranger's bytes."""
    for candidate in (body, b"\x03a-b" + body, b"\x03a-bspanspan" + body):
        try:
            parsing.parse(kind, candidate)
        except ProtocolError:
            pass


@given(st.one_of(st.binary(max_size=100), st.text(max_size=100).map(lambda text: text.encode())))
@settings(max_examples=200, deadline=None)
def test_a_random_line_or_file_raises_the_one_error_or_none(data: bytes) -> None:
    """The same for lines and files, invalid UTF-8 and deep nesting included."""
    for candidate in (data, b"[" * 100_000, b"1" * 5000):
        for parse in (parsing.parse_line, lambda one: parsing.parse_payload_file("r", one)):
            try:
                parse(candidate)
            except ProtocolError:
                pass


def test_a_policy_is_renewed_by_name() -> None:
    """The next generation with what has changed; a name that is none is an error."""
    policy = mailbox.Policy(4, response=False, sampler="1,2,3")
    renewed = policy.renewed(exporter_down=True, sampler="")
    assert renewed == mailbox.Policy(5, response=False, exporter_down=True)
    with pytest.raises(TypeError, match="unknown"):
        policy.renewed(unknown=True)


LARGE = b"[" + b"[]," * 500_000 + b"1]"


@pytest.mark.parametrize(
    ("data", "payload"),
    [
        (b'{"payload":' + LARGE + b"}", LARGE),
        (b' {\n"payload" : ' + LARGE + b" } \n", LARGE),
        (b'{"pay":' + LARGE + b"}", None),
        (b'{"payload":' + LARGE, None),
        (b" " * 2_000_000, None),
    ],
)
def test_a_large_file_is_taken_by_its_ends(data: bytes, payload: bytes | None) -> None:
    """Without building its values; what does not begin and end as it should is no result."""
    if payload is None:
        with pytest.raises(ProtocolError, match="file of r is over 1048576 bytes"):
            parsing.parse_payload_file("r", data)
        return
    body = messages.Body(payload, len(payload), truncated=False, content_kind=messages.JSON)
    assert parsing.parse_payload_file("r", data) == messages.Result(
        "r", None, end_unix_ns=None, body=body
    )


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        (messages.START, struct.pack(">B16sQQII", 1, b"t" * 16, 2**63, 0, 0, 0)),
        (messages.START, struct.pack(">B16sQQII", 1, b"t" * 16, 0, 2**63, 0, 0)),
        (messages.RESULT, struct.pack(">QQBB", 2**63, 0, 0, 0)),
        (messages.PARTIAL, struct.pack(">QQBB", 0, 2**63, 0, 0)),
        (messages.ERROR, struct.pack(">Q", 2**63)),
        (messages.SPAN, struct.pack(">8s8sQQB", b"childspa", bytes(8), 2**63, 0, 0)),
        (messages.SPAN, struct.pack(">8s8sQQB", b"childspa", bytes(8), 0, 2**63, 0)),
        (messages.EVENT, struct.pack(">Q8s", 2**63, bytes(8))),
    ],
)
def test_a_time_or_size_over_63_bits_is_malformed(kind: int, fields: bytes) -> None:
    """With a duration added it would not fit into OTLP, and take the whole batch with it."""
    body = encoding.encode_prefix("r", b"spanspan") + fields
    with pytest.raises(ProtocolError, match=f"{2**63} is no time and no size"):
        parsing.parse(kind, body)


OTLP_SPAN = generate.OTLP_SPAN


def spans_of(*spans: bytes) -> bytes:
    scope = b"".join(generate.nested(2, span) for span in spans)
    return generate.nested(1, generate.nested(2, scope))


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", "without a span"),
        (b"\x0a", "ends inside a number"),
        (b"\x0a\x05", "field 1 goes past its end"),
        (b"\x0a" + b"\x80" * 10 + b"\x01", "over ten bytes"),
        (b"\x08\x01", "field 1 is no message"),
        (b"\x0b", "wire type 3"),
        (b"\x02\x00", "field number 0"),
        (spans_of(OTLP_SPAN[:18]), "without an ID of 8 bytes"),
        (spans_of(OTLP_SPAN[18:]), "without an ID of 16 bytes"),
        (spans_of(OTLP_SPAN + generate.nested(2, bytes(8))), "without an ID of 8 bytes"),
        (spans_of(OTLP_SPAN) * (otlp_bytes.MAX_SPANS + 1), "over 1024 spans"),
        (b"\x10\x01" * (otlp_bytes.MAX_FIELDS + 1), "over 65536 fields"),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)
def test_bytes_that_are_no_otlp_are_malformed(data: bytes, error: str) -> None:
    """Down to the IDs of each span, and bounded."""
    with pytest.raises(ProtocolError, match=error):
        parsing.parse(messages.OTLP, generate.prefix() + data)


def test_every_otlp_span_is_counted_and_what_is_unknown_is_skipped() -> None:
    """Of several resources and scopes, with fields of every wire type beside them."""
    data = spans_of(OTLP_SPAN, OTLP_SPAN + b"\x48\x96\x01") + b"\xf9\x01" + bytes(8)
    data += spans_of(OTLP_SPAN + b"\xfd\x01" + bytes(4))
    message = parsing.parse(messages.OTLP, generate.prefix() + data)
    expected = messages.Otlp(generate.REQUEST, generate.SPAN, data=data, span_count=3)
    assert message == expected


@pytest.mark.parametrize("kind", range(1, 7))
def test_otlp_and_its_file_alone_may_belong_to_nobody(kind: int) -> None:
    """Every other message names its request."""
    with pytest.raises(ProtocolError, match="'' is no request ID"):
        parsing.parse(kind, bytes(9) + bytes(64))


@pytest.mark.parametrize("vector", VECTORS["messages"], ids=lambda one: one["name"])
def test_every_message_vector_parses_to_its_fields(vector: dict[str, Any]) -> None:
    """Bytes to fields, each one compared."""
    message = parsing.parse(vector["kind"], bytes.fromhex(vector["body_hex"]))
    found = {}
    for base in type(message).__mro__:
        for name in getattr(base, "__slots__", ()):
            value = getattr(message, name)
            if isinstance(value, messages.Body):
                value = {
                    "data_hex": value.data.hex(),
                    "size_bytes": value.size_bytes,
                    "truncated": value.truncated,
                    "content_kind": value.content_kind,
                }
            elif name == "links":
                value = [[trace.hex(), span.hex(), flags] for trace, span, flags in value]
            found[name] = value.hex() if isinstance(value, bytes) else value
    assert found == vector["fields"]


@pytest.mark.parametrize("vector", VECTORS["lines"], ids=lambda one: one["name"])
def test_every_line_vector_is_a_result_or_the_one_error(vector: dict[str, Any]) -> None:
    """Good lines give request and payload; bad ones the error that names what is wrong."""
    line = vector["line"].encode("utf-8", "surrogatepass")
    if "error" in vector:
        with pytest.raises(ProtocolError) as caught:
            parsing.parse_line(line)
        assert str(caught.value).startswith(vector["error"])
    else:
        result = parsing.parse_line(line)
        assert (result.request_id, result.body.data.decode()) == (
            vector["request_id"],
            vector["payload"],
        )


@given(text=st.text(max_size=50), limit=st.integers(0, 60))
def test_a_cut_is_never_inside_a_character(text: str, limit: int) -> None:
    """What is left of a text is a text, and a prefix of it."""
    data = text.encode("utf-8")
    cut = cut_utf8(data, limit)
    assert len(cut) <= limit or cut == data
    assert text.startswith(cut.decode("utf-8"))


def test_the_header_is_what_the_protocol_draws() -> None:
    """24 bytes, big-endian, in the order of PROTOCOL.md."""
    assert struct.unpack(">2sBBHHIIII", FRAME[:24])[:8] == (b"\xffS", 1, 2, 0, 1, 7, 1, 4)


def test_the_vectors_are_what_their_generator_writes() -> None:
    """The file was not edited by hand, nor left behind."""
    assert json.loads(json.dumps(generate.vectors())) == VECTORS


@pytest.mark.parametrize("vector", VECTORS["mailbox"], ids=lambda one: one["name"])
def test_every_mailbox_vector_is_encoded_and_decoded(vector: dict[str, Any]) -> None:
    """The record is these 16 bytes and zeros; anything else decodes to nothing."""
    names = ("generation", "enabled", "response", "request", "exporter_down", "max_body_bytes")
    policy = mailbox.Policy(
        **{name: vector[name] for name in names},
        propagators=vector.get("propagators", ""),
        event_path=vector.get("event_path", ""),
        sampler=vector.get("sampler", ""),
    )
    data = bytes.fromhex(vector["first_16_bytes_hex"] + vector.get("texts_hex", ""))
    record = data.ljust(mailbox.RECORD_BYTES, b"\0")
    assert mailbox.encode_policy(policy) == record
    assert mailbox.decode_policy(record) == policy
    for wrong in (record[:-1], b"", b"\0" * 4096, record[:4] + b"\xff" + record[5:]):
        assert mailbox.decode_policy(wrong) is None
