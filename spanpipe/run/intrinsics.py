"""CloudFormation's intrinsic functions, as far as they can be known here; no I/O.

What only a deployment knows, such as a table's name, raises `UnknownError` with the reason. What
is known while a run lasts, a function's URL and a queue's, is a `Reference`.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from typing import Any

from sandbox.application import Reference

PSEUDO = {
    "AWS::AccountId": "123456789012",
    "AWS::Partition": "aws",
    "AWS::Region": "eu-west-1",
    "AWS::StackName": "local",
    "AWS::StackId": "arn:aws:cloudformation:eu-west-1:123456789012:stack/local/1",
    "AWS::URLSuffix": "amazonaws.com",
}
"""As the sandbox has them."""
NO_VALUE = object()
"""``AWS::NoValue``: the key is as if it were not there."""
MAX_DEPTH = 32
"""Of calls; a condition that asks for itself has no end."""
_VARIABLE = re.compile(r"\$\{(!?)([^}]*)\}")


class UnknownError(Exception):
    """It cannot be known here; the text says what and why."""


class Intrinsics:
    """Resolves values of one template.

    `ref` and `attribute` answer for resources, by logical ID: a text, a `Reference`, or None where
    that is AWS's to say. `given` are parameters that the user gives.
    """

    def __init__(
        self,
        root: Mapping[str, Any],
        given: Mapping[str, str],
        ref: Callable[[str], str | Reference | None],
        attribute: Callable[[str, str], str | Reference | None],
    ) -> None:
        self._root = root
        self._given = given
        self._ref = ref
        self._attribute = attribute
        self._functions: dict[str, Callable[[Any, int], Any]] = {
            "Ref": self._call_ref,
            "Fn::GetAtt": self._get_att,
            "Fn::Sub": self._sub,
            "Fn::Join": self._join,
            "Fn::Split": self._split,
            "Fn::Select": self._select,
            "Fn::FindInMap": self._find_in_map,
            "Fn::If": self._if,
            "Fn::Base64": self._base64,
        }
        self._tests: dict[str, Callable[[Any, int], bool]] = {
            "Fn::Equals": self._equals,
            "Fn::And": lambda value, depth: all(self._test(one, depth) for one in _list(value)),
            "Fn::Or": lambda value, depth: any(self._test(one, depth) for one in _list(value)),
            "Fn::Not": lambda value, depth: not self._test(_list(value, 1)[0], depth),
            "Condition": self._condition,
        }

    def resolve(self, value: Any) -> Any:
        """`value` with every function in it replaced. Raises UnknownError."""
        return self._resolve(value, 0)

    def holds(self, condition: Any) -> bool:
        """Whether the condition of that name is true. Raises UnknownError."""
        return self._condition(condition, 0)

    def chosen(self, value: Any) -> Any:
        """`value`, or what its ``Fn::If`` chooses, with what is inside as it was. Raises
        UnknownError."""
        for _ in range(MAX_DEPTH):
            if not isinstance(value, dict) or set(value) != {"Fn::If"}:
                break
            name, yes, no = _list(value["Fn::If"], 3)
            value = yes if self._condition(name, 0) else no
        return None if value == {"Ref": "AWS::NoValue"} else value

    def _resolve(self, value: Any, depth: int) -> Any:
        if depth > MAX_DEPTH:
            raise UnknownError(f"functions in functions, more than {MAX_DEPTH} deep")
        if isinstance(value, list):
            items = [self._resolve(one, depth + 1) for one in value]
            return [one for one in items if one is not NO_VALUE]
        if not isinstance(value, dict):
            if isinstance(value, str) and "{{resolve:" in value:
                raise UnknownError(f"{value} is a dynamic reference, which AWS alone resolves")
            return value
        if len(value) == 1:
            ((name, argument),) = value.items()
            if name in self._functions:
                return self._functions[name](argument, depth + 1)
            if name.startswith("Fn::"):
                raise UnknownError(f"{name} is not known here")
        found = {key: self._resolve(one, depth + 1) for key, one in value.items()}
        return {key: one for key, one in found.items() if one is not NO_VALUE}

    def _call_ref(self, name: Any, depth: int) -> Any:
        if name == "AWS::NoValue":
            return NO_VALUE
        if name in PSEUDO:
            return PSEUDO[name]
        if name in self._given:
            return self._given[name]
        parameters = mapping(self._root.get("Parameters"))
        if name in parameters:
            parameter = mapping(parameters[name])
            if "Default" not in parameter:
                raise UnknownError(
                    f"the parameter {name} has no Default; add --parameter {name}=VALUE"
                )
            if str(parameter.get("Type", "")).startswith("AWS::SSM::"):
                raise UnknownError(
                    f"the parameter {name} is read from AWS; add --parameter {name}=VALUE"
                )
            return str(parameter["Default"])
        if name not in mapping(self._root["Resources"]):
            raise UnknownError(f"Ref {name}: there is no parameter and no resource of that name")
        found = self._ref(name)
        if found is None:
            raise UnknownError(f"Ref {name} ({self._type(name)}) is known to AWS alone")
        return found

    def _get_att(self, argument: Any, depth: int) -> Any:
        if isinstance(argument, str):
            argument = argument.split(".", 1)
        name, attribute = _list(argument, 2)
        found = self._attribute(str(name), str(attribute))
        if found is None:
            raise UnknownError(
                f"GetAtt {name}.{attribute} ({self._type(name)}) is known to AWS alone"
            )
        return found

    def _type(self, name: Any) -> str:
        resource = mapping(mapping(self._root["Resources"]).get(name))
        return str(resource.get("Type", "no resource of the template"))

    def _sub(self, argument: Any, depth: int) -> Any:
        text, own = argument, {}
        if isinstance(argument, list):
            text, own = _list(argument, 2)
        if not isinstance(text, str) or not isinstance(own, dict):
            raise UnknownError("Sub needs a text")

        def found(name: str) -> Any:
            if name in own:
                return self._resolve(own[name], depth)
            if "." in name:
                return self._get_att(name, depth)
            return self._call_ref(name, depth)

        whole = _VARIABLE.fullmatch(text)
        if whole is not None and not whole[1]:
            return found(whole[2])

        def replaced(match: re.Match[str]) -> str:
            literal, name = match.groups()
            return "${" + name + "}" if literal else _text(found(name), f"${{{name}}} in a Sub")

        return _VARIABLE.sub(replaced, text)

    def _join(self, argument: Any, depth: int) -> Any:
        separator, items = _list(argument, 2)
        found = _list(self._resolve(items, depth))
        if len(found) == 1:
            return found[0]
        return str(separator).join(_text(one, "a part of Join") for one in found)

    def _split(self, argument: Any, depth: int) -> Any:
        separator, text = _list(self._resolve(argument, depth), 2)
        return _text(text, "Split").split(str(separator))

    def _select(self, argument: Any, depth: int) -> Any:
        index, items = _list(self._resolve(argument, depth), 2)
        items = _list(items)
        if not str(index).isdigit() or int(index) >= len(items):
            raise UnknownError(f"Select {index}: there are {len(items)} values")
        return items[int(index)]

    def _find_in_map(self, argument: Any, depth: int) -> Any:
        names = [str(one) for one in _list(self._resolve(argument, depth), 3)]
        found: Any = self._root.get("Mappings")
        for name in names:
            if name not in mapping(found):
                raise UnknownError(f"FindInMap {'.'.join(names)}: there is no {name}")
            found = found[name]
        return found

    def _if(self, argument: Any, depth: int) -> Any:
        name, yes, no = _list(argument, 3)
        return self._resolve(yes if self._condition(name, depth) else no, depth)

    def _base64(self, argument: Any, depth: int) -> Any:
        text = _text(self._resolve(argument, depth), "Base64")
        return base64.b64encode(text.encode()).decode()

    def _condition(self, name: Any, depth: int) -> bool:
        conditions = mapping(self._root.get("Conditions"))
        if name not in conditions:
            raise UnknownError(f"there is no condition {name}")
        return self._test(conditions[name], depth)

    def _test(self, value: Any, depth: int) -> bool:
        if depth > MAX_DEPTH:
            raise UnknownError(f"conditions in conditions, more than {MAX_DEPTH} deep")
        if isinstance(value, dict) and len(value) == 1:
            ((name, argument),) = value.items()
            if name in self._tests:
                return self._tests[name](argument, depth + 1)
        raise UnknownError("a condition must be made of Equals, And, Or, Not and Condition")

    def _equals(self, argument: Any, depth: int) -> bool:
        one, other = _list(self._resolve(argument, depth), 2)
        return str(one) == str(other)


def _list(value: Any, length: int | None = None) -> list[Any]:
    if not isinstance(value, list) or (length is not None and len(value) != length):
        raise UnknownError(f"a function needs a list{f' of {length}' if length else ''}")
    return value


def mapping(value: Any) -> Mapping[str, Any]:
    """`value` where it is one, else an empty one."""
    return value if isinstance(value, dict) else {}


def _text(value: Any, what: str) -> str:
    if isinstance(value, Reference):
        raise UnknownError(
            f"{what} is an address that is known only while it runs; it must stand alone"
        )
    if isinstance(value, dict | list) or value is NO_VALUE:
        raise UnknownError(f"{what} is no text")
    return str(value).lower() if isinstance(value, bool) else str(value)
