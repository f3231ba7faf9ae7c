"""``--template``: the functions of a SAM or CloudFormation template, and what calls them.

A template maps to the same `Entry` as a functions file. What has no meaning here, or cannot be
run, is a note; what would make the run wrong is an error. The CDK's synthesised templates name
their code in ``Metadata`` (``aws:asset:path``). Sources: AWS SAM specification,
"AWS::Serverless::Function"; AWS CloudFormation, "AWS::Lambda::Function", "EventSourceMapping",
"Url", "AWS::SQS::Queue".
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sandbox.application import QUEUE, URL_OF, EventSource, Reference
from spanpipe.run.functions_file import (
    MAX_BATCH_SIZE,
    MAX_FUNCTIONS,
    MAX_MEMORY_MB,
    MAX_TIMEOUT_S,
    MAX_WINDOW_S,
    Entry,
)
from spanpipe.run.intrinsics import NO_VALUE, PSEUDO, Intrinsics, UnknownError
from spanpipe.run.template_source import Template, TemplateError

SAM_FUNCTION, FUNCTION = "AWS::Serverless::Function", "AWS::Lambda::Function"
MAPPING, URL, SQS_QUEUE = "AWS::Lambda::EventSourceMapping", "AWS::Lambda::Url", "AWS::SQS::Queue"
LAYERS = ("AWS::Serverless::LayerVersion", "AWS::Lambda::LayerVersion")
_USED = frozenset(
    {
        "Handler",
        "Runtime",
        "CodeUri",
        "Code",
        "MemorySize",
        "Timeout",
        "Environment",
        "Events",
        "FunctionUrlConfig",
        "Layers",
        "PackageType",
    }
)
_USED_OF_SQS = frozenset(
    {
        "Queue",
        "EventSourceArn",
        "FunctionName",
        "BatchSize",
        "MaximumBatchingWindowInSeconds",
        "FunctionResponseTypes",
        "Enabled",
    }
)
DEFAULT_TIMEOUT_S, DEFAULT_MEMORY_MB = 3.0, 128
"""Lambda's own."""
_PYTHON = re.compile(r"python(3\.\d+)")
_QUEUE_NAME = re.compile(r"[A-Za-z0-9_-]{1,80}")


@dataclass(frozen=True, slots=True)
class Functions:
    """What can be run, and a line for each thing that is otherwise than on AWS."""

    entries: list[Entry]
    notes: list[str]


def functions_of(
    template: Template, parameters: Mapping[str, str], given: Mapping[str, str]
) -> Functions:
    """The Python functions of `template`. Raises TemplateError with every mistake.

    `parameters` are the template's, by name. `given` are the variables that the user gives by other
    ways: what the template says of those need not be known.
    """
    return _Reader(template, parameters, given).functions()


