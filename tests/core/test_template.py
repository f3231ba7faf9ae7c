"""SAM, CloudFormation and CDK templates as functions of a local run."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from sandbox.application import EventSource, Reference
from spanpipe.run.functions_file import Entry
from spanpipe.run.intrinsics import PSEUDO, Intrinsics, UnknownError
from spanpipe.run.template import Functions, functions_of
from spanpipe.run.template_source import TemplateError, read_template

HERE = f"python3.{sys.version_info[1]}"
SAM = f"""
AWSTemplateFormatVersion: 2010-09-09
Transform: AWS::Serverless-2016-10-31
Parameters:
  Stage: {{Type: String, Default: dev}}
  Size: {{Type: Number}}
Conditions:
  Live: !Equals [!Ref Stage, live]
  Tried: !Not [!Condition Live]
Mappings:
  Hosts: {{dev: {{name: dev.example}}}}
Globals:
  Function:
    Runtime: {HERE}
    Timeout: 7
    Environment: {{Variables: {{STAGE: !Ref Stage, SHARED: globals}}}}
Resources:
  Front:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: src
      Handler: app.front
      MemorySize: !If [Live, 1024, !Ref Size]
      Role: !GetAtt Role.Arn
      Layers: [!If [Tried, !Ref Common, !Ref Size], !Ref Size]
      Environment:
        Variables:
          BACK: !GetAtt BackUrl.FunctionUrl
          JOBS: !Sub "${{Jobs}}"
          HOST: !Sub
            - "https://${{name}}/${{Stage}}/${{!kept}}"
            - {{name: !FindInMap [Hosts, !Ref Stage, name]}}
          ARN: !Join [":", [!GetAtt Back.Arn, "1"]]
          TRIED: !If [Tried, true, false]
          GONE: !Ref AWS::NoValue
          TABLE: !Ref Table
          SHARED: own
      Events:
        Get: {{Type: Api, Properties: {{Path: /x, Method: get}}}}
        Nightly: {{Type: Schedule, Properties: {{Schedule: rate(1 day)}}}}
  Back:
    Type: AWS::Serverless::Function
    Properties: {{CodeUri: src, Handler: app.back, FunctionUrlConfig: {{AuthType: NONE}}}}
  Worker:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: src
      Handler: app.worker
      Events:
        Job:
          Type: SQS
          Properties:
            Queue: !GetAtt Jobs.Arn
            BatchSize: 3
            MaximumBatchingWindowInSeconds: 1
            FunctionResponseTypes: [ReportBatchItemFailures]
            FilterCriteria: {{}}
  Other: {{Type: AWS::Serverless::Function, Properties: {{Runtime: nodejs22.x, Handler: a.b}}}}
  Never: {{Type: AWS::Serverless::Function, Condition: Live, Properties: {{Handler: a.b}}}}
  Common: {{Type: AWS::Serverless::LayerVersion, Properties: {{ContentUri: common}}}}
  Jobs: {{Type: AWS::SQS::Queue, Properties: {{QueueName: !Sub "${{Stage}}-jobs"}}}}
  Table: {{Type: AWS::DynamoDB::Table}}
