"""``name=value,name2=value2``, as OpenTelemetry writes headers and resource attributes."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import unquote

from exporter.settings import HeaderValue


class PairsError(Exception):
    """An entry that is no pair. The message does not repeat it: it may be a secret."""


def parse_pairs(text: str) -> dict[str, str]:
    """The pairs in `text`, URL-decoded; of one name the last counts. Raises PairsError.

    Source: OpenTelemetry specification, "OpenTelemetry Protocol Exporter" and "Resource SDK":
    W3C Baggage without properties.
    """
    found: dict[str, str] = {}
    for index, part in enumerate(text.split(",")):
        if not part.strip():
            continue
        name, equals, value = part.partition("=")
        if not equals or not name.strip():
            raise PairsError(f"entry {index + 1} is not name=value")
        found[unquote(name.strip())] = unquote(value.strip())
    return found


def merged_headers(
    base: Mapping[str, HeaderValue], over: Mapping[str, HeaderValue]
) -> dict[str, HeaderValue]:
    """Both, `over` going first; a header's name has no case."""
    names = {name.lower() for name in over}
    return {**{k: v for k, v in base.items() if k.lower() not in names}, **over}
