"""Samplers decide as OpenTelemetry's own do, and what failed leaves all the same."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.trace import sampling as sdk
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    TraceFlags,
    set_span_in_context,
)

from exporter.record import Environment, Failure, Fate, Invocation, Record, Supplement
from exporter.values import replace
from extension import sampling
from extension.config import load
from extension.settings import SampleSettings
from fifo.sampling import ALL, Bounds, bounds_in, is_sampled, text_of, told_flags
from tests.core.test_config import parse

RATIOS = st.floats(0, 1) | st.sampled_from([0.0, 0.1, 0.5, 1.0])
CALLERS = st.sampled_from([None, 0, 1, 2, 3])
"""A caller's trace flags; None: there is none."""


def context_of(caller_flags: int | None, trace_id: int) -> Any:
    """The SDK's context with a remote parent."""
    if caller_flags is None:
        return None
    parent = SpanContext(trace_id, 7, is_remote=True, trace_flags=TraceFlags(caller_flags))
    return set_span_in_context(NonRecordingSpan(parent))


@st.composite
def trace_ids(draw: st.DrawFn, ratio: float) -> int:
    """Any, and those beside the bound; never zero."""
    bound = round(ratio * ALL)
    low = draw(st.integers(0, ALL - 1) | st.integers(bound - 2, bound + 2)) % ALL
    return draw(st.integers(1, ALL - 1)) << 64 | low


SAMPLERS: st.SearchStrategy[tuple[str, sdk.Sampler]] = st.recursive(
    st.one_of(
        st.just(("{always_on: }", sdk.ALWAYS_ON)),
        st.just(("{always_off: {}}", sdk.ALWAYS_OFF)),
        RATIOS.map(
            lambda ratio: (
                f"{{trace_id_ratio_based: {{ratio: {ratio!r}}}}}",
                sdk.TraceIdRatioBased(ratio),
            )
        ),
    ),
    lambda inner: st.tuples(inner, inner, inner).map(
        lambda parts: (
            f"{{parent_based: {{root: {parts[0][0]}, remote_parent_sampled: {parts[1][0]}, "
            f"remote_parent_not_sampled: {parts[2][0]}}}}}",
            sdk.ParentBased(
                parts[0][1],
                remote_parent_sampled=parts[1][1],
                remote_parent_not_sampled=parts[2][1],
            ),
        )
    ),
    max_leaves=6,
)


def agrees(bounds: Bounds, theirs: sdk.Sampler, trace_id: int, caller_flags: int | None) -> bool:
    """Whether both decide alike; what a function tells others is that decision, too."""
    wanted = theirs.should_sample(
        context_of(caller_flags, trace_id), trace_id, ""
    ).decision.is_sampled()
    data = trace_id.to_bytes(16, "big")
    caller_sampled = None if caller_flags is None else bool(caller_flags & 1)
    random_bit = 0 if caller_flags is None else caller_flags & 2
    return (
        is_sampled(bounds, data, caller_sampled) is wanted
        and told_flags(text_of(bounds), data, caller_flags) == random_bit | wanted
    )


@given(ratio=RATIOS, caller_flags=CALLERS, data=st.data())
def test_a_ratio_decides_as_the_sdks(
    ratio: float, caller_flags: int | None, data: st.DataObject
) -> None:
    """For any ratio and trace ID, those at the bound among them, with a caller and without."""
    bounds = sampling.trace_id_ratio_based(ratio)
    trace_id = data.draw(trace_ids(ratio))
    assert agrees(bounds, sdk.TraceIdRatioBased(ratio), trace_id, caller_flags)


@given(sampler=SAMPLERS, caller_flags=CALLERS, low=st.integers(0, ALL - 1))
def test_any_sampler_of_a_file_decides_as_the_sdks(
    sampler: tuple[str, sdk.Sampler], caller_flags: int | None, low: int
) -> None:
    """However they are put together, three bounds say the same."""
    text, theirs = sampler
    settings, errors = parse(f"sample: {{sampler: {text}}}")
    bounds = settings.sample.sampler
    assert errors == ()
    assert bounds is not None
    assert agrees(bounds, theirs, 1 << 64 | low, caller_flags)


