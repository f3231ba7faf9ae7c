"""A small mutator of our own, where atheris is not installed: seeded, blind to coverage."""

from __future__ import annotations

import random
from collections.abc import Sequence

MAX_BYTES = 4_096
_MAX_CHANGES = 6
_WORDS = (
    b"\xff\x53\x01",
    b"\xff",
    b"{",
    b"}",
    b"[",
    b'"',
    b"\\ud800",
    b"\n",
    b"\r\n\r\n",
    b"\0" * 8,
    b"\xff" * 8,
    b"1e999",
    b"NaN",
    b'{"payload":1}',
    b'"request_id"',
    b"${",
    b": ",
    b"- ",
    b"&a ",
    b"*a",
    b"../",
    b".msg",
)


class Mutator:
    """New inputs out of `corpus`; the same seed gives the same ones."""

    def __init__(self, corpus: Sequence[bytes], seed: int) -> None:
        self._corpus = [*corpus, b""]
        self._random = random.Random(seed)  # noqa: S311 - to be repeated, not to be secret

    def next(self) -> bytes:
        """One of the corpus, changed in a few places."""
        draw = self._random
        data = bytearray(draw.choice(self._corpus))
        for _ in range(draw.randint(1, _MAX_CHANGES)):
            self._change(data)
        return bytes(data[:MAX_BYTES])

    def _change(self, data: bytearray) -> None:
        draw = self._random
        at = draw.randint(0, len(data))
        end = min(len(data), at + draw.choice((1, 2, 4, 8, 64)))
        kind = draw.randint(0, 6)
        if kind == 0 and at < len(data):
            data[at] ^= 1 << draw.randint(0, 7)
        elif kind == 1 and at < len(data):
            data[at] = draw.choice((0, 1, 127, 128, 255, draw.randint(0, 255)))
        elif kind == 2:
            del data[at:end]
        elif kind == 3:
            data[at:at] = draw.choice(_WORDS)
        elif kind == 4:
            data[at:at] = data[at:end] * draw.choice((1, 2, 16))
        elif kind == 5:
            other = draw.choice(self._corpus)
            data[at:] = other[draw.randint(0, len(other)) :]
        else:
            data[at:at] = draw.randbytes(draw.randint(1, 8))
