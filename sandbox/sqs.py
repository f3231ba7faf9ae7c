"""SQS's JSON protocol, as far as senders need it: a request's bytes in, an answer out; no I/O.

SendMessage, SendMessageBatch and GetQueueUrl. What else a request asks for is refused by name,
never passed over. Sources: Amazon SQS API reference; Amazon SQS developer guide, "Message
metadata" (the digest of attributes); AWS JSON 1.0 protocol.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from sandbox.queues import MAX_WAITING, Message, Queues

CONTENT_TYPE = "application/x-amz-json-1.0"
MAX_MESSAGE_BYTES = 1_048_576
"""Body and attributes of one message, and of a batch in all."""
MAX_BATCH = 10
MAX_ATTRIBUTES = 10
TRACE_HEADER = "AWSTraceHeader"
_TARGET = "AmazonSQS."
_SEND_KEYS = {"QueueUrl", "MessageBody", "MessageAttributes", "MessageSystemAttributes"}
_ENTRY_KEYS = (_SEND_KEYS - {"QueueUrl"}) | {"Id"}


class SqsError(Exception):
    """A request that is refused, with SQS's own code."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


class SqsEndpoint:
    """Answers requests. `url_of` makes a queue's URL, `unix_ms` is the clock."""

    def __init__(
        self, queues: Queues, url_of: Callable[[str], str], unix_ms: Callable[[], int]
    ) -> None:
        self._queues = queues
        self._url_of = url_of
        self._unix_ms = unix_ms

    def answer(self, target: str, trace_header: str | None, body: bytes) -> tuple[int, bytes]:
        """(HTTP status, body) for ``X-Amz-Target``, ``X-Amzn-Trace-Id`` and the body."""
        try:
            request = _mapping(_json(body), "the request")
            operation = target.removeprefix(_TARGET)
            if operation == "SendMessage":
                reply = self._send(request, trace_header)
            elif operation == "SendMessageBatch":
                reply = self._send_batch(request, trace_header)
            elif operation == "GetQueueUrl":
                reply = {"QueueUrl": self._url_of(self._known(request.get("QueueName")))}
            else:
                raise SqsError("UnsupportedOperation", f"{target or 'no target'} is not here")
        except SqsError as error:
            refusal = {"__type": f"com.amazonaws.sqs#{error.code}", "message": str(error)}
            return 400, json.dumps(refusal).encode()
        return 200, json.dumps(reply).encode()

    def _send(self, request: dict[str, Any], trace_header: str | None) -> dict[str, Any]:
        queue = self._queue(request, _SEND_KEYS)
        message = self._message(request, trace_header)
        _check_size([message])
        self._put(queue, [message])
        return _receipt(message, request)

    def _send_batch(self, request: dict[str, Any], trace_header: str | None) -> dict[str, Any]:
        queue = self._queue(request, {"QueueUrl", "Entries"})
        entries = request.get("Entries")
        if not isinstance(entries, list) or not entries:
            raise SqsError("EmptyBatchRequest", "Entries must have 1 entry at least")
        if len(entries) > MAX_BATCH:
            text = f"{len(entries)} entries, {MAX_BATCH} at most"
            raise SqsError("TooManyEntriesInBatchRequest", text)
        entries = [_mapping(entry, "an entry") for entry in entries]
        ids = [entry.get("Id") for entry in entries]
        if not all(isinstance(one, str) and one for one in ids) or len(set(ids)) < len(ids):
            raise SqsError("BatchEntryIdsNotDistinct", "every entry needs an Id of its own")
        messages = []
        for entry in entries:
            _only(entry, _ENTRY_KEYS)
            messages.append(self._message(entry, trace_header))
        _check_size(messages)
        self._put(queue, messages)
        receipts = zip(entries, messages, strict=True)
        successful = [{"Id": one["Id"], **_receipt(message, one)} for one, message in receipts]
        return {"Successful": successful, "Failed": []}

    def _queue(self, request: dict[str, Any], keys: set[str]) -> str:
        _only(request, keys)
        url = request.get("QueueUrl")
        return self._known(url.rpartition("/")[2] if isinstance(url, str) else None)

    def _known(self, name: object) -> str:
        if not isinstance(name, str) or name not in self._queues:
            raise SqsError("QueueDoesNotExist", f"there is no queue {name}")
        return name

    def _put(self, queue: str, messages: list[Message]) -> None:
        if not self._queues.put(queue, messages):
            raise SqsError("OverLimit", f"{queue} has {MAX_WAITING} messages")

    def _message(self, request: dict[str, Any], trace_header: str | None) -> Message:
        body = request.get("MessageBody")
        if not isinstance(body, str) or not body:
            raise SqsError("InvalidParameterValue", "MessageBody must be a text, not empty")
        attributes = _attributes(request.get("MessageAttributes"))
        system = _attributes(request.get("MessageSystemAttributes"))
        if set(system) - {TRACE_HEADER}:
            raise SqsError("InvalidParameterValue", f"{TRACE_HEADER} alone is a system attribute")
        given = system.get(TRACE_HEADER, {}).get("StringValue", trace_header)
        return Message(
            str(uuid.uuid4()), body, _md5(body.encode()), attributes, given, self._unix_ms()
        )


