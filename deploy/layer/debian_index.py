"""What a release of Debian has now, by its signed index: how pins come to be.

    python -m deploy.layer.debian_index     (make layer-pins)

apt-get works in folders of its own, so that the machine's packages are not touched.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote

from deploy.layer import debian
from deploy.layer.debian_pins import DebianPin, to_text
from deploy.layer.errors import LayerError
from deploy.layer.interpreter import PINS, RELEASE, ROOTS, WANTED
from deploy.layer.platforms import ARCHITECTURES, ARM64, X86_64, Architecture

_NAMES = {X86_64: "amd64", ARM64: "arm64"}
_KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
_SUITES = {"debian": ("{}", "{}-updates"), "debian-security": ("{}-security",)}
_PACKAGE = re.compile(r"^'([^']+)' ([^_ ]+)_([^_ ]+)_[^_ ]+\.deb \d+ SHA256:(\w+)$", re.MULTILINE)


def main() -> int:
    """Pin anew; 1 and a line where that cannot be."""
    try:
        pins = [
            pin
            for architecture in ARCHITECTURES
            for pin in resolve(RELEASE, ROOTS, architecture)
            if WANTED.fullmatch(pin.name)
        ]
    except LayerError as error:
        sys.stderr.write(f"deploy.layer: {error}\n")
        return 1
    PINS.write_text(to_text(pins))
    sys.stdout.write(f"{PINS.name}: {len(pins)} packages of Debian's {RELEASE}\n")
    return 0


def resolve(release: str, roots: Sequence[str], architecture: Architecture) -> list[DebianPin]:
    """`roots` and all that they depend on, at the newest versions. Raises LayerError."""
    bases = debian.mirrors()
    with tempfile.TemporaryDirectory() as made:
        state = Path(made)
        for folder in ("lists", "archives"):
            (state / folder / "partial").mkdir(parents=True)
        (state / "status").touch()
        (state / "sources.list").write_text(
            "".join(
                f"deb [signed-by={_KEYRING}] {bases[archive][0]}{archive} {suite.format(release)} "
                "main\n"
                for archive, suites in _SUITES.items()
                if archive in bases
                for suite in suites
            )
        )
        name = _NAMES[architecture]
        options = [
            f"Dir::Etc::sourcelist={state / 'sources.list'}",
            "Dir::Etc::sourceparts=-",
            f"Dir::State={state}",
            f"Dir::State::status={state / 'status'}",
            f"Dir::Cache={state}",
            f"APT::Architecture={name}",
            f"APT::Architectures={name}",
            "Acquire::Languages=none",
            "Acquire::ForceHash=SHA256",
        ]
        apt = ["apt-get", "-qq", *debian.AS_ROOT]
        apt += [part for option in options for part in ("-o", option)]
        debian.run([*apt, "update"])
        command = [*apt, "install", "--no-install-recommends", "--print-uris", *roots]
        told = debian.run(command)
    pins = [
        DebianPin(architecture.name, name, unquote(version), sha256, _path(uri, bases))
        for uri, name, version, sha256 in _PACKAGE.findall(told)
    ]
    if not pins:
        raise LayerError(f"Debian's {release} has no {', '.join(roots)} for {name}")
    return sorted(pins)


def _path(uri: str, bases: dict[str, list[str]]) -> str:
    base = next(one for every in bases.values() for one in every if uri.startswith(one))
    return unquote(uri.removeprefix(base))


if __name__ == "__main__":
    sys.exit(main())
