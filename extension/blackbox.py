"""What a killed extension had in memory, told to the next one: a page in a file that is mapped.

What is written there survives SIGKILL, as the page cache does, and costs no system call. Two
slots are written in turn, so that one is whole whenever the process dies. A slot, big-endian::

    0        4        8         12            16        24     32           40       44
    | CRC-32 | serial | is open | others open | waiting | lent | body bytes | length | record …

`serial` says which slot is newer. The record is that of the invocation that was running, as
`exporter.record_json` writes it.
"""

from __future__ import annotations

import mmap
import os
import stat
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass

from exporter.record import Invocation
from exporter.weight import bare
from extension.ledger import Amount

NAME = "spanpipe-blackbox"
SLOT_BYTES = 8_192
_HEAD = struct.Struct(">III")
_COUNTS = struct.Struct(">IQQQI")
_CRC_BYTES = 4
_SIZE_BYTES = 2 * SLOT_BYTES


@dataclass(frozen=True, slots=True)
class Remains:
    """What died with an extension. `uncertain` of `waiting` were being exported.

    `running` is the invocation that ran, `open_count` how many others were open.
    """

    waiting: Amount
    uncertain: Amount
    open_count: int
    running: Invocation | None


class BlackBox:
    """Take `remains` once, then `note` whatever changes; `close` when nothing is lost."""

    def __init__(self, directory: str, on_bad: Callable[[str], None]) -> None:
        self.remains: Remains | None = None
        self._map: mmap.mmap | None = None
        self._serial = 0
        self._written: object = None
        path = f"{directory}/{NAME}"
        try:
            self._map = _mapped(path)
        except (OSError, ValueError) as error:
            on_bad(f"{path}: {error}; what dies with this extension will not be known")
            return
        slots = [slot for slot in map(self._read, (0, 1)) if slot is not None]
        if slots:
            self._serial, self.remains = max(slots, key=lambda slot: slot[0])

    def note(
        self,
        waiting: Amount,
        lent: Amount,
        open_count: int,
        running: Callable[[], Invocation | None],
        key: object,
    ) -> None:
        """`running` is asked for where `key`, which stands for it, has changed."""
        state = (waiting, lent, open_count, key)
        if self._map is None or state == self._written:
            return
        self._written = state
        from exporter.record_json import to_json  # not before the loop waits for the first time

        record = running()
        text = b"" if record is None else to_json([bare(record)])
        counts = _COUNTS.pack(
            open_count - (record is not None),
            waiting.invocations,
            lent.invocations,
            waiting.body_bytes,
            len(text),
        )
        if len(counts) + len(text) > SLOT_BYTES - _HEAD.size:
            # Names and headers of the longest kind: counted at least.
            counts, text = (
                _COUNTS.pack(open_count, waiting.invocations, lent.invocations, 0, 0),
                b"",
            )
        self._write(1, counts + text)

    def close(self) -> None:
        """Nothing is at stake any more."""
        self._write(0, _COUNTS.pack(0, 0, 0, 0, 0))

    def _write(self, is_open: int, data: bytes) -> None:
        if self._map is None:
            return
        self._serial = (self._serial + 1) % 2**32
        body = _HEAD.pack(0, self._serial, is_open)[_CRC_BYTES:] + data
        start = (self._serial % 2) * SLOT_BYTES
        self._map[start + _CRC_BYTES : start + _CRC_BYTES + len(body)] = body
        self._map[start : start + _CRC_BYTES] = zlib.crc32(body).to_bytes(_CRC_BYTES, "big")

    def _read(self, index: int) -> tuple[int, Remains | None] | None:
        """(Serial, what it tells); None for a slot that is not whole."""
        if self._map is None:
            return None
        slot = self._map[index * SLOT_BYTES : (index + 1) * SLOT_BYTES]
        crc, serial, is_open = _HEAD.unpack_from(slot)
        others, waiting, lent, body_bytes, length = _COUNTS.unpack_from(slot, _HEAD.size)
        end = _HEAD.size + _COUNTS.size + length
        if end > SLOT_BYTES or zlib.crc32(slot[_CRC_BYTES:end]) != crc:
            return None
        if not is_open:
            return serial, None
        from exporter.record_json import RecordError, from_json

        text = slot[end - length : end]
        running = None
        try:
            for record in from_json(text) if text else ():
                running = record if isinstance(record, Invocation) else None
        except RecordError:
            return None
        return serial, Remains(
            Amount(waiting, body_bytes), Amount(min(lent, waiting)), others, running
        )


def _mapped(path: str) -> mmap.mmap:
    """The file, made where it is not there. Raises OSError, ValueError."""
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    descriptor = os.open(path, flags, 0o600)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid():
            raise ValueError("not a regular file of our own user")
        # The blocks are taken now: a full disk later would end the process by SIGBUS.
        os.posix_fallocate(descriptor, 0, _SIZE_BYTES)
        return mmap.mmap(descriptor, _SIZE_BYTES)
    finally:
        os.close(descriptor)
