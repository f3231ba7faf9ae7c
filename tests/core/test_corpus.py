"""The fuzzers' corpus, replayed: what was found once is not found again.

`make fuzz` looks for more. The targets state what they assert in `fuzz`; of these, `files` has a
folder of its own under the temporary directory, and nothing else touches a disk.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from fuzz import corpus
from fuzz.meter import Meter
from fuzz.mutate import MAX_BYTES, Mutator


@pytest.mark.parametrize("target", corpus.TARGETS)
def test_the_corpus_holds_what_its_target_states(target: str) -> None:
    """Each file, as it is; they are few and small."""
    found = corpus.files(target)
    assert 0 < len(found) <= corpus.MAX_FILES
    check = corpus.check_of(target)
    for path in found:
        data = path.read_bytes()
        assert len(data) <= corpus.MAX_FILE_BYTES
        check(data)


@pytest.mark.parametrize("target", corpus.TARGETS)
def test_the_mutator_without_atheris_finds_nothing_in_a_moment(target: str, tmp_path: Path) -> None:
    """A hundred inputs near the corpus, the same ones each time."""
    meter = Meter(corpus.check_of(target), tmp_path, 60)
    mutator = Mutator([path.read_bytes() for path in corpus.files(target)], seed=1)
    for _ in range(100):
        data = mutator.next()
        assert len(data) <= MAX_BYTES
        meter(data)
    assert (meter.executions, meter.findings) == (100, {})


def test_the_meter_keeps_the_first_input_of_each_failure(tmp_path: Path) -> None:
    """By what was raised and where; a fuzzer that goes on is worth more than one that stops."""

    def check(data: bytes) -> None:
        if data == b"a":
            raise ValueError("one")
        assert data != b"b"

    meter = Meter(check, tmp_path, 60)
    for data in (b"a", b"b", b"a", b"c"):
        meter(data)
    assert meter.executions == 4
    kinds = [kind.partition(" at ")[0] for kind in meter.findings]
    assert kinds == ["ValueError", "AssertionError"]
    assert [path.read_bytes() for path in meter.findings.values()] == [b"a", b"b"]
    assert meter.summary("t", "e").startswith("t: e: 4 executions in ")
