"""The function's end of the channel: hands messages over, and never costs more than its budget.

Nothing here blocks, and nothing raises into the function. What is to be said is encoded and
goes into the `Outlet`; what costs more than the budget is not said.
"""

import os
import time

from fifo import (
    caller,
    encoding,
    mailbox,
    messages,
    pipes,
    propagation,
    sampling,
    triggers,
    wire,
)
from fifo.bounded_json import Encoder, attributes_field
from fifo.errors import HostilePathError, ProtocolError
from fifo.failures import failure_of
from fifo.fields import cut_utf8, encode_field
from fifo.identifiers import Identifiers
from fifo.outlet import Outlet

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fifo.bounded_json import Encoded

BUDGET_S = 0.050
"""For all hand-overs of one invocation together; what is over it is dropped and counted."""

DETAILS_PART = 0.8
"""Of the budget, for spans, events and partial results: the rest is kept for the end."""

MAX_OTLP_BYTES = wire.MAX_FILE_BODY_BYTES - 256
"""A file's longest body, and the opening before it."""

POLICY_AGE_NS = 100_000_000
"""For so long a record of the mailbox is good: a read costs as much as a message."""

NOWHERE = (None, None, None, None)
"""A place of which nothing is known."""

_NO_BODY: "Encoded" = (b"", None, False, messages.NO_BODY)
_LONGEST_NAP_S = 0.005
_NOT_COLD = "provisioned-concurrency"


class Invocation:
    """What the function says about one invocation goes through this.

    `flags` are what others are told, `sdk_flags` what an SDK in the function is: without a sampler
    it records whatever comes. `spent_s` is what hand-overs have taken of the budget.
    """

    __slots__ = (
        "baggage",
        "flags",
        "prefix",
        "propagators",
        "request_id",
        "sdk_flags",
        "span_id",
        "spent_s",
        "trace_id",
        "tracestate",
        "trigger",
    )

    def __init__(
        self,
        request_id: str,
        trace_id: bytes,
        span_id: bytes,
        prefix: bytes,
        propagators: "tuple[str, ...]" = (),
        trigger: str = triggers.OTHER,
    ) -> None:
        self.request_id = request_id
        self.trace_id = trace_id
        self.span_id = span_id
        self.prefix = prefix
        self.spent_s = 0.0
        self.flags = propagation.SAMPLED
        self.sdk_flags = propagation.SAMPLED
        self.tracestate = ""
        self.baggage = ""
        self.propagators = propagators
        self.trigger = trigger


class _Known:
    """What is known of where the function runs, checked and encoded; `place` is what it came from.

    Of one place all together, since several threads may handle invocations.
    """

    __slots__ = ("fields", "memory_mb", "place")

    def __init__(self, place: "tuple[object, ...]") -> None:
        self.place = place
        self.memory_mb = integer_in(place[0])
        # In the order of their tags.
        self.fields = b"".join(
            _text_field(tag, text) for tag, text in enumerate(place[1:], messages.TAG_INVOKED_ARN)
        )


