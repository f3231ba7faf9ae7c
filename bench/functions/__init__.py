"""The handlers that `bench.invocations` and others invoke."""
