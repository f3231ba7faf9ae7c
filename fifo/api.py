"""What a function may say while it runs: child spans, events, partial results, flush."""

from fifo import current, propagation
from fifo.current import (
    current_invocation,
    current_span_id,
    invocation_of,
    process_writer,
)
from fifo.wrapping import like, without_our_frame

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, MutableMapping
    from types import TracebackType
    from typing import Any, TypeVar, overload

    from fifo.writer import Invocation, Writer

    Function = TypeVar("Function", bound=Callable[..., Any])
    AttributeValue = str | bool | int | float | list[str]
else:
    from fifo.wrapping import overload

_CO_COROUTINE = 0x80
"""`inspect.CO_COROUTINE`, without importing `inspect`."""


class Span:
    """Work inside an invocation: a context manager that sends one span when it ends.

    Made by `span`. `span_id` has its 8 bytes while it is open, None outside an invocation, where it
    does nothing. An exception that leaves the block is noted in the span, and goes on unchanged.
    Raises nothing of its own.
    """

    __slots__ = (
        "_attached",
        "_attributes",
        "_invocation",
        "_name",
        "_parent_span_id",
        "_start_unix_ns",
        "_writer",
        "span_id",
    )

    if TYPE_CHECKING:
        span_id: bytes | None
        _attributes: dict[str, AttributeValue]
        _invocation: Invocation | None
        _name: str
        _writer: Writer
        # Of an open span alone, and set when it opens.
        _attached: object
        _parent_span_id: bytes | None
        _start_unix_ns: int

    def set(self, key: str, value: "AttributeValue") -> None:
        """Add the attribute `key` with `value`, or replace it, while the span is open.

        Values as in `span`. Never raises.
        """
        self._attributes[key] = value

    def __enter__(self) -> "Span":
        writer = self._writer
        # As `invocation_of`, without the call.
        invocation = self._invocation = current_invocation.get() or writer.current
        if invocation is not None:
            span_id = self.span_id = writer.identifiers.of_span()
            self._parent_span_id = current_span_id.get()
            current_span_id.set(span_id)
            otel = current.otel
            self._attached = otel.attach(invocation, span_id) if otel is not None else None
            self._start_unix_ns = writer.unix_ns()
        return self

    def __exit__(
        self,
        kind: "type[BaseException] | None",
        error: "BaseException | None",
        traceback: "TracebackType | None",
    ) -> None:
        invocation = self._invocation
        if invocation is None:
            return
        self._invocation = None
        if self._attached is not None:
            current.otel.detach(self._attached)
        # Set, not reset: it may be left in another context than it was entered in.
        parent_span_id = self._parent_span_id
        current_span_id.set(parent_span_id)
        self._writer.span(
            invocation,
            self.span_id,  # type: ignore[arg-type]  # open, so its bytes
            parent_span_id,
            self._start_unix_ns,
            self._name,
            self._attributes,
            error,
        )

    def __call__(self, function: "Function") -> "Function":
        """As a decorator: every call of `function` is a span, coroutine functions too.

        Returns a function of the same name, which returns and raises what `function` does.
        """
        name, attributes = self._name, self._attributes
        code = getattr(function, "__code__", None)
        if code is not None and code.co_flags & _CO_COROUTINE:

            async def spanned_coroutine(*args: "Any", **kwargs: "Any") -> "Any":
                try:
                    with span(name, attributes):
                        return await function(*args, **kwargs)
                except BaseException as error:
                    without_our_frame(error)
                    raise

            return like(spanned_coroutine, function)  # type: ignore[no-any-return]

        def spanned(*args: "Any", **kwargs: "Any") -> "Any":
            try:
                with span(name, attributes):
                    return function(*args, **kwargs)
            except BaseException as error:
                without_our_frame(error)
                raise

        return like(spanned, function)  # type: ignore[no-any-return]


_new = object.__new__


