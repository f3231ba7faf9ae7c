"""Makes ``callers.json``: what the Python writer makes of events, headers and results.

``python -m tests.vectors.callers`` writes it. `fifo/PROTOCOL.md`, "The caller", says how a writer
in another language comes to the same.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fifo import caller, messages, parsing, propagation, sampling, triggers
from fifo.encoding import encode_prefix, encode_start
from fifo.propagation import Context
from tests.core.test_triggers import EVENTS, kafka, kinesis, packed

PATH = Path(__file__).resolve().parent / "callers.json"
TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
PARENT = f"00-{TRACE}-{SPAN}-01"
OTHER = f"00-{TRACE[::-1]}-{SPAN[::-1]}-00"
XRAY = f"Root=1-{TRACE[:8]}-{TRACE[8:]};Parent={SPAN};Sampled=1"
ALL = list(propagation.NAMES)
DEFAULT = list(propagation.DEFAULT)


def told(
    event: Any, names: list[str] = DEFAULT, event_path: str = "", xray_header: str = ""
) -> dict[str, Any]:
    """What START and the writer know of the caller, of an event that is JSON's value."""
    found = triggers.recognise(event, event_path)
    parent = caller.parent_of(names, found, xray_header)
    trace_id = bytes(16) if parent is None else parent.trace_id
    prefix = encode_prefix("r-1", b"12345678")
    fields = caller.context_fields(names, found, parent)
    body = encode_start(prefix, trace_id or bytes(16), 1, 2, 3, 4, fields, cold_start=False)
    assert isinstance(parsing.parse(messages.START, _valid(body, prefix)), messages.Start)
    texts = _texts(fields)
    attributes = texts.pop(str(messages.TAG_TRIGGER_ATTRIBUTES), "{}")
    baggage = propagation.baggage_in(found.carrier) if propagation.BAGGAGE in names else ""
    return {
        "trigger": found.trigger,
        "texts": texts,
        "attributes": json.loads(attributes),
        "baggage": baggage,
    }


def _valid(body: bytes, prefix: bytes) -> bytes:
    """With a trace ID where there is no caller's."""
    at = len(prefix) + 1
    return body if any(body[at : at + 16]) else body[:at] + b"t" * 16 + body[at + 16 :]


def _texts(fields: bytes) -> dict[str, str]:
    texts, at = {}, 0
    while at < len(fields):
        size = int.from_bytes(fields[at + 1 : at + 3], "big")
        texts[str(fields[at])] = fields[at + 3 : at + 3 + size].decode()
        at += 3 + size
    return texts


