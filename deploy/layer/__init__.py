"""The layer's zips, made from what `constraints.txt` pins: ``python -m deploy.layer``.

A layer is a mapping of paths below `/opt` to files (`tree`). It is filled from wheels (`pins`,
`wheels`, `closure`), from this repository and from an interpreter (`interpreter`), given byte code
(`bytecode`) and a bill of materials (`bill`), and written as a zip and as a folder (`archive`).
"""
