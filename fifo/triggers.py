"""What invoked the function: one table of recognisers over its event; no I/O.

An event is the user's or a stranger's: nothing in it is taken to be there, or to have a type.
`recognise` never raises, looks at a bounded part of it, and what it keeps is bounded. Sources:
OpenTelemetry semantic conventions 1.44, "FaaS spans", "AWS Lambda", "HTTP spans", "Messaging";
the events as AWS's documentation shows them.
"""

import binascii
import time

from fifo.propagation import HEADERS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

HTTP = "http"
PUBSUB = "pubsub"
TIMER = "timer"
DATASOURCE = "datasource"
OTHER = "other"

MAX_TEXT = 1024
"""Characters of one attribute; a path may be that long, a user agent should not."""
MAX_RECORDS = 128
"""Of a batch, whose carriers are read: OpenTelemetry's default limit for links."""
MAX_HEADERS = 256
"""Of one request that are looked at; API Gateway lets through 10 KB of them."""
MAX_KEY_PATH = 8
"""Steps into the event of a carrier that the user has named."""
MAX_DECODED = 65_536
"""Characters of texts in an event that are decoded on that way: a millisecond at most."""
MAX_HEADER_BYTES = 8_192
"""Of one Kafka header: the longest that is used, a baggage."""

MAX_UNIX_S = 253_402_300_800
"""10000-01-01: what comes later has no time of ISO 8601's plain form."""

_METHODS = frozenset(
    ("GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY")
)
_USED_HEADERS = frozenset((*HEADERS, "user-agent", "x-forwarded-proto", "host"))


class Found:
    """What is known of an invocation from its event.

    `name` is the span's where the conventions ask for another than the function's. `carrier`
    holds the caller's headers, lower-case; `carriers` those of each message of a batch, which
    give links. `cut_count` counts messages of a batch that were not looked at.
    """

    __slots__ = ("attributes", "carrier", "carriers", "cut_count", "name", "trigger")

    def __init__(self) -> None:
        self.trigger = OTHER
        self.name = ""
        self.attributes: dict[str, str | int] = {}
        self.carrier: dict[str, str] = {}
        self.carriers: list[dict[str, str]] = []
        self.cut_count = 0

    def put(self, name: str, value: object) -> None:
        """One attribute, where `value` is a text that is not empty."""
        if isinstance(value, str) and value:
            self.attributes[name] = value[:MAX_TEXT]


def recognise(event: object, key_path: str = "") -> Found:
    """What `event` tells. `key_path` names one more carrier in it, as ``detail.trace``."""
    found = Found()
    if type(event) is not dict or not event:
        return found
    try:
        for key, recogniser in _TABLE:
            if key in event and recogniser(event, found):
                break
    except Exception:  # noqa: BLE001, S110 - a stranger's; what was found stays
        pass
    if key_path:
        try:
            _own_carriers(event, key_path, found)
        except Exception:  # noqa: BLE001, S110 - as above
            pass
    return found


# Parts of events


def _part(value: object, *keys: str) -> "Any":
    """The mapping under `keys`, {} where there is none."""
    for key in keys:
        if not isinstance(value, dict):
            return {}
        value = value.get(key)
    return value if isinstance(value, dict) else {}


def _last(arn: object) -> str:
    return arn.rpartition(":")[2] if isinstance(arn, str) else ""


def _named(arn: object, kind: str) -> str:
    """``orders`` in ``…:stream/orders/consumer/…``, for the kind ``stream``."""
    return arn.partition(f":{kind}/")[2].partition("/")[0] if isinstance(arn, str) else ""


def _headers(headers: object, carrier: "dict[str, str]") -> None:
    """Those of `headers` that are used; a value may be a list of texts, whose first counts."""
    if not isinstance(headers, dict):
        return
    for index, name in enumerate(headers):
        if index >= MAX_HEADERS:
            return
        lower = name.lower()
        if lower in _USED_HEADERS:
            value = headers[name]
            if isinstance(value, list) and value:
                value = ",".join(value) if lower in ("tracestate", "baggage") else value[0]
            if isinstance(value, str):
                carrier.setdefault(lower, value)


def _message_attributes(attributes: object, key: str) -> "dict[str, str]":
    """The carrier in the attributes of a message, each a mapping whose `key` has the text."""
    carrier: dict[str, str] = {}
    if isinstance(attributes, dict):
        for name in attributes:
            lower = name.lower()
            if lower in _USED_HEADERS:
                value = _part(attributes, name).get(key)
                if isinstance(value, str):
                    carrier[lower] = value
    return carrier


