"""JSON of the function's values: bounded, and the short way says what the long one says."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fifo import encoding, messages
from fifo.bounded_json import Encoder, attributes_field, bounded_text
from fifo.fields import FIELD_LAYOUT


def text_of(attributes: object) -> str:
    """The JSON in the field that `attributes` become; "" where they become none."""
    field = attributes_field(attributes, 9)
    if not field:
        return ""
    assert FIELD_LAYOUT.unpack_from(field) == (9, len(field) - FIELD_LAYOUT.size)
    return field[FIELD_LAYOUT.size :].decode()


PLAIN = st.text(max_size=8) | st.integers() | st.booleans()
OTHER = st.floats() | st.none() | st.lists(st.text(max_size=4), max_size=3) | st.binary(max_size=4)
LONG = st.sampled_from(["x" * 1024, "x" * 1025, "ä" * 1024, "\x00" * 1024, "\ud800" * 1024])


@given(st.dictionaries(st.text(max_size=8) | LONG, PLAIN | OTHER | LONG, max_size=40))
@example({"n": 10**5000})
@example({f"{index}": "\x00" * 1024 for index in range(9)})
def test_few_plain_attributes_are_written_as_any_others(attributes: dict[str, object]) -> None:
    """The short way for what is usual gives the text of the way that takes everything."""
    text, whole = bounded_text(attributes, encoding.MAX_ATTRIBUTES_BYTES)
    fits = len(text.encode("utf-8", "replace")) <= encoding.MAX_ATTRIBUTES_BYTES
    if not attributes:
        assert text_of(attributes) == ""
    elif whole and fits:
        assert text_of(attributes) == text.encode("utf-8", "backslashreplace").decode()
    else:
        assert json.loads(text_of(attributes)) == {"spanpipe.attributes": "over 32768 bytes"}


def test_what_is_no_mapping_is_no_attributes() -> None:
    """A list, a text or a mapping that cannot be read gives nothing."""

    class Hostile(dict[str, object]):
        def items(self) -> object:  # type: ignore[override]
            raise RuntimeError

    assert [text_of(one) for one in ([1], "text", Hostile(a=1))] == ["", "", ""]


@pytest.mark.parametrize(
    "value", [b"abcdef", bytearray(b"abcdef"), memoryview(b"abcdef").cast("H")]
)
def test_bytes_are_taken_as_they_are(value: object) -> None:
    """Whole up to the limit, cut at it beyond, by bytes whatever a view's items are."""
    assert Encoder().body(value, 6) == (b"abcdef", 6, False, messages.BINARY)
    assert Encoder().body(value, 5) == (b"abcde", 6, True, messages.BINARY)