"""


def functions(
    text: str,
    folder: Path,
    parameters: Mapping[str, str] | None = None,
    given: Mapping[str, str] | None = None,
) -> Functions:
    file = folder / "t.yaml"
    for name in ("src", "common"):
        (folder / name).mkdir(exist_ok=True)
    read = read_template(text, str(file))
    return functions_of(read, parameters or {}, given or {})


def wrong(text: str, folder: Path, **options: Any) -> list[str]:
    with pytest.raises(TemplateError) as raised:
        functions(text, folder, **options)
    return str(raised.value).replace(f"{folder}/", "").splitlines()


def test_a_sam_template_is_functions_and_notes(tmp_path: Path) -> None:
    """Globals, parameters, conditions, URLs, queues and layers; what is not here is named."""
    found = functions(SAM, tmp_path, {"Size": "256"}, {"TABLE": "given"})
    source = tmp_path / "src"
    arn = "arn:aws:lambda:eu-west-1:123456789012:function:Back"
    environ = {
        "STAGE": "dev",
        "SHARED": "own",
        "HOST": "https://dev.example/dev/${kept}",
        "ARN": f"{arn}:1",
        "TRIED": "true",
    }
    shared = {"STAGE": "dev", "SHARED": "globals"}
    references = {"BACK": Reference("url_of", "Back"), "JOBS": Reference("queue", "dev-jobs")}
    jobs = EventSource("dev-jobs", 3, 1.0, True)
    assert found.entries == [
        Entry(
            "Front", "app.front", source, 7, 256, environ, references, None, (tmp_path / "common",)
        ),
        Entry("Back", "app.back", source, 7, 128, shared, {}, None),
        Entry("Worker", "app.worker", source, 7, 128, shared, {}, jobs),
    ]
    assert [note.replace(f"{tmp_path}/t.yaml", "f") for note in found.notes] == [
        "f:58: Resources.Other.Properties.Runtime: nodejs22.x cannot be run here; it is left out",
        "f:39: Resources.Front.Properties.Events.Get: get /x has no route here; the function has a "
        "URL of its own, which brings payload 2.0",
        "f:40: Resources.Front.Properties.Events.Nightly: Schedule does not invoke it here; use "
        "--event",
        "f:20: Resources.Front.Properties: without a meaning here: Role",
        "f:25: Resources.Front.Properties.Layers.1: the layer is not here, and is left out; add "
        "its folder with --layer DIR",
        "f:52: Resources.Worker.Properties.Events.Job.Properties: without a meaning here: "
        "FilterCriteria",
    ]


def test_every_mistake_in_a_template_is_named_with_its_place(tmp_path: Path) -> None:
    """A value that AWS alone knows, a number out of range, code that is not there."""
    text = f"""
Parameters: {{P: {{Type: String}}}}
Resources:
  A:
    Type: AWS::Lambda::Function
    Properties:
      Runtime: {HERE}
      Code: {{S3Bucket: b, S3Key: k}}
      Timeout: 901
      Environment:
        Variables:
          T: !GetAtt Table.Arn
          P: !Ref P
          S: '{{{{resolve:ssm:x}}}}'
          U: !Sub "${{Q}}/x"
          I: !ImportValue x
          Q: !Ref Q
          N: !Ref Nobody
  Q: {{Type: AWS::SQS::Queue}}
  Table: {{Type: AWS::DynamoDB::Table}}