def _own_carriers(event: "dict[str, Any]", key_path: str, found: Found) -> None:
    """What the user's path leads to: one mapping is the carrier, several give links.

    A step into a list is one into each of its items, or into the one that a number names. A text
    on the way is read as JSON, or as JSON in base64, as a Kinesis record's data may be.
    """
    places: list[object] = [event]
    left = MAX_DECODED
    for key in key_path.split(".")[:MAX_KEY_PATH]:
        reached: list[object] = []
        for place in places:
            if isinstance(place, list) and key.isdigit():
                reached += place[int(key) : int(key) + 1]
                continue
            mappings, left = _mappings(place, left, found)
            reached += [one[key] for one in mappings if key in one]
        places = reached[:MAX_RECORDS]
    carriers: list[dict[str, str]] = []
    count = 0
    for place in places:
        mappings, left = _mappings(place, left, found)
        for one in mappings:
            carrier: dict[str, str] = {}
            _headers(one, carrier)
            count += 1
            if carrier:
                carriers.append(carrier)
    if count == 1 and carriers:
        found.carrier = {**carriers[0], **found.carrier}
    else:
        found.carriers += carriers


def _mappings(value: object, left: int, found: Found) -> "tuple[list[dict[str, Any]], int]":
    """The mappings that `value` is, holds or has in its texts; how many characters are left."""
    mappings: list[dict[str, Any]] = []
    items = value if isinstance(value, list) else [value]
    found.cut_count += max(0, len(items) - MAX_RECORDS)
    for item in items[:MAX_RECORDS]:
        if isinstance(item, str):
            if len(item) > left:
                found.cut_count += 1
                continue
            left -= len(item)
            item = _decoded(item)  # noqa: PLW2901
        if isinstance(item, dict):
            mappings.append(item)
    return mappings, left


def _decoded(text: str) -> object:
    """The JSON in `text`; None where there is none."""
    import json  # the runtime has it as a rule; who has no such text does without

    try:
        return json.loads(text if text[:1] in "{[" else binascii.a2b_base64(text))
    except ValueError:
        return None


# HTTP


def _http(found: Found, method: object, path: object, route: str, agent: object = "") -> bool:
    found.trigger = HTTP
    method = method if isinstance(method, str) else ""
    known = method.upper() if method.upper() in _METHODS else "_OTHER"
    if known != method and method:
        found.put("http.request.method_original", method)
    found.put("http.request.method", known)
    found.put("http.route", route)
    found.put("url.path", path)
    carrier = found.carrier
    found.put("url.scheme", carrier.get("x-forwarded-proto", "https"))
    found.put("server.address", carrier.get("host", "").partition(":")[0])
    found.put("user_agent.original", agent or carrier.get("user-agent", ""))
    shown = "HTTP" if known == "_OTHER" else known
    found.name = f"{shown} {route}"[:MAX_TEXT] if route else shown
    return True


def _request_context(event: "dict[str, Any]", found: Found) -> bool:
    context = _part(event, "requestContext")
    # Where both are there they hold the same names; a load balancer sends one of them.
    _headers(event.get("headers") or event.get("multiValueHeaders"), found.carrier)
    if event.get("type") == "REQUEST":
        return True  # an authorizer's: its result is a policy, not the answer
    http = _part(context, "http")
    if http:  # payload 2.0: an HTTP API or a function URL
        route = event.get("routeKey")
        route = route if isinstance(route, str) and route != "$default" else ""
        query = event.get("rawQueryString")
        found.put("url.query", query)
        path = event.get("rawPath") or http.get("path")
        return _http(
            found, http.get("method"), path, route.partition(" ")[2], http.get("userAgent")
        )
    if "connectionId" in context:  # a WebSocket's CONNECT, MESSAGE or DISCONNECT
        found.trigger = HTTP
        route = context.get("routeKey")
        found.put("http.route", route)
        found.put("url.scheme", "wss")
        found.put("server.address", context.get("domainName"))
        found.name = route[:MAX_TEXT] if isinstance(route, str) else ""
        return True
    if "httpMethod" not in event:
        return False
    route = "" if "elb" in context else event.get("resource")
    _query(event, found)
    return _http(
        found, event.get("httpMethod"), event.get("path"), route if isinstance(route, str) else ""
    )


def _query(event: "dict[str, Any]", found: Found) -> None:
    """``url.query`` from the parameters, decoded as Lambda gives them, up to the bound."""
    given = event.get("multiValueQueryStringParameters") or event.get("queryStringParameters")
    if not isinstance(given, dict):
        return
    pairs: list[str] = []
    for name, values in given.items():
        for value in values[:MAX_HEADERS] if isinstance(values, list) else (values,):
            if isinstance(value, str):
                pairs.append(f"{name}={value}")
        if len(pairs) > MAX_HEADERS:
            break
    found.put("url.query", "&".join(pairs))


_GRAPHQL = ("query", "mutation", "subscription")


