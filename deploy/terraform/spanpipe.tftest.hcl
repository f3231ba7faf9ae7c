# `terraform test` plans the module against a mocked provider: nothing is created.

mock_provider "aws" {
  mock_data "aws_partition" {
    defaults = { partition = "aws-us-gov" }
  }
}

variables {
  endpoint = "https://collector.example:4318"
}

run "defaults" {
  command = plan

  assert {
    condition     = { for name, one in aws_lambda_function.example : name => one.runtime } == { python = "python3.13", node = "nodejs22.x", rust = "provided.al2023" }
    error_message = "A function has another runtime."
  }
  assert {
    condition     = { for name, one in aws_lambda_function.example : name => one.handler } == { python = "plain.handler", node = "function.handler", rust = "bootstrap" }
    error_message = "A function has another handler."
  }
  assert {
    condition     = alltrue([for one in aws_lambda_function.example : one.memory_size == 256 && one.timeout == 10 && one.publish])
    error_message = "A function has another size."
  }
  assert {
    condition     = alltrue([for one in aws_lambda_function.example : one.tracing_config[0].mode == "PassThrough"])
    error_message = "X-Ray is on."
  }
  assert {
    condition     = aws_lambda_function.example["python"].environment[0].variables == tomap({ OTEL_EXPORTER_OTLP_ENDPOINT = "https://collector.example:4318", AWS_LAMBDA_EXEC_WRAPPER = "/opt/spanpipe/wrap" })
    error_message = "The Python function has another environment."
  }
  assert {
    condition     = alltrue([for name in ["node", "rust"] : aws_lambda_function.example[name].environment[0].variables == tomap({ OTEL_EXPORTER_OTLP_ENDPOINT = "https://collector.example:4318" })])
    error_message = "A function has another environment."
  }
  assert {
    condition     = alltrue([for one in aws_lambda_alias.example : one.name == "live"]) && length(aws_lambda_alias.example) == 3
    error_message = "An alias is missing."
  }
  assert {
    condition     = alltrue([for one in aws_iam_role_policy_attachment.log : one.policy_arn == "arn:aws-us-gov:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"])
    error_message = "A policy of another partition."
  }
  assert {
    condition     = length(aws_iam_role_policy.read_secret) == 0
    error_message = "A permission that nobody asked for."
  }
}

run "layers" {
  command = apply

  assert {
    condition     = { for name, one in aws_lambda_function.example : name => one.layers } == { python = tolist([aws_lambda_layer_version.spanpipe["python"].arn]), node = tolist([aws_lambda_layer_version.spanpipe["any"].arn]), rust = tolist([aws_lambda_layer_version.spanpipe["any"].arn]) }
    error_message = "A function has another layer."
  }
  assert {
    condition     = length(aws_lambda_layer_version.spanpipe["python"].compatible_runtimes) == 5 && length(aws_lambda_layer_version.spanpipe["any"].compatible_runtimes) == 15
    error_message = "A layer is for other runtimes."
  }
  assert {
    condition     = output.layer_arns == { for name, one in aws_lambda_layer_version.spanpipe : name => one.arn } && keys(output.alias_arns) == ["node", "python", "rust"]
    error_message = "An output tells something else."
  }
}

run "every_input" {
  command = plan

  variables {
    headers             = "api-key=k"
    resource_attributes = "deployment.environment.name=test"
    secret_arn          = "arn:aws-cn:secretsmanager:cn-north-1:123456789012:secret:key-AbCdEf"
    architecture        = "arm64"
    memory_mb           = 512
    timeout_s           = 30
    alias               = "blue"
  }

  assert {
    condition     = alltrue([for one in aws_lambda_function.example : one.memory_size == 512 && one.timeout == 30 && tolist(one.architectures) == tolist(["arm64"])])
    error_message = "An input has no effect on a function."
  }
  assert {
    condition     = alltrue([for one in aws_lambda_function.example : one.environment[0].variables["OTEL_EXPORTER_OTLP_HEADERS"] == "api-key=k" && one.environment[0].variables["OTEL_RESOURCE_ATTRIBUTES"] == "deployment.environment.name=test"])
    error_message = "An input has no effect on the environment."
  }
  assert {
    condition     = alltrue([for one in aws_lambda_layer_version.spanpipe : endswith(one.layer_name, "-arm64") && tolist(one.compatible_architectures) == tolist(["arm64"])])
    error_message = "A layer is for another architecture."
  }
  assert {
    condition     = alltrue([for one in aws_iam_role_policy.read_secret : jsondecode(one.policy).Statement[0].Resource == var.secret_arn]) && length(aws_iam_role_policy.read_secret) == 3
    error_message = "The secret cannot be read."
  }
  assert {
    condition     = alltrue([for one in aws_lambda_alias.example : one.name == "blue"])
    error_message = "The alias has another name."
  }
}

run "wrong_inputs" {
  command = plan

  variables {
    endpoint     = "collector:4318"
    secret_arn   = "key"
    architecture = "arm"
    memory_mb    = 10241
    timeout_s    = 0.5
    alias        = "12"

    python_layer_zip = "main.tf"
    any_layer_zip    = "main.tf"
  }

  expect_failures = [
    var.endpoint, var.secret_arn, var.architecture, var.memory_mb, var.timeout_s, var.alias,
  ]
}
