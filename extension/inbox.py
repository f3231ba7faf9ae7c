"""What the function left for us: the results FIFO, and files in the same folder.

Nothing read here is trusted. A file is opened without following links, must be a regular
file of our own user within its bound, and is removed once read.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable

from extension.spare import EXHAUSTED, SpareDescriptor
from fifo import files, messages, overflow, parsing, pipes, wire
from fifo.errors import ProtocolError
from fifo.reassembly import Reassembler

Received = tuple[messages.Message, int]
"""A message and the bytes it takes."""

MAX_READ_BYTES = 65_536
"""One read; the kernel copies no more at a time into a buffer that is made for it."""
MAX_FILE_BYTES = wire.MAX_FILE_BODY_BYTES + wire.MAX_FRAME_BYTES
MAX_FILES_BYTES = 16 * 1024 * 1024
"""Of the files read at once; the others wait for the next time."""
MAX_UNITS = 32_768
"""Frames and lines taken at once; those of whole messages are far fewer in a full pipe."""
MAX_FOLDER_ENTRIES = 4_096
"""Entries of the folder looked at for files without a frame: `/tmp` is the user's too."""
_FOLDER_TIME_GRAIN_NS = 20_000_000
_COARSE_TIME_GRAIN_NS = 2_000_000_000
"""A folder's modification time may be that much older than the change (timer tick); where it is
told in whole seconds, perhaps by that much (FAT)."""


