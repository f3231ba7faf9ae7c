"""One Lambda environment: the product's decisions, carried out on the simulated clock.

`Schedule` (with its `Breaker`), `Backlog`, `Ledger` and `settle` are the extension's own, as
are their constants. What stands here is what `extension.loop` and `extension.delivery` carry:
events in, decisions out. A batch is one request, which holds for what `flush` allows by default.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from bench.fleet.clock import EPOCH_S, Clock
from bench.fleet.receiver import ACCEPTED, Receiver
from exporter.batch import Sent
from exporter.outcome import Outcome, Verdict
from exporter.record import Environment, Failure, Fate, Invocation, Payload, Record
from exporter.values import replace
from extension.backlog import Backlog, Stored, files_of
from extension.delivery import SPOOL_S_PER_BYTE, SPOOL_S_PER_RECORD
from extension.ledger import NOTHING, WAITING, Amount, Ledger
from extension.loop import FROZEN_S, SHUTDOWN_WINDOW_S
from extension.outcomes import settle
from extension.pipeline import Exported
from extension.schedule import Schedule, Waiting
from extension.settings import FlushSettings, SpoolSettings

CONVERSION_S = 0.005
"""From the decision to the first byte: spans, protobuf and gzip of a small batch."""
ABORT_S = 0.001
"""From the loop's abort to the worker's word that the request is over."""
SPOOL_FULL = "spool_full"


@dataclass(frozen=True, slots=True)
class Load:
    """What a function does. Times are drawn anew for each invocation, exponential about the mean.

    `gap_s` is from the end of one to the next INVOKE; `failed_part` of the invocations raise.
    """

    gap_s: float = 1.0
    duration_s: float = 0.1
    timeout_s: float = 10.0
    failed_part: float = 0.01
    body_bytes: int = 500


@dataclass(frozen=True, slots=True)
class Sending:
    """How an environment sends. `one_way_s`: half of a round trip to the receiver.

    Without `jitter` every random number of the schedule is 0.0, which is the most it can be
    without.
    """

    flush: FlushSettings = field(default_factory=FlushSettings)
    timeout_s: float = 10.0
    one_way_s: float = 0.001
    jitter: bool = True
    spool: SpoolSettings = field(default_factory=SpoolSettings)


class MemoryStore:
    """`extension.backlog.Store` without a disk, within the spool's bytes."""

    def __init__(self, max_bytes: int) -> None:
        self.files: deque[tuple[Stored, int]] = deque()
        self._free_bytes = max_bytes
        self._count = 0

    def put(self, records: Sequence[Record], amount: Amount, weight_bytes: int) -> bool:
        """See `Store.put`."""
        if weight_bytes > self._free_bytes:
            return False
        self._free_bytes -= weight_bytes
        self._count += 1
        self.files.append((Stored(str(self._count), amount, list(records)), weight_bytes))
        return True

    def take(self) -> Stored | None:
        """See `Store.take`."""
        return self.files[0][0] if self.files else None

    def remove(self, name: str) -> None:
        """See `Store.remove`."""
        for index, (stored, weight_bytes) in enumerate(self.files):
            if stored.name == name:
                self._free_bytes += weight_bytes
                del self.files[index]
                return


@dataclass(slots=True)
class _Request:
    numbers: list[int]
    until_s: float
    was_sent: bool = False
    is_over: bool = False
    is_stuck: bool = False
    """The environment was frozen before the first byte."""
    status: int | None = None
    """The answer that came while the environment was frozen."""


@dataclass(slots=True)
class Tally:
    """What the whole fleet has lived through, by the number of each invocation."""

    ended_s: list[float] = field(default_factory=list)
    held_s: list[float] = field(default_factory=list)
    """After the function's end until `/next`: what the user pays for."""


