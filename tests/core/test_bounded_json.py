"""JSON of the function's values: bounded, and the short way says what the long one says."""

from __future__ import annotations

import json

from hypothesis import example, given
from hypothesis import strategies as st

from fifo import encoding
from fifo.bounded_json import attributes_text, bounded_text

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
        assert attributes_text(attributes) == ""
    elif whole and fits:
        assert attributes_text(attributes) == text
    else:
        assert json.loads(attributes_text(attributes)) == {
            "spanpipe.attributes": "over 32768 bytes"
        }


def test_what_is_no_mapping_is_no_attributes() -> None:
    """A list, a text or a mapping that cannot be read gives nothing."""

    class Hostile(dict[str, object]):
        def items(self) -> object:  # type: ignore[override]
            raise RuntimeError

    assert [attributes_text(one) for one in ([1], "text", Hostile(a=1))] == ["", "", ""]
