"""What is deployed: two layers, three functions, an alias for each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from deploy.cdk.inputs import Inputs
from spanpipe.layer.archive import OTHER_RUNTIMES, PYTHON_RUNTIMES

WRAPPER = "/opt/spanpipe/wrap"
_ARCHITECTURES = {
    "x86_64": lambda_.Architecture.X86_64,
    "arm64": lambda_.Architecture.ARM_64,
}


def _runtimes(names: tuple[str, ...]) -> list[lambda_.Runtime]:
    """CDK's own objects: it compares more than their names."""
    known = {one.name: one for one in lambda_.Runtime.ALL}
    return [known[name] for name in names]


class SpanpipeStack(cdk.Stack):
    """One stack; each function's alias stands in its outputs."""

    def __init__(self, scope: Construct, name: str, inputs: Inputs, **options: Any) -> None:
        super().__init__(scope, name, **options)
        self._inputs = inputs
        python = self._layer("PythonLayer", inputs.python_layer_zip, PYTHON_RUNTIMES)
        every = self._layer("AnyLayer", inputs.any_layer_zip, PYTHON_RUNTIMES + OTHER_RUNTIMES)
        self._function(
            "Python",
            lambda_.Runtime.PYTHON_3_13,
            "plain.handler",
            inputs.python_function_zip,
            python,
            # The handler knows nothing of us. One with `@capture` needs no wrapper.
            {"AWS_LAMBDA_EXEC_WRAPPER": WRAPPER},
        )
        self._function(
            "Node",
            lambda_.Runtime.NODEJS_22_X,
            "function.handler",
            inputs.node_function_zip,
            every,
            {},
        )
        self._function(
            "Rust",
            lambda_.Runtime.PROVIDED_AL2023,
            "bootstrap",
            inputs.rust_function_zip,
            every,
            {},
        )

    def _layer(self, name: str, path: Path, runtimes: tuple[str, ...]) -> lambda_.LayerVersion:
        return lambda_.LayerVersion(
            self,
            name,
            code=lambda_.Code.from_asset(str(path)),
            description=f"spanpipe: {path.name}",
            license="Apache-2.0",
            compatible_architectures=[_ARCHITECTURES[self._inputs.architecture]],
            compatible_runtimes=_runtimes(runtimes),
        )

    def _function(
        self,
        name: str,
        runtime: lambda_.Runtime,
        handler: str,
        path: Path,
        layer: lambda_.LayerVersion,
        environment: dict[str, str],
    ) -> None:
        inputs = self._inputs
        variables = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": inputs.endpoint,
            "OTEL_EXPORTER_OTLP_HEADERS": inputs.headers,
            "OTEL_RESOURCE_ATTRIBUTES": inputs.resource_attributes,
        }
        function = lambda_.Function(
            self,
            f"{name}Function",
            runtime=runtime,
            handler=handler,
            code=lambda_.Code.from_asset(str(path)),
            layers=[layer],
            architecture=_ARCHITECTURES[inputs.architecture],
            memory_size=inputs.memory_mb,
            timeout=cdk.Duration.seconds(inputs.timeout_s),
            environment={key: value for key, value in variables.items() if value} | environment,
            # Our spans do not need X-Ray's; its header is a link where somebody else turns it on.
            tracing=lambda_.Tracing.DISABLED,
        )
        if inputs.secret_arn:
            function.add_to_role_policy(
                iam.PolicyStatement(
                    actions=["secretsmanager:GetSecretValue"], resources=[inputs.secret_arn]
                )
            )
        alias = lambda_.Alias(
            self,
            f"{name}Alias",
            alias_name=inputs.alias,
            version=function.current_version,
        )
        cdk.CfnOutput(self, f"{name}AliasArn", value=alias.function_arn)
