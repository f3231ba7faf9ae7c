"""The SAM template: by cfn-lint, and by SAM's own translator to what CloudFormation gets."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.cdk.inputs import NAMES
from spanpipe.layer.archive import OTHER_RUNTIMES, PYTHON_RUNTIMES
from tests.deploy.tools import FUNCTIONS, ROOT, needs

TEMPLATE = ROOT / "deploy" / "sam" / "template.yaml"
REGIONS = ("eu-west-1", "us-gov-west-1", "cn-north-1")
ENDPOINT = "https://collector.example:4318"
LOCAL = ("CodeUri", "ContentUri")


class Loader(yaml.SafeLoader):
    """With CloudFormation's short forms as they stand in JSON."""


def _intrinsic(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    name = suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}"
    value: Any = (
        loader.construct_scalar(node)
        if isinstance(node, yaml.ScalarNode)
        else loader.construct_sequence(node, deep=True)
        if isinstance(node, yaml.SequenceNode)
        else None
    )
    return {name: value}


Loader.add_multi_constructor("!", _intrinsic)


def template() -> Any:
    return yaml.load(TEMPLATE.read_text(), Loader)  # noqa: S506 - a safe loader


def lint(path: Path, *options: str) -> tuple[int, str]:
    """(status, what it found) of cfn-lint."""
    needs("cfnlint")
    program = Path(sys.executable).with_name("cfn-lint")
    done = subprocess.run(
        [str(program), *options, "--regions", *REGIONS, "--", str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def translated(monkeypatch: pytest.MonkeyPatch, **parameters: object) -> Any:
    """What SAM makes of the template, once ``sam package`` has uploaded what is local."""
    needs("samtranslator")
    from samtranslator.translator.transform import transform

    packaged = template()
    for resource in packaged["Resources"].values():
        for key in LOCAL:
            if key in resource["Properties"]:
                name = resource["Properties"][key].rpartition("/")[2]
                resource["Properties"][key] = f"s3://bucket/{name}"
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGIONS[0])

    class NoManagedPolicies:
        def load(self) -> dict[str, str]:
            return {}

    defaults = {name: one.get("Default") for name, one in packaged["Parameters"].items()}
    return transform(packaged, {**defaults, **parameters}, NoManagedPolicies())


def test_no_alias_of_yaml() -> None:
    """CloudFormation reads YAML without them."""
    tokens = yaml.scan(TEMPLATE.read_text())
    assert not [one for one in tokens if isinstance(one, yaml.AliasToken | yaml.AnchorToken)]


def test_its_inputs_are_those_of_the_cdk_app() -> None:
    """Parameters by the same names in CloudFormation's writing; the zips are paths in the text."""
    parameters = {"".join(part.title() for part in name.split("_")): name for name in NAMES}
    zips = {name for name in NAMES if name.endswith("_zip")}
    assert set(template()["Parameters"]) == set(parameters) - {
        name for name, ours in parameters.items() if ours in zips
    }
    local = [
        resource["Properties"][key]
        for resource in template()["Resources"].values()
        for key in LOCAL
        if key in resource["Properties"]
    ]
    built = {
        *(
            f"spanpipe-{kind}-{one}.zip"
            for kind in ("python", "any")
            for one in ("x86_64", "arm64")
        ),
        *(f"function-{name}.zip" for name in FUNCTIONS),
    }
    assert sorted(local) == sorted(f"../../dist/{name}" for name in built)


@pytest.mark.registry
def test_cfn_lint_finds_nothing() -> None:
    """Neither an error nor a warning, in three partitions."""
    assert lint(TEMPLATE) == (0, "")


SPOILT = {
    "a property that is none": ("Handler: bootstrap", "Handlers: bootstrap", "E3002"),
    "a reference to nothing": ("!Ref AnyLayerArm64", "!Ref Layer", "E1020"),
    "a condition that is none": ("Condition: IsX8664", "Condition: IsX86", "E3015"),
}


@pytest.mark.registry
@pytest.mark.parametrize("case", SPOILT)
def test_cfn_lint_would_find_it(tmp_path: Path, case: str) -> None:
    """It looks through SAM's resources as through CloudFormation's."""
    good, bad, rule = SPOILT[case]
    spoilt = tmp_path / "template.yaml"
    assert good in TEMPLATE.read_text()
    spoilt.write_text(TEMPLATE.read_text().replace(good, bad))
    status, told = lint(spoilt)
    assert status != 0
    assert rule in told, told


@pytest.mark.registry
@pytest.mark.parametrize("secret", ["", "arn:aws:secretsmanager:eu-west-1:123456789012:secret:k"])
def test_what_cloudformation_gets_passes_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, secret: str
) -> None:
    """Layers, functions, versions, aliases and roles, written out by SAM's translator."""
    made = translated(monkeypatch, Endpoint=ENDPOINT, SecretArn=secret)
    path = tmp_path / "translated.json"
    path.write_text(json.dumps(made))
    # The alias's name has been put in, so that its parameter is not read any more.
    assert lint(path, "--ignore-checks", "W2001") == (0, "")
    kinds: dict[str, int] = {}
    for resource in made["Resources"].values():
        kinds[resource["Type"]] = kinds.get(resource["Type"], 0) + 1
    assert kinds == {
        "AWS::Lambda::LayerVersion": 4,
        "AWS::Lambda::Function": 3,
        "AWS::Lambda::Version": 3,
        "AWS::Lambda::Alias": 3,
        "AWS::IAM::Role": 3,
        "AWS::IAM::ManagedPolicy": 1,
    }


