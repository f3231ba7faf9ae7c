"""Headers in and out: the verdicts are those of OpenTelemetry's own propagators."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.context import Context as OtelContext
from opentelemetry.propagators.aws import AwsXRayPropagator
from opentelemetry.propagators.b3 import B3MultiFormat, B3SingleFormat
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from fifo import propagation
from fifo.propagation import Context

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"
IDS = bytes.fromhex(TRACE), bytes.fromhex(SPAN)
XRAY = f"1-{TRACE[:8]}-{TRACE[8:]}"

pieces = st.sampled_from(
    ["00", "ff", "01", TRACE, TRACE.upper(), "0" * 32, SPAN, "0" * 16, "-", "x", "", " "]
)
parents = st.one_of(
    st.lists(pieces, max_size=6).map("-".join),
    st.sampled_from([f"{version}-{TRACE}-{SPAN}-03" for version in ("00", "01", "ff")]),
)
states = st.lists(
    st.one_of(
        st.sampled_from(["", " a=1", "a=b ", "a=", "k@v=1", "1@v=1", "A=1", "a= b", "=", "a"]),
        st.from_regex(r"[a-z0-9@_]{1,5}=[ -~]{0,5}", fullmatch=True),
    ),
    max_size=5,
).map(",".join)


@given(parent=parents, state=states)
@settings(max_examples=500, deadline=None)
def test_tracecontext_is_read_as_opentelemetry_reads_it(parent: str, state: str) -> None:
    """Same IDs, flags and tracestate, or none for both."""
    carrier = {"traceparent": parent, "tracestate": state}
    given_context = TraceContextTextMapPropagator().extract(carrier)
    theirs = trace.get_current_span(given_context).get_span_context()
    ours = propagation.of_tracecontext(carrier)
    expected = None
    if theirs.is_valid:
        expected = Context(
            theirs.trace_id.to_bytes(16, "big"),
            theirs.span_id.to_bytes(8, "big"),
            int(theirs.trace_flags),
            theirs.trace_state.to_header(),
        )
    assert ours == expected


def test_what_is_cut_of_a_tracestate_is_counted() -> None:
    """It goes whole where it is over the bound; where nobody reads it nothing is cut."""
    carrier = {"tracestate": "a=" + "b" * 512}
    assert propagation.tracestate_cut(propagation.DEFAULT, carrier) == 514
    assert propagation.tracestate_cut(propagation.DEFAULT, {"tracestate": "a=" + "b" * 200}) == 0
    assert propagation.tracestate_cut(("b3",), carrier) == 0


def verdict(of: OtelContext) -> Context | None:
    """The span in one of OpenTelemetry's contexts, as ours has it."""
    span = trace.get_current_span(of).get_span_context()
    if not span.is_valid:
        return None
    ids = span.trace_id.to_bytes(16, "big"), span.span_id.to_bytes(8, "big")
    return Context(*ids, int(span.trace_flags))


trace_ids = st.sampled_from([TRACE, TRACE[:16], TRACE.upper(), "0" * 32, TRACE[1:], "x", ""])
span_ids = st.sampled_from([SPAN, SPAN.upper(), "0" * 16, SPAN[1:], "x"])
decisions = st.sampled_from(["0", "1", "d", "true", "True", "x", ""])
singles = st.lists(st.one_of(trace_ids, span_ids, decisions), min_size=1, max_size=5).map("-".join)
plain_singles = st.tuples(trace_ids, span_ids, decisions).map("-".join)


@given(
    carrier=st.one_of(
        st.fixed_dictionaries({"b3": st.one_of(singles, plain_singles)}),
        st.fixed_dictionaries(
            {"x-b3-traceid": trace_ids, "x-b3-spanid": span_ids},
            optional={"x-b3-sampled": decisions, "x-b3-flags": decisions},
        ),
    )
)
@settings(max_examples=500, deadline=None)
def test_b3_is_read_as_opentelemetry_reads_it(carrier: dict[str, str]) -> None:
    """Single and multi: same IDs and flags, or none for both."""
    assert propagation.of_b3(carrier) == verdict(B3MultiFormat().extract(carrier))


roots = st.sampled_from([f"Root={XRAY}", f"Root=2-{XRAY[2:]}", f"Root={XRAY[:-1]}", "Root=", ""])
callers = st.sampled_from([f"Parent={SPAN}", "Parent=" + "0" * 16, "Parent=53", "Parent="])
sampling = st.sampled_from(["Sampled=1", "Sampled=0", "Self=1-2-3", "Lineage=a:1"])