class SimulatedEnvironment:
    """From `begin_s` until its SHUTDOWN at `shutdown_s`, or right after, when it is idle."""

    def __init__(
        self,
        clock: Clock,
        receiver: Receiver,
        tally: Tally,
        sending: Sending,
        load: Load,
        rng: random.Random,
        begin_s: float,
        shutdown_s: float,
    ) -> None:
        self.ledger = Ledger()
        self.store = MemoryStore(sending.spool.max_bytes)
        self._clock = clock
        self._receiver = receiver
        self._tally = tally
        self._sending = sending
        self._load = load
        self._rng = rng
        self._schedule = Schedule(self._draw if sending.jitter else lambda: 0.0)
        self._schedule.configure(sending.flush, sending.timeout_s)
        self._schedule.on_prepared()
        self._backlog = Backlog(self.ledger, self.store)
        self._template = _template(load.body_bytes)
        self._invoked_count = 0
        self._finished: Invocation | None = None
        self._has_failure = False
        self._is_running = False
        self._is_frozen = True
        self._is_leaving = False
        self._is_over = False
        self._shutdown_due = False
        self._asked = True
        self._ended_s = 0.0
        self._frozen_s = 0.0
        self._thawed = False
        self._request: _Request | None = None
        self._wake_count = 0
        clock.at(begin_s, self._invoke)
        clock.at(shutdown_s, self._shutdown)

    @property
    def left_numbers(self) -> list[int]:
        """Invocations that lie in `/tmp` when it has gone: nobody comes for them."""
        return [_number(record) for stored, _ in self.store.files for record in stored.records]

    # What happens

    def _draw(self) -> float:
        return self._rng.random()

    def _invoke(self) -> None:
        if self._shutdown_due:
            return
        now = self._clock.instant()
        self._thaw()
        self._accept_finished()
        self._invoked_count += 1
        self._is_running, self._asked = True, False
        self._schedule.on_invoke(
            now,
            now.monotonic_s + self._load.timeout_s,
            first=self._invoked_count == 1,
            writer_expected=True,
        )
        self._schedule.on_start()
        longest_s = self._load.timeout_s / 2
        duration_s = min(self._rng.expovariate(1 / self._load.duration_s), longest_s)
        self._clock.at(now.monotonic_s + duration_s, self._end)
        self._carry_out()

    def _end(self) -> None:
        now_s = self._clock.now_s
        failed = self._rng.random() < self._load.failed_part
        number = len(self._tally.ended_s)
        self._tally.ended_s.append(now_s)
        self._ended_s = now_s
        self._is_running = False
        self._finished = replace(
            self._template,
            ordinal=self._invoked_count,
            span_id=number.to_bytes(8, "big"),
            end_unix_ns=int((EPOCH_S + now_s) * 1e9),
            fate=Fate.RAISED if failed else Fate.RETURNED,
            failure=Failure("ValueError") if failed else None,
        )
        holding = self._schedule.awaits_end(now_s)
        self._schedule.on_end(now_s, failed=failed)
        if holding:
            self._accept_finished()
        self._carry_out()

    def _shutdown(self) -> None:
        """SHUTDOWN comes to an environment that is idle."""
        self._shutdown_due = True
        if not self._is_frozen:
            return  # `_freeze` comes back to it
        now_s = self._clock.now_s
        self._thaw()
        self._accept_finished()
        self._is_leaving = True
        self._schedule.on_shutdown(now_s, now_s + SHUTDOWN_WINDOW_S)
        self._carry_out()

    def _accept_finished(self) -> None:
        record, self._finished = self._finished, None
        if record is not None:
            self._backlog.accept(record, self._clock.instant())
            self._has_failure = self._has_failure or record.failure is not None

    # What is decided, and done

    def _waiting(self) -> Waiting:
        count, size_bytes = len(self._backlog), self._backlog.waiting_bytes
        return Waiting(
            count,
            size_bytes,
            self._backlog.oldest_age_s(self._clock.instant()),
            self._has_failure,
            has_spooled=bool(self.store.files),
            farewell_s=count * SPOOL_S_PER_RECORD + size_bytes * SPOOL_S_PER_BYTE,
        )

    def _carry_out(self) -> None:
        """As `Loop._carry_out`: ask for decisions until one only waits."""
        now_s = self._clock.now_s
        while True:
            decision = self._schedule.decide(
                self._clock.instant(), self._waiting(), can_export=True
            )
            if decision.abort and self._request is not None:
                self._give_up(self._request, now_s + ABORT_S)
            if decision.exit:
                self._leave()
                return
            if decision.export_for_s is not None:
                self._begin_export(decision.max_count, now_s + decision.export_for_s)
            if decision.ask:
                self._asked = True
            elif decision.export_for_s is None and not decision.abort:
                break
        self._wake_count += 1
        if decision.wake_at_s is not None:
            self._clock.at(decision.wake_at_s, self._waking(self._wake_count))
        if self._asked and not (self._is_running or self._is_frozen or self._is_leaving):
            self._freeze()

    def _waking(self, count: int) -> Callable[[], None]:
        def wake() -> None:
            if count == self._wake_count and not (self._is_frozen or self._is_over):
                self._carry_out()

        return wake

    def _begin_export(self, max_count: int, until_s: float) -> None:
        batch = self._backlog.lend(max_count, self._sending.flush.max_bytes)
        self._has_failure = False
        self._thawed = False
        request = _Request([_number(record) for record in batch], until_s)
        self._request = request
        self._send(request)
        self._give_up(request, until_s)

    def _send(self, request: _Request) -> None:
        def leave() -> None:
            if self._is_frozen:
                request.is_stuck = True
            elif not request.is_over:
                request.was_sent = True
                self._clock.at(
                    self._clock.now_s + self._sending.one_way_s, lambda: self._reach(request)
                )

        self._clock.at(self._clock.now_s + CONVERSION_S, leave)

    def _reach(self, request: _Request) -> None:
        """What has left arrives, whatever its sender does by then."""

        def answer(status: int) -> None:
            arrives_s = self._clock.now_s + self._sending.one_way_s
            self._clock.at(arrives_s, lambda: self._answered(request, status))

        self._receiver.take(request.numbers, answer)

    def _give_up(self, request: _Request, at_s: float) -> None:
        def over() -> None:
            if not (request.is_over or self._is_frozen or self._is_over):
                self._settle(request, None)
                self._carry_out()

        self._clock.at(at_s, over)

    def _answered(self, request: _Request, status: int) -> None:
        if self._is_frozen:
            request.status = status
        elif not (request.is_over or self._is_over):
            self._settle(request, status)
            self._carry_out()

    def _settle(self, request: _Request, status: int | None) -> None:
        request.is_over = True
        self._request = None
        count = len(request.numbers)
        outcome = Outcome(
            Verdict.ACCEPTED if status == ACCEPTED else Verdict.RETRYABLE,
            count,
            "no answer in time" if status is None else f"answered {status}",
            uncertain=status is None and request.was_sent,
        )
        settled = settle(Exported((Sent(count, outcome),)), self._backlog)
        self._schedule.on_export_done(
            self._clock.instant(),
            answered=settled.answered,
            failed=settled.failed,
            late=settled.late,
            retry_after_s=settled.retry_after_s,
            thawed=self._thawed,
        )

    # Freeze, thaw and the end

    def _freeze(self) -> None:
        now_s = self._clock.now_s
        self._is_frozen, self._frozen_s = True, now_s
        self._tally.held_s.append(now_s - self._ended_s)
        if self._shutdown_due:
            self._shutdown()
        else:
            self._clock.at(now_s + self._rng.expovariate(1 / self._load.gap_s), self._invoke)

    def _thaw(self) -> None:
        """What came in a freeze is seen now; a request whose time ran out in it is over."""
        now_s = self._clock.now_s
        self._is_frozen = False
        request = self._request
        if request is None:
            return
        self._thawed = now_s - self._frozen_s > FROZEN_S
        if now_s >= request.until_s:
            self._settle(request, None)
        elif request.status is not None:
            self._settle(request, request.status)
        elif request.is_stuck:
            request.is_stuck = False
            self._send(request)

    def _leave(self) -> None:
        """As `Delivery.leave`: what is left goes to `/tmp`, or is dropped."""
        self._is_over = True
        backlog = self._backlog
        if backlog.is_lent:
            backlog.returned(uncertain=backlog.lent_count)
        for chunk in files_of(backlog.take_all()):
            if backlog.keep(chunk):
                continue
            left = [backlog.strip(entry, SPOOL_FULL) for entry in chunk]
            if not backlog.keep(left):
                self.ledger.drop(
                    sum((entry.amount for entry in left), NOTHING), WAITING, SPOOL_FULL
                )


def _number(record: Record) -> int:
    return int.from_bytes(record.span_id, "big")


def _template(body_bytes: int) -> Invocation:
    return Invocation(
        ordinal=1,
        request_id="8c1f9b6a-0000-4000-8000-000000000000",
        invoked_function_arn="arn:aws:lambda:eu-west-1:123456789012:function:shop:live",
        environment=Environment("shop", "7", region="eu-west-1", memory_mb=128),
        trace_id=bytes(15) + b"\1",
        span_id=bytes(8),
        start_unix_ns=int(EPOCH_S * 1e9),
        end_unix_ns=int(EPOCH_S * 1e9),
        fate=Fate.RETURNED,
        deadline_unix_ms=int(EPOCH_S * 1e3) + 10_000,
        result=Payload(b"x" * body_bytes, body_bytes, False, "text"),
    )
