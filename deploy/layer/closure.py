"""Which packages a layer holds, and in which form each: the one place that decides it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name

from deploy.layer.pins import Pin, pin_of
from deploy.layer.platforms import PYTHONS, Architecture
from deploy.layer.wheels import PURE, Form, Index, Wheel, stable_abi, version_abi

ROOTS = ("requests", "opentelemetry-sdk", "opentelemetry-exporter-otlp-proto-http", "PyYAML")
"""What the extension imports. `opentelemetry-exporter-otlp`, which pyproject.toml names, would
bring gRPC as well."""
GRPC_ROOTS = ("opentelemetry-exporter-otlp-proto-grpc",)

STABLE_ABI = frozenset({"protobuf"})
"""Its encoder in C (upb), built once for every Python."""
EACH_VERSION = frozenset({"grpcio", "awslambdaric"})
"""In C, built for one Python each; the names of the libraries differ, the rest is the same."""
PYTHON_PART = frozenset({"pyyaml"})
"""There is no wheel without C; the C is optional, and its speed not needed."""
UNUSED = frozenset({"googleapis-common-protos", "charset-normalizer"})
"""The exporters require the first and import it for error details, which we do not read. `requests`
does without the second (`exporter.lean_requests`), which guesses a text's encoding."""


@dataclass(frozen=True, slots=True)
class Component:
    """A package in a layer: one wheel, or one for each version of Python."""

    wheels: tuple[Wheel, ...]

    @property
    def name(self) -> NormalizedName:
        """Normalised."""
        return self.wheels[0].name

    @property
    def version(self) -> str:
        """As pinned."""
        return self.wheels[0].version

    @property
    def python_part(self) -> bool:
        """Whether its shared libraries stay out."""
        return self.name in PYTHON_PART


def components(
    roots: Sequence[str],
    pins: Mapping[NormalizedName, Pin],
    index: Index,
    architecture: Architecture,
    pythons: Sequence[str] = PYTHONS,
) -> list[Component]:
    """`roots` and what they need on any of `pythons`, by name. Raises LayerError."""
    found: dict[NormalizedName, Component] = {}
    wanted = [canonicalize_name(root) for root in roots]
    while wanted:
        new = [_fetch(pin_of(pins, name), index, architecture, pythons) for name in wanted]
        found |= {one.name: one for one in new}
        needed = {name for one in new for name in _needs(one, pythons)}
        wanted = sorted(needed - set(found))
    return [found[name] for name in sorted(found)]


def _fetch(pin: Pin, index: Index, architecture: Architecture, pythons: Sequence[str]) -> Component:
    forms: Iterable[Form] = (PURE,)
    if pin.name in STABLE_ABI:
        forms = (stable_abi(architecture),)
    elif pin.name in EACH_VERSION:
        forms = [version_abi(python, architecture) for python in pythons]
    elif pin.name in PYTHON_PART:
        forms = (version_abi(PYTHONS[0], architecture),)
    return Component(tuple(wheel for form in forms for wheel in index.fetch([pin], form)))


def _needs(component: Component, pythons: Sequence[str]) -> set[NormalizedName]:
    texts = component.wheels[0].metadata().get_all("Requires-Dist", [])
    return {
        canonicalize_name(one.name)
        for one in map(Requirement, texts)
        if one.marker is None
        or any(one.marker.evaluate(_environment(python)) for python in pythons)
    } - UNUSED


def _environment(python: str) -> dict[str, str]:
    """Extras are left out: what they would bring is among the roots."""
    return {
        "extra": "",
        "implementation_name": "cpython",
        "os_name": "posix",
        "platform_python_implementation": "CPython",
        "platform_system": "Linux",
        "python_full_version": f"{python}.0",
        "python_version": python,
        "sys_platform": "linux",
    }