def _appsync(event: "dict[str, Any]", found: Found) -> bool:
    info = _part(event, "info")
    if "fieldName" not in info:
        return False
    found.trigger = HTTP
    _headers(_part(event, "request").get("headers"), found.carrier)
    kind = str(info.get("parentTypeName")).lower()
    if kind in _GRAPHQL:  # else the field is of a type, somewhere below
        found.put("graphql.operation.type", kind)
    found.put("user_agent.original", found.carrier.get("user-agent", ""))
    return True


# Records


def _records(event: "dict[str, Any]", found: Found) -> bool:
    records = event["Records"]
    first = records[0] if isinstance(records, list) and records else None
    if not isinstance(first, dict):
        return False
    source = first.get("eventSource") or first.get("EventSource")
    if not isinstance(source, str):
        return "cf" in first and _cloudfront(first, found)
    recogniser = _SOURCES.get(source)
    if recogniser is None:
        return False
    recogniser(first, found)
    if recogniser in (_sqs, _sns, _kinesis):
        _batch(found, len(records))
        found.cut_count = max(0, len(records) - MAX_RECORDS)
        for record in records[:MAX_RECORDS]:
            carrier = _carrier_of_record(record)
            # SQS's own X-Ray header is a link, never the parent.
            header = _part(record, "attributes").get("AWSTraceHeader")
            if len(records) == 1:
                found.carrier, carrier = carrier, {}
            if isinstance(header, str):
                carrier.setdefault("x-amzn-trace-id", header)
            if carrier:
                found.carriers.append(carrier)
    return True


def _batch(found: Found, count: int) -> None:
    """The conventions have an ID for one message alone, and a count for more of them alone."""
    if count > 1:
        found.attributes["messaging.batch.message_count"] = count
        found.attributes.pop("messaging.message.id", None)


def _carrier_of_record(record: object) -> "dict[str, str]":
    carrier = _message_attributes(_part(record, "messageAttributes"), "stringValue")
    return carrier or _message_attributes(_part(record, "Sns", "MessageAttributes"), "Value")


def _messaging(found: Found, system: str, destination: object) -> None:
    found.trigger = PUBSUB
    found.put("messaging.system", system)
    found.put("messaging.operation.type", "process")
    found.put("messaging.operation.name", "process")
    found.put("messaging.destination.name", destination)


def _sqs(first: "dict[str, Any]", found: Found) -> None:
    _messaging(found, "aws_sqs", _last(first.get("eventSourceARN")))
    found.put("messaging.message.id", first.get("messageId"))


def _sns(first: "dict[str, Any]", found: Found) -> None:
    message = _part(first, "Sns")
    topic = message.get("TopicArn")
    _messaging(found, "aws.sns", _last(topic))
    found.put("aws.sns.topic.arn", topic)
    found.put("messaging.message.id", message.get("MessageId"))


def _kinesis(first: "dict[str, Any]", found: Found) -> None:
    # A record has no place for context but its data, whose form is the user's: `event_path`.
    _messaging(found, "aws.kinesis", _named(first.get("eventSourceARN"), "stream"))


_OPERATIONS = {
    "INSERT": "insert",
    "MODIFY": "edit",
    "REMOVE": "delete",
    "ObjectCreated": "insert",
    "ObjectTagging": "edit",
    "ObjectAcl": "edit",
    "ObjectRemoved": "delete",
    "LifecycleExpiration": "delete",
}
"""What DynamoDB and S3 call an event, S3 up to the colon."""
_ISO_8601 = "%Y-%m-%dT%H:%M:%SZ"


def _dynamodb(first: "dict[str, Any]", found: Found) -> None:
    found.trigger = DATASOURCE
    found.put("faas.document.collection", _named(first.get("eventSourceARN"), "table"))
    found.put("faas.document.operation", _OPERATIONS.get(str(first.get("eventName")), ""))
    seconds = _part(first, "dynamodb").get("ApproximateCreationDateTime")
    if type(seconds) in (int, float) and 0 <= seconds < MAX_UNIX_S:
        found.put("faas.document.time", time.strftime(_ISO_8601, time.gmtime(seconds)))


def _s3(first: "dict[str, Any]", found: Found) -> None:
    found.trigger = DATASOURCE
    name = str(first.get("eventName")).partition(":")[0]
    found.put("faas.document.collection", _part(first, "s3", "bucket").get("name"))
    found.put("faas.document.name", _part(first, "s3", "object").get("key"))
    found.put("faas.document.time", first.get("eventTime"))
    found.put("faas.document.operation", _OPERATIONS.get(name, ""))


_SOURCES: "dict[str, Callable[[dict[str, Any], Found], None]]" = {
    "aws:sqs": _sqs,
    "aws:sns": _sns,
    "aws:kinesis": _kinesis,
    "aws:dynamodb": _dynamodb,
    "aws:s3": _s3,
}