@pytest.mark.registry
def test_a_runtime_that_is_none_is_found_in_what_cloudformation_gets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """cfn-lint lets it pass in SAM's own resource: hence the second look."""
    made = translated(monkeypatch, Endpoint=ENDPOINT)
    made["Resources"]["NodeFunction"]["Properties"]["Runtime"] = "nodejs22"
    path = tmp_path / "translated.json"
    path.write_text(json.dumps(made))
    status, told = lint(path, "--ignore-checks", "W2001")
    assert status != 0
    assert "'nodejs22' is not one of" in told


def layer_of(made: Any, kind: str) -> Any:
    """What a function's `Layers` holds: the one for its architecture."""
    names = {}
    for name, resource in made["Resources"].items():
        if resource["Type"] == "AWS::Lambda::LayerVersion":
            names[resource["Properties"]["LayerName"]] = name
    return [
        {
            "Fn::If": [
                "IsArm64",
                {"Ref": names[f"spanpipe-{kind}-arm64"]},
                {"Ref": names[f"spanpipe-{kind}-x86_64"]},
            ]
        }
    ]


def if_(condition: str, parameter: str) -> dict[str, Any]:
    return {"Fn::If": [condition, {"Ref": parameter}, {"Ref": "AWS::NoValue"}]}


@pytest.mark.registry
def test_functions_layers_and_aliases(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each function has its layer, the environment, the alias, and no trace of X-Ray's."""
    made = translated(monkeypatch, Endpoint=ENDPOINT, Alias="blue")
    resources = made["Resources"]
    for name, (handler, runtime) in FUNCTIONS.items():
        variables: dict[str, Any] = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": {"Ref": "Endpoint"},
            "OTEL_EXPORTER_OTLP_HEADERS": if_("HasHeaders", "Headers"),
            "OTEL_RESOURCE_ATTRIBUTES": if_("HasResourceAttributes", "ResourceAttributes"),
        }
        if name == "python":
            variables["AWS_LAMBDA_EXEC_WRAPPER"] = "/opt/spanpipe/wrap"
        told = resources[f"{name.title()}Function"]["Properties"]
        assert {key: told[key] for key in told if key not in ("Role", "Tags")} == {
            "Architectures": [{"Ref": "Architecture"}],
            "Code": {"S3Bucket": "bucket", "S3Key": f"function-{name}.zip"},
            "Environment": {"Variables": variables},
            "Handler": handler,
            "Layers": layer_of(made, "python" if name == "python" else "any"),
            "MemorySize": {"Ref": "MemoryMb"},
            "Runtime": runtime,
            "Timeout": {"Ref": "TimeoutS"},
        }
        assert resources[f"{name.title()}FunctionAliasblue"]["Properties"]["Name"] == "blue"
        role = resources[f"{name.title()}FunctionRole"]["Properties"]
        assert role["ManagedPolicyArns"] == [
            "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole",
            if_("HasSecret", "ReadSecret"),
        ]


def _compatible(name: str) -> Sequence[str]:
    return PYTHON_RUNTIMES if "python" in name.lower() else (*PYTHON_RUNTIMES, *OTHER_RUNTIMES)


def test_layers_name_what_they_are_for() -> None:
    """The same runtimes as `spanpipe layer publish` names."""
    for name, resource in template()["Resources"].items():
        if resource["Type"] == "AWS::Serverless::LayerVersion":
            told = resource["Properties"]
            assert told["CompatibleRuntimes"] == list(_compatible(name))
            assert told["ContentUri"] == f"../../dist/{told['LayerName']}.zip"
            assert told["LayerName"].endswith(told["CompatibleArchitectures"][0])
