"""A JSON body as attributes, one for each value in it; pure."""

from __future__ import annotations

import json

from exporter.record import AttributeValue, encodable

MAX_VALUES = 64
"""Of one body; half of what OpenTelemetry lets a span have by default."""
_MAX_INTEGER = 2**63


def flattened(prefix: str, text: str) -> tuple[dict[str, AttributeValue], int] | None:
    """({name: value}, how many values were over `MAX_VALUES`); None where `text` is no JSON.

    Names are `prefix` and the way to the value: ``prefix.items.0.name``. null is no value, and
    neither is an empty object or list.
    """
    try:
        left: list[tuple[str, object]] = [(prefix, json.loads(text))]
    except (ValueError, RecursionError):
        return None
    found: dict[str, AttributeValue] = {}
    dropped = 0
    while left:
        name, value = left.pop()
        if isinstance(value, dict):
            left += [(f"{name}.{key}", one) for key, one in reversed(value.items())]
        elif isinstance(value, list):
            left += [(f"{name}.{n}", value[n]) for n in reversed(range(len(value)))]
        elif value is None:
            continue
        elif len(found) < MAX_VALUES:
            found[encodable(name)] = _scalar(value)
        else:
            dropped += 1
    return found, dropped


def _scalar(value: object) -> AttributeValue:
    if isinstance(value, bool | float):
        return value
    if isinstance(value, int) and -_MAX_INTEGER <= value < _MAX_INTEGER:
        return value
    return encodable(str(value))
