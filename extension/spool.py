"""Records on disk, beside the FIFOs: bounded in bytes and age, written whole, checksummed.

They survive a reset of the environment, which does not clear `/tmp`. Never the cause of a
failure: what cannot be written or read is counted, and told once. A file::

    spanpipe-spool 1 <CRC-32 of the rest, 8 hex digits>\\n
    <records, JSON: exporter.record_json>

Its name tells what is in it, so that a damaged one is still accounted for:
``spanpipe-spool-<Unix ns>-<invocations>-<body bytes>-<random>.json``, the numbers in 16, 8, 16
and 8 hex digits; ``.printed.json`` where its records stand in the log as well.
"""

from __future__ import annotations

import os
import re
import zlib
from collections.abc import Callable, Iterator, Sequence

from exporter.record import Record
from exporter.values import dataclass, replace
from extension.backlog import Stored, amount_of
from extension.ledger import Amount, total
from extension.settings import SpoolSettings
from fifo import files

_NAME = re.compile(
    r"spanpipe-spool-([0-9a-f]{16})-([0-9a-f]{8})-([0-9a-f]{16})-[0-9a-f]{8}(?:\.printed)?\.json"
)
_PRINTED = ".printed.json"
_HEAD = re.compile(rb"spanpipe-spool 1 ([0-9a-f]{8})\n")
MAX_FILE_BYTES = 16 * 1024 * 1024
"""One record with the largest body is two thirds of that."""
MAX_ENTRIES = 4_096
"""Of the folder: `/tmp` is the function's too."""
MAX_SET_ASIDE = 4
"""Damaged files that are kept for a look; the oldest go."""
_ASIDE = ".damaged"


@dataclass(frozen=True, slots=True)
class _File:
    name: str
    unix_ns: int
    amount: Amount
    size_bytes: int


REFUSED_FOR_NS = 10_000_000_000
"""A full disk may have room again; to ask costs some 10 ms for 256 records."""


