"""A layer before it is written: paths below `/opt` and files (pure)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from deploy.layer.errors import LayerError

EXECUTABLE = 0o755
DATA = 0o644

PACKAGES = "spanpipe/packages"
"""The extension's own modules and what they need: on no path but the extension's."""
LICENSES = "spanpipe/licenses"
FUNCTION = "python"
"""What Lambda puts on the function's path."""

_SOURCES_OF_NOTHING = (".pyi", ".proto", ".pyx", ".pxd", ".c", ".h", ".typed")
"""For type checkers and compilers; nothing reads them at run time."""
_NOT_KEPT = ("RECORD", "WHEEL", "top_level.txt", "namespace_packages.txt", "zip-safe")
"""An installer's records. `METADATA` and `entry_points.txt` are read by OpenTelemetry."""
_UNUSED = (
    # The SDK imports of the conventions' drafts these alone.
    r"opentelemetry/semconv/_incubating/(?!__init__|.*/__init__|.*/otel_)",
    r"opentelemetry/semconv/(metrics|trace|schemas\.py)",
    r"opentelemetry/sdk/(_configuration|error_handler|trace/_sampling_experimental)/",
    r"opentelemetry/proto/(collector/)?profiles/",
    # Headers of a caller: the function's side has its own, and the exporter sends none.
    r"opentelemetry/(baggage|propagate|propagators|trace/propagation/tracecontext\.py)",
    r"google/protobuf/(compiler|testdata)/",
    r"google/protobuf/internal/(\w+_benchmark|testing_refleaks)",
    r"google/protobuf/(proto|proto_\w+|api_pb2|type_pb2|source_context_pb2)\.py",
    # Programs, codecs, and tests.
    r"(idna/cli|idna/codec|idna/compat|requests/help)\.py",
    r"certifi/tests/",
    # For other platforms, and for packages that are not in the layer.
    r"urllib3/contrib/(emscripten/|pyopenssl|socks)",
    r"urllib3/http2/connection\.py",
)
"""What nothing in the extension's process imports."""
_LEFT_OUT = re.compile("|".join(_UNUSED))


@dataclass(frozen=True, slots=True)
class File:
    """`mode` is the permissions alone."""

    data: bytes
    mode: int = DATA


Tree = dict[str, File]


def put(tree: Tree, path: str, file: File) -> None:
    """Add a file. Raises LayerError where another one is there."""
    if tree.setdefault(path, file) != file:
        raise LayerError(f"two files that differ want to be /opt/{path}")


def put_wheel(tree: Tree, files: dict[str, bytes], name: str, *, python_part: bool) -> None:
    """Unpack a wheel's `files` for the extension. Raises LayerError.

    With `python_part` its shared libraries stay out. Licences go to a folder of their own, and
    those of one package for several Pythons are the same files.
    """
    for path, data in sorted(files.items()):
        top, _, rest = path.partition("/")
        if top.endswith(".data"):
            raise LayerError(f"{name}: a wheel with {path} is not understood")
        if top.endswith(".dist-info"):
            if _is_license(rest):
                put(tree, f"{LICENSES}/{name}/{rest.removeprefix('licenses/')}", File(data))
            elif rest not in _NOT_KEPT:
                put(tree, f"{PACKAGES}/{path}", File(data))
        elif not (
            path.endswith(_SOURCES_OF_NOTHING)
            or _LEFT_OUT.match(path)
            or (python_part and path.endswith(".so"))
        ):
            put(tree, f"{PACKAGES}/{path}", File(data))


def _is_license(path: str) -> bool:
    first = path.rpartition("/")[2].upper()
    return path.startswith("licenses/") or first.startswith(
        ("LICENSE", "LICENCE", "COPYING", "NOTICE", "AUTHORS")
    )


def total_bytes(tree: Tree) -> int:
    """Of all files, unpacked: Lambda counts 250 MB for a function and its layers."""
    return sum(len(file.data) for file in tree.values())
