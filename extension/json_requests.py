"""An OTLP/HTTP request's JSON as protobuf's bytes, within bounds; imported with the first one.

Source: OpenTelemetry Protocol specification, "JSON Protobuf Encoding".
"""

from __future__ import annotations

import json
import re

from extension.otlp_from_json import OtlpJsonError, request_bytes
from fifo.errors import ProtocolError
from fifo.otlp_bytes import TooManyError

MAX_VALUES = 262_144
"""In one request: some 30 MB while it is read. A span of the SDK's has 60 to 100, so that as many
spans as one message may have fit."""
MAX_ANSWER_CHARACTERS = 512

_OPENING = (b",", b"[", b"{")
"""No value begins without one of them before or in it, save the first."""
_PART_BYTES = 65_536
"""Of a body, of which the texts are told from the rest: all at once they are some 60 MB."""
_HALVES = re.compile(rb"\\u[dD][89a-fA-F]")


def protobuf_of(body: bytes) -> bytes:
    """The ExportTraceServiceRequest that `body` says in JSON. Raises ProtocolError."""
    if _count(body) > MAX_VALUES and _count_outside_texts(body) > MAX_VALUES:
        raise TooManyError(f"JSON of over {MAX_VALUES} values")
    try:
        value = json.loads(body.decode(), parse_constant=_refuse)
        if _HALVES.search(body):
            value = _mended(value)
        return request_bytes(value)
    except OtlpJsonError as error:
        raise ProtocolError(f"no trace request in JSON: {error}") from error
    except UnicodeDecodeError as error:
        raise ProtocolError(f"JSON that is no UTF-8, at byte {error.start}") from error
    except ValueError as error:
        raise ProtocolError(f"no JSON: {error}") from error
    except RecursionError as error:
        raise ProtocolError("JSON that is nested too deep") from error


def status_of(code: int, message: str) -> bytes:
    """google.rpc.Status in JSON: what an answer to JSON says of a refusal."""
    return json.dumps({"code": code, "message": message[:MAX_ANSWER_CHARACTERS]}).encode()


def _count(data: bytes) -> int:
    return sum(map(data.count, _OPENING))


def _count_outside_texts(body: bytes) -> int:
    plain = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    count, in_text = 0, 0
    for start in range(0, len(plain), _PART_BYTES):
        parts = plain[start : start + _PART_BYTES].split(b'"')
        count += _count(b" ".join(parts[in_text::2]))
        in_text = (in_text + len(parts) - 1) % 2
    return count


def _refuse(name: str) -> object:
    raise ValueError(f"{name} is no JSON")


def _mended(value: object) -> object:
    """Half a surrogate pair, as JavaScript leaves where it cuts a text, becomes U+FFFD."""
    text = json.dumps(value, ensure_ascii=False)
    return json.loads(text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))