def _receipt(message: Message, request: dict[str, Any]) -> dict[str, Any]:
    receipt = {"MessageId": message.message_id, "MD5OfMessageBody": message.body_md5}
    for key, name in (
        ("MessageAttributes", "MD5OfMessageAttributes"),
        ("MessageSystemAttributes", "MD5OfMessageSystemAttributes"),
    ):
        if request.get(key):
            receipt[name] = digest(request[key])
    return receipt


def digest(attributes: Mapping[str, Mapping[str, str]]) -> str:
    """SQS's MD5 of attributes, in hex: each part with its length before it, by name."""
    data = b""
    for name, value in sorted(attributes.items()):
        binary = "BinaryValue" in value
        content = base64.b64decode(value["BinaryValue"]) if binary else b""
        content = content or value.get("StringValue", "").encode()
        data += _sized(name.encode()) + _sized(value["DataType"].encode())
        data += (b"\x02" if binary else b"\x01") + _sized(content)
    return _md5(data)


def _sized(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


def _md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def _attributes(given: object) -> dict[str, dict[str, str]]:
    if given is None:
        return {}
    found = _mapping(given, "attributes")
    if len(found) > MAX_ATTRIBUTES:
        raise SqsError(
            "InvalidParameterValue", f"{len(found)} attributes, {MAX_ATTRIBUTES} at most"
        )
    for name, value in found.items():
        kind = _mapping(value, name).get("DataType")
        base = kind.partition(".")[0] if isinstance(kind, str) else ""
        key = {"String": "StringValue", "Number": "StringValue", "Binary": "BinaryValue"}.get(base)
        if key is None or not isinstance(value.get(key), str) or not value[key]:
            text = f"{name} needs DataType String, Number or Binary, and its value"
            raise SqsError("InvalidParameterValue", text)
        if key == "BinaryValue":
            try:
                base64.b64decode(value[key], validate=True)
            except binascii.Error as error:
                raise SqsError("InvalidParameterValue", f"{name}: no base64") from error
    return found


def _check_size(messages: list[Message]) -> None:
    size = sum(
        len(one.body.encode()) + sum(map(len, map(str, one.attributes.items()))) for one in messages
    )
    if size > MAX_MESSAGE_BYTES:
        text = f"{size} bytes, {MAX_MESSAGE_BYTES} at most"
        raise SqsError("InvalidParameterValue", text)


def _only(request: dict[str, Any], keys: set[str]) -> None:
    others = sorted(set(request) - keys)
    if others:
        raise SqsError("UnsupportedOperation", f"{', '.join(others)}: not here")


def _json(body: bytes) -> object:
    try:
        return json.loads(body)
    except ValueError as error:
        raise SqsError("InvalidParameterValue", f"no JSON: {error}") from error


def _mapping(value: object, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise SqsError("InvalidParameterValue", f"{what} must be an object")
    return value
