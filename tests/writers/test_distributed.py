"""A Python function calls a Node.js one by HTTP, and that another by a queue: one tree."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from sandbox.application import QUEUE, URL_OF, Application, Deployed, EventSource, Reference
from sandbox.environment import Function
from sandbox.launcher import write_extensions
from sandbox.receiver import Receiver
from tests.whole.fates import spans_of
from tests.writers.languages import ROOT, WRITERS, tool

SHOP = ROOT / "examples" / "shop"
HERE = Path(__file__).parent / "node"
SPANS_S = 10.0
CHAIN = ["pack", "worker", "send", "checkout", "POST checkout", "front"]


def node_function(folder: Path, name: str) -> tuple[str, tuple[str, ...]]:
    """Its folder, with the package and a runtime of few lines, and the command that runs it."""
    node, code = tool("node"), folder / name
    (code / "node_modules").mkdir(parents=True)
    (code / "node_modules" / "spanpipe").symlink_to(WRITERS / "node")
    shutil.copy(HERE / f"{name}.mjs", code / "function.mjs")
    shutil.copy(HERE / "patient.cjs", code)
    shutil.copy(WRITERS / "node" / "example" / "bootstrap.mjs", code)
    return str(code), (node, str(code / "bootstrap.mjs"))


def shop(folder: Path, propagators: str, items: list[str], *of_node: str) -> Receiver:
    """`examples/shop`, its functions `of_node` in that language; what was received."""
    with Receiver() as receiver:
        environ = {
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": receiver.http_endpoint,
            "OTEL_PROPAGATORS": propagators,
        }

        def deployed(name: str, **options: Any) -> Deployed:
            code, command = str(SHOP), None
            if name in of_node:
                code, command = node_function(folder, name)
            function = Function(f"{name}.handler", code, name=name, timeout_s=20, environ=environ)
            return Deployed(function, runtime_command=command, **options)

        functions = [
            deployed("front", references={"CHECKOUT_URL": Reference(URL_OF, "checkout")}),
            deployed("checkout", references={"QUEUE_URL": Reference(QUEUE, "orders")}),
            deployed("worker", source=EventSource("orders", 2, 0.5, item_failures=True)),
        ]
        with Application(functions, str(write_extensions(folder))) as application:
            result = application.invoke("front", json.dumps({"items": items}).encode())
            assert result is not None
            assert json.loads(result.payload) == {"accepted": len(items)}
            application.wait_idle()
            application.shutdown()
            receiver.wait_for_spans(4 + 2 * len(items), SPANS_S)
        return receiver


def named(receiver: Receiver) -> dict[bytes, tuple[str, Span]]:
    """Span ID → (its name, an invocation's its function's; the span)."""
    found = {}
    for request in receiver.requests:
        for resource_spans in request.resource_spans:
            attributes = resource_spans.resource.attributes
            (function,) = [one.value.string_value for one in attributes if one.key == "faas.name"]
            for span in (one for scope in resource_spans.scope_spans for one in scope.spans):
                if span.name != "init":
                    is_invocation = span.kind == Span.SPAN_KIND_SERVER
                    found[span.span_id] = (function if is_invocation else span.name, span)
    return found


@pytest.mark.parametrize("propagators", ["tracecontext,baggage", "xray", "b3", "b3multi"])
def test_python_to_node_by_http_and_to_node_by_a_queue_is_one_tree(
    tmp_path: Path, propagators: str
) -> None:
    """By every propagator, each span under the one that called it."""
    spans = named(shop(tmp_path, propagators, ["tea"], "checkout", "worker"))
    (span,) = [one for name, one in spans.values() if name == "pack"]
    chain = ["pack"]
    while span.parent_span_id:
        name, span = spans[span.parent_span_id]
        chain.append(name)
    assert chain == CHAIN
    assert sorted(name for name, _ in spans.values()) == sorted(CHAIN)
    assert len({one.trace_id for _, one in spans.values()}) == 1


def test_a_batch_of_two_has_links_to_who_sent_them(tmp_path: Path) -> None:
    """The worker's trace is its own."""
    spans = named(shop(tmp_path, "tracecontext", ["tea", "milk"], "checkout", "worker"))
    (worker,) = [one for name, one in spans.values() if name == "worker"]
    sent = {(one.trace_id, one.span_id) for name, one in spans.values() if name == "send"}
    assert {(link.trace_id, link.span_id) for link in worker.links} == sent
    assert (len(sent), worker.parent_span_id) == (2, b"")
    assert worker.trace_id not in {trace_id for trace_id, _ in sent}


def test_the_spans_are_those_of_the_python_functions(tmp_path: Path) -> None:
    """Whole, but for what is drawn: names, kinds, attributes of the triggers and of the answers."""
    told = []
    for languages in ((), ("checkout", "worker")):
        folder = tmp_path / str(len(languages))
        folder.mkdir()
        spans = spans_of(shop(folder, "tracecontext", ["tea"], *languages).requests)
        for span in spans:
            span["attributes"].pop("messaging.message.id", None)
        told.append(sorted(spans, key=lambda one: str(one["resource"]["faas.name"])))
    expected, got = told
    assert got == expected
    (checkout, _, worker) = got
    assert (checkout["name"], worker["name"]) == ("POST", "worker")
    assert checkout["attributes"]["http.response.status_code"] == "202"
    assert worker["attributes"]["faas.trigger"] == "pubsub"
