"""What a killed extension had in memory, told to the next one: a small file, written in place.

What is written there survives SIGKILL, as the page cache does. It is not mapped: whoever
truncates a mapped file kills the process (SIGBUS). Two slots are written in turn, so that one is
whole whenever the process dies. A slot, big-endian::

    0        4        8         12            16        24     32           40       44
    | CRC-32 | serial | is open | others open | waiting | lent | body bytes | length | record …

`serial` says which slot is newer. The record is that of the invocation that was running, as
`exporter.record_json` writes it.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Callable

from exporter.record import Invocation
from exporter.values import dataclass
from exporter.weight import bare
from extension.ledger import Amount
from fifo import files

NAME = "spanpipe-blackbox"
SLOT_BYTES = 8_192
_HEAD = struct.Struct(">III")
_COUNTS = struct.Struct(">IQQQI")
_CRC_BYTES = 4


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
        self._descriptor = -1
        self._serial = 0
        self._written: object = None
        path = f"{directory}/{NAME}"
        try:
            self._descriptor = _opened(path)
        except (OSError, files.StrangeFileError) as error:
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
        told = (waiting.invocations, lent.invocations, waiting.body_bytes)
        state = (told, open_count, key)
        if self._descriptor < 0 or state == self._written:
            return
        self._written = state
        from exporter.record_json import to_json  # not before the loop waits for the first time

        record = running()
        text = b"" if record is None else to_json([bare(record)])
        counts = _COUNTS.pack(open_count - (record is not None), *told, len(text))
        if len(counts) + len(text) > SLOT_BYTES - _HEAD.size:
            # Names and headers of the longest kind: counted at least.
            counts, text = _COUNTS.pack(open_count, *told[:2], 0, 0), b""
        self._write(1, counts + text)

    def close(self) -> None:
        """Nothing is at stake any more."""
        self._write(0, _COUNTS.pack(0, 0, 0, 0, 0))
        self.release()

    def release(self) -> None:
        """Note nothing more, and leave what is written as it is."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _write(self, is_open: int, data: bytes) -> None:
        if self._descriptor < 0:
            return
        self._serial = (self._serial + 1) % 2**32
        body = _HEAD.pack(0, self._serial, is_open)[_CRC_BYTES:] + data
        slot = zlib.crc32(body).to_bytes(_CRC_BYTES, "big") + body
        try:
            os.pwrite(self._descriptor, slot, (self._serial % 2) * SLOT_BYTES)
        except OSError:
            pass  # a full disk: the older slot tells what was known then

    def _read(self, index: int) -> tuple[int, Remains | None] | None:
        """(Serial, what it tells); None for a slot that is not whole."""
        slot = os.pread(self._descriptor, SLOT_BYTES, index * SLOT_BYTES)
        if len(slot) < _HEAD.size + _COUNTS.size:
            return None
        crc, serial, is_open = _HEAD.unpack_from(slot)
        others, waiting, lent, body_bytes, length = _COUNTS.unpack_from(slot, _HEAD.size)
        end = _HEAD.size + _COUNTS.size + length
        if end > len(slot) or zlib.crc32(slot[_CRC_BYTES:end]) != crc:
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


def _opened(path: str) -> int:
    """The file, made where it is not there. Raises OSError, StrangeFileError."""
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    descriptor = os.open(path, flags, 0o600)
    try:
        files.check_own(descriptor)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor
