output "layer_arns" {
  description = "Each layer's newest version: python, any."
  value       = { for name, layer in aws_lambda_layer_version.spanpipe : name => layer.arn }
}

output "alias_arns" {
  description = "Each function's alias: python, node, rust."
  value       = { for name, alias in aws_lambda_alias.example : name => alias.arn }
}
