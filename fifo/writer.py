"""The function's end of the channel: hands messages over, and never costs more than its budget.

Nothing here blocks, and nothing raises into the function. The descriptor is opened without
blocking and kept; a pipe that is full, broken or not to be trusted sends the message to a
file at once. Without an extension (no FIFO at the path) nothing is written at all.
"""

import errno
import itertools
import os
import sys
import time

from fifo import encoding, mailbox, messages, overflow, pipes, propagation, triggers, wire
from fifo.bounded_json import Encoder, attributes_text
from fifo.errors import HostilePathError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

BUDGET_S = 0.050
"""For all hand-overs of one invocation together; what is over it is dropped and counted."""

DETAILS_PART = 0.8
"""Of the budget, for spans, events and partial results: the rest is kept for the end."""

MAX_OTLP_BYTES = wire.MAX_FILE_BODY_BYTES - 256
"""A file's longest body, and the opening before it."""

_LONGEST_NAP_S = 0.005
_NOT_COLD = "provisioned-concurrency"


class Invocation:
    """What the function says about one invocation goes through this."""

    __slots__ = (
        "baggage",
        "flags",
        "prefix",
        "propagators",
        "request_id",
        "span_id",
        "spent_s",
        "trace_id",
        "tracestate",
        "trigger",
    )

    def __init__(
        self, request_id: str, trace_id: bytes, span_id: bytes, prefix: "bytes | None" = None
    ) -> None:
        self.request_id = request_id
        self.trace_id = trace_id
        self.span_id = span_id
        self.prefix = prefix or encoding.encode_prefix(request_id, span_id)
        self.spent_s = 0.0
        self.flags = propagation.SAMPLED
        self.tracestate = ""
        self.baggage = ""
        self.propagators: tuple[str, ...] = ()
        self.trigger = triggers.OTHER


