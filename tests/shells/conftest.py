"""Fixtures for tests on real FIFOs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from fifo import mailbox, messages, overflow, parsing, pipes, wire
from fifo.reassembly import Reassembler


class ReadingEnd:
    """The extension's ends of a pair, in this process."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.results = pipes.make_fifo(
            str(directory / pipes.RESULTS_NAME), pipes.RESULTS_CAPACITY_BYTES
        )
        self.control = pipes.make_fifo(
            str(directory / pipes.CONTROL_NAME), pipes.CONTROL_CAPACITY_BYTES
        )
        self.decoder = wire.Decoder()
        self.reassembler = Reassembler()

    def publish(self, policy: mailbox.Policy) -> None:
        os.write(self.control, mailbox.encode_policy(policy))

    def messages(self) -> list[messages.Message]:
        """All that was written: from the pipe, then from files."""
        units: list[wire.Frame | bytes] = []
        while pipes.unread_bytes(self.results):
            units += self.decoder.feed(os.read(self.results, 1 << 20))
        found: list[messages.Message] = []
        for name in sorted(os.listdir(self.directory)):
            if overflow.is_overflow_name(name):
                path = self.directory / name
                units += wire.Decoder(wire.MAX_FILE_BODY_BYTES).feed(path.read_bytes())
                path.unlink()
        for unit in units:
            assert isinstance(unit, wire.Frame)
            whole = self.reassembler.add(unit)
            if whole is not None:
                found.append(parsing.parse(whole.kind, whole.body))
        return found

    def close(self) -> None:
        for descriptor in (self.results, self.control):
            if descriptor >= 0:
                os.close(descriptor)
        self.results = self.control = -1


@pytest.fixture
def reading_end(tmp_path: Path) -> Iterator[ReadingEnd]:
    """A pair that somebody reads."""
    end = ReadingEnd(tmp_path)
    yield end
    end.close()