"""
    place = "Resources.A.Properties"
    variables = f"{place}.Environment.Variables"
    assert wrong(text, tmp_path, parameters={"X": "1"}) == [
        "t.yaml: there is no parameter X",
        f"t.yaml:6: {place}.Handler: must be there: module.function, as in Lambda",
        f"t.yaml:12: {variables}.T: GetAtt Table.Arn (AWS::DynamoDB::Table) is known to AWS alone; "
        "or give the variable: --env T=VALUE",
        f"t.yaml:13: {variables}.P: the parameter P has no Default; add --parameter P=VALUE; or "
        "give the variable: --env P=VALUE",
        f"t.yaml:14: {variables}.S: {{{{resolve:ssm:x}}}} is a dynamic reference, which AWS alone "
        "resolves; or give the variable: --env S=VALUE",
        f"t.yaml:15: {variables}.U: ${{Q}} in a Sub is an address that is known only while it "
        "runs; it must stand alone; or give the variable: --env U=VALUE",
        f"t.yaml:16: {variables}.I: Fn::ImportValue is not known here; or give the variable: --env "
        "I=VALUE",
        f"t.yaml:18: {variables}.N: Ref Nobody: there is no parameter and no resource of that "
        "name; or give the variable: --env N=VALUE",
        f"t.yaml:8: {place}.Code: is not a folder here; name the folder of the code",
        f"t.yaml:9: {place}.Timeout: is 901, must be a number from 1 to 900",
        f"t.yaml:17: {variables}.Q: no function here takes from the queue Q; give the variable: "
        "--env Q=VALUE",
    ]


def test_a_synthesised_cdk_template_finds_its_assets(tmp_path: Path) -> None:
    """JSON with the code in Metadata, a mapping resource for the queue, a URL resource."""
    (tmp_path / "asset.1").mkdir()
    code = {
        "Type": "AWS::Lambda::Function",
        "Metadata": {"aws:asset:path": "asset.1", "aws:asset:property": "Code"},
    }
    common = {"Code": {"S3Bucket": {"Fn::Sub": "b-${AWS::AccountId}"}, "S3Key": "1.zip"}}
    front = {"Handler": "a.f", "Runtime": HERE, **common}
    url = {"URL": {"Fn::GetAtt": ["BackUrl1", "FunctionUrl"]}}
    resources = {
        "Front": {**code, "Properties": {**front, "Environment": {"Variables": url}}},
        "Back": {**code, "Properties": {**front, "Handler": "a.b", "Timeout": 30}},
        "BackUrl1": {
            "Type": "AWS::Lambda::Url",
            "Properties": {"TargetFunctionArn": {"Fn::GetAtt": ["Back", "Arn"]}},
        },
        "Queue1": {"Type": "AWS::SQS::Queue"},
        "Mapping": {
            "Type": "AWS::Lambda::EventSourceMapping",
            "Properties": {
                "FunctionName": {"Ref": "Back"},
                "EventSourceArn": {"Fn::GetAtt": ["Queue1", "Arn"]},
                "BatchSize": 5,
            },
        },
        "Stream": {
            "Type": "AWS::Lambda::EventSourceMapping",
            "Properties": {
                "FunctionName": {"Ref": "Front"},
                "EventSourceArn": "arn:aws:kinesis:eu-west-1:1:stream/s",
            },
        },
    }
    found = functions(json.dumps({"Resources": resources}), tmp_path)
    asset = tmp_path / "asset.1"
    assert found == Functions(
        [
            Entry("Front", "a.f", asset, 3, 128, {}, {"URL": Reference("url_of", "Back")}, None),
            Entry("Back", "a.b", asset, 30, 128, {}, {}, EventSource("Queue1", 5)),
        ],
        [
            f"{tmp_path}/t.yaml: Resources.Stream.Properties.EventSourceArn: "
            "arn:aws:kinesis:eu-west-1:1:stream/s is no SQS queue, and is left out; use --event"
        ],
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "t.yaml:1: not YAML: "),
        ("{", "t.yaml:1: not JSON: "),
        ("a: 1", "t.yaml: is no template: it has no Resources"),
        ("a: &a [*a]", "t.yaml: cannot be read: nested deeper than 64"),
        ("Resources: {}", "t.yaml: has no Python function that can be run here"),
    ],
)
def test_what_is_no_template_is_named(tmp_path: Path, text: str, message: str) -> None:
    """One line with the place."""
    (line,) = wrong(text, tmp_path)
    assert line.startswith(message)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"Ref": "AWS::Region"}, PSEUDO["AWS::Region"]),
        ({"Fn::Select": ["1", {"Fn::Split": [",", "a,b"]}]}, "b"),
        ({"Fn::Select": [2, ["a"]]}, UnknownError),
        ({"Fn::Base64": "ab"}, "YWI="),
        ({"Fn::Join": ["-", ["a", 1, True]]}, "a-1-true"),
        ({"Fn::Join": ["-", "a"]}, UnknownError),
        (
            {"Fn::If": ["No", 1, {"Ref": "AWS::NoValue"}], "kept": 1},
            {"Fn::If": ["No", 1], "kept": 1},
        ),
        ([{"Fn::If": ["No", 1, {"Ref": "AWS::NoValue"}]}, 2], [2]),
        ({"Fn::If": ["Both", 1, 2]}, 1),
        ({"Fn::If": ["Itself", 1, 2]}, UnknownError),
        ({"Fn::FindInMap": ["M", "a", "c"]}, UnknownError),
        ({"Fn::Sub": "${P.x}"}, UnknownError),
        ({"Fn::Sub": ["${x}-${P}", {"x": {"Ref": "P"}}]}, "p-p"),
    ],
)
def test_intrinsic_functions(value: Any, expected: Any) -> None:
    """Each as CloudFormation has it, or a reason why it cannot be known here."""
    root = {
        "Parameters": {"P": {"Default": "p"}},
        "Resources": {},
        "Conditions": {
            "No": {"Fn::Equals": ["a", "b"]},
            "Both": {"Fn::And": [{"Fn::Not": [{"Condition": "No"}]}, {"Fn::Equals": [1, "1"]}]},
            "Itself": {"Fn::Or": [{"Condition": "Itself"}, {"Condition": "No"}]},
        },
        "Mappings": {"M": {"a": {"b": 1}}},
    }
    intrinsics = Intrinsics(root, {}, lambda name: None, lambda name, attribute: None)
    if expected is UnknownError:
        with pytest.raises(UnknownError):
            intrinsics.resolve(value)
    else:
        assert intrinsics.resolve(value) == expected