class Writer:
    """One for a process. Everything ambient is handed in.

    `dropped_count` counts messages that could not be handed over, `cut_count` bodies cut for
    want of a file, `fault_count` faults of ours that were kept from the function.
    """

    __slots__ = (
        "_absent",
        "_broken",
        "_budget_s",
        "_control",
        "_counter",
        "_descriptor",
        "_directory",
        "_draw",
        "_drops_told",
        "_environ",
        "_fields",
        "_fields_key",
        "_files",
        "_monotonic",
        "_nobody",
        "_pid",
        "_propagators",
        "_propagators_text",
        "_started",
        "_unix_ns",
        "_warned",
        "_writer_id",
        "current",
        "cut_count",
        "dropped_count",
        "encoder",
        "fault_count",
        "policy",
        "request_encoder",
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
        self._draw = draw
        self._monotonic = monotonic
        self._unix_ns = unix_ns
        self._descriptor = -1
        self._control = -1
        self._absent = False
        self._broken = True
        self._warned = False
        self._started = False
        self._fields = b""
        self._fields_key: tuple[str, ...] = ()
        self._drops_told = 0
        self._propagators: tuple[str, ...] = propagation.DEFAULT
        self._propagators_text = ""
        self._files = overflow.Overflow(directory, draw)
        self._pid = -1
        self._writer_id = 0
        self._counter = itertools.count(1)
        self.encoder = Encoder()
        self.request_encoder = Encoder()
        self.policy = mailbox.Policy()
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
        memory_mb: int = 0,
        invoked_function_arn: str = "",
        log_group: str = "",
        log_stream: str = "",
        xray_header: str = "",
        tenant_id: str = "",
        durable_execution_arn: str = "",
        event: object = None,
        of_sdk: "tuple[propagation.Context, propagation.Context | None] | None" = None,
    ) -> "Invocation | None":
        """Send START; None where nothing is to be sent for this invocation.

        `of_sdk`: a span that stands for this invocation already, and its parent: its IDs are ours.
        """
        try:
            self._read_policy()
            if not self.policy.enabled or not messages.valid_request_id(request_id):
                return None
            self._check_descriptor()
            self._nobody = None
            if self._absent:
                return None
            found = triggers.recognise(event, self.policy.event_path)
            names = self._named_propagators()
            parent = self._parent(names, found, xray_header)
            if of_sdk is not None:
                own, parent = of_sdk
                invocation = Invocation(request_id, own.trace_id, own.span_id)
            else:
                trace_id = self._random_id(16) if parent is None else parent.trace_id
                invocation = Invocation(request_id, trace_id, self._random_id(8))
            invocation.propagators, invocation.trigger = names, found.trigger
            if found.carrier and propagation.BAGGAGE in names:
                invocation.baggage = propagation.baggage_in(found.carrier)
            if parent is not None:
                invocation.flags = parent.flags & 0x03
                invocation.tracestate = parent.tracestate
            # In the order of their tags.
            key = (
                invoked_function_arn,
                log_group,
                log_stream,
                xray_header,
                tenant_id,
                durable_execution_arn,
            )
            if key != self._fields_key:
                self._fields = b"".join(
                    encoding.encode_field(tag, text) for tag, text in enumerate(key, 1)
                )
                self._fields_key = key
            cold = not self._started and (
                self._environ.get("AWS_LAMBDA_INITIALIZATION_TYPE") != _NOT_COLD
            )
            self._started = True
            body = encoding.encode_start(
                invocation.prefix,
                invocation.trace_id,
                self._unix_ns(),
                deadline_unix_ms,
                memory_mb,
                os.getpid(),
                self._fields + self._context_fields(names, found, parent),
                cold_start=cold,
            )
            self._hand_over(invocation, messages.START, body)
            self.current = invocation
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
            body = self.request_encoder.body(event, limit)
            self._send_body(invocation, messages.REQUEST, self._unix_ns(), body)
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
            end_unix_ns = self._unix_ns()
            outcome = triggers.outcome_of(invocation.trigger, value)
            if outcome:
                self._hand_over(
                    invocation,
                    messages.EVENT,
                    encoding.encode_event(
                        invocation.prefix,
                        end_unix_ns,
                        None,
                        messages.OUTCOME,
                        attributes_text(outcome),
                    ),
                )
            body = self._body(value, max_body_bytes, response)
            self._send_body(invocation, messages.RESULT, end_unix_ns, body)
        except Exception:  # noqa: BLE001 - a fault of ours is not the function's
            self.fault_count += 1

    def error(self, invocation: Invocation, error: BaseException) -> None:
        """Send ERROR."""
        try:
            end_unix_ns = self._unix_ns()
            body = encoding.encode_error(invocation.prefix, end_unix_ns, failure_of(error))
            self._hand_over(invocation, messages.ERROR, body)
        except Exception:  # noqa: BLE001 - a fault of ours is not the function's
            self.fault_count += 1

    def partial(self, invocation: Invocation, value: object) -> None:
        """Send a partial result."""
        try:
            if self._is_spared(invocation):
                return
            body = self._body(value, None, None)
            self._send_body(invocation, messages.PARTIAL, self._unix_ns(), body)
        except Exception:  # noqa: BLE001 - a fault of ours is not the function's
            self.fault_count += 1

    def event(
        self, invocation: Invocation, name: str, attributes: object, span_id: "bytes | None"
    ) -> None:
        """Send an event, of the child span `span_id` or of the invocation."""
        try:
            if self._is_spared(invocation):
                return
            text = attributes_text(attributes)
            body = encoding.encode_event(
                invocation.prefix, self._unix_ns(), span_id, str(name), text
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
            if self._is_spared(invocation):
                return
            body = encoding.encode_span(
                invocation.prefix,
                span_id,
                parent_span_id,
                start_unix_ns,
                self._unix_ns(),
                str(name),
                attributes_text(attributes),
                b"" if error is None else failure_of(error),
            )
            self._hand_over(invocation, messages.SPAN, body)
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
            if not self.policy.enabled or self._absent or self._is_spared(invocation):
                return False
            data = encode()
            if not data:
                return True
            if len(data) > MAX_OTLP_BYTES:
                self.dropped_count += 1
                return False
            body = encoding.encode_otlp(invocation.prefix, data)
            return self._hand_over(invocation, messages.OTLP, body)
        except Exception:  # noqa: BLE001 - a fault of ours is not the function's
            self.fault_count += 1
            return False

    def _outside(self) -> Invocation:
        """Nobody's in particular, as in init; the pipe may not have been opened yet."""
        if self._nobody is None:
            self._nobody = Invocation("", b"", b"", encoding.NOBODY)
            self._check_descriptor()
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
                if dropped or self._absent or self._broken:
                    return False
                unread = pipes.unread_bytes(self._descriptor)
                if not unread and not self._files.waiting_count():
                    return True
            except Exception:  # noqa: BLE001 - a fault of ours is not the function's
                self.fault_count += 1
                return False
            left_s = until_s - self._monotonic()
            if left_s <= 0:
                return False
            time.sleep(min(nap_s, left_s))
            nap_s = min(2 * nap_s, _LONGEST_NAP_S)

    def random_span_id(self) -> bytes:
        """Eight bytes from the operating system, never all zero."""
        return self._random_id(8)

    def unix_ns(self) -> int:
        """Now."""
        return self._unix_ns()

    def close(self) -> None:
        """Close the descriptors."""
        for descriptor in (self._descriptor, self._control):
            if descriptor >= 0:
                os.close(descriptor)
        self._descriptor = self._control = -1
        self._broken = True

    # How it is handed over

    def _named_propagators(self) -> "tuple[str, ...]":
        """``OTEL_PROPAGATORS``, else the policy's, else the default."""
        text = self._environ.get("OTEL_PROPAGATORS") or self.policy.propagators
        if text != self._propagators_text:
            self._propagators_text = text
            self._propagators = propagation.names_in(text)[0] if text else propagation.DEFAULT
        return self._propagators

    @staticmethod
    def _parent(
        names: "tuple[str, ...]", found: triggers.Found, xray_header: str
    ) -> "propagation.Context | None":
        if propagation.XRAY in names or propagation.XRAY_LAMBDA in names:
            if xray_header:
                found.carrier.setdefault("x-amzn-trace-id", xray_header)
        elif not found.carrier:
            return None
        return propagation.extract(names, found.carrier)

    @staticmethod
    def _context_fields(
        names: "tuple[str, ...]", found: triggers.Found, parent: "propagation.Context | None"
    ) -> bytes:
        """What START says of the caller; nothing where nobody has said anything."""
        fields = b""
        if parent is not None:
            text = propagation.traceparent(parent.trace_id, parent.span_id, parent.flags)
            fields = encoding.encode_field(messages.TAG_PARENT, text)
            fields += encoding.encode_field(messages.TAG_TRACESTATE, parent.tracestate)
        if found.trigger == triggers.OTHER:
            return fields
        attributes: dict[str, object] = {"faas.trigger": found.trigger, **found.attributes}
        if found.cut_count:
            attributes["spanpipe.links.cut"] = found.cut_count
        if found.carriers:
            links = []
            for carrier in found.carriers:
                link = propagation.extract(names, carrier)
                if link is None:
                    link = propagation.of_xray(carrier)
                if link is not None:
                    links.append(propagation.traceparent(link.trace_id, link.span_id, link.flags))
            fields += encoding.encode_field(messages.TAG_LINKS, " ".join(links))
        fields += encoding.encode_field(messages.TAG_SPAN_NAME, found.name)
        return fields + encoding.encode_field(
            messages.TAG_TRIGGER_ATTRIBUTES, attributes_text(attributes)
        )

    def _is_spared(self, invocation: Invocation) -> bool:
        """Whether a detail is dropped, and counted, before anything is spent on encoding it."""
        if self.policy.exporter_down:
            self.dropped_count += 1
            return True
        if invocation.spent_s >= DETAILS_PART * self._budget_s:
            # Its number is used up, so that the extension misses it.
            next(self._counter)
            self.dropped_count += 1
            return True
        return False

    def _body(
        self, value: object, max_body_bytes: "int | None", response: "bool | None"
    ) -> messages.Body:
        policy = self.policy
        limit = policy.max_body_bytes
        if max_body_bytes is not None:
            limit = min(limit, max_body_bytes)
        if limit <= 0 or not policy.response or response is False:
            return messages.Body(b"", None, truncated=False, content_kind=messages.NO_BODY)
        return self.encoder.body(value, limit)

    def _send_body(
        self, invocation: Invocation, kind: int, time_unix_ns: int, body: messages.Body
    ) -> None:
        encoded = encoding.encode_result(invocation.prefix, time_unix_ns, body)
        if self._hand_over(invocation, kind, encoded):
            return
        over = len(encoded) - wire.MAX_FRAMED_MESSAGE_BYTES
        if over > 0:
            # No file could be written: what frames hold is better than nothing.
            kept = encoding.cut_utf8(body.data, len(body.data) - over)
            body = messages.Body(
                kept, body.size_bytes, truncated=True, content_kind=body.content_kind
            )
            self.cut_count += 1
            encoded = encoding.encode_result(invocation.prefix, time_unix_ns, body)
            self._hand_over(invocation, kind, encoded)

    def _hand_over(self, invocation: Invocation, kind: int, body: bytes) -> bool:
        """One message, by pipe or by file; False where it was dropped (and counted)."""
        began_s = self._monotonic()
        if self._pid != os.getpid():
            self._renew()
        counter = next(self._counter)
        if invocation.spent_s >= self._budget_s:
            self.dropped_count += 1
            return False
        try:
            if len(body) <= wire.MAX_FRAMED_MESSAGE_BYTES:
                frames = wire.encode_message(kind, self._writer_id, counter, body)
                if self._put(frames):
                    return True
            whole = wire.encode_frame(kind, self._writer_id, counter, body)
            name = self._files.write(whole)
            if name is None:
                self.dropped_count += 1
                return False
            if len(body) > wire.MAX_FRAMED_MESSAGE_BYTES:
                # The frame makes it read at once; without it the next boundary does.
                named = encoding.encode_file(invocation.prefix, name)
                self._put(
                    [wire.encode_frame(messages.FILE, self._writer_id, next(self._counter), named)]
                )
            return True
        finally:
            invocation.spent_s += self._monotonic() - began_s

    def _put(self, frames: "list[bytes]") -> bool:
        """All of `frames` into the pipe; False where it is full, broken or not to be had."""
        if self._broken:
            return False
        try:
            for frame in frames:
                os.write(self._descriptor, frame)
        except BlockingIOError:
            return False
        except BrokenPipeError:
            # The extension went away; another may have opened the pipe since.
            self._open()
            if self._broken:
                return False
            try:
                for frame in frames:
                    os.write(self._descriptor, frame)
            except OSError:
                self._broken = True
                return False
        except OSError:
            self._broken = True
            return False
        return True

    def _check_descriptor(self) -> None:
        """At START: open what is not open, and follow a FIFO that was made anew."""
        if not self._broken:
            try:
                if os.fstat(self._descriptor).st_nlink:
                    return
            except OSError:
                self._descriptor = -1
        self._open()

    def _open(self) -> None:
        self._broken = True
        try:
            opened = pipes.open_fifo(f"{self._directory}/{pipes.RESULTS_NAME}", os.O_WRONLY)
        except FileNotFoundError:
            self._absent = True
            self._warn(
                f"no extension: {self._directory}/{pipes.RESULTS_NAME} is not there, so this "
                "function's results go nowhere; add the spanpipe layer, or try it here with: "
                "spanpipe run"
            )
            return
        except HostilePathError as error:
            self._absent = False
            self._warn(f"{error}; results go by file")
            return
        except OSError as error:
            # ENXIO: nobody reads. A reader may come back and finds the files.
            self._absent = error.errno in (errno.ENOTDIR, errno.EACCES)
            return
        self._absent = False
        if self._descriptor < 0:
            self._descriptor = opened
        else:
            # The number stays, so that no other thread writes into a descriptor that was
            # closed under it and given to somebody else.
            os.dup2(opened, self._descriptor, inheritable=False)
            os.close(opened)
        self._broken = False

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
        policy = mailbox.decode_policy(record)
        if policy is not None:
            self.policy = policy

    def _renew(self) -> None:
        """A new process (or the first message): an ID of its own, counted from 1."""
        self._pid = os.getpid()
        self._writer_id = int.from_bytes(self._draw(4), "big")
        self._counter = itertools.count(1)

    def _random_id(self, size: int) -> bytes:
        while True:
            drawn = self._draw(size)
            if any(drawn):
                return drawn

    def _warn(self, text: str) -> None:
        if self._warned:
            return
        self._warned = True
        try:
            sys.stderr.write(f"spanpipe: warning: {text}\n")
        except (OSError, ValueError, AttributeError):
            pass


def failure_of(error: BaseException) -> bytes:
    """The encoded type, message and stack trace of `error`, whatever its own code does."""
    kind = type(error)
    name = kind.__qualname__
    if kind.__module__ not in ("builtins", "__main__"):
        name = f"{kind.__module__}.{name}"
    try:
        message = str(error)
    except Exception as inner:  # noqa: BLE001 - a hostile __str__ is the function's, not ours
        message = f"<str raised {type(inner).__name__}>"
    return encoding.encode_failure(name, message, _stack_trace(error))


_STACK_FRAMES = 50
"""The innermost frames of a trace that are kept: a RecursionError has a thousand."""


def _stack_trace(error: BaseException) -> str:
    try:
        import traceback

        lines = traceback.format_exception(
            type(error), error, error.__traceback__, limit=-_STACK_FRAMES
        )
        return "".join(lines)
    except Exception as inner:  # noqa: BLE001 - a hostile exception is the function's, not ours
        return f"<no stack trace: {type(inner).__name__}>"
