variable "endpoint" {
  description = "An OTLP collector's URL, such as https://collector.example:4318."
  type        = string

  validation {
    condition     = can(regex("^https?://[^/]", var.endpoint))
    error_message = "Must be an OTLP collector's URL: https://…:4318."
  }
}

variable "headers" {
  description = "Sent with every request, as name=value,…; they stand in the functions' environment."
  type        = string
  default     = ""
  sensitive   = true
}

variable "resource_attributes" {
  description = "As name=value,…, such as deployment.environment.name=production."
  type        = string
  default     = ""
}

variable "secret_arn" {
  description = "Of a secret of Secrets Manager that the functions may read."
  type        = string
  default     = ""

  validation {
    condition = (
      var.secret_arn == "" ||
      can(regex("^arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:.+", var.secret_arn))
    )
    error_message = "Must be the ARN of a secret of Secrets Manager."
  }
}

variable "architecture" {
  description = "Of the functions and their layers; the Rust function must have been built for it."
  type        = string
  default     = "x86_64"

  validation {
    condition     = contains(["x86_64", "arm64"], var.architecture)
    error_message = "Must be x86_64 or arm64."
  }
}

variable "python_layer_zip" {
  description = "The layer for Python runtimes; by default what `make layer` built."
  type        = string
  default     = ""
}

variable "any_layer_zip" {
  description = "The layer for every other runtime; by default what `make layer` built."
  type        = string
  default     = ""
}

variable "python_function_zip" {
  description = "With the handler plain.handler; by default what `make functions` built."
  type        = string
  default     = ""
}

variable "node_function_zip" {
  description = "With the handler function.handler; by default what `make functions` built."
  type        = string
  default     = ""
}

variable "rust_function_zip" {
  description = "With the program bootstrap; by default what `make functions` built."
  type        = string
  default     = ""
}

variable "memory_mb" {
  description = "Of each function, in MB."
  type        = number
  default     = 256

  validation {
    condition     = floor(var.memory_mb) == var.memory_mb && var.memory_mb >= 128 && var.memory_mb <= 10240
    error_message = "Must be a whole number from 128 to 10240."
  }
}

variable "timeout_s" {
  description = "Of each function, in seconds."
  type        = number
  default     = 10

  validation {
    condition     = floor(var.timeout_s) == var.timeout_s && var.timeout_s >= 1 && var.timeout_s <= 900
    error_message = "Must be a whole number from 1 to 900."
  }
}

variable "alias" {
  description = "Of each function's newest version."
  type        = string
  default     = "live"

  validation {
    condition     = can(regex("^[a-zA-Z0-9_-]{1,128}$", var.alias)) && !can(regex("^[0-9]+$", var.alias))
    error_message = "Must be 1 to 128 of a-z, 0-9, - and _, and no number."
  }
}
