"""What of the bodies arrives, by the configuration, from function to receiver."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sandbox.environment import Function, LambdaEnvironment
from sandbox.launcher import write_extensions
from sandbox.receiver import Receiver


def test_a_request_travels_only_when_it_is_asked_for(tmp_path: Path) -> None:
    """The first invocation may come before the policy; a later one knows it."""
    (tmp_path / "app.py").write_text(
        "from fifo import capture\nfrom fifo.current import process_writer\n\n\n@capture\n"
        "def handler(event, context):\n    event['seen'] = True\n"
        "    if event['n']:\n        raise ValueError\n    return process_writer().policy.request\n"
    )
    config = tmp_path / "spanpipe.yaml"
    config.write_text("capture: {request: on_error, response: off}\n")
    found: dict[str, dict[str, Any]] = {}

    def take(request: Any) -> None:
        for group in request.resource_spans:
            for span in group.scope_spans[0].spans:
                told = {one.key: one.value.string_value for one in span.attributes}
                bodies = {key: value for key, value in told.items() if key.endswith(".body")}
                found[told["faas.invocation_id"]] = bodies

    with Receiver(take) as receiver:
        environ = {
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": receiver.http_endpoint,
            "SPANPIPE_CONFIG": str(config),
        }
        function = Function("app.handler", str(tmp_path), environ=environ)
        with LambdaEnvironment(function, str(write_extensions(tmp_path))) as environment:
            # The policy is there once the configuration has been read.
            while (answer := environment.invoke(b'{"n":0}')).payload != b"true":
                assert len(environment.invocations) < 200
            failed = environment.invoke(b'{"n":1}')
            environment.shutdown()
    assert found[failed.request_id] == {"spanpipe.request.body": '{"n":1}'}
    assert found[answer.request_id] == {}
