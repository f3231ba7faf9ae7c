"""What the page is told: rows, trees, ledgers, within bounds."""

from __future__ import annotations

from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from spanpipe.view.store import Store

SECOND_NS = 1_000_000_000


def pair(name: str, value: Any) -> KeyValue:
    if isinstance(value, bool):
        return KeyValue(key=name, value=AnyValue(bool_value=value))
    if isinstance(value, int):
        return KeyValue(key=name, value=AnyValue(int_value=value))
    if isinstance(value, float):
        return KeyValue(key=name, value=AnyValue(double_value=value))
    return KeyValue(key=name, value=AnyValue(string_value=value))


def span(trace: int, number: int, parent: int = 0, **changes: Any) -> Span:
    attributes = [pair(name, value) for name, value in changes.pop("attributes", {}).items()]
    return Span(
        trace_id=trace.to_bytes(16, "big"),
        span_id=number.to_bytes(8, "big"),
        parent_span_id=parent.to_bytes(8, "big") if parent else b"",
        name=changes.pop("name", f"span {number}"),
        kind=changes.pop("kind", Span.SPAN_KIND_SERVER),
        start_time_unix_nano=changes.pop("start_s", number) * SECOND_NS,
        end_time_unix_nano=changes.pop("end_s", number + 1) * SECOND_NS,
        attributes=attributes,
        **changes,
    )


def request(*spans: Span, function: str = "shop") -> ExportTraceServiceRequest:
    made = ExportTraceServiceRequest()
    resource_spans = made.resource_spans.add()
    resource_spans.resource.attributes.append(pair("faas.name", function))
    resource_spans.scope_spans.add().spans.extend(spans)
    return made


def test_an_invocation_is_a_row() -> None:
    """What the list shows of it, and once: a span that comes again replaces."""
    store = Store()
    attributes = {
        "spanpipe.fate": "raised",
        "error.type": "KeyError",
        "faas.invocation_id": "r-1",
        "faas.coldstart": True,
        "spanpipe.result.size_bytes": 7,
    }
    failed = Status(code=Status.STATUS_CODE_ERROR)
    store.add(request(span(1, 1, attributes=attributes, status=failed)))
    store.add(request(span(1, 1, attributes=attributes, status=failed)))
    assert store.changes(-1) == {
        "version": 2,
        "anew": True,
        "rows": [
            {
                "trace": f"{1:032x}",
                "span": f"{1:016x}",
                "name": "span 1",
                "function": "shop",
                "fate": "raised",
                "failed": True,
                "request": "r-1",
                "error": "KeyError",
                "start_ms": 1000.0,
                "duration_ms": 1000.0,
                "cold": True,
                "size": 7,
            }
        ],
        "ledgers": [],
        "spans": 1,
        "forgotten": 0,
    }
    assert store.changes(2)["rows"] == []


def test_a_trace_is_a_tree_whatever_the_order_of_arrival() -> None:
    """Children after their parents, siblings by start; a lost parent's child is at the top."""
    store = Store()
    internal = Span.SPAN_KIND_INTERNAL
    store.add(request(span(1, 5, 3, kind=internal), span(1, 3, 1), function="worker"))
    store.add(request(span(1, 2, 1, kind=internal), span(1, 1), span(1, 9, 8, kind=internal)))
    shown = [(one["name"], one["depth"], one["function"]) for one in store.trace(f"{1:032x}")]
    assert shown == [
        ("span 1", 0, "shop"),
        ("span 2", 1, "shop"),
        ("span 3", 1, "worker"),
        ("span 5", 2, "worker"),
        ("span 9", 0, "shop"),
    ]
    assert [row["name"] for row in store.changes(0)["rows"]] == ["span 3", "span 1"]


def test_parents_in_a_circle_are_shown() -> None:
    """A stranger's spans are each other's parents: both are there, nothing hangs."""
    store = Store()
    store.add(request(span(1, 1, 2), span(1, 2, 1)))
    assert [(one["name"], one["depth"]) for one in store.trace(f"{1:032x}")] == [
        ("span 1", 0),
        ("span 2", 0),
    ]


def test_the_oldest_traces_go_whole_and_are_counted() -> None:
    """The page is told to begin anew; the newest trace stays though it is over the bound."""
    store = Store(max_spans=3)
    store.add(request(span(1, 1), span(1, 2, 1)))
    seen = store.changes(-1)["version"]
    store.add(request(span(2, 3), span(2, 4, 3)))
    told = store.changes(seen)
    assert (told["anew"], told["spans"], told["forgotten"]) == (True, 2, 2)
    assert [row["trace"] for row in told["rows"]] == [f"{2:032x}"] * 2
    assert store.trace(f"{1:032x}") == []
    store.add(request(*(span(3, number) for number in range(10, 20))))
    assert (store.changes(0)["spans"], store.changes(0)["forgotten"]) == (10, 4)
    small = Store(max_bytes=1)
    small.add(request(span(1, 1)))
    small.add(request(span(2, 2)))
    assert (small.changes(0)["spans"], small.changes(0)["forgotten"]) == (1, 1)


def test_values_are_what_javascript_can_hold() -> None:
    """Large integers and what is no number are texts; bytes are hex, lists stay lists."""
    listed = AnyValue(array_value=ArrayValue(values=[AnyValue(int_value=1), AnyValue()]))
    one = span(1, 1, attributes={"big": 2**53, "small": -3, "nan": float("nan"), "half": 0.5})
    one.attributes.append(KeyValue(key="list", value=listed))
    one.attributes.append(KeyValue(key="bytes", value=AnyValue(bytes_value=b"\xff\0")))
    store = Store()
    store.add(request(one))
    assert store.trace(f"{1:032x}")[0]["attributes"] == {
        "big": "9007199254740992",
        "small": -3,
        "nan": "nan",
        "half": 0.5,
        "list": [1, None],
        "bytes": "ff00",
    }


def test_the_ledger_is_the_newest_of_each_instance() -> None:
    """Counts that spans carry, for the foot of the page."""
    store = Store()
    for count in (1, 2):
        attributes = {"spanpipe.ledger.accepted": count, "spanpipe.ledger.dropped": 1}
        store.add(request(span(1, count, attributes=attributes)))
    assert store.changes(0)["ledgers"] == [
        {"instance": "shop", "counts": {"accepted": 2, "dropped": 1}}
    ]
