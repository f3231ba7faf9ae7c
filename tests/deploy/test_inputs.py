"""The context values of the CDK app: defaults, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.cdk.inputs import InputError, Inputs, read_inputs
from tests.deploy.tools import zips

ENDPOINT = "https://collector.example:4318"


def test_defaults(tmp_path: Path) -> None:
    """Numbers may be text, as ``-c`` gives them, or numbers, as cdk.json may."""
    given = zips(tmp_path)
    assert read_inputs({"endpoint": ENDPOINT, "memory_mb": 512, **given}.get) == Inputs(
        endpoint=ENDPOINT,
        headers="",
        resource_attributes="",
        secret_arn="",
        architecture="x86_64",
        memory_mb=512,
        timeout_s=10,
        alias="live",
        **{name: Path(path) for name, path in given.items()},  # type: ignore[arg-type]
    )


WRONG = {
    "no endpoint": ({"endpoint": ""}, "endpoint: '' must be an OTLP collector's URL: -c endpoint="),
    "an endpoint without a scheme": ({"endpoint": "c:4318"}, "endpoint: 'c:4318' must be an OTLP"),
    "another machine": ({"architecture": "arm"}, "architecture: 'arm' must be x86_64 or arm64"),
    "a layer for another": (
        {"architecture": "arm64"},
        "python_layer_zip: {folder}/python-layer.zip: The layer is for another architecture: ",
    ),
    "no layer": ({"any_layer_zip": "nope.zip"}, "any_layer_zip: nope.zip: there is no such file; "),
    "no function": (
        {"rust_function_zip": "nope.zip"},
        "rust_function_zip: nope.zip: there is no such file; `make functions` builds it",
    ),
    "too much memory": (
        {"memory_mb": "10241"},
        "memory_mb: '10241' must be a whole number from 128 to 10240",
    ),
    "a time in words": ({"timeout_s": "3s"}, "timeout_s: '3s' must be a whole number from 1 to"),
    "a number as alias": ({"alias": "12"}, "alias: '12' must be 1 to 128 of a-z, 0-9, - and _"),
    "a secret's name": ({"secret_arn": "key"}, "secret_arn: 'key' is no ARN of a secret of Sec"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_context_value_of_no_use(tmp_path: Path, case: str) -> None:
    """The error names it and what to do."""
    wrong, told = WRONG[case]
    with pytest.raises(InputError) as raised:
        read_inputs({"endpoint": ENDPOINT, **zips(tmp_path), **wrong}.get)
    assert str(raised.value).startswith(told.format(folder=tmp_path))
