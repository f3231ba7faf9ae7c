"""Powertools for AWS Lambda beside `capture`, in either order, and its log lines with our span."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

import pytest
from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.event_handler import APIGatewayHttpResolver
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, batch_processor

import fifo
from fifo import current
from fifo.handler import capture
from fifo.writer import Writer
from tests.shells.conftest import ReadingEnd

Decorator = Callable[[Any], Any]
ORDERS = [True, False]


class LambdaContext:
    aws_request_id = "r-1"
    function_name = "shop"
    memory_limit_in_mb = 128
    invoked_function_arn = "arn:aws:lambda:r:1:function:shop"


@pytest.fixture
def writer(reading_end: ReadingEnd, monkeypatch: pytest.MonkeyPatch) -> Writer:
    """The process's own, into the FIFO of the test."""
    made = Writer(str(reading_end.directory), environ={})
    monkeypatch.setattr(current, "made_writer", made)
    return made


def both(handler: Any, decorator: Decorator, capture_outside: bool) -> Any:
    return capture(decorator(handler)) if capture_outside else decorator(capture(handler))


@pytest.mark.parametrize("capture_outside", ORDERS)
def test_the_logger_has_our_span(
    reading_end: ReadingEnd, writer: Writer, capture_outside: bool
) -> None:
    """`inject_lambda_context` keeps its keys, `TraceFilter` adds the invocation's IDs."""
    stream = io.StringIO()
    logger = Logger(service=f"shop-{capture_outside}", stream=stream)
    logger.addFilter(fifo.TraceFilter())

    def handler(event: Any, context: Any) -> Any:
        logger.info("sold")
        return {"sold": 1}

    wrapped = both(handler, logger.inject_lambda_context, capture_outside)
    assert wrapped({}, LambdaContext()) == {"sold": 1}
    start, result = reading_end.messages()
    line = json.loads(stream.getvalue())
    assert (line["message"], line["function_request_id"]) == ("sold", "r-1")
    assert (line["trace_id"], line["span_id"]) == (
        start.trace_id.hex(),
        start.invocation_span_id.hex(),
    )
    assert (json.loads(result.body.data), writer.fault_count) == ({"sold": 1}, 0)


@pytest.mark.parametrize("capture_outside", ORDERS)
def test_metrics_are_flushed_around_an_error(
    reading_end: ReadingEnd,
    writer: Writer,
    capsys: pytest.CaptureFixture[str],
    capture_outside: bool,
) -> None:
    """`log_metrics` prints what was counted, and the error is the handler's own in both."""
    metrics = Metrics(namespace="shop", service=f"shop-{capture_outside}")

    def handler(event: Any, context: Any) -> Any:
        metrics.add_metric(name="Sold", unit="Count", value=1)
        raise ValueError("none left")

    with pytest.raises(ValueError, match="none left"):
        both(handler, metrics.log_metrics, capture_outside)({}, LambdaContext())
    _, error = reading_end.messages()
    assert json.loads(capsys.readouterr().out)["Sold"] == [1.0]
    assert (error.error_type, error.message) == ("ValueError", "none left")


def test_a_resolver_gives_its_status(reading_end: ReadingEnd, writer: Writer) -> None:
    """What the event handler answers is the invocation's result, its status the span's."""
    app = APIGatewayHttpResolver()

    @app.get("/pets/<name>")
    def pet(name: str) -> Any:
        return {"name": name}, 201

    @capture
    def handler(event: Any, context: Any) -> Any:
        return app.resolve(event, context)

    event = {
        "version": "2.0",
        "routeKey": "GET /pets/{name}",
        "rawPath": "/pets/tom",
        "headers": {},
        "requestContext": {"http": {"method": "GET", "path": "/pets/tom"}, "stage": "$default"},
    }
    assert handler(event, LambdaContext())["statusCode"] == 201
    start, outcome, _ = reading_end.messages()
    assert (start.span_name, outcome.attributes_json) == (
        "GET /pets/{name}",
        '{"http.response.status_code":201}',
    )


@pytest.mark.parametrize("capture_outside", ORDERS)
def test_a_batch_processor_tells_what_failed(
    reading_end: ReadingEnd, writer: Writer, capture_outside: bool
) -> None:
    """Its `batchItemFailures` are the result, and are counted."""
    processor = BatchProcessor(event_type=EventType.SQS)

    def sell(record: Any) -> None:
        if record.body == "bad":
            raise ValueError(record.body)

    def handler(event: Any, context: Any) -> Any:
        return processor.response()

    def decorator(inner: Any) -> Any:
        return batch_processor(inner, record_handler=sell, processor=processor)

    records = [
        {"messageId": body, "body": body, "eventSource": "aws:sqs"} for body in ("good", "bad")
    ]
    answer = both(handler, decorator, capture_outside)({"Records": records}, LambdaContext())
    assert answer == {"batchItemFailures": [{"itemIdentifier": "bad"}]}
    _, outcome, result = reading_end.messages()
    assert outcome.attributes_json == '{"spanpipe.batch.failed_count":1}'
    assert json.loads(result.body.data) == answer
