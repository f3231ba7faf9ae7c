"""Fuzzers over everything that reads what others wrote; `python -m fuzz.run TARGET`."""