def http(**headers: Any) -> Any:
    """A request to an HTTP API with such headers."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return {"headers": named, "requestContext": {"http": {"method": "GET"}}}


def sqs(*attributes: dict[str, str], header: str = "") -> Any:
    """A batch of messages with such attributes."""
    records: list[Any] = []
    for one in attributes:
        texts = {name: {"stringValue": text, "dataType": "String"} for name, text in one.items()}
        record = {"eventSource": "aws:sqs", "messageId": "m", "messageAttributes": texts}
        records.append({**record, **({"attributes": {"AWSTraceHeader": header}} if header else {})})
    return {"Records": records}


def event_of(name: str, event: Any, **options: Any) -> dict[str, Any]:
    """One vector."""
    names = options.get("names", DEFAULT)
    path, xray = options.get("event_path", ""), options.get("xray_header", "")
    return {
        "name": name,
        "propagators": names,
        "event_path": path,
        "xray_header": xray,
        "event": event,
        **told(event, names, path, xray),
    }


HEADERS: dict[str, tuple[list[str], dict[str, Any]]] = {
    "all three of W3C's": (
        DEFAULT,
        {"Traceparent": PARENT, "TraceState": "a=1 , b@c=2,", "baggage": "k=v"},
    ),
    "of several values": (
        DEFAULT,
        {"traceparent": [PARENT, OTHER], "tracestate": ["a=1", "b=2"], "baggage": ["k=v", "l=w"]},
    ),
    "of a value that is no text": (DEFAULT, {"traceparent": [7], "baggage": 7}),
    "blanks around": (DEFAULT, {"traceparent": f" \t{PARENT} "}),
    "a later version": (DEFAULT, {"traceparent": f"01-{TRACE}-{SPAN}-ff-more"}),
    "version 00 with more": (DEFAULT, {"traceparent": f"{PARENT}-more"}),
    "version ff": (DEFAULT, {"traceparent": f"ff-{TRACE}-{SPAN}-01"}),
    "upper case": (DEFAULT, {"traceparent": PARENT.upper()}),
    "an empty trace ID": (DEFAULT, {"traceparent": f"00-{'0' * 32}-{SPAN}-01"}),
    "a tracestate with a key twice": (DEFAULT, {"traceparent": PARENT, "tracestate": "a=1,a=2"}),
    "a tracestate over 512": (DEFAULT, {"traceparent": PARENT, "tracestate": "a=" + "b" * 600}),
    "a baggage that is no header's text": (DEFAULT, {"traceparent": PARENT, "baggage": "k=é"}),
    "tracecontext not asked for": (["baggage"], {"traceparent": PARENT, "baggage": "k=v"}),
    "X-Ray": (["xray"], {"X-Amzn-Trace-Id": XRAY}),
    "X-Ray in another order": (
        ["xray-lambda"],
        {"x-amzn-trace-id": f"Sampled=0 ; Parent={SPAN};;Self=1; {XRAY.partition(';')[0]}"},
    ),
    "X-Ray without a parent": (["xray"], {"x-amzn-trace-id": XRAY.partition(";")[0]}),
    "X-Ray with a word in it": (["xray"], {"x-amzn-trace-id": f"{XRAY};word"}),
    "B3": (["b3"], {"b3": f"{TRACE}-{SPAN}-d"}),
    "B3 without a decision": (["b3"], {"b3": f"{TRACE[:16]}-{SPAN}"}),
    "B3 with a parent": (["b3"], {"B3": f"{TRACE.upper()}-{SPAN.upper()}-0-{SPAN}"}),
    "B3, the decision alone": (["b3"], {"b3": "0"}),
    "B3 in several headers": (
        ["b3multi"],
        {"X-B3-TraceId": TRACE, "X-B3-SpanId": SPAN, "X-B3-Sampled": "True"},
    ),
    "B3 in several headers, debug": (
        ["b3multi"],
        {"x-b3-traceid": TRACE, "x-b3-spanid": SPAN, "x-b3-flags": "1"},
    ),
    "two formats, the last counts": (
        ["tracecontext", "b3"],
        {"traceparent": OTHER, "b3": f"{TRACE}-{SPAN}-1"},
    ),
    "two formats, the last is none": (["tracecontext", "b3"], {"traceparent": PARENT, "b3": "x"}),
}
CARRIER = {"traceparent": PARENT, "tracestate": "a=1", "baggage": "k=v"}
BYTES = {name: list(text.encode()) for name, text in CARRIER.items()}


def events() -> list[dict[str, Any]]:
    """Every trigger, every format, every place of a carrier, and what is none."""
    found = [event_of(name, event) for name, (event, *_) in EVENTS.items()]
    for name, (names, headers) in HEADERS.items():
        event = {"headers": headers, "requestContext": {"http": {"method": "GET"}}}
        found.append(event_of(f"headers: {name}", event, names=names))
    elb = {"requestContext": {"elb": {}}, "httpMethod": "GET", "path": "/"}
    found += [
        event_of("the runtime's X-Ray header", {}, names=["xray"], xray_header=XRAY),
        event_of(
            "the runtime's X-Ray header beside a request's own",
            http(**{"X-Amzn-Trace-Id": XRAY.replace(SPAN, SPAN[::-1])}),
            names=["xray"],
            xray_header=XRAY,
        ),
        event_of("no propagator reads X-Ray", {}, xray_header=XRAY),
        event_of(
            "headers of many values",
            {**elb, "multiValueHeaders": {"traceparent": [PARENT], "host": ["h:80"]}},
        ),
        event_of(
            "parameters of many values",
            {
                **elb,
                "multiValueQueryStringParameters": {"a": ["1", "2", 3], "b": [], "c": None},
                "queryStringParameters": {"a": "2"},
                "headers": {},
            },
        ),
        event_of("SQS: one message", sqs(CARRIER)),
        event_of("SQS: one message and its X-Ray header", sqs(CARRIER, header=XRAY)),
        event_of("SQS: two messages", sqs(CARRIER, {"traceparent": OTHER})),
        event_of("SQS: two, one without context", sqs({}, {"TraceParent": OTHER})),
        event_of("SQS: more messages than are read", sqs(*[{"traceparent": OTHER}] * 130)),
        event_of(
            "SNS",
            {
                "Records": [
                    {
                        "EventSource": "aws:sns",
                        "Sns": {
                            "TopicArn": "arn:aws:sns:r:1:news",
                            "MessageAttributes": {
                                "traceparent": {"Type": "String", "Value": PARENT},
                                "other": {"Type": "String", "Value": "x"},
                            },
                        },
                    }
                ]
            },
        ),
        event_of("Kafka: one record", kafka([{"topic": "t", "headers": [BYTES]}])),
        event_of(
            "Kafka: bytes as Java's, a header for each",
            kafka([{"topic": "t", "headers": [{key: BYTES[key]} for key in BYTES]}]),
        ),
        event_of("Kafka: two records", kafka([{"headers": [BYTES]}, {"headers": [BYTES, 7]}])),
        event_of("Kafka: no bytes", kafka([{"headers": [{"traceparent": ["x"]}]}])),
        event_of("Kafka: no list", kafka([{"headers": [{"traceparent": "x"}], "topic": 7}])),
        event_of("EventBridge", {"source": "s", "detail-type": "order", "detail": CARRIER}),
        event_of("Step Functions", {"order": 1, **CARRIER}),
        event_of("Step Functions: B3", {"b3": f"{TRACE}-{SPAN}-1"}, names=["b3"]),
        event_of("AppSync", {"info": {"fieldName": "f"}, "request": {"headers": CARRIER}}),
        event_of("CloudFront", cloudfront([{"key": "traceparent", "value": PARENT}])),
        event_of("CloudFront: a header of no mapping", cloudfront([PARENT])),
        event_of("one's own place", {"detail": {"trace": CARRIER}}, event_path="detail.trace"),
        event_of(
            "one's own place behind another's",
            {**http(traceparent=OTHER), "trace": CARRIER},
            event_path="trace",
        ),
        event_of(
            "Kinesis: a carrier in each record",
            kinesis(packed({"t": CARRIER}), packed({"t": {"traceparent": OTHER}}), "eA=="),
            event_path="Records.kinesis.data.t",
        ),
        event_of("by number", {"a": [{}, {"t": CARRIER}]}, event_path="a.1.t"),
        event_of("in a text", {"body": json.dumps({"t": CARRIER})}, event_path="body.t"),
        event_of("nothing there", {"a": {"b": 1}}, event_path="a.b.c"),
        event_of("a long path, cut between characters", long_path()),
        event_of("a time that is none", dynamodb(1e300)),
        event_of("a time with a fraction", dynamodb(1428537600.9)),
        *(event_of(f"no mapping: {event!r}", event) for event in (None, 7, "x", [], {}, [CARRIER])),
    ]
    return found


def cloudfront(pairs: list[Any]) -> Any:
    """At the edge, with one header."""
    request = {"method": "GET", "uri": "/", "headers": {"traceparent": pairs}}
    return {"Records": [{"cf": {"request": request}}]}


def long_path() -> Any:
    """A path of more characters than an attribute has."""
    return {"requestContext": {"http": {"method": "GET"}}, "rawPath": "/" + "😀" * 1_100}


def dynamodb(seconds: float) -> Any:
    """A change at that time."""
    record = {"eventSource": "aws:dynamodb", "eventName": "REMOVE"}
    return {"Records": [{**record, "dynamodb": {"ApproximateCreationDateTime": seconds}}]}


def injected() -> list[dict[str, Any]]:
    """What each propagator writes."""
    found = []
    for names in (["tracecontext"], DEFAULT, ["xray"], ["xray-lambda"], ["b3"], ["b3multi"], []):
        for flags, tracestate, baggage in ((1, "a=1", "k=v"), (2, "", "")):
            headers: dict[str, str] = {}
            here = Context(bytes.fromhex(TRACE), bytes.fromhex(SPAN), flags, tracestate)
            propagation.inject(names, headers, here, baggage)
            found.append(
                {
                    "propagators": names,
                    "trace_id": TRACE,
                    "span_id": SPAN,
                    "flags": flags,
                    "tracestate": tracestate,
                    "baggage": baggage,
                    "headers": headers,
                }
            )
    return found


RESULTS: tuple[Any, ...] = (
    {"statusCode": 200},
    {"statusCode": "404"},
    {"statusCode": "0404"},
    {"statusCode": 99},
    {"statusCode": "2é"},
    {"statusCode": True},
    {"statusCode": None},
    {"batchItemFailures": [{"itemIdentifier": "a"}, {}]},
    {"batchItemFailures": []},
    {"batchItemFailures": {}},
    [],
    "x",
    None,
)
SAMPLERS = ("", "0,10000000000000000,0", "8448eb211c80319d,0,8448eb211c80319c", "x,1,2", "1,2")
NAMED = ("b3", " tracecontext , b3,b3", "jaeger,xray", "none,b3", ",", "")


def vectors() -> dict[str, Any]:
    """Everything, as the file has it."""
    return {
        "events": events(),
        "headers": injected(),
        "outcomes": [
            {"trigger": trigger, "result": one, "attributes": triggers.outcome_of(trigger, one)}
            for trigger in ("http", "pubsub")
            for one in RESULTS
        ],
        "samplers": [
            {
                "sampler": text,
                "trace_id": TRACE,
                "caller_flags": flags,
                "told_flags": sampling.told_flags(text, bytes.fromhex(TRACE), flags),
            }
            for text in SAMPLERS
            for flags in (None, 0, 1, 3)
        ],
        "propagators": [
            {"text": text, "names": list(propagation.names_in(text)[0]) if text else DEFAULT}
            for text in NAMED
        ],
    }


def written() -> str:
    """The file's text: a line for each vector."""
    groups = [
        f' "{name}": [\n'
        + ",\n".join(f"  {json.dumps(one, ensure_ascii=False)}" for one in group)
        + "\n ]"
        for name, group in vectors().items()
    ]
    return "{\n" + ",\n".join(groups) + "\n}\n"


if __name__ == "__main__":
    PATH.write_text(written(), encoding="utf-8")
