"""What the Extensions API answers: the two events, and one named error for anything else."""

import pytest

from extension.events import EventError, InvokeEvent, ShutdownEvent, parse_event


def test_both_events_are_read() -> None:
    """Compared whole; what is not of use here is left."""
    invoke = (
        b'{"eventType":"INVOKE","deadlineMs":676051,"requestId":"r-1",'
        b'"invokedFunctionArn":"arn\\ud800",'
        b'"tracing":{"type":"X-Amzn-Trace-Id","value":"Root=1"}}'
    )
    assert parse_event(invoke) == InvokeEvent("r-1", 676_051, "arn?", "Root=1")
    shutdown = b'{"eventType":"SHUTDOWN","shutdownReason":"SPINDOWN","deadlineMs":676051}'
    assert parse_event(shutdown) == ShutdownEvent("spindown", 676_051)


@pytest.mark.parametrize(
    ("deadline", "message"),
    [
        ("null", '"deadlineMs" is NoneType, not milliseconds since 1970'),
        ("true", '"deadlineMs" is bool, not milliseconds since 1970'),
        ("1e999", '"deadlineMs" is no moment in milliseconds since 1970'),
        ("NaN", '"deadlineMs" is no moment in milliseconds since 1970'),
        ("-1", '"deadlineMs" is no moment in milliseconds since 1970'),
        ("1" * 400, '"deadlineMs" is no moment in milliseconds since 1970'),
    ],
)
def test_a_deadline_that_no_clock_has_is_the_one_error(deadline: str, message: str) -> None:
    """Numbers that JSON can write and a clock cannot show never reach the loop."""
    with pytest.raises(EventError) as caught:
        parse_event(f'{{"eventType":"SHUTDOWN","deadlineMs":{deadline}}}'.encode())
    assert str(caught.value) == message


def test_an_unknown_event_is_named_and_no_longer_than_a_line() -> None:
    """What was answered is repeated in part, and never what is nested."""
    for kind, named in (('"' + "x" * 99 + '"', repr("x" * 40)), ("[" * 400 + "]" * 400, "list")):
        with pytest.raises(EventError) as caught:
            parse_event(f'{{"eventType":{kind}}}'.encode())
        assert str(caught.value) == f"unknown eventType {named}"