class Inbox:
    """Reads; credits nothing. `counts` has what was unusable, by reason.

    `is_drained`: the last read has left nothing in the FIFO.

    `descriptor` is the results FIFO, or -1 where there is none; `on_bad` is told of the first
    of each reason what it was, since a stranger could fill the log with the others.
    """

    def __init__(self, directory: str, descriptor: int, on_bad: Callable[[str], None]) -> None:
        self.counts: dict[str, int] = {}
        self._directory = directory
        self._descriptor = descriptor
        self._on_bad = on_bad
        self._held_bytes = pipes.capacity_bytes(descriptor) if descriptor >= 0 else 0
        self._most_reads = 1 + self._held_bytes // MAX_READ_BYTES
        self._decoder = wire.Decoder()
        self._reassembler = Reassembler()
        self.is_drained = True
        self._folder_seen_ns = -1
        self._other_names: set[str] | None = None
        self._files_bytes = 0
        self._spare = SpareDescriptor()

    @property
    def is_nearly_full(self) -> bool:
        """Whether the FIFO is to three quarters: its writers may soon have to write files."""
        if self._descriptor < 0:
            return False
        return 4 * pipes.unread_bytes(self._descriptor) > 3 * self._held_bytes

    def read(self) -> list[Received]:
        """Some of what the FIFO holds now: what it holds more wakes the loop again.

        A busy writer cannot keep us here, and exports go on.
        """
        self._files_bytes = 0
        return self._receive(1, settle=False)

    def read_boundary(self, request_ids: Iterable[str], *, whole: bool = True) -> list[Received]:
        """All that was written before this moment: FIFO, then files.

        `request_ids` are the open invocations', whose files of the plain form may be there. Not
        `whole`: of a FIFO that is full, as much as `read` takes.
        """
        self._files_bytes = 0
        received = self._receive(self._most_reads if whole else 1, settle=True)
        self._read_files(request_ids, received)
        return received

    def gaps(self) -> dict[str, int]:
        """Counts that only the whole stream tells: garbage, unfinished and missing messages."""
        found = {
            "garbage": self._decoder.garbage_count,
            "incomplete": self._reassembler.incomplete_count,
            "unsupported_version": self._reassembler.unsupported_count,
            "missing": self._reassembler.missing_count,
        }
        return {reason: count for reason, count in found.items() if count}

    def _receive(self, most_reads: int, *, settle: bool) -> list[Received]:
        if self._descriptor < 0:
            return []
        received: list[Received] = []
        units = 0
        self.is_drained = False
        for _ in range(most_reads):
            if units > MAX_UNITS:
                self._bad("units_postponed", f"more than {MAX_UNITS} frames and lines at once")
                return received
            try:
                data = os.read(self._descriptor, MAX_READ_BYTES)
            except BlockingIOError:
                data = b""
            # All that was there: asking for that before each read costs as much as a read.
            self.is_drained = len(data) < MAX_READ_BYTES
            found = self._decoder.feed(data, settle=settle and self.is_drained)
            units += len(found)
            self._decode(found, received)
            if self.is_drained:
                break
        return received

    def _decode(
        self, units: list[wire.Frame | bytes], received: list[Received], *, in_file: bool = False
    ) -> None:
        for unit in units:
            try:
                if isinstance(unit, bytes):
                    received.append((parsing.parse_line(unit), len(unit)))
                    continue
                whole = self._reassembler.add(unit)
                if whole is None:
                    continue
                message = parsing.parse(whole.kind, whole.body)
            except ProtocolError as error:
                self._bad("malformed", str(error))
                continue
            if not isinstance(message, messages.File):
                received.append((message, len(whole.body)))
            elif in_file:
                self._bad("malformed", "a file names another file")
            else:
                self._named_file(message.name, received)

    def _named_file(self, name: str, received: list[Received]) -> None:
        if not overflow.is_overflow_name(name):
            self._bad("malformed", f"a FILE message names {name[:80]!r}, no file of ours")
            return
        data = self._take(name, MAX_FILE_BYTES)
        if data is None:
            return
        decoder = wire.Decoder(wire.MAX_FILE_BODY_BYTES)
        self._decode(decoder.feed(data, settle=True), received, in_file=True)
        if decoder.garbage_count:
            self._bad("malformed", f"{name}: {decoder.garbage_bytes} bytes are no frames")

    def _read_files(self, request_ids: Iterable[str], received: list[Received]) -> None:
        """Results of the plain form, then messages' files without a frame.

        While the folder is as it was, what it holds is known: one system call, however many
        invocations are open.
        """
        names = self._look_at_folder()
        known = self._other_names
        for request_id in request_ids:
            if (known is None or request_id in known) and messages.valid_request_id(request_id):
                received += self._payload_file(request_id)
        for name in sorted(names):
            self._named_file(name, received)

    def _look_at_folder(self) -> list[str]:
        """Names of messages' files; none where nothing has changed."""
        try:
            changed_ns = os.stat(self._directory).st_mtime_ns
            if changed_ns == self._folder_seen_ns:
                return []
            # What comes while it is looked at makes the folder newer than this.
            fine = changed_ns % 1_000_000_000 != 0
            grain_ns = _FOLDER_TIME_GRAIN_NS if fine else _COARSE_TIME_GRAIN_NS
            settled = _age_ns(changed_ns) > grain_ns
            names, self._other_names = self._spare.call(self._names)
        except OSError as error:
            self._folder_seen_ns, self._other_names = -1, None
            self._bad("folder", f"{self._directory}: {error.strerror}")
            return []
        self._folder_seen_ns = changed_ns if settled and not names else -1
        return names

    def _names(self) -> tuple[list[str], set[str] | None]:
        """(Messages' files, the other names in the folder); None where not all was looked at."""
        of_messages: list[str] = []
        others: set[str] = set()
        with os.scandir(self._directory) as entries:
            for looked_at, entry in enumerate(entries):
                if looked_at >= MAX_FOLDER_ENTRIES:
                    self._bad("folder_cut", f"{self._directory}: over {looked_at} entries")
                    return of_messages, None
                if overflow.is_overflow_name(entry.name):
                    of_messages.append(entry.name)
                else:
                    others.add(entry.name)
        return of_messages, others

    def _payload_file(self, request_id: str) -> list[Received]:
        data = self._take(request_id, MAX_FILE_BYTES)
        if data is None:
            return []
        try:
            result = parsing.parse_payload_file(request_id, data)
        except ProtocolError as error:
            self._bad("malformed", str(error))
            return []
        return [(result, len(data))]

    def _take(self, name: str, max_bytes: int) -> bytes | None:
        """The file's bytes, the file removed; None where there is none that we may read."""
        path = f"{self._directory}/{name}"
        if self._files_bytes > MAX_FILES_BYTES:
            self._bad("files_postponed", f"{path}: more than {MAX_FILES_BYTES} bytes of files")
            return None
        data: bytes | None = None
        try:
            data = self._spare.call(lambda: files.read_own(path, max_bytes))
            self._files_bytes += len(data)
        except FileNotFoundError:
            return None
        except files.TooLargeError as error:
            self._bad("file", f"{path}: {error}")
        except files.StrangeFileError as error:
            self._bad("file", f"{path}: {error}")
            return None
        except OSError as error:
            if error.errno in EXHAUSTED:
                # It is as good as before: the next look at the folder finds it.
                self._folder_seen_ns = -1
                self._bad("files_postponed", f"{path}: {error.strerror}")
            else:
                self._bad("file", f"{path}: {error.strerror}")
            return None
        try:
            os.unlink(path)
        except OSError as error:
            self._bad("file", f"{path}: {error.strerror}")
        return data

    def _bad(self, reason: str, text: str) -> None:
        self.counts[reason] = self.counts.get(reason, 0) + 1
        if self.counts[reason] == 1:
            self._on_bad(text)


def _age_ns(modified_unix_ns: int) -> int:
    import time

    return time.time_ns() - modified_unix_ns
