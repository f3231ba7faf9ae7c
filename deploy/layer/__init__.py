"""The layer's zips, made from what `constraints.txt` pins: ``python -m deploy.layer``.

A layer is a mapping of paths below `/opt` to files (`tree`). It is filled from wheels (`pins`,
`wheels`, `closure`), from what of this repository the extension imports (`reached`), and from an
interpreter (`interpreter`) of Debian's packages (`debian_pins`, `debian`, `unpacked`; pinned by
`debian_index`). Pythons of this machine or of Maven's (`pythons`) give it byte code (`bytecode`);
with a bill of materials (`bill`) it is written as a zip and as a folder (`archive`).
"""
