"""What an OTLP/HTTP request is worth: a request in; spans or a refusal, and the answer out; no I/O.

Source: OpenTelemetry Protocol specification, "OTLP/HTTP", "OTLP/HTTP Request" and "Response".
"""

from __future__ import annotations

import zlib

from exporter.values import dataclass
from extension.http1_request import Request, RequestError, answer
from fifo import otlp_bytes
from fifo.errors import ProtocolError

PATH = "/v1/traces"
PROTOBUF = "application/x-protobuf"
JSON = "application/json"
MAX_BODY_BYTES = 4 * 1024 * 1024
"""As it comes and inflated: the Collector's own default for one gRPC message."""
RETRY_AFTER_S = 5
"""By then a batch is due."""

BAD = "otlp_bad"
NOT_SERVED = "otlp_not_served"
TOO_LARGE = "otlp_too_large"
FULL = "otlp_full"
"""Reasons, in the ledger's line."""

_REASON_OF = {404: NOT_SERVED, 405: NOT_SERVED, 415: NOT_SERVED, 413: TOO_LARGE, 503: FULL}
_WIRE_GZIP = 31
_RPC_CODES = {400: 3, 404: 12, 405: 12, 413: 8, 415: 3, 431: 8, 501: 12, 503: 14, 505: 12}
"""google.rpc.Code: INVALID_ARGUMENT 3, RESOURCE_EXHAUSTED 8, UNIMPLEMENTED 12, UNAVAILABLE 14."""


@dataclass(frozen=True, slots=True)
class Spans:
    """An SDK's spans: `data` is an ExportTraceServiceRequest of `count`, of these traces.

    In protobuf's bytes, whichever way it came.
    """

    data: bytes
    count: int
    trace_ids: frozenset[bytes]


def spans_of(request: Request) -> Spans:
    """The spans in `request`, none perhaps. Raises RequestError."""
    path = request.target.partition("?")[0]
    if path != PATH:
        raise RequestError(404, f"only {PATH} is here")
    if request.method != "POST":
        raise RequestError(405, f"{PATH} takes POST")
    kind = _content_type(request)
    if kind not in (PROTOBUF, JSON):
        raise RequestError(415, f"Content-Type must be {PROTOBUF} or {JSON}")
    coding = request.headers.get("content-encoding", "identity").lower()
    if coding not in ("gzip", "identity", ""):
        raise RequestError(415, "Content-Encoding must be gzip or identity")
    data = _inflated(request.body) if coding == "gzip" else request.body
    try:
        if kind == JSON:
            # With the first one: most functions never send any.
            from extension.json_requests import protobuf_of

            data = protobuf_of(data)
        count, trace_ids = otlp_bytes.spans_in(data)
    except otlp_bytes.TooManyError as error:
        raise RequestError(413, str(error)) from error
    except ProtocolError as error:
        raise RequestError(400, str(error)) from error
    return Spans(data, count, trace_ids)


def _inflated(body: bytes) -> bytes:
    inflater = zlib.decompressobj(_WIRE_GZIP)
    try:
        data = inflater.decompress(body, MAX_BODY_BYTES + 1)
    except zlib.error as error:
        raise RequestError(400, f"no gzip: {error}") from error
    if len(data) > MAX_BODY_BYTES:
        raise RequestError(413, f"request body over {MAX_BODY_BYTES} bytes inflated")
    if not inflater.eof or inflater.unused_data:
        raise RequestError(400, "gzip ends too soon, or something follows it")
    return data


def encoding_of(request: Request) -> str:
    """`JSON` where it is in JSON, else `PROTOBUF`: the answer is in the same."""
    return JSON if _content_type(request) == JSON else PROTOBUF


def _content_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def accepted(encoding: str, *, keep_alive: bool) -> bytes:
    """200 with an empty ExportTraceServiceResponse, which has no bytes in protobuf."""
    body = b"{}" if encoding == JSON else b""
    return answer(200, body, {"Content-Type": encoding}, keep_alive=keep_alive)


def refused(
    error: RequestError, encoding: str, *, keep_alive: bool, with_body: bool = True
) -> bytes:
    """The answer to what was refused, a google.rpc.Status in it."""
    headers = {"Content-Type": encoding}
    if error.status == 405:
        headers["Allow"] = "POST"
    if error.status == 503:
        headers["Retry-After"] = str(RETRY_AFTER_S)
    body = _status(_RPC_CODES[error.status], str(error), encoding) if with_body else b""
    return answer(error.status, body, headers, keep_alive=keep_alive)


def reason_of(error: RequestError) -> str:
    """Its name in the ledger."""
    return _REASON_OF.get(error.status, BAD)


def _status(code: int, message: str, encoding: str) -> bytes:
    """google.rpc.Status: code 1 (varint), message 2; a message of less than 128 bytes."""
    if encoding == JSON:
        from extension.json_requests import status_of

        return status_of(code, message)
    text = message.encode()[:127].decode("utf-8", "ignore").encode()
    return bytes((0x08, code, 0x12, len(text))) + text
