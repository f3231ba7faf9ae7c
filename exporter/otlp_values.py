"""OTLP's attributes as Python's values (``common.proto``, ``AnyValue``); pure, for any message."""

from __future__ import annotations

from typing import Any


def attributes_of(pairs: Any) -> dict[str, Any]:
    """``KeyValue`` messages as a dictionary."""
    return {one.key: value_of(one.value) for one in pairs}


def value_of(value: Any) -> Any:
    """An ``AnyValue`` message: text, bool, int, float, bytes, list, dictionary or None."""
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [value_of(one) for one in value.array_value.values]
    if kind == "kvlist_value":
        return attributes_of(value.kvlist_value.values)
    return getattr(value, kind) if kind else None
