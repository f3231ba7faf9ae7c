"""Spans as trees: which hang under which across functions, and when; no I/O."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from exporter import attributes as names
from spanpipe.run.report import SERVER, error_of, function_of, one_line, string_of

MAX_LINKS = 8
"""Shown of one span; a batch may have as many as it has messages."""
_ERROR = 2
"""``Status.StatusCode.STATUS_CODE_ERROR``."""


@dataclass(frozen=True, slots=True)
class Branch:
    """One span in its tree. `outcome` is an invocation's fate, or ``error``, or empty.

    `start` and `width` are parts of the tree's whole time, from 0 to 1. `links` says where each
    link goes, `links_cut` how many more there are; `error` is what a failed span says of it.
    """

    name: str
    function: str
    outcome: str
    depth: int
    duration_s: float
    start: float
    width: float
    links: tuple[str, ...] = ()
    links_cut: int = 0
    error: str = ""


@dataclass(frozen=True, slots=True)
class Tree:
    """One trace: `branches` in the order they are read, parents first."""

    trace_id: str
    duration_s: float
    span_count: int
    function_count: int
    branches: tuple[Branch, ...]


@dataclass(frozen=True, slots=True)
class _Known:
    span: Any
    function: str


def trees_of(requests: Iterable[Any]) -> list[Tree]:
    """The traces in ``ExportTraceServiceRequest``s, the one that began first first.

    A span that came twice counts once. One whose parent is not there begins at the margin.
    """
    known: dict[tuple[bytes, bytes], _Known] = {}
    for request in requests:
        for key, one in _spans_of(request).items():
            known.setdefault(key, one)
    traces: dict[bytes, list[_Known]] = {}
    for one in sorted(known.values(), key=_began):
        traces.setdefault(one.span.trace_id, []).append(one)
    trees = []
    for spans in traces.values():
        ids = {one.span.span_id for one in spans}
        roots = [one for one in spans if one.span.parent_span_id not in ids]
        trees.append(_tree(spans, list(_walk(roots, _children(spans))), known))
    return trees


def invocation_trees(request: Any) -> dict[str, Tree]:
    """Of each invocation span in the request, by its span ID in hex, it and what is below it."""
    known = _spans_of(request)
    children = _children(sorted(known.values(), key=_began))
    trees = {}
    for one in known.values():
        if one.span.kind == SERVER:
            walked = list(_walk([one], children))
            trees[one.span.span_id.hex()] = _tree([each for each, _ in walked], walked, known)
    return trees


def _spans_of(request: Any) -> dict[tuple[bytes, bytes], _Known]:
    known: dict[tuple[bytes, bytes], _Known] = {}
    for resource_spans in request.resource_spans:
        function = function_of(resource_spans.resource)
        for scope_spans in resource_spans.scope_spans:
            for span in scope_spans.spans:
                known.setdefault((span.trace_id, span.span_id), _Known(span, function))
    return known


def _began(one: _Known) -> tuple[int, int]:
    """Earlier first; of two that begin together the longer."""
    return one.span.start_time_unix_nano, -one.span.end_time_unix_nano


def _children(spans: Iterable[_Known]) -> dict[tuple[bytes, bytes], list[_Known]]:
    """By trace and parent, in the order of `spans`."""
    children: dict[tuple[bytes, bytes], list[_Known]] = {}
    for one in spans:
        if one.span.parent_span_id:
            children.setdefault((one.span.trace_id, one.span.parent_span_id), []).append(one)
    return children


def _tree(
    spans: list[_Known],
    walked: list[tuple[_Known, int]],
    known: dict[tuple[bytes, bytes], _Known],
) -> Tree:
    began = min(one.span.start_time_unix_nano for one in spans)
    over = max(one.span.end_time_unix_nano for one in spans)
    whole = max(1, over - began)
    branches = []
    for one, depth in walked:
        span = one.span
        length = max(0, span.end_time_unix_nano - span.start_time_unix_nano)
        start = (span.start_time_unix_nano - began) / whole
        links = [_link(link, known) for link in span.links]
        branches.append(
            Branch(
                name=one_line(span.name),
                function=one_line(one.function),
                outcome=_outcome(span),
                depth=depth,
                duration_s=length / 1e9,
                start=start,
                width=length / whole,
                links=tuple(links[:MAX_LINKS]),
                links_cut=max(0, len(links) - MAX_LINKS),
                error=error_of(span) if span.status.code == _ERROR else "",
            )
        )
    return Tree(
        trace_id=spans[0].span.trace_id.hex(),
        duration_s=(over - began) / 1e9,
        span_count=len(spans),
        function_count=len({one.function for one in spans}),
        branches=tuple(branches),
    )


def _walk(
    roots: list[_Known], children: dict[tuple[bytes, bytes], list[_Known]]
) -> Iterator[tuple[_Known, int]]:
    """Parents before children, each once. Spans that are their own ancestors have no root, and
    no line."""
    stack = [(one, 0) for one in reversed(roots)]
    seen = set()
    while stack:
        one, depth = stack.pop()
        key = (one.span.trace_id, one.span.span_id)
        if key in seen:
            continue
        seen.add(key)
        yield one, depth
        stack += [(child, depth + 1) for child in reversed(children.get(key, []))]


def _outcome(span: Any) -> str:
    if span.kind == SERVER:
        fate = string_of({one.key: one.value for one in span.attributes}, names.FATE)
        if fate:
            return fate
    return "error" if span.status.code == _ERROR else ""


def _link(link: Any, known: dict[tuple[bytes, bytes], _Known]) -> str:
    found = known.get((link.trace_id, link.span_id))
    trace = link.trace_id.hex()[:8]
    if found is None:
        return f"span {link.span_id.hex()} of trace {trace}…, not received"
    return f"{one_line(found.span.name)} of {one_line(found.function)}, trace {trace}…"
