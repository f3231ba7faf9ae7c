# spanpipe's layers, and a function each in Python, Node.js and Rust that has one.

data "aws_partition" "here" {}

locals {
  dist = "${path.module}/../../dist"

  python_runtimes = ["python3.10", "python3.11", "python3.12", "python3.13", "python3.14"]
  other_runtimes = [
    "nodejs22.x", "nodejs24.x", "java17", "java21", "java25", "ruby3.3", "ruby3.4", "dotnet8",
    "provided.al2", "provided.al2023",
  ]

  layers = {
    python = {
      zip      = coalesce(var.python_layer_zip, "${local.dist}/spanpipe-python-${var.architecture}.zip")
      runtimes = local.python_runtimes
    }
    any = {
      zip      = coalesce(var.any_layer_zip, "${local.dist}/spanpipe-any-${var.architecture}.zip")
      runtimes = concat(local.python_runtimes, local.other_runtimes)
    }
  }

  functions = {
    python = {
      zip     = coalesce(var.python_function_zip, "${local.dist}/function-python.zip")
      runtime = "python3.13"
      handler = "plain.handler"
      layer   = "python"
      # The handler knows nothing of us. One with `@capture` needs no wrapper.
      environment = { AWS_LAMBDA_EXEC_WRAPPER = "/opt/spanpipe/wrap" }
    }
    node = {
      zip         = coalesce(var.node_function_zip, "${local.dist}/function-node.zip")
      runtime     = "nodejs22.x"
      handler     = "function.handler"
      layer       = "any"
      environment = {}
    }
    rust = {
      zip         = coalesce(var.rust_function_zip, "${local.dist}/function-rust.zip")
      runtime     = "provided.al2023"
      handler     = "bootstrap"
      layer       = "any"
      environment = {}
    }
  }

  environment = {
    OTEL_EXPORTER_OTLP_ENDPOINT = var.endpoint
    OTEL_EXPORTER_OTLP_HEADERS  = var.headers
    OTEL_RESOURCE_ATTRIBUTES    = var.resource_attributes
  }
}

resource "aws_lambda_layer_version" "spanpipe" {
  for_each = local.layers

  layer_name               = "spanpipe-${each.key}-${var.architecture}"
  description              = "spanpipe: ${basename(each.value.zip)}"
  license_info             = "Apache-2.0"
  filename                 = each.value.zip
  source_code_hash         = filebase64sha256(each.value.zip)
  compatible_runtimes      = each.value.runtimes
  compatible_architectures = [var.architecture]
}

resource "aws_iam_role" "function" {
  for_each = local.functions

  name_prefix = "spanpipe-${each.key}-"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "lambda.amazonaws.com" }
    }]
  })
}

# For the function's log. The layer itself needs no permission.
resource "aws_iam_role_policy_attachment" "log" {
  for_each = local.functions

  role       = aws_iam_role.function[each.key].name
  policy_arn = "arn:${data.aws_partition.here.partition}:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"
}

resource "aws_iam_role_policy" "read_secret" {
  for_each = var.secret_arn == "" ? {} : local.functions

  name = "read-secret"
  role = aws_iam_role.function[each.key].name
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect   = "Allow"
      Action   = "secretsmanager:GetSecretValue"
      Resource = var.secret_arn
    }]
  })
}

resource "aws_lambda_function" "example" {
  for_each = local.functions

  function_name    = "spanpipe-${each.key}"
  role             = aws_iam_role.function[each.key].arn
  runtime          = each.value.runtime
  handler          = each.value.handler
  filename         = each.value.zip
  source_code_hash = filebase64sha256(each.value.zip)
  layers           = [aws_lambda_layer_version.spanpipe[each.value.layer].arn]
  architectures    = [var.architecture]
  memory_size      = var.memory_mb
  timeout          = var.timeout_s
  publish          = true

  environment {
    variables = merge(
      { for name, value in local.environment : name => value if value != "" },
      each.value.environment,
    )
  }

  # Our spans do not need X-Ray's; its header is a link where somebody else turns it on.
  tracing_config {
    mode = "PassThrough"
  }

  depends_on = [aws_iam_role_policy_attachment.log]
}

resource "aws_lambda_alias" "example" {
  for_each = local.functions

  name             = var.alias
  function_name    = aws_lambda_function.example[each.key].function_name
  function_version = aws_lambda_function.example[each.key].version
}