@overload
def span(name: "Function") -> "Function": ...
@overload
def span(name: str, attributes: "Mapping[str, AttributeValue] | None" = None) -> Span: ...
def span(name: "Any", attributes: "Mapping[str, AttributeValue] | None" = None) -> "Any":
    """A child span: ``with span("query", {"db": "orders"}):``, ``@span("query")`` or ``@span``.

    `name` is a text of 1,024 bytes at most, or the function to decorate, whose name it takes.
    `attributes` are names with texts, numbers, true, false or lists of texts: 128 are kept, and
    none where they have more than 32,768 bytes of JSON together, which is said in their place. It
    hangs on the span around it, else on the invocation's.
    Raises TypeError or ValueError where `attributes` is no mapping; what cannot be sent is dropped
    and counted, never raised. Source: ``PROTOCOL.md``, SPAN.
    """
    if type(name) is not str and callable(name):
        return span(getattr(name, "__qualname__", "span"))(name)
    # `Span` has no `__init__`: called through the type it costs twice what this does.
    made = _new(Span)
    made._name = name
    made._attributes = (
        {} if not attributes else {**attributes} if type(attributes) is dict else dict(attributes)
    )
    made._writer = current.made_writer or process_writer()
    made.span_id = None
    return made


def event(name: str, attributes: "Mapping[str, AttributeValue] | None" = None) -> None:
    """A moment in the open span, else in the invocation's; outside an invocation nothing.

    `name` and `attributes` as in `span`. What cannot be sent is dropped and counted, never raised.
    Source: ``PROTOCOL.md``, EVENT.
    """
    writer = process_writer()
    invocation = invocation_of(writer)
    if invocation is not None:
        writer.event(invocation, name, attributes, current_span_id.get())


def emit(value: object) -> None:
    """A partial result, sent now; outside an invocation nothing.

    `value` is what a handler might return: JSON's kinds, a text or bytes; of another object its
    type and its `repr` go. It is cut at `capture.max_body_bytes` (64 KiB where not set), redacted
    like a result, and stands as an event in the invocation's span: a timeout shows how far it came.
    What cannot be sent is dropped and counted, never raised. Source: ``PROTOCOL.md``, PARTIAL.
    """
    writer = process_writer()
    invocation = invocation_of(writer)
    if invocation is not None:
        writer.partial(invocation, value)


def here() -> "propagation.Context | None":
    """The span that the calling code is in, as others would be told; None outside of any."""
    invocation = invocation_of(process_writer())
    return None if invocation is None else _span_in(invocation)


def _span_in(invocation: "Invocation") -> propagation.Context:
    span_id = current_span_id.get() or invocation.span_id
    otel = current.otel
    of_sdk: propagation.Context | None = otel.current() if otel is not None else None
    if of_sdk is not None and of_sdk.span_id != span_id:
        return of_sdk
    return propagation.Context(
        invocation.trace_id, span_id, invocation.flags, invocation.tracestate
    )


def traceparent() -> str:
    """The current span as W3C's header ``traceparent``; "" outside an invocation.

    55 characters: ``00-<32 hex digits>-<16 hex digits>-<2 hex digits>``. Never raises.
    Source: W3C "Trace Context", section 3.2.
    """
    now = here()
    return "" if now is None else propagation.traceparent(now.trace_id, now.span_id, now.flags)


def inject(headers: "MutableMapping[str, str]") -> None:
    """Add the configured propagators' headers to `headers`, for a call to somewhere else.

    ``traceparent``, ``tracestate`` and ``baggage`` by default; the baggage is the caller's. Names
    are in lower case, but for X-Ray's. Outside an invocation nothing is added. Raises
    only what setting an item of `headers` does. Source: `propagator.composite` in the
    configuration, `OTEL_PROPAGATORS`; W3C "Trace Context" and "Baggage".
    """
    invocation = invocation_of(process_writer())
    if invocation is not None:
        now = _span_in(invocation)
        propagation.inject(invocation.propagators, headers, now, invocation.baggage)


def flush(timeout_s: float = 1.0) -> bool:
    """Whether the extension has read all that was written, waiting `timeout_s` seconds at most.

    "Read by the extension", not "exported"; it looks every 5 ms while a function writes. False
    also where there is no extension, and where something was dropped since the last call. Never
    raises. Source: ``PROTOCOL.md``, "Flush".
    """
    return process_writer().flush(timeout_s)
