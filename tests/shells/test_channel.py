"""The extension's ends of the FIFO pair: the mailbox's record, and what its absence tells."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from extension.channel import Channel
from extension.log import Log
from fifo import mailbox, pipes
from fifo.writer import Writer


@pytest.fixture
def channel(tmp_path: Path) -> Iterator[Channel]:
    made = Channel(str(tmp_path), Log())
    yield made
    os.close(made.results)
    os.close(made.control)


def announced(channel: Channel) -> mailbox.Policy:
    """What a writer knows that has just been made in the function."""
    writer = Writer(channel.directory, environ={})
    writer.announce()
    writer.close()
    return writer.policy


def test_what_is_published_twice_is_no_sign_of_a_writer(channel: Channel) -> None:
    """The extension takes its own record out of the mailbox, as for the configuration."""
    channel.publish(mailbox.Policy(1))
    channel.publish(mailbox.Policy(2))
    channel.refill()
    assert not channel.reader_seen
    assert announced(channel) == mailbox.Policy(2)


@pytest.mark.parametrize("then", ["nothing", "refill", "publish"])
def test_a_record_that_was_taken_tells_of_a_writer(channel: Channel, then: str) -> None:
    """At once, and after it was put back or replaced."""
    channel.publish(mailbox.Policy(1))
    assert announced(channel) == mailbox.Policy(1)
    if then == "refill":
        channel.refill()
    elif then == "publish":
        channel.publish(mailbox.Policy(2))
    assert channel.reader_seen
    assert pipes.unread_bytes(channel.control) == (0 if then == "nothing" else mailbox.RECORD_BYTES)


def test_a_record_that_an_extension_before_has_left_is_no_sign(channel: Channel) -> None:
    """After a reset the mailbox may hold one, or none: neither is of this function's process."""
    os.write(channel.control, mailbox.encode_policy(mailbox.Policy(9)))
    assert not channel.reader_seen
    channel.publish(mailbox.Policy(1))
    assert not channel.reader_seen
