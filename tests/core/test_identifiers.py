"""Trace and span IDs: random where they begin, unique beyond, and never all zero."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

from fifo.identifiers import Identifiers


def drawing(*drawn: bytes) -> Identifiers:
    """Identifiers of what the operating system is said to have given."""
    given = iter(drawn)
    return Identifiers(lambda size: next(given)[:size])


def test_one_draw_gives_an_invocations_ids_and_its_childrens() -> None:
    """16 bytes, 8 bytes, and a sequence that begins with 63 bits of the last 8."""
    identifiers = drawing(b"t" * 16 + b"s" * 8 + b"\xff" * 8)
    assert identifiers.of_invocation() == (b"t" * 16, b"s" * 8)
    assert [identifiers.of_span().hex() for _ in range(3)] == [
        "7fffffffffffffff",
        "800000009e3779b0",
        "800000013c6ef361",
    ]


def test_no_id_is_all_zero() -> None:
    """Zeros, which W3C forbids, are drawn again or passed over."""
    whole = b"t" * 16 + b"s" * 8 + bytes(8)
    identifiers = drawing(bytes(16) + whole[16:], whole[:16] + bytes(16), whole)
    assert identifiers.of_invocation() == (b"t" * 16, b"s" * 8)
    assert identifiers.of_span().hex() == "000000009e3779b1"


def test_an_invocation_does_not_go_on_with_anothers_sequence() -> None:
    """So that what was drawn before a snapshot is not used after a restore."""
    identifiers = drawing(b"a" * 32, b"b" * 32)
    identifiers.of_invocation()
    identifiers.of_span()
    identifiers.of_invocation()
    assert identifiers.of_span() == b"1" * 8


def test_threads_share_no_id() -> None:
    """Eight at once, a thousand each, all different."""
    identifiers = Identifiers(os.urandom)
    identifiers.of_invocation()
    with ThreadPoolExecutor(8) as pool:
        found = [
            one
            for some in pool.map(lambda _: [identifiers.of_span() for _ in range(1000)], range(8))
            for one in some
        ]
    assert len(set(found)) == 8000


def test_a_forked_child_draws_its_own() -> None:
    """Parent and child go on with different sequences."""
    identifiers = Identifiers(os.urandom)
    identifiers.of_invocation()
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.write(writer, identifiers.of_span())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    os.close(writer)
    theirs = os.read(reader, 8)
    os.close(reader)
    assert len(theirs) == 8
    assert theirs != identifiers.of_span()
