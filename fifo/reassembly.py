"""Frames into whole messages, bounded in number and bytes; no I/O.

A whole message is told as the one frame that would carry it, were there no bound to a frame.
"""

from fifo.wire import VERSION, Frame

MAX_PARTIAL_MESSAGES = 64
MAX_PARTIAL_BYTES = 1024 * 1024
"""What unfinished messages may hold together: 15 of the largest."""
MAX_WRITERS = 64
"""Writers whose counters are followed; every process of a function is one."""


class _Partial:
    __slots__ = ("count", "fragments", "kind", "size")

    def __init__(self, kind: int, count: int) -> None:
        self.kind = kind
        self.count = count
        self.fragments: dict[int, bytes] = {}
        self.size = 0


class _Writer:
    __slots__ = ("highest", "seen")

    def __init__(self) -> None:
        self.highest = 0
        self.seen = 0


class Reassembler:
    """One per extension; `add` each frame, whichever writer it is from.

    Counters: `incomplete_count` messages given up (the bound was reached, or fragments that
    contradict each other), `unsupported_count` frames of another protocol version.
    """

    __slots__ = (
        "_lost_of_forgotten",
        "_partial",
        "_partial_bytes",
        "_writers",
        "incomplete_count",
        "unsupported_count",
    )

    def __init__(self) -> None:
        self._partial: dict[tuple[int, int], _Partial] = {}
        self._partial_bytes = 0
        self._writers: dict[int, _Writer] = {}
        self._lost_of_forgotten = 0
        self.incomplete_count = 0
        self.unsupported_count = 0

    @property
    def partial_bytes(self) -> int:
        """Bytes held for messages that are not whole yet."""
        return self._partial_bytes

    @property
    def missing_count(self) -> int:
        """Messages that a followed writer numbered and that never came whole.

        Counters start at 1, so it is the highest seen less how many were seen; a message
        still on its way counts until it is here.
        """
        return self._lost_of_forgotten + sum(
            max(0, writer.highest - writer.seen) for writer in self._writers.values()
        )

    def add(self, frame: Frame) -> Frame | None:
        """The message that `frame` completes, or None."""
        if frame.version != VERSION:
            self.unsupported_count += 1
            return None
        if frame.count == 1:
            if self._partial:
                # A message that did not fit into the pipe comes again whole, by file.
                self._forget((frame.writer_id, frame.counter))
            self._count(frame.writer_id, frame.counter)
            return frame
        key = (frame.writer_id, frame.counter)
        partial = self._partial.get(key)
        if partial is None:
            partial = self._partial[key] = _Partial(frame.kind, frame.count)
        if (
            partial.kind != frame.kind
            or partial.count != frame.count
            or frame.sequence in partial.fragments
        ):
            self._give_up(key)
            return None
        partial.fragments[frame.sequence] = frame.body
        partial.size += len(frame.body)
        self._partial_bytes += len(frame.body)
        if len(partial.fragments) == partial.count:
            self._forget(key)
            body = b"".join(partial.fragments[index] for index in range(partial.count))
            self._count(*key)
            return Frame(frame.kind, *key, body)
        while len(self._partial) > MAX_PARTIAL_MESSAGES or self._partial_bytes > MAX_PARTIAL_BYTES:
            self._give_up(next(iter(self._partial)))
        return None

    def _count(self, writer_id: int, counter: int) -> None:
        writer = self._writers.get(writer_id)
        if writer is None:
            if len(self._writers) >= MAX_WRITERS:
                oldest = self._writers.pop(next(iter(self._writers)))
                self._lost_of_forgotten += max(0, oldest.highest - oldest.seen)
            writer = self._writers[writer_id] = _Writer()
        writer.seen += 1
        writer.highest = max(writer.highest, counter)

    def _forget(self, key: tuple[int, int]) -> None:
        partial = self._partial.pop(key, None)
        if partial is not None:
            self._partial_bytes -= partial.size

    def _give_up(self, key: tuple[int, int]) -> None:
        self._forget(key)
        self.incomplete_count += 1
