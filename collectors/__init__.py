"""OTLP collectors on loopback, for tests, chaos and benchmarks; bound to nothing outside."""
