"""Queues as SQS keeps them, in memory: messages wait, are taken in batches, and come again.

No I/O and no clock of its own. Other than in SQS a message that was not deleted comes again at
once, and is given up after `MAX_RECEIVES`, so that a run ends. Sources: Amazon SQS developer
guide, "Visibility timeout"; AWS Lambda developer guide, "Using Lambda with Amazon SQS".
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

MAX_RECEIVES = 3
"""Deliveries of one message: enough to see a retry and its end."""
MAX_WAITING = 10_000
"""Messages in one queue; SQS has no such limit, a laptop does."""


@dataclass(slots=True)
class Message:
    """One message. `attributes` as SendMessage brings them: name → DataType and value."""

    message_id: str
    body: str
    body_md5: str
    attributes: Mapping[str, Mapping[str, str]]
    trace_header: str | None
    sent_unix_ms: int
    receive_count: int = 0
    first_received_unix_ms: int = 0


@dataclass(slots=True)
class _Queue:
    waiting: deque[Message] = field(default_factory=deque)
    in_flight_count: int = 0


class Queues:
    """Queues by name, with one condition for all of them, so that "all idle" is one moment."""

    def __init__(self, names: Iterable[str]) -> None:
        self.given_up_count = 0
        """Messages that were dropped after their last delivery."""
        self._queues = {name: _Queue() for name in names}
        self._changed = threading.Condition()
        self._closed = False

    def __contains__(self, name: str) -> bool:
        return name in self._queues

    def put(self, name: str, messages: Collection[Message]) -> bool:
        """Add `messages`, all or, where they would be too many, none."""
        with self._changed:
            waiting = self._queues[name].waiting
            if len(waiting) + len(messages) > MAX_WAITING:
                return False
            waiting.extend(messages)
            self._changed.notify_all()
            return True

    def take(
        self, name: str, batch_size: int, window_s: float, unix_ms: Callable[[], int]
    ) -> list[Message]:
        """The next batch; [] once closed. Waits for the first, then `window_s` for a full one."""
        with self._changed:
            queue = self._queues[name]
            self._changed.wait_for(lambda: self._closed or bool(queue.waiting))
            self._changed.wait_for(
                lambda: self._closed or len(queue.waiting) >= batch_size, timeout=window_s
            )
            if self._closed:
                return []
            batch = [queue.waiting.popleft() for _ in range(min(batch_size, len(queue.waiting)))]
            queue.in_flight_count += len(batch)
            now_ms = unix_ms()
            for message in batch:
                message.receive_count += 1
                message.first_received_unix_ms = message.first_received_unix_ms or now_ms
            return batch

    def settle(self, name: str, batch: list[Message], failed_ids: Collection[str]) -> None:
        """`batch` is done: what is not in `failed_ids` is deleted, the rest comes again."""
        with self._changed:
            queue = self._queues[name]
            queue.in_flight_count -= len(batch)
            for message in batch:
                if message.message_id in failed_ids:
                    if message.receive_count < MAX_RECEIVES:
                        queue.waiting.append(message)
                    else:
                        self.given_up_count += 1
            self._changed.notify_all()

    def wait_idle(self) -> None:
        """Until nothing waits and nothing is in flight, in any queue, or all is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or not any(map(_busy, self._all())))

    def close(self) -> None:
        """End every wait."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _all(self) -> Collection[_Queue]:
        return self._queues.values()


def _busy(queue: _Queue) -> bool:
    return bool(queue.waiting or queue.in_flight_count)


def lambda_event(batch: list[Message], arn: str, region: str) -> dict[str, Any]:
    """What an event source mapping invokes a function with."""
    return {"Records": [_record(message, arn, region) for message in batch]}


def _record(message: Message, arn: str, region: str) -> dict[str, Any]:
    attributes = {
        "ApproximateReceiveCount": str(message.receive_count),
        "SentTimestamp": str(message.sent_unix_ms),
        "SenderId": "spanpipe",
        "ApproximateFirstReceiveTimestamp": str(message.first_received_unix_ms),
    }
    if message.trace_header is not None:
        attributes["AWSTraceHeader"] = message.trace_header
    return {
        "messageId": message.message_id,
        "receiptHandle": f"{message.message_id}#{message.receive_count}",
        "body": message.body,
        "attributes": attributes,
        "messageAttributes": {
            name: _attribute(value) for name, value in message.attributes.items()
        },
        "md5OfBody": message.body_md5,
        "eventSource": "aws:sqs",
        "eventSourceARN": arn,
        "awsRegion": region,
    }


def _attribute(value: Mapping[str, str]) -> dict[str, Any]:
    kind = "binaryValue" if value["DataType"].startswith("Binary") else "stringValue"
    return {
        kind: value["BinaryValue" if kind == "binaryValue" else "StringValue"],
        "stringListValues": [],
        "binaryListValues": [],
        "dataType": value["DataType"],
    }