class _Reader:
    def __init__(
        self, template: Template, parameters: Mapping[str, str], given: Mapping[str, str]
    ) -> None:
        self._template = template
        self._given = given
        self._folder = Path(template.file).resolve().parent
        self._problems: list[str] = []
        self._notes: list[str] = []
        self._runnable: set[str] = set()
        self._runtimes: dict[str, list[str]] = {}
        self._intrinsics = Intrinsics(template.root, parameters, self._ref, self._attribute)
        known = _mapping(template.root.get("Parameters"))
        for name in parameters:
            if name not in known:
                self._problems.append(f"{template.file}: there is no parameter {name}")
        self._resources = {}
        for name, one in template.root["Resources"].items():
            if isinstance(one, dict):
                self._resources[name] = one
            else:
                self._wrong(f"Resources.{name}", "is no resource that is known here")
        self._resources = {
            name: one for name, one in self._resources.items() if self._is_there(name, one)
        }
        self._runnable = {name for name, one in self._resources.items() if self._can_run(name, one)}

    def functions(self) -> Functions:
        entries = [self._entry(name) for name in self._resources if name in self._runnable]
        here = f"{sys.version_info[0]}.{sys.version_info[1]}"
        for version, names in self._runtimes.items():
            if version != here:
                text = f"{', '.join(names)}: python{version} is asked for, this is Python {here}"
                self._notes.append(f"{self._template.file}: {text}")
        if not entries:
            self._problems.append(
                f"{self._template.file}: has no Python function that can be run here"
            )
        if len(entries) > MAX_FUNCTIONS:
            self._problems.append(
                f"{self._template.file}: has {len(entries)} functions, {MAX_FUNCTIONS} at most"
            )
        for name, one in self._resources.items():
            if one.get("Type") == MAPPING:
                entries = self._mapped(name, entries)
        self._check_queues(entries)
        if self._problems:
            raise TemplateError("\n".join([*self._problems, *map("note: {}".format, self._notes)]))
        return Functions(entries, self._notes)

    # Which there are

    def _is_there(self, name: str, resource: Mapping[str, Any]) -> bool:
        if "Condition" not in resource:
            return True
        try:
            return self._intrinsics.holds(resource["Condition"])
        except UnknownError as error:
            self._wrong(f"Resources.{name}.Condition", str(error))
            return False

    def _can_run(self, name: str, resource: Mapping[str, Any]) -> bool:
        if resource.get("Type") not in (SAM_FUNCTION, FUNCTION):
            return False
        path = f"Resources.{name}.Properties"
        properties = self._properties(name)
        if properties.get("PackageType") == "Image":
            self._note(path, "an image cannot be run here; it is left out")
            return False
        runtime = self._value(properties, "Runtime", path)
        found = _PYTHON.fullmatch(str(runtime))
        if found is None:
            if runtime is not None:
                self._note(f"{path}.Runtime", f"{runtime} cannot be run here; it is left out")
            else:
                self._wrong(path, "has no Runtime")
            return False
        self._runtimes.setdefault(found[1], []).append(name)
        return True

    def _properties(self, name: str) -> dict[str, Any]:
        """Of a resource, with SAM's ``Globals`` below them."""
        resource = self._resources[name]
        own = {}
        for key, said in _mapping(resource.get("Properties")).items():
            try:
                value = self._intrinsics.chosen(said)
            except UnknownError as error:
                self._wrong(f"Resources.{name}.Properties.{key}", str(error))
                continue
            if value is not None:
                own[key] = value
        if resource.get("Type") != SAM_FUNCTION:
            return own
        shared = _mapping(_mapping(self._template.root.get("Globals")).get("Function"))
        merged = {**shared, **own}
        both = [
            _mapping(_mapping(one.get("Environment")).get("Variables")) for one in (shared, own)
        ]
        if any(both):
            merged["Environment"] = {"Variables": {**both[0], **both[1]}}
        if isinstance(shared.get("Layers"), list) and isinstance(own.get("Layers"), list):
            merged["Layers"] = [*shared["Layers"], *own["Layers"]]
        return merged

    # One function

    def _entry(self, name: str) -> Entry:
        path = f"Resources.{name}.Properties"
        properties = self._properties(name)
        handler = self._value(properties, "Handler", path)
        if not isinstance(handler, str) or not handler:
            self._wrong(f"{path}.Handler", "must be there: module.function, as in Lambda")
        environ, references = self._environment(properties, path)
        source = self._events(name, properties, path)
        unused = sorted(set(properties) - _USED)
        if unused:
            self._note(path, f"without a meaning here: {', '.join(unused)}")
        return Entry(
            name=name,
            handler=str(handler or ""),
            directory=self._code(name, properties, path),
            timeout_s=self._number(
                properties, "Timeout", path, DEFAULT_TIMEOUT_S, 1, MAX_TIMEOUT_S
            ),
            memory_mb=int(
                self._number(properties, "MemorySize", path, DEFAULT_MEMORY_MB, 128, MAX_MEMORY_MB)
            ),
            environ=environ,
            references=references,
            source=source,
            layers=tuple(self._layers(properties, path)),
        )

    def _code(self, name: str, properties: Mapping[str, Any], path: str) -> Path:
        """The folder of the function's code."""
        if "InlineCode" in properties or "ZipFile" in _mapping(properties.get("Code")):
            self._wrong(
                path, "inline code cannot be run here; put it into a file, and name its folder"
            )
            return self._folder
        asset = _mapping(self._resources[name].get("Metadata")).get("aws:asset:path")
        key = "CodeUri" if self._resources[name].get("Type") == SAM_FUNCTION else "Code"
        said = asset or self._value(properties, key, path)
        if said is None and key == "CodeUri":
            said = "."
        if not isinstance(said, str) or said.startswith("s3://"):
            self._wrong(f"{path}.{key}", "is not a folder here; name the folder of the code")
            return self._folder
        folder = self._folder / said
        if not folder.is_dir():
            self._wrong(f"{path}.{key}", f"there is no folder {folder}")
        return folder

    def _environment(
        self, properties: Mapping[str, Any], path: str
    ) -> tuple[dict[str, str], dict[str, Reference]]:
        environ: dict[str, str] = {}
        references: dict[str, Reference] = {}
        variables = _mapping(_mapping(properties.get("Environment")).get("Variables"))
        for name, said in variables.items():
            if name in self._given:
                continue
            place = f"{path}.Environment.Variables.{name}"
            try:
                value = self._intrinsics.resolve(said)
            except UnknownError as error:
                self._wrong(place, f"{error}; or give the variable: --env {name}=VALUE")
                continue
            if isinstance(value, Reference):
                references[name] = value
            elif isinstance(value, dict | list):
                self._wrong(place, "is no text")
            elif value is not NO_VALUE:
                text = str(value).lower() if isinstance(value, bool) else str(value)
                environ[name] = "" if value is None else text
        return environ, references

    def _layers(self, properties: Mapping[str, Any], path: str) -> Iterator[Path]:
        """Of the template's own layers the folders; one by its ARN is not here."""
        layers = properties.get("Layers", [])
        if not isinstance(layers, list):
            self._wrong(f"{path}.Layers", "must be a list")
            return
        for number, given in enumerate(layers):
            said = self._intrinsics.chosen(given)
            if said is None:
                continue
            name = said.get("Ref") if isinstance(said, dict) else None
            resource = self._resources.get(str(name), {})
            inner = _mapping(resource.get("Properties"))
            asset = _mapping(resource.get("Metadata")).get("aws:asset:path")
            uri = asset or inner.get("ContentUri")
            if resource.get("Type") in LAYERS and isinstance(uri, str):
                folder = self._folder / uri
                if folder.is_dir():
                    yield folder
                    continue
            text = "the layer is not here, and is left out; add its folder with --layer DIR"
            self._note(f"{path}.Layers.{number}", text)

    # What calls it

    def _events(self, name: str, properties: Mapping[str, Any], path: str) -> EventSource | None:
        source = None
        for event, said in _mapping(properties.get("Events")).items():
            place = f"{path}.Events.{event}"
            kind = _mapping(said).get("Type")
            inner = _mapping(_mapping(said).get("Properties"))
            if kind == "SQS":
                source = self._one_source(source, inner, "Queue", f"{place}.Properties")
            elif kind in ("Api", "HttpApi"):
                route = f"{inner.get('Method', 'ANY')} {inner.get('Path', '/{proxy+}')}"
                older = ", which brings payload 2.0" if kind == "Api" else ""
                text = f"{route} has no route here; the function has a URL of its own{older}"
                self._note(place, text)
            else:
                self._note(place, f"{kind} does not invoke it here; use --event")
        return source

    def _mapped(self, name: str, entries: list[Entry]) -> list[Entry]:
        """With an ``EventSourceMapping`` taken to the function that it names."""
        path = f"Resources.{name}.Properties"
        properties = self._properties(name)
        target = self._value(properties, "FunctionName", path)
        target = str(target).rpartition(":")[2]
        for index, entry in enumerate(entries):
            if entry.name == target:
                source = self._one_source(entry.source, properties, "EventSourceArn", path)
                return [*entries[:index], replace(entry, source=source), *entries[index + 1 :]]
        self._note(path, f"invokes {target}, which is not run here")
        return entries

    def _one_source(
        self, before: EventSource | None, properties: Mapping[str, Any], key: str, path: str
    ) -> EventSource | None:
        arn = self._value(properties, key, path)
        if arn is None:
            self._wrong(path, f"has no {key}")
            return before
        parts = str(arn).split(":")
        queue = parts[-1]
        if len(parts) != 6 or parts[2] != "sqs":
            self._note(f"{path}.{key}", f"{arn} is no SQS queue, and is left out; use --event")
            return before
        if not _QUEUE_NAME.fullmatch(queue):
            self._note(f"{path}.{key}", f"{queue}: FIFO queues are not here, and it is left out")
            return before
        if self._value(properties, "Enabled", path) is False:
            return before
        if before is not None:
            text = "a second queue of the function cannot be taken from here, and is left out"
            self._note(f"{path}.{key}", text)
            return before
        unused = sorted(set(properties) - _USED_OF_SQS)
        if unused:
            self._note(path, f"without a meaning here: {', '.join(unused)}")
        types = self._value(properties, "FunctionResponseTypes", path)
        size = self._number(properties, "BatchSize", path, 10, 1, MAX_BATCH_SIZE)
        window = "MaximumBatchingWindowInSeconds"
        return EventSource(
            queue=queue,
            batch_size=int(size),
            window_s=self._number(properties, window, path, 0.0, 0.0, MAX_WINDOW_S),
            item_failures=isinstance(types, list) and "ReportBatchItemFailures" in types,
        )

    def _check_queues(self, entries: list[Entry]) -> None:
        """One function takes from a queue, and one at least from each that is sent to."""
        takers: dict[str, str] = {}
        for entry in entries:
            if entry.source is not None:
                taker = takers.setdefault(entry.source.queue, entry.name)
                if taker != entry.name:
                    text = f"the queue {entry.source.queue} is taken by {taker} already"
                    self._wrong(f"Resources.{entry.name}", text)
        for entry in entries:
            for name, reference in entry.references.items():
                place = f"Resources.{entry.name}.Properties.Environment.Variables.{name}"
                if reference.kind == QUEUE and reference.name not in takers:
                    text = f"no function here takes from the queue {reference.name}"
                    self._wrong(place, f"{text}; give the variable: --env {name}=VALUE")

    # What resources answer

    def _ref(self, name: str) -> str | Reference | None:
        kind = self._resources.get(name, {}).get("Type")
        if kind in (SAM_FUNCTION, FUNCTION):
            return name
        return Reference(QUEUE, self._queue_name(name)) if kind == SQS_QUEUE else None

    def _attribute(self, name: str, attribute: str) -> str | Reference | None:
        resource = self._resources.get(name, {})
        kind = resource.get("Type")
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
            said = _mapping(resource.get("Properties")).get("TargetFunctionArn")
            target = str(self._intrinsics.resolve(said)).rpartition(":")[2]
        else:
            # SAM makes the resource of it, under this name.
            target = name.removesuffix("Url")
        return Reference(URL_OF, target) if target in self._runnable else None

    def _queue_name(self, name: str) -> str:
        said = _mapping(self._resources[name].get("Properties")).get("QueueName")
        found = self._intrinsics.resolve(said)
        return found if isinstance(found, str) else name

    # Values, problems, notes

    def _value(self, properties: Mapping[str, Any], key: str, path: str) -> Any:
        """What stands under `key`; None where there is nothing, or nothing that is known."""
        try:
            value = self._intrinsics.resolve(properties.get(key))
        except UnknownError as error:
            self._wrong(f"{path}.{key}", str(error))
            return None
        return None if value is NO_VALUE else value

    def _number(
        self,
        properties: Mapping[str, Any],
        key: str,
        path: str,
        default: float,
        low: float,
        high: float,
    ) -> float:
        value = self._value(properties, key, path)
        if value is None:
            return default
        try:
            number = float(value)
        except (TypeError, ValueError):
            number = low - 1
        if not low <= number <= high:
            self._wrong(f"{path}.{key}", f"is {value}, must be a number from {low:g} to {high:g}")
            return default
        return number

    def _wrong(self, path: str, text: str) -> None:
        self._problems.append(f"{self._template.place(path)}: {text}")

    def _note(self, path: str, text: str) -> None:
        self._notes.append(f"{self._template.place(path)}: {text}")


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