@pytest.mark.parametrize("name", sdk._KNOWN_SAMPLERS)
def test_each_variable_decides_as_the_sdks(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """OTEL_TRACES_SAMPLER and its argument, whole settings, against the SDK that reads them."""
    environ = {"OTEL_TRACES_SAMPLER": name.upper(), "OTEL_TRACES_SAMPLER_ARG": "0.25"}
    for variable, value in environ.items():
        monkeypatch.setenv(variable, value)
    theirs = sdk._get_from_env_or_default()
    config = load(environ, default_file())
    bounds = config.settings.sample.sampler
    assert bounds is not None
    assert config.origins["sample.sampler"] == "OTEL_TRACES_SAMPLER"
    for low in (0, ALL // 4 - 1, ALL // 4, ALL - 1):
        for caller_flags in (None, 0, 1):
            assert agrees(bounds, theirs, 5 << 64 | low, caller_flags), (low, caller_flags)


def default_file() -> str | None:
    """The file that the layer ships, which names no sampler."""
    return load({}).file


@given(st.text(max_size=60))
def test_a_text_that_holds_no_bounds_leaves_the_callers_word(text: str) -> None:
    """The policy is a hint of another version, perhaps: nothing raises."""
    if bounds_in(text) is None:
        assert [told_flags(text, bytes(16), flags) for flags in (None, 0, 1, 7)] == [1, 0, 1, 3]


@given(st.tuples(st.integers(0, ALL), st.integers(0, ALL), st.integers(0, ALL)))
def test_bounds_come_back_from_their_text(bounds: Bounds) -> None:
    """Whatever they are."""
    assert bounds_in(text_of(bounds)) == bounds


LOW, HIGH = bytes(16), bytes(8) + b"\xff" * 8
ONE = Invocation(
    ordinal=1,
    request_id="r",
    invoked_function_arn="arn",
    environment=Environment("f", "1"),
    trace_id=HIGH,
    span_id=b"spanspan",
    start_unix_ns=0,
    end_unix_ns=0,
    fate=Fate.RETURNED,
    deadline_unix_ms=0,
)
LATE = Supplement(HIGH, b"spanspan", ONE.environment, 1)
CALLED = replace(ONE, parent_span_id=b"parentid")
HALF = sampling.trace_id_ratio_based(0.5)
RECORDS: dict[str, tuple[Record, bool, bool]] = {
    "returned": (ONE, False, False),
    "returned, below the bound": (replace(ONE, trace_id=LOW), True, True),
    "its caller is sampled": (CALLED, True, True),
    "its caller is not": (replace(CALLED, trace_flags=0, trace_id=LOW), False, False),
    "answered 503": (replace(ONE, attributes={"http.response.status_code": 503}), True, False),
    "answered 404": (replace(ONE, attributes={"http.response.status_code": 404}), False, False),
    "raised, its caller not sampled": (
        replace(CALLED, trace_flags=0, fate=Fate.RAISED, failure=Failure("E")),
        True,
        False,
    ),
    **{
        fate.value: (replace(ONE, fate=fate), True, False)
        for fate in Fate
        if fate not in (Fate.RETURNED, Fate.UNREPORTED)
    },
    "nobody told its end": (replace(ONE, fate=Fate.UNREPORTED), False, False),
    "behind one that was not": (LATE, False, False),
    "behind one with a sampled caller": (replace(LATE, caller_sampled=True), True, True),
    "behind one that failed": (replace(LATE, failed=True), True, False),
    "of no invocation": (replace(LATE, span_id=b""), True, True),
}


@pytest.mark.parametrize("name", RECORDS)
def test_each_record_leaves_or_not(name: str) -> None:
    """By a parent-based half, with what failed and without; all of them without a sampler."""
    record, with_errors, without = RECORDS[name]
    sampler = sampling.parent_based(HALF)
    assert sampling.leaves(SampleSettings(sampler), record) is with_errors
    assert sampling.leaves(SampleSettings(sampler, on_error=False), record) is without
    assert sampling.leaves(SampleSettings(), record)


@pytest.mark.parametrize(
    ("sampler", "text"),
    [
        (None, "(everything)"),
        (sampling.ALWAYS_ON, "1 of all traces"),
        (sampling.trace_id_ratio_based(0.1), "0.1 of all traces"),
        (
            sampling.parent_based(sampling.trace_id_ratio_based(1e-6)),
            "1e-06 of traces that begin here, 1 of those with a sampled caller, 0 of the others",
        ),
    ],
)
def test_a_sampler_is_shown_by_what_it_lets_through(sampler: Bounds | None, text: str) -> None:
    """As `spanpipe check` has it."""
    assert sampling.shown(sampler) == text
