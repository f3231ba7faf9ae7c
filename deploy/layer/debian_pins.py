"""`debian.txt`: Debian's packages by version and hash (pure)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import astuple, dataclass

from deploy.layer.errors import LayerError

_HEAD = """\
# Debian's packages of which the layer for other runtimes has its interpreter. Written by
# `make layer-pins`. architecture, package, version, SHA-256, path on a mirror.
"""
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, order=True)
class DebianPin:
    """`architecture` is the layer's; `path` begins with the archive, ``debian`` or another."""

    architecture: str
    name: str
    version: str
    sha256: str
    path: str

    @property
    def file_name(self) -> str:
        """What a mirror calls it; of one name and version it is always the same file."""
        return self.path.rpartition("/")[2]


def read_debian_pins(text: str) -> list[DebianPin]:
    """In the file's order. Raises LayerError for a line that is no pin."""
    pins = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        if len(words) != len(DebianPin.__dataclass_fields__) or not _SHA256.fullmatch(words[3]):
            raise LayerError(f"deploy/layer/debian.txt, line {number}, is no pin: make layer-pins")
        pins.append(DebianPin(*words))
    return pins


def to_text(pins: Iterable[DebianPin]) -> str:
    """The file."""
    return _HEAD + "".join(" ".join(astuple(pin)) + "\n" for pin in sorted(pins))
