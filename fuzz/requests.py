"""Target `requests`: what an SDK in the function sends to the OTLP receiver."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from exporter.otlp_json import to_value
from extension.http1_request import Request, RequestError, RequestParser
from extension.otlp_from_json import request_bytes
from extension.otlp_requests import (
    JSON,
    MAX_BODY_BYTES,
    PROTOBUF,
    encoding_of,
    reason_of,
    refused,
    spans_of,
)
from fuzz.draw import Draw, split

MAX_REQUESTS = 64
_TRACES = b"POST /v1/traces HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-protobuf\r\n"
_JSON_TRACES = _TRACES.replace(b"x-protobuf", b"json") + b"Content-Length: "
_ATTRIBUTES = (
    b'[{"key":"a","value":{"arrayValue":{"values":[{"intValue":"-1"},{"doubleValue":"NaN"}]}}},'
    b'{"key":"b","value":{"kvlistValue":{"values":[{"key":"c","value":{"bytesValue":"-_8"}}]}}},'
    b'{"key":"d","value":{"boolValue":false}},{"value":{"stringValue":"\\ud800"}},{"value":{}}]'
)
_SPAN = (
    b'{"traceId":"0af7651916cd43dd8448eb211c80319c","spanId":"b7ad6b7169203331","kind":3,'
    b'"startTimeUnixNano":"1700000000000000000","endTimeUnixNano":1.7e18,"droppedLinksCount":1,'
    b'"status":{"code":2,"message":"m"},"events":[{"name":"e","attributes":[]}],"flags":257,'
    b'"links":[{"traceId":"0af7651916cd43dd8448eb211c80319c","spanId":"b7ad6b7169203331"}],'
    b'"attributes":' + _ATTRIBUTES + b"}"
)
_REQUEST = (
    b'{"resourceSpans":[{"resource":{"attributes":[],"entityRefs":[{"idKeys":[""]}]},'
    b'"scopeSpans":[{"scope":{"name":"s"},"spans":[' + _SPAN + b"]}]}]}"
)
_JSON = {
    "span": _REQUEST,
    "nothing": b"{}",
    "cut": _REQUEST[:-9],
    "deep": b'{"resourceSpans":' + b"[" * 2_000,
    "list": b"[]",
    "number": _REQUEST.replace(b"1.7e18", b"1e99"),
    "name": _REQUEST.replace(b'"kind":3', b'"kind":"SPAN_KIND_CLIENT"'),
    "id": _REQUEST.replace(b"b7ad", b"zzzz"),
}

Read = tuple[list[tuple[object, ...]], int]
"""What each request is worth, and the status that ended the connection, 0 for none."""


def check(data: bytes) -> None:
    """The parser and what is made of a request raise RequestError or nothing, and besides:

    - however a stream is split, the same requests come out of it, and the same refusal;
    - a body is within its bound; what is refused has an answer and a reason for the ledger;
    - what a request holds is passed on as it came, and is counted;
    - what comes of JSON is protobuf that its own library reads, of as many spans, and in JSON again
      it comes to the same.
    """
    draw = Draw(data)
    flags, seed = draw.byte(), draw.byte()
    stream = draw.rest()
    whole, again = _read([stream]), _read(split(stream, flags & 3, seed))
    # Where a bound is reached, one split may tell it sooner than another.
    assert whole == again or {whole[1], again[1]} & {431, 413, 400}


def _read(parts: list[bytes]) -> Read:
    parser = RequestParser(MAX_BODY_BYTES)
    found: list[tuple[object, ...]] = []
    try:
        for part in parts:
            parser.feed(part)
            while len(found) < MAX_REQUESTS and (request := parser.next()) is not None:
                found.append(_worth(request))
            parser.take_continue()
    except RequestError as error:
        _answered(error, PROTOBUF)
        return found, error.status
    return found, 0


def _worth(request: Request) -> tuple[object, ...]:
    assert len(request.body) <= MAX_BODY_BYTES
    try:
        spans = spans_of(request)
    except RequestError as error:
        _answered(error, encoding_of(request))
        return request.method, request.target, error.status
    assert len(spans.data) <= MAX_BODY_BYTES
    assert len(spans.trace_ids) <= spans.count
    if encoding_of(request) == JSON:
        message = ExportTraceServiceRequest.FromString(spans.data)
        assert request_bytes(to_value(message)) == spans.data
    return request.method, request.target, spans.count, spans.data


def _answered(error: RequestError, encoding: str) -> None:
    answer = refused(error, encoding, keep_alive=False)
    if encoding == JSON:
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["message"]
    assert answer.startswith(b"HTTP/1.1 %d " % error.status)
    assert reason_of(error).startswith("otlp_")


def seeds() -> Iterator[tuple[str, bytes]]:
    """One span in each framing and coding, and each refusal."""
    ids = b"\x0a\x10" + b"t" * 16 + b"\x12\x08" + b"s" * 8 + b"\x2a\x01a"
    span = b"\x12" + bytes((len(ids),)) + ids
    scope = b"\x12" + bytes((len(span),)) + span
    body = b"\x0a" + bytes((len(scope),)) + scope
    packed = zlib.compressobj(wbits=31)
    gzip = packed.compress(body) + packed.flush()
    length = b"Content-Length: %d\r\n" % len(body)
    chunks = b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n" % (len(body), body)
    for how in range(4):
        control = bytes((how, 77))
        yield "length", control + _TRACES + length + b"\r\n" + body
        yield "two", control + (_TRACES + length + b"\r\n" + body) * 2
        yield "chunked", control + _TRACES + chunks + b"\r\n"
        yield "trailer", control + _TRACES + chunks + b"A: b\r\n\r\n"
    yield "continue", b"\0\0" + _TRACES + length + b"Expect: 100-continue\r\n\r\n" + body
    coded = b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(gzip)
    yield "gzip", b"\2\x80" + _TRACES + coded + gzip
    yield "gzip-cut", b"\0\0" + _TRACES + coded + gzip[:-3] + b"abc"
    yield "both", b"\0\0" + _TRACES + length + chunks
    yield "method", b"\0\0GET /v1/traces HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
    yield "path", b"\0\0POST /v1/metrics HTTP/1.1\r\nConnection: close\r\n\r\n"
    yield "kind", b"\0\0POST /v1/traces HTTP/1.1\r\nContent-Type: text/plain\r\n\r\n"
    for name, text in _JSON.items():
        yield f"json-{name}", b"\0\0" + _JSON_TRACES + b"%d\r\n\r\n%b" % (len(text), text)
    yield "version", b"\0\0POST /v1/traces HTTP/3\r\n\r\n"
    yield "long", b"\0\0" + _TRACES + b"Content-Length: 99999999\r\n\r\n"
    yield "groups", b"\0\0" + _TRACES + b"Content-Length: 4\r\n\r\n\x0a\x02\x0b\x0c"