class Writer:
    """One for a process. Everything ambient is handed in.

    `dropped_count` counts messages that could not be handed over, `cut_count` bodies cut for
    want of a file, `fault_count` faults of ours that were kept from the function.
    """

    __slots__ = (
        "_body_limit_bytes",
        "_budget_s",
        "_control",
        "_details_limit_s",
        "_directory",
        "_drops_told",
        "_environ",
        "_known",
        "_monotonic",
        "_nobody",
        "_opening",
        "_outlet",
        "_policy_read_ns",
        "_propagators",
        "_started",
        "current",
        "cut_count",
        "dropped_count",
        "encoder",
        "fault_count",
        "identifiers",
        "policy",
        "request_encoder",
        "unix_ns",
    )

    def __init__(
        self,
        directory: str,
        *,
        environ: "Mapping[str, str]",
        budget_s: float = BUDGET_S,
        draw: "Callable[[int], bytes]" = os.urandom,
        monotonic: "Callable[[], float]" = time.monotonic,
        unix_ns: "Callable[[], int]" = time.time_ns,
    ) -> None:
        self._directory = directory
        self._environ = environ
        self._budget_s = budget_s
        self._monotonic = monotonic
        self.unix_ns = unix_ns
        self.identifiers = Identifiers(draw)
        self._control = -1
        self._started = False
        self._known = _Known(NOWHERE)
        self._drops_told = 0
        self._opening = b""
        self._policy_read_ns = -POLICY_AGE_NS
        self._outlet = Outlet(directory, draw, monotonic)
        self.encoder = Encoder()
        self.request_encoder = Encoder()
        self._follow(mailbox.Policy())
        self.current: Invocation | None = None
        self._nobody: Invocation | None = None
        self.cut_count = 0
        self.dropped_count = 0
        self.fault_count = 0

    # What a function may say. None of these raises.

    def announce(self) -> None:
        """Take the policy from the mailbox: it also tells the extension that a writer is here."""
        try:
            self._read_policy()
        except Exception:  # noqa: BLE001 - a fault of ours is not the function's
            self.fault_count += 1

    def start(
        self,
        request_id: str,
        *,
        deadline_unix_ms: int = 0,
        place: "tuple[object, ...]" = NOWHERE,
        xray_header: str = "",
        tenant_id: object = None,
        durable_execution_arn: object = None,
        event: object = None,
        of_sdk: "tuple[propagation.Context, propagation.Context | None] | None" = None,
    ) -> "Invocation | None":
        """Send START; None where nothing is to be sent for this invocation.

        `place` is the memory's limit in MB, the invoked ARN, log group and log stream; it, tenant
        and durable execution are taken as a handler's context and event have them, and what is of
        another type is left out. `of_sdk`: a span that stands for this invocation already, and its
        parent: its IDs are ours.
        """
        try:
            outlet = self._outlet
            if outlet.broken or not outlet.pid:
                outlet.check()
            self._nobody = None
            if outlet.absent:
                return None
            start_unix_ns = self.unix_ns()
            # A clock that was set back, or has stood still in a snapshot, makes it old as well.
            if not 0 <= start_unix_ns - self._policy_read_ns < POLICY_AGE_NS:
                self._policy_read_ns = start_unix_ns
                self._read_policy()
            policy = self.policy
            if not policy.enabled:
                return None
            found = triggers.recognise(event, policy.event_path)
            names = self._propagators
            parent = caller.parent_of(names, found, xray_header)
            if of_sdk is not None:
                own, parent = of_sdk
                trace_id, span_id = own.trace_id, own.span_id
            else:
                trace_id, span_id = self.identifiers.of_invocation()
                if parent is not None:
                    trace_id = parent.trace_id
            prefix = encoding.encode_prefix(request_id, span_id)
            invocation = Invocation(request_id, trace_id, span_id, prefix, names, found.trigger)
            if parent is not None:
                invocation.flags, invocation.tracestate = parent.flags & 0x03, parent.tracestate
            if policy.sampler:
                invocation.flags = self._told_flags(trace_id, parent)
                invocation.sdk_flags = invocation.flags
            if found.carrier and propagation.BAGGAGE in names:
                invocation.baggage = propagation.baggage_in(found.carrier)
            known = self._known
            if known.place != place:
                # As a rule once in a process's life.
                known = self._known = _Known(place)
            fields = known.fields
            if xray_header:
                fields += encode_field(messages.TAG_XRAY_HEADER, xray_header)
            if tenant_id or durable_execution_arn:
                fields += _text_field(messages.TAG_TENANT_ID, tenant_id)
                fields += _text_field(messages.TAG_DURABLE_EXECUTION_ARN, durable_execution_arn)
            cold = not self._started and self._is_cold()
            self._started = True
            body = encoding.encode_start(
                prefix,
                trace_id,
                start_unix_ns,
                deadline_unix_ms,
                known.memory_mb,
                outlet.pid,
                fields + caller.context_fields(names, found, parent),
                cold_start=cold,
            )
            self._hand_over(invocation, messages.START, body)
            self.current = invocation
        except ProtocolError:
            return None  # the request ID is none
        except Exception:  # noqa: BLE001 - a fault of ours is not the function's
            self.fault_count += 1
            return None
        return invocation

    def request(self, invocation: Invocation, event: object) -> None:
        """Send the handler's event, where the extension's policy asks for it."""
        try:
            limit = self.policy.max_body_bytes
            if not self.policy.request or limit <= 0 or self._is_spared(invocation):
                return
            encoded = self.request_encoder.body(event, limit)
            self._send_body(invocation, messages.REQUEST, self.unix_ns(), encoded)
        except Exception:  # noqa: BLE001 - a fault of ours is not the function's
            self.fault_count += 1

    def result(
        self,
        invocation: Invocation,
        value: object,
        *,
        max_body_bytes: "int | None" = None,
        response: "bool | None" = None,
    ) -> None:
        """Send RESULT; the options narrow the extension's policy and never widen it."""
        try:
            end_unix_ns = self.unix_ns()
            if type(value) is dict and (outcome := triggers.outcome_of(invocation.trigger, value)):
                said = encoding.encode_event(
                    invocation.prefix,
                    end_unix_ns,
                    None,
                    messages.OUTCOME,
                    attributes_field(outcome),
                )
                self._hand_over(invocation, messages.EVENT, said)
            limit = self._body_limit_bytes
            if response is False:
                limit = 0
            elif max_body_bytes is not None and max_body_bytes < limit:
                limit = max_body_bytes
            encoded = self.encoder.body(value, limit) if limit > 0 else _NO_BODY
            self._send_body(invocation, messages.RESULT, end_unix_ns, encoded)
        except Exception:  # noqa: BLE001 - a fault of ours is not the function's
            self.fault_count += 1

    def error(self, invocation: Invocation, error: BaseException) -> None:
        """Send ERROR."""
        try:
            end_unix_ns = self.unix_ns()
            body = encoding.encode_error(invocation.prefix, end_unix_ns, failure_of(error))
            self._hand_over(invocation, messages.ERROR, body)
        except Exception:  # noqa: BLE001 - a fault of ours is not the function's
            self.fault_count += 1

    def partial(self, invocation: Invocation, value: object) -> None:
        """Send a partial result."""
        try:
            if self._is_spared(invocation):
                return
            limit = self._body_limit_bytes
            encoded = self.encoder.body(value, limit) if limit > 0 else _NO_BODY
            self._send_body(invocation, messages.PARTIAL, self.unix_ns(), encoded)
        except Exception:  # noqa: BLE001 - a fault of ours is not the function's
            self.fault_count += 1

    def event(
        self, invocation: Invocation, name: str, attributes: object, span_id: "bytes | None"
    ) -> None:
        """Send an event, of the child span `span_id` or of the invocation."""
        try:
            if self._is_spared(invocation):
                return
            field = attributes_field(attributes)
            body = encoding.encode_event(
                invocation.prefix, self.unix_ns(), span_id, str(name), field
            )
            self._hand_over(invocation, messages.EVENT, body)
        except Exception:  # noqa: BLE001 - a fault of ours is not the function's
            self.fault_count += 1

    def span(
        self,
        invocation: Invocation,
        span_id: bytes,
        parent_span_id: "bytes | None",
        start_unix_ns: int,
        name: str,
        attributes: object,
        error: "BaseException | None",
    ) -> None:
        """Send a child span that ends now."""
        try:
            # As `_is_spared` sees it, without the call where all is well.
            if invocation.spent_s >= self._details_limit_s and self._is_spared(invocation):
                return
            body = encoding.encode_span(
                invocation.prefix,
                span_id,
                parent_span_id,
                start_unix_ns,
                self.unix_ns(),
                name,
                attributes_field(attributes) if attributes else b"",
                b"" if error is None else failure_of(error),
            )
            # As `_hand_over`, without the call: it is within the budget.
            if not self._outlet.send(messages.SPAN, invocation, body):
                self.dropped_count += 1
        except Exception:  # noqa: BLE001 - a fault of ours is not the function's
            self.fault_count += 1

    def otlp(self, invocation: "Invocation | None", encode: "Callable[[], bytes]") -> bool:
        """Send what `encode` makes, an ExportTraceServiceRequest of finished spans.

        `invocation` None: outside of any, with a budget of its own until the next START. False
        where it was dropped, and counted; `encode` is not called then where that is known before,
        and where it makes nothing, nothing is sent.
        """
        try:
            if invocation is None:
                invocation = self._outside()
            if not self.policy.enabled or self._outlet.absent or self._is_spared(invocation):
                return False
            data = encode()
            if not data:
                return True
            if len(data) > MAX_OTLP_BYTES:
                self.dropped_count += 1
                return False
            return self._hand_over(invocation, messages.OTLP, invocation.prefix, data)
        except Exception:  # noqa: BLE001 - a fault of ours is not the function's
            self.fault_count += 1
            return False

    def _outside(self) -> Invocation:
        """Nobody's in particular, as in init; the pipe may not have been opened yet."""
        if self._nobody is None:
            self._nobody = Invocation("", b"", b"", encoding.NOBODY)
            self._outlet.check()
        return self._nobody

    def flush(self, timeout_s: float) -> bool:
        """Wait until the extension has read all that was written, `timeout_s` at most.

        True says "read by the extension", not "exported". False where it was not read in
        time, where something was dropped since the last flush, and where nobody reads.
        """
        until_s = self._monotonic() + timeout_s
        nap_s = 0.0005
        dropped, self._drops_told = self.dropped_count - self._drops_told, self.dropped_count
        while True:
            try:
                if dropped or self._outlet.absent or self._outlet.broken:
                    return False
                if self._outlet.is_read():
                    return True
            except Exception:  # noqa: BLE001 - a fault of ours is not the function's
                self.fault_count += 1
                return False
            left_s = until_s - self._monotonic()
            if left_s <= 0:
                return False
            time.sleep(min(nap_s, left_s))
            nap_s = min(2 * nap_s, _LONGEST_NAP_S)

    def close(self) -> None:
        """Close the descriptors."""
        self._outlet.close()
        if self._control >= 0:
            os.close(self._control)
        self._control = -1

    def _is_cold(self) -> bool:
        return self._environ.get("AWS_LAMBDA_INITIALIZATION_TYPE") != _NOT_COLD

    # How it is handed over

    def _told_flags(self, trace_id: bytes, parent: "propagation.Context | None") -> int:
        caller_flags = None if parent is None else parent.flags
        return sampling.told_flags(self.policy.sampler, trace_id, caller_flags)

    def _is_spared(self, invocation: Invocation) -> bool:
        """Whether a detail is dropped, and counted, before anything is spent on encoding it."""
        if invocation.spent_s < self._details_limit_s:
            return False
        if not self.policy.exporter_down:
            # Its number is used up, so that the extension misses it.
            self._outlet.skip()
        self.dropped_count += 1
        return True

    def _send_body(
        self, invocation: Invocation, kind: int, time_unix_ns: int, encoded: "Encoded"
    ) -> None:
        data, size_bytes, truncated, content_kind = encoded
        head = encoding.encode_result_head(
            invocation.prefix, time_unix_ns, size_bytes, truncated, content_kind
        )
        if self._hand_over(invocation, kind, head, data):
            return
        over = len(head) + len(data) - wire.MAX_FRAMED_MESSAGE_BYTES
        if over > 0:
            # No file could be written: what frames hold is better than nothing.
            self.cut_count += 1
            head = encoding.encode_result_head(
                invocation.prefix, time_unix_ns, size_bytes, True, content_kind
            )
            self._hand_over(invocation, kind, head, cut_utf8(data, len(data) - over))

    def _hand_over(self, invocation: Invocation, kind: int, head: bytes, data: bytes = b"") -> bool:
        """One message of the body ``head + data``; False where it was dropped (and counted)."""
        if invocation.spent_s >= self._budget_s:
            self._outlet.skip()
            self.dropped_count += 1
            return False
        if self._outlet.send(kind, invocation, head, data):
            return True
        self.dropped_count += 1
        return False

    def _read_policy(self) -> None:
        if self._control < 0:
            try:
                path = f"{self._directory}/{pipes.CONTROL_NAME}"
                self._control = pipes.open_fifo(path, os.O_RDONLY)
            except (OSError, HostilePathError):
                return
        try:
            record = os.read(self._control, mailbox.RECORD_BYTES)
        except BlockingIOError:
            return
        opening = record[: mailbox.IDENTITY_BYTES]
        if opening == self._opening:
            return  # put back as it was, as it is for each invocation
        policy = mailbox.decode_policy(record)
        if policy is not None:
            self._opening = opening
            self._follow(policy)

    def _follow(self, policy: mailbox.Policy) -> None:
        """Make `policy` the one in force, and what follows from it."""
        self.policy = policy
        named = self._environ.get("OTEL_PROPAGATORS") or policy.propagators
        self._propagators = propagation.names_in(named)[0] if named else propagation.DEFAULT
        self._body_limit_bytes = policy.max_body_bytes if policy.response else 0
        # Nobody would get a detail: none is within it.
        part = -1.0 if policy.exporter_down else DETAILS_PART
        self._details_limit_s = part * self._budget_s


def _text_field(tag: int, value: object) -> bytes:
    return encode_field(tag, value) if isinstance(value, str) else b""


def integer_in(value: object) -> int:
    """`value` within 32 bits; Lambda's context gives the memory as text. Else 0."""
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value)
    return min(max(value, 0), 0xFFFF_FFFF) if isinstance(value, int) else 0