@given(parts=st.tuples(roots, callers, sampling).flatmap(st.permutations).map(";".join))
@settings(max_examples=300, deadline=None)
def test_xray_is_read_as_opentelemetry_reads_it(parts: str) -> None:
    """Parts in any order, some missing: same IDs and flags, or none for both."""
    theirs = AwsXRayPropagator().extract({"X-Amzn-Trace-Id": parts})
    assert propagation.xray_context(parts) == verdict(theirs)


@given(
    trace_id=st.integers(1, 2**128 - 1), span_id=st.integers(1, 2**64 - 1), sampled=st.booleans()
)
@settings(max_examples=100, deadline=None)
def test_b3_and_xray_are_written_as_opentelemetry_writes_them(
    trace_id: int, span_id: int, sampled: bool
) -> None:
    """The same texts under the same names, whose case is HTTP's and does not matter."""
    flags = trace.TraceFlags(int(sampled))
    span = trace.NonRecordingSpan(trace.SpanContext(trace_id, span_id, True, flags))
    here = Context(trace_id.to_bytes(16, "big"), span_id.to_bytes(8, "big"), int(sampled))
    for name, theirs in (
        ("b3", B3SingleFormat()),
        ("b3multi", B3MultiFormat()),
        ("xray", AwsXRayPropagator()),
    ):
        expected: dict[str, str] = {}
        theirs.inject(expected, trace.set_span_in_context(span))
        headers: dict[str, str] = {}
        propagation.inject([name], headers, here)
        lower = {key.lower(): value for key, value in headers.items()}
        assert lower == {key.lower(): value for key, value in expected.items()}


@pytest.mark.parametrize(
    ("headers", "flags"),
    [
        ({"b3": f"{TRACE}-{SPAN}"}, 1),
        ({"b3": f"{TRACE.upper()}-{SPAN}-0"}, 0),
        ({"b3": f"{TRACE}-{SPAN}-d-05e3ac9a4f6e3b90"}, 1),
        ({"b3": "0"}, None),
        ({"b3": f"{TRACE}-{SPAN}-1-2-3"}, None),
        ({"b3": f"{TRACE}-{'0' * 16}-1"}, None),
        ({"x-b3-traceid": TRACE, "x-b3-spanid": SPAN}, 0),
        ({"x-b3-traceid": TRACE, "x-b3-spanid": SPAN, "x-b3-flags": "1"}, 1),
        ({"x-b3-traceid": TRACE}, None),
        ({"x-amzn-trace-id": f"Root={XRAY};Parent={SPAN};Sampled=1"}, 1),
        ({"x-amzn-trace-id": f"Self=1-2;Sampled=0;Parent={SPAN};Root={XRAY};Lineage=a:1"}, 0),
        # Deliberately not as OpenTelemetry's, which drops it: X-Ray's "?" leaves the decision open.
        ({"x-amzn-trace-id": f"Root={XRAY};Parent={SPAN};Sampled=?"}, 0),
        ({"x-amzn-trace-id": f"Root={XRAY};Sampled=1"}, None),
        ({"x-amzn-trace-id": f"Root=2-{XRAY[2:]};Parent={SPAN}"}, None),
    ],
)
def test_b3_and_xray_are_read(headers: dict[str, str], flags: int | None) -> None:
    """Single and multi; X-Ray's parts in any order, some missing."""
    expected = None if flags is None else Context(*IDS, flags)
    assert propagation.extract(("b3", "xray"), headers) == expected
    assert propagation.extract(("tracecontext",), headers) is None


@given(
    text=st.text(max_size=80),
    names=st.lists(st.sampled_from(propagation.NAMES), unique=True),
    header=st.sampled_from(propagation.HEADERS),
)
@settings(max_examples=300, deadline=None)
def test_no_header_raises(text: str, names: list[str], header: str) -> None:
    """Whatever a stranger sends."""
    propagation.extract(names, {header: text})
    propagation.baggage_in({header: text})


def test_what_is_injected_is_read_back() -> None:
    """Every format, by itself."""
    here = Context(*IDS, 1, "vendor=1")
    for name in ("tracecontext", "xray", "b3", "b3multi"):
        headers: dict[str, str] = {}
        propagation.inject([name], headers, here, "a=1")
        lower = {key.lower(): value for key, value in headers.items()}
        state = here.tracestate if name == "tracecontext" else ""
        assert propagation.extract([name], lower) == Context(*IDS, 1, state)


def test_the_names_of_propagators() -> None:
    """As `OTEL_PROPAGATORS` has them: each once, none alone, the unknown named."""
    assert propagation.names_in("b3, xray,b3") == (("b3", "xray"), "")
    assert propagation.names_in("b3,none") == ((), "")
    assert propagation.names_in("jaeger,b3") == (("b3",), "jaeger")
