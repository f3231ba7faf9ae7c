"""The CDK app: what it synthesises, by CDK's own assertions, and what it refuses."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from spanpipe.layer.archive import OTHER_RUNTIMES, PYTHON_RUNTIMES
from tests.deploy.tools import FUNCTIONS, ROOT, cdk_program, environment, needs, zips

pytestmark = pytest.mark.registry

ENDPOINT = "https://collector.example:4318"
SECRET = "arn:aws-cn:secretsmanager:cn-north-1:123456789012:secret:key-AbCdEf"  # noqa: S105


@dataclass(frozen=True, slots=True)
class Synthesised:
    """A cloud assembly, what was asked for, and its template."""

    out: Path
    context: dict[str, str]
    template: Any


def synthesised(out: Path, context: Mapping[str, str]) -> Any:
    """The template, as `aws_cdk.assertions` takes it, of the app that ``cdk`` would start."""
    needs("aws_cdk")
    done = start(out, context)
    assert (done.returncode, done.stderr) == (0, "")
    from aws_cdk.assertions import Template

    return Template.from_json(json.loads((out / "Spanpipe.template.json").read_text()))


def start(out: Path, context: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """The app in a process of its own, with what ``cdk`` puts into its environment."""
    variables = {"CDK_OUTDIR": str(out), "CDK_CONTEXT_JSON": json.dumps(context)}
    return subprocess.run(
        [sys.executable, "-m", "deploy.cdk"],
        cwd=ROOT,
        env=environment(**variables),
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module", autouse=True)
def quiet() -> Any:
    """Without jsii's word on this machine's Node.js."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment().items():
            if name.startswith("JSII_"):
                patch.setenv(name, value)
        yield


def functions_by_runtime(template: Any) -> dict[str, Any]:
    found = template.find_resources("AWS::Lambda::Function")
    return {one["Properties"]["Runtime"]: one["Properties"] for one in found.values()}


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Synthesised:
    """With the endpoint and the zips alone."""
    folder = tmp_path_factory.mktemp("plain")
    context = {"endpoint": ENDPOINT, **zips(folder)}
    return Synthesised(folder / "out", context, synthesised(folder / "out", context))


def test_layers_functions_and_aliases(plain: Synthesised) -> None:
    """With the endpoint alone: two layers, three functions on them, an alias each, no X-Ray."""
    template = plain.template
    for kind, count in {"LayerVersion": 2, "Function": 3, "Version": 3, "Alias": 3}.items():
        template.resource_count_is(f"AWS::Lambda::{kind}", count)
    template.resource_count_is("AWS::IAM::Policy", 0)
    template.all_resources_properties("AWS::Lambda::Alias", {"Name": "live"})
    layers: dict[str, str] = {}
    for runtimes in (PYTHON_RUNTIMES, (*PYTHON_RUNTIMES, *OTHER_RUNTIMES)):
        wanted = {
            "Properties": {
                "CompatibleArchitectures": ["x86_64"],
                "CompatibleRuntimes": list(runtimes),
                "LicenseInfo": "Apache-2.0",
            }
        }
        (name,) = template.find_resources("AWS::Lambda::LayerVersion", wanted)
        layers["python" if runtimes == PYTHON_RUNTIMES else "any"] = name
    functions = functions_by_runtime(template)
    for name, (handler, runtime) in FUNCTIONS.items():
        told = functions[runtime]
        # Without it, Lambda's own default: no trace of its own.
        assert "TracingConfig" not in told
        variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": ENDPOINT}
        if name == "python":
            variables["AWS_LAMBDA_EXEC_WRAPPER"] = "/opt/spanpipe/wrap"
        assert {key: told[key] for key in told if key not in ("Code", "Role")} == {
            "Architectures": ["x86_64"],
            "Environment": {"Variables": variables},
            "Handler": handler,
            "Layers": [{"Ref": layers["python" if name == "python" else "any"]}],
            "MemorySize": 256,
            "Runtime": runtime,
            "Timeout": 10,
        }


