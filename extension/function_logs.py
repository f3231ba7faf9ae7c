"""The function's log lines on their way to the exporter: whose they are, bounded; no I/O.

A line that names its request is that invocation's; another is that of the newest invocation that
the platform had begun before it, which on Managed Instances nobody can tell. It waits until that
invocation's span has its IDs, then for the next time that `/next` has been asked.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection

from exporter.log_lines import LogLine, SentLogs
from exporter.record import Environment, Invocation
from exporter.values import replace
from extension.platform_events import LoggedLine, Started

MAX_BYTES = 4 * 1024 * 1024
MAX_LINES = 8_192
"""What may wait; the oldest go first, since the last ones tell of a crash."""
LENT_BYTES = 524_288
LENT_LINES = 1_000
"""Of one request, 30 to 65 ms of conversion."""
LOOKED_AT = 2 * LENT_LINES
"""At once, since those that are behind lines which must wait most often must wait too."""
REMEMBERED = 256
"""Invocations whose lines may still come."""
FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0
"""After a failure, doubled each time: no invocation pays for it again and again."""

CUT = "log_lines_cut"
REJECTED = "log_lines_rejected"
UNSENT = "log_lines_unsent"


class _Life:
    """One invocation, as far as its lines go; `told` by the platform. Its span's IDs come late."""

    __slots__ = ("request_id", "span_id", "time_unix_ns", "told", "trace_id")

    def __init__(self, request_id: str, time_unix_ns: int) -> None:
        self.request_id = request_id
        self.time_unix_ns = time_unix_ns
        self.told = False
        self.trace_id = self.span_id = b""


class FunctionLogs:
    """`lend` gives what may leave, `settle` takes what became of it. `counts` has what was cut.

    Before the configuration is known lines are kept; `switch` says whether they are wanted.
    """

    def __init__(self, *, managed: bool) -> None:
        self.counts: dict[str, int] = {}
        self._managed = managed
        self._wanted = True
        self._lent_bytes = LENT_BYTES
        self._lives: deque[_Life] = deque(maxlen=REMEMBERED)
        self._waiting: deque[LoggedLine] = deque()
        self._waiting_bytes = 0
        self._lent: list[LoggedLine] = []
        self._pause_s = 0.0
        self._not_before_s = float("-inf")
        self._leaving = False

    def switch(self, *, on: bool, max_request_bytes: int = LENT_BYTES) -> None:
        """Whether they are wanted at all, and what a request may hold; one line may be more."""
        self._wanted = on
        self._lent_bytes = min(LENT_BYTES, max_request_bytes)
        if not on:
            self._lives.clear()
            self._waiting.clear()
            self._waiting_bytes = 0

    def leave(self) -> None:
        """SHUTDOWN: everything may leave, and a pause is over."""
        self._leaving, self._not_before_s = True, float("-inf")

    @property
    def presses(self) -> bool:
        """Whether an export is worth while for lines alone: at the end, while they are taken."""
        pausing = self._not_before_s != float("-inf")
        return self._leaving and bool(self._waiting or self._lent) and not pausing

    def note_started(self, event: Started) -> None:
        """``platform.start``, before the lines of its invocation."""
        if not self._wanted:
            return
        time_ns = event.time_unix_ns or 0
        untold = [one for one in self._of(event.request_id) if not one.told]
        life = untold[0] if untold else self._begin(event.request_id, time_ns)
        life.told = True
        life.time_unix_ns = min(life.time_unix_ns, time_ns)

    def note_record(self, record: Invocation) -> None:
        """Its span has its IDs now."""
        if not self._wanted:
            return
        unknown = [one for one in self._of(record.request_id) if not one.span_id]
        life = unknown[0] if unknown else self._begin(record.request_id, record.start_unix_ns)
        life.trace_id, life.span_id = record.trace_id, record.span_id

    def _of(self, request_id: str) -> list[_Life]:
        return [one for one in self._lives if one.request_id == request_id]

    def _begin(self, request_id: str, time_unix_ns: int) -> _Life:
        self._lives.append(_Life(request_id, time_unix_ns))
        return self._lives[-1]

    def add(self, line: LoggedLine) -> None:
        """One line came."""
        if not self._wanted:
            return
        self._waiting.append(line)
        self._waiting_bytes += len(line.event)
        while len(self._waiting) > MAX_LINES or self._waiting_bytes > MAX_BYTES:
            self._waiting_bytes -= len(self._waiting.popleft().event)
            self._count(CUT, 1)

    def lend(
        self,
        open_request_ids: Collection[str],
        environment: Environment,
        now_s: float,
    ) -> list[LogLine]:
        """The oldest whose invocations have their spans, for one request; they stay ours."""
        if self._lent or now_s < self._not_before_s:
            return []
        found: list[LogLine] = []
        left: deque[LoggedLine] = deque()
        size = 0
        for _ in range(min(len(self._waiting), LOOKED_AT)):
            if len(found) >= LENT_LINES or size >= self._lent_bytes:
                break
            line = self._waiting.popleft()
            made = self._resolved(line, open_request_ids, environment)
            if made is None:
                left.append(line)
                continue
            size += len(line.event)
            self._lent.append(line)
            found.append(made)
        self._waiting.extendleft(reversed(left))
        self._waiting_bytes -= size
        return found

    def settle(self, sent: SentLogs | None, now_s: float) -> None:
        """What became of those lent; None: they were not tried. The rest waits again, first."""
        lent, self._lent = self._lent, []
        if not lent:
            return
        sent_count = sent.done if sent is not None else 0
        back = lent[sent_count:]
        self._waiting.extendleft(reversed(back))
        self._waiting_bytes += sum(len(line.event) for line in back)
        if sent is None:
            return
        self._count(REJECTED, sent.rejected)
        if sent_count:
            self._pause_s, self._not_before_s = 0.0, float("-inf")
        else:
            self._pause_s = min(max(2 * self._pause_s, FIRST_PAUSE_S), LONGEST_PAUSE_S)
            self._not_before_s = now_s + self._pause_s

    def unsent(self) -> dict[str, int]:
        """`counts` at the end, with what is left."""
        self._count(UNSENT, len(self._waiting) + len(self._lent))
        return self.counts

    def _resolved(
        self, line: LoggedLine, open_request_ids: Collection[str], environment: Environment
    ) -> LogLine | None:
        """`line` with its span; None while that may still come."""
        life = self._life_of(line)
        request_id = line.request_id if life is None else life.request_id
        found = LogLine(line.event, line.time_unix_ns, environment, request_id)
        if life is not None and life.span_id:
            return replace(found, trace_id=life.trace_id, span_id=life.span_id)
        is_newest = life is not None and life is self._lives[-1]
        if not self._leaving and (request_id in open_request_ids or is_newest):
            return None
        return found

    def _life_of(self, line: LoggedLine) -> _Life | None:
        if self._managed and not line.request_id:
            return None
        named: _Life | None = None
        for life in reversed(self._lives):
            if line.request_id in ("", life.request_id):
                if life.time_unix_ns <= line.time_unix_ns:
                    return life
                named = life
        return named if line.request_id else None

    def _count(self, reason: str, count: int) -> None:
        if count:
            self.counts[reason] = self.counts.get(reason, 0) + count
