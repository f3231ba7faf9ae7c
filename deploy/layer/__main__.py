"""``python -m deploy.layer``: the zips, the folders and their sizes.

python -m deploy.layer [--grpc] [--pinned] [--architecture x86_64] [--out dist]
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from deploy.layer.archive import to_folder, to_zip
from deploy.layer.build import ROOT, Layer, any_layer, python_layer
from deploy.layer.bytecode import Compiler
from deploy.layer.errors import LayerError, NotHereError
from deploy.layer.platforms import ARCHITECTURES, PYTHONS
from deploy.layer.pythons import pythons
from deploy.layer.tree import total_bytes
from deploy.layer.wheels import Index

MB = 1_000_000


def main() -> int:
    """Build; 1 and a line where something cannot be built."""
    parser = argparse.ArgumentParser(prog="deploy.layer", description="Build the layer's zips.")
    names = [one.name for one in ARCHITECTURES]
    parser.add_argument("--architecture", choices=names, action="append")
    parser.add_argument("--grpc", action="store_true", help="with gRPC, for exporter: otlp_grpc")
    parser.add_argument(
        "--pinned", action="store_true", help="byte code by pinned Pythons, not by this machine's"
    )
    parser.add_argument("--out", type=Path, default=ROOT / "dist", metavar="FOLDER")
    options = parser.parse_args()
    cache = ROOT / ".cache" / "layer"
    at_hand = pythons(PYTHONS, os.environ, cache / "pythons", pinned=options.pinned)
    compiler = Compiler(at_hand.found)
    index = Index(cache / "wheels")
    options.out.mkdir(parents=True, exist_ok=True)
    for python in PYTHONS:
        found = compiler.versions.get(python)
        _say(
            f"Python {python}: byte code by {found}"
            if found
            else f"Python {python}: NO byte code: {at_hand.missing[python]}; "
            "the layer runs there, but compiles its modules at every cold start"
        )
    try:
        for architecture in ARCHITECTURES:
            if architecture.name not in (options.architecture or names):
                continue
            _write(python_layer(architecture, index, compiler, grpc=options.grpc), options.out)
            try:
                own = any_layer(architecture, index, compiler, cache / "debian", grpc=options.grpc)
            except NotHereError as error:
                _say(f"spanpipe-any-{architecture.name}: NOT built: {error}")
            else:
                _write(own, options.out)
    except LayerError as error:
        sys.stderr.write(f"deploy.layer: {error}\n")
        return 1
    return 0


def _write(layer: Layer, out: Path) -> None:
    packed = to_zip(layer.tree)
    (out / f"{layer.name}.zip").write_bytes(packed)
    to_folder(layer.tree, out / layer.name)
    _say(
        f"{layer.name}.zip: {len(packed) / MB:.2f} MB, "
        f"{total_bytes(layer.tree) / MB:.1f} MB in {len(layer.tree)} files unpacked"
    )


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
