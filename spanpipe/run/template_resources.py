"""The resources of a template that are there: what they say, resolved, and what they are asked.

Conditions, parameters, intrinsic functions and SAM's ``Globals`` are done with here; what is read
is a plain value. What is wrong and what is otherwise than on AWS is gathered, each with its place.
Sources: AWS SAM specification, "Globals section"; AWS CloudFormation template reference, return
values of "AWS::Lambda::Function", "AWS::Lambda::Url", "AWS::SQS::Queue".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from sandbox.application import QUEUE, URL_OF, Reference
from spanpipe.run.intrinsics import NO_VALUE, PSEUDO, Intrinsics, UnknownError, mapping
from spanpipe.run.template_source import Template

SAM_FUNCTION, FUNCTION = "AWS::Serverless::Function", "AWS::Lambda::Function"
URL, SQS_QUEUE = "AWS::Lambda::Url", "AWS::SQS::Queue"
_PYTHON = re.compile(r"python(3\.\d+)")


class Resources:
    """Of one template, with `parameters` by name.

    `functions` has those that can be run here, by logical ID, with the Python that each asks for,
    such as ``3.12``. `problems` and `notes` have a line for each.
    """

    def __init__(self, template: Template, parameters: Mapping[str, str]) -> None:
        self._template = template
        self.problems: list[str] = []
        self.notes: list[str] = []
        self.functions: dict[str, str] = {}
        self._intrinsics = Intrinsics(template.root, parameters, self._ref, self._attribute)
        known = mapping(template.root.get("Parameters"))
        for name in parameters:
            if name not in known:
                self.problems.append(f"{template.file}: there is no parameter {name}")
        self._resources: dict[str, Mapping[str, Any]] = {}
        for name, one in template.root["Resources"].items():
            if isinstance(one, dict):
                self._resources[name] = one
            else:
                self.wrong(f"Resources.{name}", "is no resource that is known here")
        self._resources = {
            name: one for name, one in self._resources.items() if self._is_there(name, one)
        }
        # Until all are known, no function has a URL.
        found = {name: self._python(name) for name in self._resources}
        self.functions = {name: version for name, version in found.items() if version}

    def of_type(self, kind: str) -> list[str]:
        """The logical IDs of all of that type."""
        return [name for name in self._resources if self.type(name) == kind]

    def type(self, name: str) -> str | None:
        """Of a resource; None where there is none of that name."""
        return self._resources.get(name, {}).get("Type")

    def asset(self, name: str) -> Any:
        """The folder of its code, as the CDK's synthesised templates name it."""
        return mapping(self._resources.get(name, {}).get("Metadata")).get("aws:asset:path")

    def unread(self, name: str) -> Mapping[str, Any]:
        """Its properties as they stand there."""
        return mapping(self._resources.get(name, {}).get("Properties"))

    def properties(self, name: str) -> dict[str, Any]:
        """Of a resource, with each ``Fn::If`` chosen, and SAM's ``Globals`` below them."""
        own = {}
        for key, said in self.unread(name).items():
            try:
                value = self._intrinsics.chosen(said)
            except UnknownError as error:
                self.wrong(f"Resources.{name}.Properties.{key}", str(error))
                continue
            if value is not None:
                own[key] = value
        if self.type(name) != SAM_FUNCTION:
            return own
        shared = mapping(mapping(self._template.root.get("Globals")).get("Function"))
        merged = {**shared, **own}
        both = [mapping(mapping(one.get("Environment")).get("Variables")) for one in (shared, own)]
        if any(both):
            merged["Environment"] = {"Variables": {**both[0], **both[1]}}
        if isinstance(shared.get("Layers"), list) and isinstance(own.get("Layers"), list):
            merged["Layers"] = [*shared["Layers"], *own["Layers"]]
        return merged

    def value(self, properties: Mapping[str, Any], key: str, path: str) -> Any:
        """What stands under `key`; None where there is nothing, or nothing that is known."""
        try:
            value = self._intrinsics.resolve(properties.get(key))
        except UnknownError as error:
            self.wrong(f"{path}.{key}", str(error))
            return None
        return None if value is NO_VALUE else value

    def number(
        self,
        properties: Mapping[str, Any],
        key: str,
        path: str,
        default: float,
        low: float,
        high: float,
    ) -> float:
        """The number under `key`; `default` where there is none, or one out of bounds."""
        value = self.value(properties, key, path)
        if value is None:
            return default
        try:
            number = float(value)
        except (TypeError, ValueError):
            number = low - 1
        if not low <= number <= high:
            self.wrong(f"{path}.{key}", f"is {value}, must be a number from {low:g} to {high:g}")
            return default
        return number

    def resolved(self, said: Any) -> Any:
        """`said` with every function in it replaced. Raises UnknownError."""
        return self._intrinsics.resolve(said)

    def chosen(self, said: Any) -> Any:
        """What ``Fn::If`` chooses, with what is inside as it was. Raises UnknownError."""
        return self._intrinsics.chosen(said)

    def wrong(self, path: str, text: str) -> None:
        """The value at `path` cannot be used."""
        self.problems.append(f"{self._template.place(path)}: {text}")

    def note(self, path: str, text: str) -> None:
        """The value at `path` does otherwise here than on AWS."""
        self.notes.append(f"{self._template.place(path)}: {text}")

    # Which there are

    def _is_there(self, name: str, resource: Mapping[str, Any]) -> bool:
        if "Condition" not in resource:
            return True
        try:
            return self._intrinsics.holds(resource["Condition"])
        except UnknownError as error:
            self.wrong(f"Resources.{name}.Condition", str(error))
            return False

    def _python(self, name: str) -> str | None:
        """The Python that the function asks for; None where it cannot be run here."""
        if self.type(name) not in (SAM_FUNCTION, FUNCTION):
            return None
        path = f"Resources.{name}.Properties"
        properties = self.properties(name)
        if properties.get("PackageType") == "Image":
            self.note(path, "an image cannot be run here; it is left out")
            return None
        runtime = self.value(properties, "Runtime", path)
        found = _PYTHON.fullmatch(str(runtime))
        if found is None:
            if runtime is not None:
                self.note(f"{path}.Runtime", f"{runtime} cannot be run here; it is left out")
            else:
                self.wrong(path, "has no Runtime")
            return None
        return found[1]

    # What they answer

    def _ref(self, name: str) -> str | Reference | None:
        kind = self.type(name)
        if kind in (SAM_FUNCTION, FUNCTION):
            return name
        return Reference(QUEUE, self._queue_name(name)) if kind == SQS_QUEUE else None

    def _attribute(self, name: str, attribute: str) -> str | Reference | None:
        kind = self.type(name)
        region, account = PSEUDO["AWS::Region"], PSEUDO["AWS::AccountId"]
        if kind in (SAM_FUNCTION, FUNCTION) and attribute == "Arn":
            return f"arn:aws:lambda:{region}:{account}:function:{name}"
        if kind == SQS_QUEUE:
            queue = self._queue_name(name)
            known: dict[str, str | Reference] = {
                "Arn": f"arn:aws:sqs:{region}:{account}:{queue}",
                "QueueName": queue,
                "QueueUrl": Reference(QUEUE, queue),
            }
            return known.get(attribute)
        if attribute != "FunctionUrl":
            return None
        if kind == URL:
            said = self.unread(name).get("TargetFunctionArn")
            target = str(self._intrinsics.resolve(said)).rpartition(":")[2]
        else:
            # SAM makes the resource of it, under this name.
            target = name.removesuffix("Url")
        return Reference(URL_OF, target) if target in self.functions else None

    def _queue_name(self, name: str) -> str:
        said = self.unread(name).get("QueueName")
        found = self._intrinsics.resolve(said)
        return found if isinstance(found, str) else name