class Spool:
    """`lost` is told of what was given up and why; `on_bad` of a first trouble of each kind.

    The bounds hold from `settings` on; before the configuration is read they are its defaults.
    """

    def __init__(
        self,
        directory: str,
        lost: Callable[[Amount, str], None],
        on_bad: Callable[[str], None],
        *,
        unix_ns: Callable[[], int],
        draw: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self.settings = SpoolSettings()
        self._directory = directory
        self._lost = lost
        self._on_bad = on_bad
        self._told: set[str] = set()
        self._unix_ns = unix_ns
        self._draw = draw
        self._files: list[_File] = []
        self._refused_bytes = 0
        self._refused_unix_ns = 0

    @property
    def is_empty(self) -> bool:
        """Whether nothing lies there."""
        return not self._files

    @property
    def amount(self) -> Amount:
        """What lies there."""
        return total(file.amount for file in self._files)

    def scan(self) -> Amount:
        """Adopt what an extension before this one has left; how much that is."""
        found = []
        try:
            with os.scandir(self._directory) as entries:
                for _, entry in zip(range(MAX_ENTRIES), entries, strict=False):
                    file = _file(entry)
                    if file is not None:
                        found.append(file)
                if next(entries, None) is not None:
                    self._trouble(f"{self._directory}: over {MAX_ENTRIES} entries: not all seen")
        except OSError as error:
            self._trouble(f"{self._directory}: cannot be listed: {error.strerror}")
        self._files = sorted(found, key=lambda file: file.name)
        return self.amount

    def put(self, records: Sequence[Record], amount: Amount, weight_bytes: int) -> bool:
        """Keep `records` in one file; False where bounds or disk forbid it.

        What was refused is not written down again for nothing: as much is refused at once for a
        while, unless something has gone.
        """
        from exporter.record_json import to_json  # not before there is something to write

        self._expire()
        moment = self._unix_ns()
        again = abs(moment - self._refused_unix_ns) >= REFUSED_FOR_NS
        if self._refused_bytes and weight_bytes >= self._refused_bytes and not again:
            return False
        self._refused_bytes, self._refused_unix_ns = max(1, weight_bytes), moment
        data = to_json(records)
        size = sum(file.size_bytes for file in self._files) + len(data)
        if size > self.settings.max_bytes or len(data) > MAX_FILE_BYTES:
            return False
        name = (
            f"spanpipe-spool-{moment:016x}-{amount.invocations:08x}-{amount.body_bytes:016x}"
            f"-{self._draw(4).hex()}.json"
        )
        head = f"spanpipe-spool 1 {zlib.crc32(data):08x}\n".encode("ascii")
        try:
            files.write_whole(self._directory, name, head + data)
        except OSError as error:
            self._trouble(f"{self._directory}/{name}: cannot be written: {error.strerror}")
            return False
        self._files.append(_File(name, moment, amount, len(data)))
        self._refused_bytes = 0
        return True

    def take(self) -> Stored | None:
        """The oldest file that can be read; those that cannot are set aside and counted."""
        self._expire()
        while self._files:
            stored = self._read(self._files[0])
            if stored is not None:
                return stored
        return None

    def unprinted(self) -> Iterator[Stored]:
        """Every file whose records were not printed, oldest first."""
        for file in [one for one in self._files if not one.name.endswith(_PRINTED)]:
            stored = self._read(file)
            if stored is not None:
                yield stored

    def mark_printed(self, name: str) -> None:
        """Its records stand in the log; they need not be printed again."""
        marked = name.removesuffix(".json") + _PRINTED
        try:
            os.rename(f"{self._directory}/{name}", f"{self._directory}/{marked}")
        except OSError as error:
            self._trouble(f"{self._directory}/{name}: cannot be renamed: {error.strerror}")
            return
        self._files = [
            replace(file, name=marked) if file.name == name else file for file in self._files
        ]

    def remove(self, name: str) -> None:
        """Its records have arrived, or were taken back."""
        self._refused_bytes = 0
        self._files = [file for file in self._files if file.name != name]
        try:
            os.unlink(f"{self._directory}/{name}")
        except OSError as error:
            self._trouble(f"{self._directory}/{name}: cannot be removed: {error.strerror}")

    def _read(self, file: _File) -> Stored | None:
        from exporter.record_json import RecordError

        path = f"{self._directory}/{file.name}"
        try:
            records = _records(files.read_own(path, MAX_FILE_BYTES))
            if total(map(amount_of, records)) != file.amount:
                raise RecordError("it holds something else than its name says")
        except (OSError, RecordError, files.StrangeFileError) as error:
            self._trouble(f"{path}: {error}")
            self._set_aside(file)
            return None
        return Stored(file.name, file.amount, records)

    def _expire(self) -> None:
        oldest_ns = self._unix_ns() - self.settings.max_age_s * 1_000_000_000
        for file in [one for one in self._files if one.unix_ns < oldest_ns]:
            self._lost(file.amount, "spool_expired")
            self.remove(file.name)

    def _set_aside(self, file: _File) -> None:
        self._files.remove(file)
        self._refused_bytes = 0
        self._lost(file.amount, "spool_damaged")
        path = f"{self._directory}/{file.name}"
        try:
            os.rename(path, path + _ASIDE)
            aside = sorted(name for name in os.listdir(self._directory) if _is_aside(name))
            for name in aside[:-MAX_SET_ASIDE]:
                os.unlink(f"{self._directory}/{name}")
        except OSError as error:
            self._trouble(f"{path}: cannot be set aside: {error.strerror}")

    def _trouble(self, text: str) -> None:
        kind = text.rpartition(": ")[2]
        if kind not in self._told and len(self._told) < MAX_SET_ASIDE:
            self._told.add(kind)
            self._on_bad(f"spool: {text}")


def _is_aside(name: str) -> bool:
    return name.endswith(_ASIDE) and _NAME.fullmatch(name.removesuffix(_ASIDE)) is not None


def _file(entry: os.DirEntry[str]) -> _File | None:
    match = _NAME.fullmatch(entry.name)
    if match is None:
        return None
    unix_ns, invocations, body_bytes = (int(digits, 16) for digits in match.groups())
    try:
        size = entry.stat(follow_symlinks=False).st_size
    except OSError:
        return None
    return _File(entry.name, unix_ns, Amount(invocations, body_bytes), size)


def _records(data: bytes) -> list[Record]:
    from exporter.record_json import RecordError, from_json

    head = _HEAD.match(data)
    if head is None:
        raise RecordError("no spool of this version")
    body = data[head.end() :]
    if zlib.crc32(body) != int(head.group(1), 16):
        raise RecordError("its checksum is wrong")
    return from_json(body)
