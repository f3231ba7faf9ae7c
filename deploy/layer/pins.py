"""`constraints.txt`: each package's one version and the hashes of its files (pure)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name

from deploy.layer.errors import LayerError


@dataclass(frozen=True, slots=True)
class Pin:
    """`sha256` has the hashes of every file of that version, in hex."""

    name: NormalizedName
    version: str
    sha256: frozenset[str]


def read_pins(text: str) -> dict[NormalizedName, Pin]:
    """By name, from pip's format. A package that is pinned apart for some Pythons is left out:
    a layer has one version for all. Raises LayerError where nothing is pinned with a hash."""
    found: dict[NormalizedName, list[Pin]] = {}
    for line in _logical_lines(text):
        first, *options = line.split(" --hash=sha256:")
        requirement = Requirement(first)
        version = str(requirement.specifier).removeprefix("==")
        name = canonicalize_name(requirement.name)
        pin = Pin(name, version, frozenset(one.strip() for one in options))
        found.setdefault(name, []).append(pin)
    pins = {name: one[0] for name, one in found.items() if len(one) == 1 and one[0].sha256}
    if not pins:
        raise LayerError("constraints.txt pins nothing with a hash")
    return pins


def pin_of(pins: Mapping[NormalizedName, Pin], name: str) -> Pin:
    """Raises LayerError."""
    pin = pins.get(canonicalize_name(name))
    if pin is None:
        raise LayerError(f"{name} is not pinned, once and with hashes, in constraints.txt")
    return pin


def _logical_lines(text: str) -> Iterator[str]:
    for line in text.replace("\\\n", " ").splitlines():
        bare = " ".join(line.partition("#")[0].split())
        if bare:
            yield bare
