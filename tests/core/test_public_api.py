"""What users call says what it takes, in which units, what it raises, and where that is from."""

from __future__ import annotations

import argparse
import inspect
import re
from collections.abc import Iterator
from typing import Any

import pytest

import fifo
import fifo.api
import fifo.otel
import spanpipe
from fifo.otel import FifoSpanExporter, parent_context
from spanpipe import cli
from tests.pages import ROOT

CALLED = {
    **{name: getattr(fifo, name) for name in fifo.__all__},
    "Span": fifo.api.Span,
    "Span.set": fifo.api.Span.set,
    "otel.FifoSpanExporter": FifoSpanExporter,
    "otel.FifoSpanExporter.export": FifoSpanExporter.export,
    "otel.FifoSpanExporter.force_flush": FifoSpanExporter.force_flush,
    "otel.parent_context": parent_context,
}
SOURCED = set(fifo.__all__) | {"otel.FifoSpanExporter"}
LIKE_LOGGINGS = {"TraceFilter": {"name"}}
"""Parameters that are the standard library's."""


def parameters(name: str) -> list[str]:
    found = inspect.signature(CALLED[name]).parameters.values()
    named = [one.name for one in found if one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)]
    return [one for one in named if one != "self" and one not in LIKE_LOGGINGS.get(name, ())]


@pytest.mark.parametrize("name", CALLED)
def test_every_parameter_is_in_the_docstring(name: str) -> None:
    """And what is raised; for what is imported from `fifo`, the source as well."""
    text = inspect.getdoc(CALLED[name]) or ""
    assert [one for one in parameters(name) if f"`{one}`" not in text] == []
    assert re.search(r"[Rr]aises|never raised", text), "what does it raise?"
    assert name not in SOURCED or "Source" in text


@pytest.mark.parametrize("name", CALLED)
def test_no_docstring_has_a_parameter_that_is_not_there(name: str) -> None:
    """Names in backticks are parameters, members, or in the table of what they are."""
    others = {
        *("aws_request_id", "repr", "capture.max_body_bytes", "propagator.composite"),
        *("OTEL_PROPAGATORS", "SimpleSpanProcessor", "BatchSpanProcessor", "force_flush"),
        *("trace_id", "span_id", "trace_flags", "set", "span", "shutdown"),
    }
    text = re.sub(r"``.*?``", "", inspect.getdoc(CALLED[name]) or "")
    named = set(re.findall(r"`([\w.]+)`", text))
    assert named - set(parameters(name)) <= others


def test_what_is_raised_is_what_is_said() -> None:
    """A handler that cannot be called, attributes that are no mapping: at once, not later."""
    with pytest.raises(TypeError, match="capture decorates a handler, not int"):
        fifo.capture(5)  # type: ignore[call-overload]
    for wrong, error in ((5, TypeError), ([1], TypeError), ("x", ValueError)):
        with pytest.raises(error):
            fifo.span("a", wrong)  # type: ignore[call-overload]


def test_durations_have_their_unit_in_the_name() -> None:
    """Seconds, or milliseconds where a specification says so."""
    found = {one for name in CALLED for one in parameters(name) if "time" in one}
    assert found == {"timeout_s", "timeout_millis"}


def test_spanpipe_offers_what_fifo_does() -> None:
    """Under its second name each is the same object."""
    assert {name: getattr(spanpipe, name) for name in spanpipe.__all__} == {
        name: getattr(fifo, name) for name in fifo.__all__
    }


def test_every_public_name_stands_in_the_pages() -> None:
    """Whoever reads the README and the guides meets each of them."""
    text = "".join(path.read_text() for path in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")))
    assert [name for name in fifo.__all__ if not re.search(rf"\b{name}\b", text)] == []


def parsers(monkeypatch: pytest.MonkeyPatch) -> dict[str, argparse.ArgumentParser]:
    """The command's parser for each sub-command."""
    found: list[argparse.ArgumentParser] = []

    def stop(parser: argparse.ArgumentParser, *given: Any) -> None:
        found.append(parser)
        raise KeyError

    with monkeypatch.context() as patched:
        patched.setattr(argparse.ArgumentParser, "parse_args", stop)
        with pytest.raises(KeyError):
            cli.main([])
    for action in found[0]._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    raise AssertionError


def unexplained(parser: argparse.ArgumentParser) -> Iterator[str]:
    for action in parser._actions:
        # An option of the form NAME=VALUE explains itself by that.
        if not action.help and "=" not in str(action.metavar or ""):
            yield action.dest


def test_every_option_of_the_command_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each sub-command says what it is for, and each of its options."""
    found = parsers(monkeypatch)
    assert {"run", "check", "send", "view", "doctor", "schema"} <= set(found)
    assert [name for name, parser in found.items() if not parser.description] == []
    lacking = {name: list(unexplained(parser)) for name, parser in found.items()}
    assert {name: options for name, options in lacking.items() if options} == {}