def test_the_zips_are_its_assets(plain: Synthesised) -> None:
    """Each of the five is uploaded as it is, and each once."""
    assets = {path.read_bytes() for path in plain.out.glob("asset.*.zip")}
    given = [Path(path) for name, path in plain.context.items() if name.endswith("_zip")]
    assert assets == {path.read_bytes() for path in given}
    assert len(assets) == len(given) == 5


def test_every_input(tmp_path: Path) -> None:
    """Memory, time, alias, architecture, environment, and a secret that may be read."""
    context = {
        "endpoint": ENDPOINT,
        "headers": "api-key=k",
        "resource_attributes": "deployment.environment.name=test",
        "secret_arn": SECRET,
        "architecture": "arm64",
        "memory_mb": "512",
        "timeout_s": "30",
        "alias": "blue",
        **zips(tmp_path, "arm64"),
    }
    template = synthesised(tmp_path / "out", context)
    template.all_resources_properties("AWS::Lambda::Alias", {"Name": "blue"})
    template.all_resources_properties(
        "AWS::Lambda::LayerVersion", {"CompatibleArchitectures": ["arm64"]}
    )
    template.all_resources_properties(
        "AWS::Lambda::Function",
        {
            "Architectures": ["arm64"],
            "MemorySize": 512,
            "Timeout": 30,
            "Environment": {
                "Variables": {
                    "OTEL_EXPORTER_OTLP_ENDPOINT": ENDPOINT,
                    "OTEL_EXPORTER_OTLP_HEADERS": "api-key=k",
                    "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=test",
                }
            },
        },
    )
    template.resource_count_is("AWS::IAM::Policy", 3)
    statement = {
        "Action": "secretsmanager:GetSecretValue",
        "Effect": "Allow",
        "Resource": SECRET,
    }
    template.all_resources_properties(
        "AWS::IAM::Policy", {"PolicyDocument": {"Statement": [statement]}}
    )


def test_roles_have_what_logs_need_and_no_more(plain: Synthesised) -> None:
    """The layer itself needs no permission."""
    plain.template.resource_count_is("AWS::IAM::Role", 3)
    managed = [
        {
            "Fn::Join": [
                "",
                [
                    "arn:",
                    {"Ref": "AWS::Partition"},
                    ":iam::aws:policy/service-role/AWSLambdaBasicExecutionRole",
                ],
            ]
        }
    ]
    plain.template.all_resources_properties("AWS::IAM::Role", {"ManagedPolicyArns": managed})


def test_a_context_value_of_no_use(tmp_path: Path) -> None:
    """One line names it and what to do; no assembly is written."""
    needs("aws_cdk")
    done = start(tmp_path / "out", {"endpoint": "c:4318", **zips(tmp_path)})
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "deploy.cdk: endpoint: 'c:4318' must be an OTLP collector's URL: -c endpoint=https://…:4318\n"
    )
    assert list((tmp_path / "out").glob("manifest.json")) == []


def test_cdk_synth(tmp_path: Path, plain: Synthesised) -> None:
    """The command itself, in the app's folder, by its `cdk.json`: the same template."""
    program = cdk_program()
    chosen = [word for name, value in plain.context.items() for word in ("-c", f"{name}={value}")]
    options = ["--output", str(tmp_path / "cli"), "--no-version-reporting", "--no-notices"]
    options += ["--no-asset-metadata", "--no-path-metadata"]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [str(program), "synth", "--quiet", *options, *chosen],
        cwd=ROOT / "deploy" / "cdk",
        env=environment(PATH=path, CDK_DISABLE_CLI_TELEMETRY="true", HOME=str(tmp_path)),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    made = json.loads((tmp_path / "cli" / "Spanpipe.template.json").read_text())
    assert made == plain.template.to_json()
