"""Debian's packages, unpacked in memory; what was taken of them, and so whose licences count."""

from __future__ import annotations

from collections.abc import Sequence

from deploy.layer.debian import Package
from deploy.layer.errors import LayerError


class Unpacked:
    """`paths` has every file's."""

    def __init__(self, packages: Sequence[Package]) -> None:
        self._files = {
            path: (data, package)
            for package in packages
            for path, (data, _) in package.files().items()
        }
        self._by_name = {path.rpartition("/")[2]: path for path in sorted(self._files)}
        self._bases = [one.pin.name for one in packages if one.pin.name.endswith("-base")]
        self._used: dict[str, Package] = {}
        self.paths = tuple(sorted(self._files))

    def take(self, path: str) -> bytes:
        """The file. Raises LayerError."""
        if path not in self._files:
            raise LayerError(f"no package that is fetched has {path}")
        data, package = self._files[path]
        self._used[package.pin.name] = package
        return data

    def take_named(self, name: str) -> bytes:
        """The file of this name, in whatever folder. Raises LayerError."""
        return self.take(self._by_name.get(name, name))

    def used(self) -> list[Package]:
        """By name, those of which something was taken."""
        return [self._used[name] for name in sorted(self._used)]

    def copyright(self, package: Package) -> bytes:
        """Its licence's text. Raises LayerError.

        Packages of one source may link to one text: ``-minimal``'s, or the compiler's base's.
        """
        name = package.pin.name
        for one in (name, f"{name.rpartition('-')[0]}-minimal", *self._bases):
            found = self._files.get(f"usr/share/doc/{one}/copyright")
            if found is not None:
                return found[0]
        raise LayerError(f"Debian's {name} brings no text of its licence")
