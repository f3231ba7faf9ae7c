"""Headers in and out: the verdicts are those of OpenTelemetry's own propagators."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry import trace
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
