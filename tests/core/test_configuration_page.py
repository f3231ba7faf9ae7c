"""The reference of the configuration and its JSON Schema: current, and of the loader's mind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from docs import configuration_page
from extension.config import load
from spanpipe import json_schema
from spanpipe.config_comments import FILE


def test_the_pages_are_current() -> None:
    """`make pages` would change nothing."""
    assert configuration_page.PAGE.read_text() == configuration_page.page()
    assert configuration_page.SCHEMA.read_text() == json_schema.text() + "\n"


def test_the_schema_is_one() -> None:
    """The dialect's own schema accepts it."""
    jsonschema.Draft202012Validator.check_schema(json_schema.json_schema())


GOOD = [
    FILE.read_text(),
    "exporter: {otlp_grpc: {endpoint: 'h:4317', tls: {insecure: true}}}",
    "exporter: {otlp_http: {headers: [{name: a, value: 1}], headers_list: 'b=c', timeout: 1}}",
    "flush:\n  hold_ms: ${HOLD:-5}",
    "flush:",
    "capture: {response: false, request: on_error}",
    "capture: {request: off}",
    "resource: {attributes: [{name: a, value: 1.5, type: double}]}",
    "redact: {keys: ['*iban*'], patterns: ['[0-9]{16}'], defaults: false}",
    "propagator: {composite: [xray, b3]}",
    "sample: {sampler: {trace_id_ratio_based: {ratio: 0.1}}, on_error: false}",
    "sample: {sampler: {parent_based: {root: {always_off: }}}}",
    "sample: {sampler: }",
    "spool: {max_bytes: 0}\nfallback: stdout\nlog_level: debug",
]
BAD = [
    "flush: {hold: 5}",
    "flush: {hold_ms: 2001}",
    "flush: {hold_ms: soon}",
    "flush: [1]",
    "exporter: {otlp_http: {}, otlp_grpc: {}}",
    "exporter: {otlp_http: {tls: {insecure: true}}}",
    "exporter: {otlp_http: {headers: [{name: a}]}}",
    "capture: {response: sometimes}",
    "redact: {keys: 7}",
    "sample: {sampler: {}}",
    "sample: {sampler: {always_on: {}, always_off: {}}}",
    "sample: {sampler: {trace_id_ratio_based: {ratio: 2}}}",
    "sample: {sampler: {parent_based: {root: {sometimes: {}}}}}",
    "fallback: true",
    "unknown: 1",
]


@pytest.mark.parametrize("text", GOOD + BAD)
def test_schema_and_loader_agree(tmp_path: Path, text: str) -> None:
    """What the one refuses the other refuses."""
    file = tmp_path / "spanpipe.yaml"
    file.write_text(text)
    value: Any = yaml.safe_load(text)
    validator = jsonschema.Draft202012Validator(json_schema.json_schema())
    loaded = load({"SPANPIPE_CONFIG": str(file)})
    good = text in GOOD
    assert (validator.is_valid(value), not loaded.errors) == (good, good)