def _cloudfront(first: "dict[str, Any]", found: Found) -> bool:
    request = _part(first, "cf", "request")
    if not request:
        found.trigger = HTTP  # a response's event may come without
        return True
    headers = _part(request, "headers")
    for name in headers:
        if name in _USED_HEADERS:
            pairs = headers[name]
            value = pairs[0].get("value") if isinstance(pairs, list) and pairs else None
            if isinstance(value, str):
                found.carrier[name] = value
    found.put("url.query", request.get("querystring"))
    return _http(found, request.get("method"), request.get("uri"), "")


def _msk(event: "dict[str, Any]", found: Found) -> bool:
    if event["eventSource"] not in ("aws:kafka", "SelfManagedKafka"):
        return False
    partitions = _part(event, "records")
    batches = [one for one in partitions.values() if isinstance(one, list) and one]
    count = sum(map(len, batches))
    first = _part({"": batches[0][0]}, "") if batches else {}
    _messaging(found, "kafka", first.get("topic"))
    _batch(found, count)
    if len(batches) == 1 and type(first.get("partition")) is int:
        found.put("messaging.destination.partition.id", str(first["partition"]))
    if count == 1 and type(first.get("offset")) is int:
        found.attributes["messaging.kafka.offset"] = first["offset"]
    left = MAX_RECORDS
    for batch in batches:
        for record in batch[:left]:
            carrier = _kafka_headers(record)
            if carrier:
                found.carriers.append(carrier)
        left = max(0, left - len(batch))
    found.cut_count = max(0, count - MAX_RECORDS)
    if count == 1 and found.carriers:
        found.carrier = found.carriers.pop()
    return True


def _kafka_headers(record: object) -> "dict[str, str]":
    """The carrier in a Kafka record's headers: a list of names, each with a list of bytes.

    Lambda gives the bytes as numbers, as Java does: from -128.
    """
    headers = record.get("headers") if isinstance(record, dict) else None
    carrier: dict[str, str] = {}
    for header in headers[:MAX_HEADERS] if isinstance(headers, list) else ():
        for name in header if isinstance(header, dict) else ():
            lower = name.lower()
            value = header[name]
            known = lower in _USED_HEADERS and isinstance(value, list)
            if known and len(value) <= MAX_HEADER_BYTES:
                carrier[lower] = bytes([one & 0xFF for one in value]).decode(errors="replace")
            break  # one header has one name
    return carrier


# Events of one shape


def _eventbridge(event: "dict[str, Any]", found: Found) -> bool:
    if "source" not in event:
        return False
    _headers(event.get("detail"), found.carrier)
    if event["detail-type"] in ("Scheduled Event", "Scheduled"):
        found.trigger = TIMER
        found.put("faas.time", event.get("time"))
        return True
    _messaging(found, "aws.eventbridge", "")  # the bus is not told
    found.put("messaging.message.id", event.get("id"))
    return True


def _cognito(event: "dict[str, Any]", found: Found) -> bool:
    return "userPoolId" in event or "identityPoolId" in event


def _step_functions(event: "dict[str, Any]", found: Found) -> bool:
    """A state's input with the carrier in it, as the state machine's author has passed it on."""
    _headers(event, found.carrier)
    return bool(found.carrier)


def _iot(event: "dict[str, Any]", found: Found) -> bool:
    """An AWS IoT rule's SQL may add the topic; without it the event is a device's own text."""
    topic = event["topic"]
    if not isinstance(topic, str) or "clientid" not in event:
        return False
    _messaging(found, "aws.iot", topic)
    return True


_TABLE: "tuple[tuple[str, Callable[[dict[str, Any], Found], bool]], ...]" = (
    ("requestContext", _request_context),
    ("Records", _records),
    ("detail-type", _eventbridge),
    ("eventSource", _msk),
    ("info", _appsync),
    ("triggerSource", _cognito),
    ("identityPoolId", _cognito),
    ("topic", _iot),
    ("traceparent", _step_functions),
    ("b3", _step_functions),
)
"""The key that an event of a kind has, and who looks closer; the first that says yes counts."""


# Its end


def outcome_of(trigger: str, result: object) -> "dict[str, int]":
    """What a handler's result says of itself: an HTTP status, failed items of a batch."""
    if type(result) is not dict:
        return {}
    if trigger == HTTP:
        status = result.get("statusCode")
        if isinstance(status, str) and status.isascii() and status.isdigit():
            status = int(status[:4])
        if type(status) is int and 100 <= status <= 599:
            return {"http.response.status_code": status}
        return {}
    failures = result.get("batchItemFailures")
    return {"spanpipe.batch.failed_count": len(failures)} if isinstance(failures, list) else {}
