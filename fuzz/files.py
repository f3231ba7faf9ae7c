"""Target `files`: plain result files and overflow files, through a real inbox on a real folder."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import cache

from extension import inbox
from fifo import encoding, messages, overflow, pipes, wire
from fifo.fields import encode_field
from fuzz.draw import Draw, block
from fuzz.folder import CONTENT, OUTSIDE, Folder, folder_of
from fuzz.guard import watched

OVERFLOW = "spanpipe-0123456789abcdef.msg"
NAMES = (
    "r-1",
    "8f3c2c5e-9f0a-4a5e-8f5e-0123456789ab",
    OVERFLOW,
    "spanpipe-fedcba9876543210.msg",
    "spanpipe-0123456789ABCDEF.msg",
    "spanpipe-0123456789abcdef.msg.part",
    "../outside",
    "..",
    ".",
    "",
    "/etc/hostname",
    pipes.RESULTS_NAME,
    "r\x00",
    "ä",
)
MAX_RECEIVED = 65_536


@cache
def _pipe() -> int:
    """A results FIFO outside the folder, since that is emptied."""
    path = folder_of("files").root / pipes.RESULTS_NAME
    return pipes.make_fifo(str(path), pipes.RESULTS_CAPACITY_BYTES)


def _write(path: str, data: bytes) -> None:
    with open(path, "xb") as stream:
        stream.write(data)


def _oversize(path: str, data: bytes) -> None:
    with open(path, "xb") as stream:
        stream.truncate(inbox.MAX_FILE_BYTES + 1 + len(data))


ENTRIES: tuple[Callable[[str, bytes], object], ...] = (
    _write,
    _write,
    lambda path, data: _write(path, b'{"payload":' + data + b"}"),
    lambda path, data: _write(path, wire.encode_frame(data[0] if data else 0, 7, 1, data[1:])),
    lambda path, data: _write(path, _named_frame(data)),
    lambda path, data: os.symlink(f"../{OUTSIDE}", path),
    lambda path, data: os.symlink(path, path),
    lambda path, data: os.mkfifo(path),
    lambda path, data: os.mkdir(path),
    _oversize,
)


def _named_frame(name: bytes) -> bytes:
    """A FILE message that names `name`."""
    text = name.decode("utf-8", "replace")
    body = encoding.encode_prefix("r-1", b"spanspan") + encode_field(messages.TAG_NAME, text)
    return wire.encode_frame(messages.FILE, 7, 1, body[: wire.MAX_BODY_BYTES])


def check(data: bytes) -> None:
    """`read` and `read_boundary` raise nothing, whatever lies in the folder and the pipe, and:

    - nothing is opened or removed but overflow files and the files of the requests that were
      asked for, in the folder itself, and nothing outside is read through them;
    - a good file is read and gone after one boundary, and the next finds nothing of it;
    - what is unusable is counted and told once for each reason.
    """
    draw, folder = Draw(data), folder_of("files")
    folder.empty()
    for _ in range(draw.byte() % 8):
        name, make, content = _name(draw), draw.pick(ENTRIES), draw.block()
        try:
            make(f"{folder.path}/{name}" if "/" not in name else f"{folder.path}/x", content)
        except (OSError, ValueError):
            continue  # no such name, or it is taken
    asked = [_name(draw) for _ in range(draw.byte() % 4)]
    os.write(_pipe(), _named_frame(draw.block()) + draw.rest()[:4_096])
    before = folder.names()
    told: list[str] = []
    box = inbox.Inbox(str(folder.path), _pipe(), told.append)
    with watched() as seen:
        received = box.read() + box.read_boundary(asked)
        again = box.read_boundary(asked)
    requests = {name for name in asked if messages.valid_request_id(name)}
    for event, path in seen:
        parent, _, name = path.rpartition("/")
        assert (event, parent) in (("open", str(folder.path)), ("os.remove", str(folder.path)))
        assert name in requests or overflow.is_overflow_name(name)
    assert len(received) <= MAX_RECEIVED
    assert again == []
    assert len(told) <= len(box.counts)
    assert all(len(one) < 1_000 for one in told)
    for message, size in received:
        assert CONTENT not in repr(message).encode()
        assert 0 <= size <= inbox.MAX_FILE_BYTES
        assert not isinstance(message, messages.File)
    gone = before - folder.names()
    assert all(name in requests or overflow.is_overflow_name(name) for name in gone)
    left = folder.names() & (
        requests | {name for name in before if overflow.is_overflow_name(name)}
    )
    assert not any((folder.path / name).is_file() for name in left if not _is_link(folder, name))
    folder.check_outside()


def _name(draw: Draw) -> str:
    index = draw.byte()
    return NAMES[index] if index < len(NAMES) else draw.take(index % 40).decode("utf-8", "replace")


def _is_link(folder: Folder, name: str) -> bool:
    return (folder.path / name).is_symlink()


def seeds() -> Iterator[tuple[str, bytes]]:
    """Each kind of entry under each kind of name, asked for; and what JSON can say."""
    from fuzz.lines import HOSTILE
    from tests.vectors import generate

    body = bytes.fromhex(generate.MESSAGES[1]["body_hex"])
    good = bytes((messages.RESULT,)) + body
    for entry in range(len(ENTRIES)):
        for name in (0, 2, 6, 11):
            content = good if entry == 3 else b'"x"'
            yield (
                f"entry-{entry}",
                bytes((1, name, entry)) + block(content) + bytes((1, name)) + block(b"r-1"),
            )
    for payload in HOSTILE:
        yield "payload", bytes((1, 0, 2)) + block(payload) + bytes((1, 0)) + block(b"")
    for named in (b"../outside", OVERFLOW.encode(), b"/etc/hostname", b"\0"):
        yield "named", bytes((1, 2, 4)) + block(named) + bytes((0,)) + block(named)
    damaged = generate.frame(2, b"body")[:-1] + generate.frame(2, body)
    yield "damaged", bytes((1, 2, 0)) + block(damaged) + bytes((0,)) + block(b"")
    yield "pipe", bytes((0, 0)) + block(OVERFLOW.encode()) + generate.frame(2, body)
