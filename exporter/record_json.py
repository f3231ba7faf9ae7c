"""Records as JSON and back, for the spool: independent of any protocol; pure.

Every field has its name, and one that has its default is left out. Bytes are base64 (RFC 4648).
What is read back is not trusted: it has exactly the types of `exporter.record`, or is refused.
"""

from __future__ import annotations

import base64
import binascii
import enum
import json
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any

from exporter.record import ChildSpan, Environment, Invocation, Record, Supplement
from exporter.values import MISSING, fields, is_dataclass

_ID_BYTES = {"trace_id": (16,), "span_id": (0, 8), "parent_span_id": (8,), "report_span_id": (0, 8)}
_KINDS: Mapping[str, type[Record]] = {"invocation": Invocation, "supplement": Supplement}
_NAMES = {kind: name for name, kind in _KINDS.items()}
_MAX_INTEGER = 2**63
_encode = json.JSONEncoder(separators=(",", ":")).encode


class RecordError(ValueError):
    """What was read is no list of records."""


def to_json(records: Sequence[Record]) -> bytes:
    """`records` as one JSON array, ASCII alone."""
    entries = [[_NAMES[type(record)], _value(record)] for record in records]
    return _encode(entries).encode("ascii")


def from_json(data: bytes) -> list[Record]:
    """The records in `data`. Raises RecordError."""
    try:
        entries = json.loads(data)
        return [_record(*entry) for entry in entries]
    except RecordError:
        raise
    except (ValueError, TypeError, RecursionError) as error:
        raise RecordError(f"no records: {error}") from error


def _record(kind: str, value: object) -> Record:
    record = _made(_KINDS.get(kind, Invocation), value, kind)
    if kind not in _KINDS or not isinstance(record, Invocation | Supplement):
        raise RecordError(f"no kind of record: {kind!r:.80}")
    return record


_AS_THEY_ARE = frozenset((type(None), str, bool, int, float))


def _value(item: Any) -> Any:  # noqa: PLR0911 - one return for each kind of value
    if type(item) in _AS_THEY_ARE:
        return item
    if isinstance(item, bytes):
        return base64.b64encode(item).decode("ascii")
    if isinstance(item, enum.Enum):
        return item.value
    if isinstance(item, ChildSpan):
        return _child_value(item)
    if isinstance(item, Environment):
        return _environment_value(item)
    if is_dataclass(item):
        return _fields_value(item)
    if isinstance(item, Mapping):
        return {name: _value(one) for name, one in item.items()}
    return [_value(one) for one in item]


def _fields_value(item: Any) -> dict[str, Any]:
    # One is written for each invocation that runs, in case this process is killed: it is made
    # without a call for what is as it is in JSON.
    value = {}
    for name, _, default in _fields(type(item)):
        given = getattr(item, name)
        if given is not default and given != default:
            value[name] = given if type(given) in _AS_THEY_ARE else _value(given)
    return value


_environments: dict[Environment, dict[str, Any]] = {}
"""Of the one that was written last: as a rule the only one."""


def _environment_value(environment: Environment) -> dict[str, Any]:
    value = _environments.get(environment)
    if value is None:
        _environments.clear()
        value = _environments[environment] = _fields_value(environment)
    return value


def _child_value(child: ChildSpan) -> dict[str, Any]:
    """The same as for any other, written out: there may be thousands, and SHUTDOWN is short."""
    value: dict[str, Any] = {"span_id": base64.b64encode(child.span_id).decode("ascii")}
    if child.parent_span_id is None:
        value["parent_span_id"] = None
    else:
        value["parent_span_id"] = base64.b64encode(child.parent_span_id).decode("ascii")
    value["name"] = child.name
    value["start_unix_ns"] = child.start_unix_ns
    value["end_unix_ns"] = child.end_unix_ns
    if child.attributes:
        value["attributes"] = dict(child.attributes)
    if child.failure is not None:
        value["failure"] = _value(child.failure)
    if child.of_platform:
        value["of_platform"] = True
    return value


_FIELDS: dict[type, tuple[tuple[str, Any, Any], ...]] = {}


def _fields(kind: type) -> tuple[tuple[str, Any, Any], ...]:
    """(Name, type, default) of each; what must be given has a default that equals nothing."""
    if kind in _FIELDS:
        return _FIELDS[kind]
    hints = typing.get_type_hints(kind)
    found = []
    for field in fields(kind):
        default = field.default
        if field.default_factory is not MISSING:
            default = field.default_factory()
        found.append((field.name, hints[field.name], default))
    _FIELDS[kind] = tuple(found)
    return _FIELDS[kind]


def _made(  # noqa: PLR0911 - one return for each kind of type
    hint: Any, value: Any, where: str
) -> Any:
    """`value` as `hint` says. Raises RecordError."""
    if is_dataclass(hint) and isinstance(hint, type):
        return _dataclass(hint, value, where)
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        return _one_of(arguments, value, where)
    if origin is tuple and isinstance(value, list):
        return tuple(_made(arguments[0], one, where) for one in value)
    if origin is not None and issubclass(origin, Mapping) and isinstance(value, dict):
        return {name: _made(arguments[1], one, f"{where}.{name}") for name, one in value.items()}
    if origin is not None and issubclass(origin, Sequence) and isinstance(value, list):
        return [_made(arguments[0], one, where) for one in value]
    if hint is bytes and isinstance(value, str):
        return _bytes(value, where)
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        try:
            return hint(value)
        except ValueError as error:
            raise RecordError(f"{where}: {value!r:.80} is none of its values") from error
    if hint is float and type(value) is int:
        return float(value)
    if type(value) is hint and not (hint is int and abs(value) > _MAX_INTEGER):
        return value
    raise RecordError(f"{where}: {value!r:.80} is no {hint}")


def _one_of(hints: Sequence[Any], value: Any, where: str) -> Any:
    if value is None:
        if type(None) in hints:
            return None
        raise RecordError(f"{where}: null")
    # A scalar is its own kind before it is made into another.
    exact = [hint for hint in hints if hint is type(value)]
    errors = []
    for hint in exact or [hint for hint in hints if hint is not type(None)]:
        try:
            return _made(hint, value, where)
        except RecordError as error:
            errors.append(str(error))
    raise RecordError("; ".join(errors) or f"{where}: {value!r:.80}")


def _dataclass(kind: type, value: Any, where: str) -> Any:
    if not isinstance(value, dict):
        raise RecordError(f"{where}: {value!r:.80} is no object")
    given = {}
    for name, hint, default in _fields(kind):
        if name in value:
            given[name] = _made(hint, value[name], f"{where}.{name}")
            lengths = _ID_BYTES.get(name)
            if lengths and given[name] is not None and len(given[name]) not in lengths:
                raise RecordError(f"{where}.{name}: {len(given[name])} bytes")
        elif default is MISSING:
            raise RecordError(f"{where}.{name} is missing")
    if len(given) < len(value):
        raise RecordError(f"{where}: unknown fields")
    return kind(**given)


def _bytes(text: str, where: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise RecordError(f"{where}: no base64") from error
