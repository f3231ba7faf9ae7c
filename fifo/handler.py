"""`capture`: a handler's start and its result or error, sent to the extension."""

import os

from fifo import current
from fifo.current import current_invocation, current_span_id, process_writer
from fifo.wrapping import like, without_our_frame
from fifo.writer import Invocation, Writer, integer_in

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar, overload

    Handler = TypeVar("Handler", bound=Callable[..., Any])
else:
    from fifo.wrapping import overload


_XRAY_HEADER = b"_X_AMZN_TRACE_ID"
_PLACE = ("memory_limit_in_mb", "invoked_function_arn", "log_group_name", "log_stream_name")


@overload
def capture(handler: "Handler") -> "Handler": ...
@overload
def capture(
    *,
    max_body_bytes: "int | None" = None,
    response: "bool | None" = None,
    writer: "Writer | None" = None,
) -> "Callable[[Handler], Handler]": ...
def capture(
    handler: "Any" = None,
    *,
    max_body_bytes: "int | None" = None,
    response: "bool | None" = None,
    writer: "Writer | None" = None,
) -> "Any":
    """Decorate a Lambda handler: ``@capture`` or ``@capture(max_body_bytes=1024)``.

    `handler` is called as Lambda does, with an event and a context that has `aws_request_id`; with
    any other it is called, and nothing is sent. It returns exactly what the handler returns and
    raises exactly what it raises. On Python 3.11 and later the traceback is the handler's own; on
    3.10 it has one frame of ours on top. Handing over costs an invocation 50 ms at the most.

    `max_body_bytes` and `response` narrow, for this handler, what of the result leaves the
    function: so many bytes, or with False none; None: as the configuration says (64 KiB). `writer`
    None: the process's own.
    Raises TypeError where what is decorated cannot be called. Source: ``PROTOCOL.md``, START,
    RESULT and ERROR.
    """
    if handler is None:
        return lambda given: _capture(given, max_body_bytes, response, writer)
    return _capture(handler, max_body_bytes, response, writer)


def _capture(
    handler: "Any",
    max_body_bytes: "int | None",
    response: "bool | None",
    writer: "Writer | None",
) -> "Any":
    if not callable(handler):
        raise TypeError(f"capture decorates a handler, not {type(handler).__name__}")
    sender = process_writer() if writer is None else writer
    sender.announce()

    def captured(*args: "Any", **kwargs: "Any") -> "Any":
        invocation = _begin(sender, args, kwargs)
        if invocation is None:
            try:
                return handler(*args, **kwargs)
            except BaseException as error:
                without_our_frame(error)
                raise
        token = current_invocation.set(invocation)
        outer = current_span_id.get()
        if outer is not None:
            current_span_id.set(None)
        # Only where the function exports with it: then what it traces hangs on our span.
        otel = current.otel
        attached = otel.attach(invocation) if otel is not None else None
        try:
            result = handler(*args, **kwargs)
        except BaseException as error:
            without_our_frame(error)
            sender.error(invocation, error)
            raise
        finally:
            if current.otel is not None:
                current.otel.detach(attached)
            sender.current = None
            if current_span_id.get() is not outer:
                current_span_id.set(outer)
            current_invocation.reset(token)
        sender.result(invocation, result, max_body_bytes=max_body_bytes, response=response)
        return result

    return like(captured, handler)


def _begin(
    sender: Writer, args: "tuple[Any, ...]", kwargs: "dict[str, Any]"
) -> "Invocation | None":
    """START for the invocation of this call; None where there is none to speak of."""
    try:
        if kwargs or len(args) != 2:
            event = kwargs.get("event", args[0] if args else None)
            context: Any = kwargs.get("context", args[-1] if args else None)
        else:
            event, context = args  # as Lambda calls it
        request_id = getattr(context, "aws_request_id", None)
        if not isinstance(request_id, str):
            return None
        around = current_invocation.get()
        if around is not None and around.request_id == request_id:
            return None  # decorated twice, or wrapped and decorated
        otel = current.otel
        try:
            # As Lambda's has them.
            place: tuple[object, ...] = (
                context.memory_limit_in_mb,
                context.invoked_function_arn,
                context.log_group_name,
                context.log_stream_name,
            )
        except AttributeError:
            place = tuple(getattr(context, name, None) for name in _PLACE)
        invocation = sender.start(
            request_id,
            deadline_unix_ms=_deadline_unix_ms(context, sender),
            place=place,
            xray_header=_xray_header(),
            tenant_id=getattr(context, "tenant_id", None),
            # Lambda invokes a durable function with its execution's ARN, anew for each replay.
            durable_execution_arn=(
                event.get("DurableExecutionArn") if isinstance(event, dict) else None
            ),
            event=event,
            of_sdk=otel.span_of(request_id) if otel is not None else None,
        )
        if invocation is not None and sender.policy.request:
            sender.request(invocation, event)
        return invocation
    except Exception:  # noqa: BLE001 - a stand-in for a context may raise anything
        sender.fault_count += 1
        return None


def _deadline_unix_ms(context: object, sender: Writer) -> int:
    deadline = getattr(context, "_epoch_deadline_time_in_ms", None)
    if isinstance(deadline, int):
        return deadline
    remaining = getattr(context, "get_remaining_time_in_millis", None)
    left_ms = integer_in(remaining()) if callable(remaining) else 0
    return sender.unix_ns() // 1_000_000 + left_ms


def _xray_header() -> str:
    """What the runtime has set for this invocation."""
    try:
        # What `os.environ.get` comes to after five calls of Python, a fortieth of an invocation.
        value: bytes = os.environ._data[_XRAY_HEADER]  # type: ignore[attr-defined]
        return value.decode()
    except (AttributeError, KeyError, TypeError, UnicodeDecodeError):
        return os.environ.get("_X_AMZN_TRACE_ID", "")
