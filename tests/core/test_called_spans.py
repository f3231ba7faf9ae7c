"""What a caller and a trigger add to an invocation's span."""

from __future__ import annotations

from opentelemetry.trace import StatusCode

from exporter.record import Environment, Fate, Invocation, RemoteSpan
from exporter.record_json import from_json, to_json
from exporter.spans import SpanBuilder

CALLED = Invocation(
    ordinal=1,
    request_id="r-1",
    invoked_function_arn="",
    environment=Environment("shop", "1"),
    trace_id=b"t" * 16,
    span_id=b"s" * 8,
    start_unix_ns=1,
    end_unix_ns=2,
    fate=Fate.RETURNED,
    deadline_unix_ms=0,
    parent_span_id=b"p" * 8,
    trace_flags=0,
    tracestate="v=1",
    span_name="GET /orders",
    attributes={
        "faas.trigger": "http",
        "url.query": "page=2&api_key=s3cret",
        "http.response.status_code": 503,
    },
    links=(RemoteSpan(b"u" * 16, b"l" * 8, 1),),
)


def test_the_span_hangs_under_its_caller() -> None:
    """Parent, state, flags, link, name, an error for a 5xx, and no secret of the query."""
    (span,) = SpanBuilder().spans([CALLED])
    context, parent, (link,) = span.get_span_context(), span.parent, span.links
    assert context is not None
    assert parent is not None
    assert span.attributes is not None
    assert (parent.span_id, parent.is_remote) == (int.from_bytes(b"p" * 8, "big"), True)
    assert (context.trace_flags, context.trace_state.to_header()) == (0, "v=1")
    assert link.context.span_id == int.from_bytes(b"l" * 8, "big")
    assert (span.name, span.status.status_code) == ("GET /orders", StatusCode.ERROR)
    found = {name: span.attributes[name] for name in (*CALLED.attributes, "error.type")}
    assert "s3cret" not in str(found.pop("url.query"))
    assert found == {
        "faas.trigger": "http",
        "http.response.status_code": 503,
        "error.type": "503",
    }


def test_the_spool_keeps_it() -> None:
    """To JSON and back it is the same."""
    assert from_json(to_json([CALLED])) == [CALLED]
